"""`scripts/machines`: several hosts, one account, one database; machines, networks and the database fail on the way.

    hosts      processes in namespaces of their own: a clock since boot, a boot id, a machine id, folders
    proxy      the way of one host to the database, which can be cut or stalled
    fleet      a stub, a database, hosts with a worker each that is started again when it ends, and what befalls them
    judge      what the stub itself counted, held against the source and against what the job says of itself

One file a campaign beside them: `dense`, `sparse`, `quota`, `standby`, `replay`, `on_ray`.
"""
