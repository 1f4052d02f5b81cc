"""How much may be spent: the limits of an account over windows of time, kept across processes and restarts.

    windows         reads `--quota` into windows, and says which of them concern a request
    counts          how many requests ended when
    short           short windows: a slot for each request, free again a window after its end
    forecast        long windows by the minute: how much room they have, and when so many writes will be done
    clock           the server's clock, as its replies show it
    others          what others of the account write beside this process
    placing         where the ledger's rows lie on our clock
    throttles       what throttles teach of a long window that no setting names

    leases          a process's side of an exchange with the ledger: what it may spend until the next one
    account         the other side: what is granted, and what becomes of the ledger's rows
    exchange        what the two say to each other

    gate            makes every request wait for its turn
    turns           the same for calls (list, read, delete, token); `ceiling`: the user's own maximum rate
    exchanges       carries out exchanges beside the event loop, each before the last lease is used up
    view, eta       what is spent and what holds writes back, in words; when the run ends

    ledger          the file of all spending and leases; `ledger_schema`: its tables; `ledger_thread`: it for asyncio
    build           puts all of them together from the settings

The deciding parts are pure (the first two groups): time is an argument.
"""
