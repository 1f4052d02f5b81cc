"""How much may be spent: the limits of an account over windows of time, kept across processes and restarts.

A *window* lets so many requests through in so much time.  Short ones, of up to a minute, have a slot for each request;
long ones are counted by the minute.  A *lease* is what one process may send until it asks again, two seconds or so.

    for each request, in memory           for each lease, on the loop         in a thread, one transaction
    sender, calls -> `gate` (Quotas)      -> `exchanges` -> an `Ask`          -> `ledger` reads rows, asks `account`,
                    -> `leases` (Units)   <- an `Answer` with leases          <- writes what changed, and commits

What is durable when:

    ask      what ended since the last one, what is still held, and what throttles have shown, goes in
    commit   all units that the client now has are booked, as if each were used and ended as late as it can; before it
             no unit is granted
    send     a unit is used in memory; nothing is written
    end      it is counted in memory, and told with the next ask: before the last unit is used, or when all have ended
    death    what was leased stays booked, and time alone frees it: at most one lease is wasted

What is known: times are those of the clock since boot (with PostgreSQL, the database's), which nobody can set.  The
server's clock is known from the `Date` of replies.  It places calendar days and what other boots have spent.  What is
unknown frees nothing: a calendar day then counts as any 24 hours, and a row of another boot as spent when it was first
seen.

    pure, time is an argument
    windows      reads `--quota` into windows, and says which of them concern a request
    forecast     long windows by the minute: how much room they have, and when so many writes will be done
    short        short windows: which slots are free from when on
    throttles    what throttles teach of a long window that no setting names
    clock        the server's clock, as its replies show it
    others       where rows of others lie on our clock, and what they write beside this process
    exchange     the nouns: rows of a ledger, ask and answer
    account      decides an exchange: what is granted, and what becomes of the rows
    leases       the other side of it: what a process holds, and what it reports

    acting
    gate         makes writes and calls (list, read, delete, token) wait for their turn
    exchanges    carries out exchanges beside the loop, one at a time, each before the last lease is used up
    ledger       the file of all spending and leases; `postgres.ledger`: the same there
    ceiling      the user's own maximum rate (`--rate`)
    view         what is spent and what holds writes back, in words; when the run ends
    build        puts all of them together from the settings
"""
