"""One run, from the rows of a source to durable outcomes.  This folder waits and acts.  Read it in this order:

    source_run      takes a caller's source from its first row to its last outcome; `summary`: how the run stands
    engine          the way of a pair as a drawing, the objects of a run, and the step after each change
    run_loop        when that step is made, who waits for the run, its tasks, and whom an error ends
    taken_source    the source that is being taken: whether it ends early, and why
    health          whether the writer can send, who waits for that, and the tries while it cannot
    ports           what the engine stands on: lanes, journal, lists, clocks
    intake          turns rows into intents, `chunks` at a time, as far ahead as `reach` allows
    existing_records, baseline_keeper   the records on the server before the run writes, and the highest id then
    intents         makes intents durable and hands them over
    sender          sends ready pairs on free lanes (`lanes`) with a token (`token`), and acts on each reply
    admission       whether a request may go now, and what replies and looks show of the server
    holding         keeps hold of the part of a job that this process writes, where several machines share the job
    doubt_resolution    acts on what looks tell, and sends released pairs again; `record_ids`: the ids seen so far
    committer       writes rows to the disk in groups, then delivers their outcomes (`delivery`)
    singles         single pairs from a service, in the same way; `single`: a pair and who waits for it
    entrance        the way of single pairs into the journal; `row_finder`: which rows pairs have there
    contention      pairs that another writer has claimed; `peers`: the other writers, and how they see each other
    pruning         old settled rows of single pairs dropped from the journal

    bottleneck      what holds the run back now, in words for people
    measured                    the numbers of a run that somebody measures
    notes, token_life           what is kept for `status` and the next start; whether the token outlives the run
    warm_start                  the server's rate limit as found, kept for the next run of the account
    history                     the run minute by minute, and the steps of records with trouble, in its journal
    registry        the list of this user's runs and writers, so that two over the same pairs notice each other
    cpu                         processor time used

This folder knows all others but `cli`, `verify` and `stub`.  An `Entity` says which kind of record it writes.
"""
