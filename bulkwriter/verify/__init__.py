"""Holds what a journal says against the server, and takes back what a run made.

    verify          expected pairs held against observed ones (`expected`); `repair` deletes what is too much
    undo            deletes what a run created: `resolve_doubts` first, then `delete_created`
    session         what both have on the wire: lists, reads and `deletes`, under one signal to stop (`stop_signal`)

Nothing here is deleted that the journal does not show to be the run's own (`listing.baseline`).
"""
