"""Remembers: the journal of one run, one SQLite file; in memory, by the same code, where none is kept.

    the journal     schema          its format, whole, and the rows that go in and out
                    opening, lock   which files are believed, and that one process writes
                    journal         append, settle, transactions; blocking
                    statements, bulk        many rows in few statements
                    states          the state of every row, a byte each in memory
                    bounds          what must hold in its file before any of it is believed
                    journal_rows, journal_reader    reading it, also from outside
                    journal_writer  the same for asyncio: a thread, and commits in groups
                    starts          its last start: rows of the source, why it ended, until when to wait
    for others too  private         files and folders for their owner alone
                    sqlite_errors   what SQLite and the system say, as `JournalError` with a next step
                    boot            the clock since boot, by which the ledger goes

Nobody but this folder and the ledger (`quota`) names sqlite3, and nothing here knows the network.
"""
