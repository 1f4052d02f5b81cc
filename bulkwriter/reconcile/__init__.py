"""Finds out what is on the server: for a run, for `verify`, and for `undo`.

    lists           pages of a list, and a scan that shows when it has missed nothing
    lister          list calls asked and judged; `persist`: made again until they succeed
    coverage        which lists show given pairs with the fewest calls

    existing        a run: which pairs are there before it writes
    looks           the looks that settle doubts; `batches`: which doubts are looked up together

    verify          claims held against lists (`claims`); `repair` deletes what is too much
    undo            deletes what a run created: `leftovers` first settles its doubts, `takeback` takes records back
    beginning       how the server stood when the run began: what was there is never deleted
    conversation    what both have on the wire: `deletes`, requests at one pace (`paced`), one way to stop (`halt`)

The engine uses the first two groups; the third stands on the engine's rules for stops and on `connection`.
"""
