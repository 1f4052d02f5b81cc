"""Decides: pure objects and tables; time and chance are arguments.  Modules know few others.

    pairs       where every pair of a run is, and what each event makes of it; the one owner
    doubts      which attempts may have been applied, and what a look says of each
    refusals    refused pairs that may be there already, held until a look tells
    classify    a reply -> what it means for its pair, by one ordered table
    rulings     what any other reply means for its pair, the server, the token and the run, as a value
    created     the short way of nearly every reply: the id of the record made
    retry       backoff, the budget of re-sends, the breaker of a server that is gone
    stops       when a run must stop, and in which words
    reasons     what is said of pairs that were not written, gathered by what is meant
    stats       counters, latencies, the recent rate
    left        how many rows a source has, and what is still to be done; `writes`: how many requests that takes
    dedupe      which pairs and which record ids were seen already

It names nouns alone (`model`, `rows`, `errors`, `settings`); `run` asks it and acts.
"""
