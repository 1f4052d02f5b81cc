"""What others of an account have written, here and elsewhere, and what they write beside this process.

Rows of another boot are placed by the server's clock, and never later than they were first seen; while that clock is
unknown, they count as spent when they were first seen.

For forecasts, the ledger's rows tell all requests that have ended, and a process knows its own: the others' are taken
to go on as in the last minutes in which this process wrote.

Pure.  Not here: what is granted (`quota.account`), and when a run ends (`quota.forecast`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ..model import QuotaWindow
from .exchange import BootPlace, LedgerRows, SpentRow
from .forecast import EndCounts, Spending, end_of, minute_of, part_of
from .leases import GRACE_S, LEASE_S
from .short import unpacked
from .windows import WRITE

AHEAD_S: Final = 3.0  # slots are granted so long before they are free: for a lease, and half of the next one
STRANGE_S: Final = 600.0
"""Of a lease that another boot wrote, nobody here knows its longest request (`--timeout`); few allow more."""
RECENT_S: Final = 600.0  # measured over so long.  More would count those who have ended, less would be uneven.
SAMPLE: Final = 10  # fewer writes tell nothing


def placed(row: SpentRow, place: BootPlace, *, now: float, zero: float | None, hold_s: float) -> float:
    """The minute of `place` or its part where a row counts; `zero` is the server's clock at the boot clock's zero."""
    if row.place.has_clock_of(place):
        return row.minute
    end = row.seen_at if row.seen_boot == place.boot else now  # it was there then
    end += max(hold_s, STRANGE_S) + LEASE_S + AHEAD_S + GRACE_S if row.client else 0.0
    if zero is not None and row.ended is not None:
        end = min(end, row.ended - zero)
    return part_of(end)


def spending_in(
    rows: LedgerRows, windows: Sequence[QuotaWindow], place: BootPlace, *, now: float, wall: float
) -> Spending:
    """What was spent, for forecasts that hear of no reply: its `epoch` is the server's clock, as the rows show it."""
    # what the server's earliest clock showed at the zero of this boot's clock, by the last row of this boot
    told = [row for row in rows.spent.values() if row.ended is not None and row.place.has_clock_of(place)]
    last = max(told, key=lambda row: row.minute, default=None)
    zero = None if last is None else (last.ended or 0.0) - end_of(last.minute) - rows.spread_s
    epoch, spread_s = (wall - now, 0.0) if zero is None else (zero, rows.spread_s)
    spending = Spending(epoch=epoch, spread_s=spread_s)
    for row in rows.spent.values():
        spending.add(row.kind, placed(row, place, now=now, zero=epoch, hold_s=0.0), row.requests)
    return spending


class Others:
    """`share`: writes of others for each of ours; None while that is not known."""

    def __init__(self) -> None:
        self.share: float | None = None
        self._own = EndCounts()  # writes of this process that ended, by the minute
        self._from = math.inf  # the first whole minute of this process

    def wrote(self, minute: float, count: int) -> None:
        """So many writes of this process ended in this minute, or in a part of one."""
        self._own.add(end_of(minute), count)

    def look(self, now: float, spending: Spending) -> None:
        """Measure again, by all spending."""
        end = end_of(minute_of(now))
        self._from = min(self._from, end)
        begin = max(self._from, end - RECENT_S)
        self._own.forget(begin)
        own = self._own.after(begin)
        total = spending.ended(WRITE, begin, end)
        if own and total >= SAMPLE:
            self.share = max(0, total - own) / own


def at_work(rows: LedgerRows, place: BootPlace, now: float) -> int:
    """How many clients have units at this moment, or have said when they ask for some; who has ended has none."""
    if not rows.short or not rows.short.place.has_clock_of(place):
        return 0
    return sum(1 for one in unpacked(rows.short.packed).holders.values() if one.until > now)
