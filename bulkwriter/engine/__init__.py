"""Waits and acts: one run, from the rows of a source to durable outcomes.  Read in this order:

    engine          the tasks, the way of a pair as a drawing, and the one way in which a run ends
    ports, parts    what it stands on (lanes, journal, lists, clocks), and the objects that decide for it
    intake          rows -> intents, `chunks` at a time, as far as they may `reach`; `known`, `first_start`: those there
    commits         the durable step, and the hand-over to ...
    dispatch        ... ready pairs that meet free lanes (`lanes`), under the `ceiling`, with a token (`bearer`)
    replies         what each reply does, and when it `stops` the run; `ids`: record ids seen
    settlement      what a look's answer makes of a doubt, and when released pairs go again
    committer       rows in groups to the disk, and by `delivery` to whoever asked
    singles         one pair from a service, the same way; `unkept`: what a run without a journal knows of its own

    quotas          lets every request wait for its turn; `turns`: calls, `sides` and `reserve`: one kind of request
    exchanges       with the ledger, one at a time; `account`: what is decided inside its transaction
    eta, quota_view, held       when it ends, what is spent, what holds it back: in words, for people
    notes, remember             what is kept for `status`, and for the next run; `token_life`: does it outlive the run?
    background, uncancelled     tasks from callbacks, and steps that no cancellation breaks in two

It knows core, net, store, and of `reconcile` the looks and the lists.  It names no lesson and no member.
"""
