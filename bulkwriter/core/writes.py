"""How many writes a run still needs: the pairs not sent yet, and the new pairs among the rows not read yet.

Progress, `status` and `plan` foretell the end from this number.  A row needs no write if it is invalid, a duplicate, or
on the server already.  For the rows not read yet two shares are assumed:

- As many are invalid or duplicates as among the rows read.
- As many exist as among the rows read, but no more than the listed records that no row has met yet.

    6,000 rows, the first 3,000 exist: after them no listed record is left, so the other 3,000 need a write each
    6,000 rows, every second one exists: after 1,000 of them 2,500 records are left, so half of 5,000 rows need one

Where nothing was listed, the second share is 0.  A doubt needs a look, not a write.

Pure.  Not here: how many rows are left at all (`core.left`), how long the writes take (`quota.view`, `cli.outlook`).
"""

from __future__ import annotations

from ..model import Counts


def writes_to_come(counts: Counts, not_read: int | None, *, unmet: int, is_alive: bool) -> int:
    """How many writes are still needed.  `unmet`: listed records that no row has met yet.

    Failed pairs wait for the next start, so they count only where this process has ended.
    """
    known = counts.pending + (0 if is_alive else counts.failed)
    if not not_read:
        return known
    read = max(1, counts.pairs)
    passed = round(not_read * (counts.invalid + counts.duplicates) / read)
    existing = min(unmet, round(not_read * counts.existing / read))
    return known + max(0, not_read - passed - existing)


def unmet_of(listed: int, counts: Counts, created_before: int) -> int:
    """How many of the `listed` records no row has met yet.  They were there when this process began."""
    return max(0, listed - counts.existing - created_before)
