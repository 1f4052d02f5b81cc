"""The decisions about pairs: pure objects and tables.  Time and chance come in as arguments.

    pairs       where every pair of a run is, and what each event changes; the only owner of that
    doubts      which attempts may have been applied, and what a look says of each
    refusals    refused pairs that may be on the server already; a look decides
    classify    what a reply means for its pair, by one ordered table
    rulings     what a reply that proves no creation means for the pair, the server, the token and the run
    created     a fast path for the usual reply: the id of the new record
    retry       backoff, the budget of re-sends, the breaker for a server that does not answer
    suspension  when a writer that an error has stopped tries again
    stops       when a run must stop, and the message to people
    reasons     the reasons why pairs were not written, grouped by their meaning
    stats       counters, latencies, the recent rate; `measured`: more of them, where somebody measures
    record_log  the steps of records whose way was no plain success
    left        how many rows a source has, and how many still need work; `writes`: how many requests that takes
    dedupe      which pairs and which record ids were seen already; `word_set`: sets of 64-bit words in few bytes

This folder imports nouns only (`model`, `rows`, `errors`, `metrics`, `settings`).  `run` asks it and acts.
"""
