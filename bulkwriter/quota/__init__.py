"""How much may be spent: the limits of an account over windows of time, kept across processes and restarts.

    windows         reads `--quota` into windows, and says which of them concern a request
    slots           short windows: a slot for each request, free or leased, planned evenly
    forecast        long windows by the minute: how much room they have, and when so many writes will be done
    clock           the server's clock, as its replies show it
    throttles       what throttles teach of a long window that no setting names

    leases          what a process may spend before it asks the ledger again
    client          a process's side of an exchange with the ledger; `exchange`: what the two say to each other
    account         the other side: what is granted, and what becomes of the ledger's rows

    gate            makes every request wait for its turn
    turns           the same for calls (list, read, delete, token); `ceiling`: the user's own maximum rate
    exchanges       carries out exchanges beside the event loop, each before the last lease is used up
    view, eta       what is spent and what holds writes back, in words; when the run ends

    ledger          the file of all spending and leases; `ledger_schema`: its tables; `ledger_thread`: it for asyncio
    build           puts all of them together from the settings

The deciding parts are pure (the first two groups): time is an argument.
"""
