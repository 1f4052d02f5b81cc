"""The memory of a run: its journal, one SQLite file.  Where no file is kept, the same code keeps it in memory.

    the journal     schema          the whole format, and the values of its rows
                    opening, lock   which files are accepted, and the lock for one writer
                    journal         append, settle, transactions; blocking
                    statements, bulk        many rows in few statements
                    states          the state of every row, a byte each in memory
                    pruned          how many rows of single pairs were dropped
                    bounds          the checks that a file must pass before anything in it is believed
                    history         the run minute by minute, and the steps of records with trouble
                    seal, wal       what a large file was at its last checkpoint, so that it need not be checked again;
                                    which rows came later
                    journal_rows, journal_reader    reading, also by another process
                    claims          pairs that another run has sent or will send, read from its journal
                    journal_writer  the same for asyncio: a thread, and commits in groups
                    shipping        what a journal writes as groups of calls for a log elsewhere, and their replay
                    merged          the journals of a job's parts as one
                    starts          notes of the last start: rows of the source, why it ended, until when to wait
    for others too  private         files and folders for their owner alone
                    sqlite_errors   errors of SQLite and the system as `JournalError` with a next step
                    network_fs      whether a file lies on a network file system
                    sign_in_file    a stored sign-in: read with care, replaced as a whole, locked while it is renewed
                    boot            the clock since boot, its boot and its machine, for the ledger

Only this folder and the ledger (`quota`) name sqlite3.  Nothing here knows the network.
"""
