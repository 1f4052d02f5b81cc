"""How much may be spent: the limits of an account over windows of time, kept across processes and restarts.

    windows         reads `--quota` into windows, and says which of them concern a request
    short_window    windows of up to a minute, paced evenly over cells that processes share (`page`)
    forecast        long windows by the minute: how much room they have, and when so many writes will be done
    clock           the server's clock, as its replies show it
    throttles       what throttles teach of a long window that no setting names

    gate            makes every request wait for its turn; `sides` and `reserve`: requests of one kind
    turns           the same for calls (list, read, delete, token); `ceiling`: the user's own maximum rate
    exchanges       talks with the ledger, one exchange at a time; `account`: decides inside its transaction
    view, eta       what is spent and what holds writes back, in words; when the run ends

    ledger          the file of all spending; a unit is durable before it is spent; `ledger_book`: one account of it
    ledger_thread   the same for asyncio; `till`: how far a process came, readable after its death
    build           puts all of them together from the settings

The deciding parts are pure (windows, short_window, forecast, clock, throttles, sides, reserve): time is an argument.
"""
