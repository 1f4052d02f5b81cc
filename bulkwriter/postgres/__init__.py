"""State that several machines share, in PostgreSQL: the ledger of an account, and jobs with the log of each part.

    address     a URL of a database, of a job in it, or of a part of that job
    connect     opens connections, and says of each trouble whether it passes, and what to do next
    schema      the tables, in the SQL schema `bulkwriter`: how they are made, migrated, checked, and who may use them
    session     a connection that is made again until what was asked is answered
    lease       who may write a part of a job, until when, and how it passes on
    log         what the journal of a part committed, group by group; `prepared`: its statement, by way of libpq
    high_water  what this machine knows to be committed, so that it notices a database that has less
    part        opens the journal of a part: claim, replay, ship
    loading     a source becomes a job; `jobs`: what a job is, and how its parts stand
    worker_quotas   which ledger and quotas the workers of a job use
    desk        which part a worker takes next; `part_source`: the part's rows
    reading     a job, or a part, as a journal that commands read

    ledger      the quota ledger of an account; `rows`: its rows, and the statements
    clock       the time of such a ledger; `times`: what is said of times between a client and the ledger

All of it is imported only where a URL of PostgreSQL is given.  psycopg 3 is an extra (`bulkwriter[postgres]`), and is
imported where a connection is opened.  Every call blocks, and so runs in a thread of its owner.
"""
