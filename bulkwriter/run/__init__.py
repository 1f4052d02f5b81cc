"""Waits and acts: one run, from the rows of a source to durable outcomes.  Read in this order:

    source_run      a caller's source, taken from its first row to its last outcome; `summary`: how the run stands
    engine          the way of a pair as a drawing, the objects of a run, and the step after whatever moved a pair
    run_loop        when that step is made, who waits for the run, its tasks, and the one way in which it ends
    ports           what it stands on: lanes, journal, lists, clocks
    intake          rows -> intents, `chunks` at a time, as far as they may `reach`
    existing_records, baseline_keeper   which records are there before it writes, and the highest id then
    intents         the durable step, and the hand-over to ...
    sender          ... ready pairs that meet free lanes (`lanes`), with a token (`token`); what each reply does
    admission       whether a request may go now, and what replies and looks show of the server
    doubt_resolution    what a look's answer makes of a doubt, and when released pairs go again; `record_ids`: ids seen
    committer       rows in groups to the disk, and by `delivery` to whoever asked
    singles         one pair from a service, the same way

    bottleneck      what holds it back now, in words, for people
    notes, token_life           what is kept for `status` and the next start; does the token outlive the run?
    warm_start                  what the control found of the server, kept for the next run of the account
    registry        which runs there are, so that two over the same pairs know each other
    cpu                         processor time used

It knows all folders but `cli`, `verify` and `stub`.  What it writes is said by an `Entity`.
"""
