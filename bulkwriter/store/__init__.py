"""Remembers: the journal of one run, and the ledger of what all runs of an account have spent.

    the journal     schema          its format, whole, and the rows that go in and out
                    opening, lock   which files are believed, and that one process writes
                    journal         append, settle, transactions; blocking
                    statements, bulk        many rows in few statements
                    states          the state of every row, a byte each in memory
                    bounds          what must hold in its file before any of it is believed
                    rows, reader    reading it, also from outside
                    writer          the same for asyncio: a thread, and commits in groups
                    starts          its last start: rows of the source, why it ended, until when to wait
                    memory          what stands for it where none is kept
    the ledger      ledger          its file, what it promises, and what a stepped clock can do
                    ledger_book     one account inside a transaction
                    ledger_thread   the same for asyncio
                    page, till      short windows, and how far a process came: maps of memory that outlive a kill
                    boot            the clock that it goes by
    beside it       learnt          what a run found of the server's own limit
                    registry        which runs there are, so that two over the same pairs know each other
    all             private         for their owner alone
    both            faults          what SQLite and the system say, as `JournalError` with a next step

Nobody else names sqlite3, and nothing here knows the network.
"""
