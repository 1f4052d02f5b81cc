"""How much may be spent: the limits of an account over windows of time, kept across processes and restarts.

    windows         `--quota` -> windows, and which of them concern a request
    short_window    windows of up to a minute, paced evenly over cells that processes share (`page`)
    forecast        long windows by the minute: how much room they have, and when so many writes will be done
    throttles       what throttles teach of a long window that nobody wrote down

    gate            lets every request wait for its turn; `sides` and `reserve`: requests of one kind
    turns           the same for calls (list, read, delete, token); `ceiling`: the user's own highest rate
    exchanges       with the ledger, one at a time; `account`: what is decided inside its transaction
    view, eta       what is spent and what holds writes back, in words; when the run ends

    ledger          the file: what was spent, durable before it is spent; `ledger_book`: one account of it
    ledger_thread   the same for asyncio; `till`: how far a process came, where that can be read after its death
    build           all of them put together from the settings

What decides is pure (windows, short_window, forecast, throttles, sides, reserve): time is an argument.
"""
