"""Where the rows of a ledger lie on the clock of this boot, and what was spent by them.

Rows of this boot say it themselves.  Rows of another boot are placed by the server's clock, and never later than they
were first seen; while that clock is unknown, they count as spent when they were first seen.

Pure.  Not here: what is granted from it (`quota.account`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..model import QuotaWindow
from .exchange import BootPlace, LedgerRows, SpentRow
from .forecast import Spending, end_of, part_of
from .leases import GRACE_S, LEASE_S
from .windows import SLACK

AHEAD_S: Final = 3.0
"""Slots are granted so long before they are free: for a lease, and half of the next one."""
STRANGE_S: Final = 600.0
"""Of a lease that another boot wrote, nobody here knows its longest request (`--timeout`); few allow more."""


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
    zero = zero_in(rows, place)
    epoch, spread_s = (wall - now, 0.0) if zero is None else (zero, rows.spread_s)
    spending = Spending(epoch=epoch, slack=SLACK, spread_s=spread_s)
    for row in rows.spent.values():
        spending.add(row.kind, placed(row, place, now=now, zero=epoch, hold_s=0.0), row.requests)
    return spending


def zero_in(rows: LedgerRows, place: BootPlace) -> float | None:
    """What the server's earliest clock showed at the zero of this boot's clock, by the rows of this boot; None while
    nothing was counted in this boot, or no reply had a `Date`.
    """
    told = [row for row in rows.spent.values() if row.ended is not None and row.place.has_clock_of(place)]
    last = max(told, key=lambda row: row.minute, default=None)
    if last is None or last.ended is None:
        return None
    return last.ended - end_of(last.minute) - rows.spread_s
