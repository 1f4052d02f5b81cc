"""Which doubts of a look are found among the newest records, and which by a list of their own.  Pure.

There are two ways.  To read the newest records down to a floor settles every doubt with that floor or a higher one, for
one call a thousand records.  A list by both ids settles one doubt for one call.  So the doubts are ordered by floor,
highest first, and cut where the sum of calls is least:

    calls(k) = 1 + min(newest id - floor of doubt k, most) // 1000  for the first k,  + 1 for each of the rest

The difference of ids bounds the number of records above a floor where ids are dense.  Where they are not, `most` bounds
it: the records that this run can have made.  A doubt without a floor, one whose reply named a record below it, and a
refused pair always have their own lists.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.doubts import Doubt
from .lists import PAGE_SIZE


def plan_look(batch: Sequence[Doubt], *, newest_id: int, most: int) -> tuple[list[Doubt], list[Doubt]]:
    """(doubts to find among the newest records, doubts to look up one by one)."""
    floored = [d for d in batch if d.intent.floor is not None and not d.is_refused and not d.is_named]
    floored.sort(key=floor_of, reverse=True)
    best_calls, best = len(floored), 0
    for k, doubt in enumerate(floored, start=1):
        calls = 1 + min(max(0, newest_id - floor_of(doubt)), most) // PAGE_SIZE + len(floored) - k
        if calls < best_calls:
            best_calls, best = calls, k
    among_newest = floored[:best]
    chosen = {doubt.intent.seq for doubt in among_newest}
    return among_newest, [doubt for doubt in batch if doubt.intent.seq not in chosen]


def floor_of(doubt: Doubt) -> int:
    return doubt.intent.floor or 0
