"""What others of the account write beside this process, for its forecasts.

The ledger's rows tell all requests that have ended, and a process knows its own: the rest is the others'.  They are
taken to go on as in the last minutes in which this process wrote.  Leases do not count, since those of the dead are
never used.

Pure.  Not here: what others hold now (`quota.short`), and when a run ends (`quota.forecast`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from .counts import EndCounts
from .exchange import BootPlace, LedgerRows
from .forecast import Spending, end_of, minute_of
from .short import unpacked
from .windows import WRITE

RECENT_S: Final = 600.0
"""Measured over so long.  More would count those who have ended, less would be uneven."""
SAMPLE: Final = 10
"""Fewer writes tell nothing."""


class Others:
    """`share`: writes of others for each of ours; None while that is not known."""

    def __init__(self) -> None:
        self.share: float | None = None
        self._own = EndCounts()  # writes of this process that ended, by the minute
        self._from = math.inf  # the first whole minute of this process

    def wrote(self, minute: float, count: int) -> None:
        """So many writes of this process ended in this minute, or in a part of one."""
        self._own.add(end_of(minute), count)

    def look(self, now: float, spending: Spending, leased: Mapping[tuple[str, str, float], int]) -> None:
        """Measure again; `leased` are units in `spending` that may never be used, by client, kind and minute."""
        end = end_of(minute_of(now))
        self._from = min(self._from, end)
        begin = max(self._from, end - RECENT_S)
        self._own.forget(begin)
        own = self._own.after(begin)
        total = spending.ended(WRITE, begin, end)
        total -= sum(n for (_, kind, minute), n in leased.items() if kind == WRITE and begin < end_of(minute) <= end)
        if own and total >= SAMPLE:
            self.share = max(0, total - own) / own


def at_work(rows: LedgerRows, place: BootPlace, now: float) -> int:
    """How many clients have units at this moment, or have said when they ask for some; who has ended has none."""
    if not rows.short or not rows.short.place.has_clock_of(place):
        return 0
    return sum(1 for one in unpacked(rows.short.packed).holders.values() if one.until > now)
