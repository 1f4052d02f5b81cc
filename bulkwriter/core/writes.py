"""How many writes a run still needs: the pairs not sent yet, and what of the rows not read yet is new.

Progress, `status` and `plan` tell an end from this number.  A row that is invalid, a duplicate or on the server already
needs none.  Of the rows not read yet as many are taken to be invalid or duplicates as of those read; and as many to
exist, but never more than the lists have shown records that no row has met yet:

    6,000 rows, the first 3,000 exist: after them no record is left to be met, so the other 3,000 need a write each
    6,000 rows, every second one exists: after 1,000 of them 2,500 records are left, so half of 5,000 rows need one

Where nothing was listed, every such row is taken to need one.  Doubts need a look, not a write.

Pure.  Not here: how many rows are left at all (`core.left`), how long the writes take (`quota.eta`, `cli.outlook`).
"""

from __future__ import annotations

from ..model import Counts


def writes_to_come(counts: Counts, not_read: int | None, *, unmet: int, is_alive: bool) -> int:
    """`unmet`: records that lists have shown and no row has met yet.  Failed pairs wait for the next start."""
    known = counts.pending + (0 if is_alive else counts.failed)
    if not not_read:
        return known
    read = max(1, counts.pairs)
    passed = round(not_read * (counts.invalid + counts.duplicates) / read)
    existing = min(unmet, round(not_read * counts.existing / read))
    return known + max(0, not_read - passed - existing)


def unmet_of(listed: int, counts: Counts, created_before: int) -> int:
    """Records that no row has met yet of `listed` ones, which were there when this process began."""
    return max(0, listed - counts.existing - created_before)
