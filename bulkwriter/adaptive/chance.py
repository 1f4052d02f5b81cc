"""Finds out whether throttles come by chance: so many of all requests, at whatever pace.

A limit refuses what comes too fast.  Some servers and gateways refuse one request of a hundred all the same.  At one
pace nothing tells the two apart, and a pace that falls with each throttle ends at a quarter of the limit.  A rise does:
above a limit most of the rise is refused.

    in doubt   `DOUBTED` throttles, at most `MOST` of the requests, and measurements do not repeat (`sharing.py`)
    trial      the pace rises at once by `RISE`, for `RISE_REQUESTS`; what the budget allows is excused
    by chance  the budget lasted: the pace climbs on.  It falls only where the budget is used up, which is at the limit
    a limit    the budget did not last, and the pace is what it was; or measurements differ again at the higher pace,
               since others use the limit, too.  The next trial waits for `AGAIN` times as many throttles
    budget     in a trial what is expected and `SAVED_TRIAL` more, later `ALLOWED` times that and at most `SAVED`; what
               is excused ends no epoch

Others that yield make room for a small rise and refuse no more than before, so the rise is steep.  Where throttles
are rare, others are fast, and cannot yield so soon: a smaller rise tells, and meets no limit.

Invariant: 0 <= share <= MOST.  Stated waits are another matter: each costs its time, whatever is believed.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .limit import Limit
from .pace import Pace
from .recent import Mark

DOUBTED: Final = 10
MOST: Final = 0.0125  # four equal clients of a bucket are refused so often; with 0.02 three of them get Jain 0.4
RARE: Final = 0.005
RISE_RARE: Final = 1.6
RISE: Final = 2.2  # with 1.6 one of four equal clients passes, and keeps what it got
RISE_REQUESTS: Final = 100.0
RISE_TRIPS: Final = 4.0  # at least, or no reply to the rise has come
AGAIN: Final = 3
ALLOWED: Final = 2.0
SAVED: Final = 3.0
SAVED_TRIAL: Final = 2.0


class Chance:
    """Told of every throttle that would end an epoch."""

    def __init__(self) -> None:
        self.share = 0.0
        """Of the requests that are refused at any pace; 0 while none are known to be."""
        self._wait, self._seen = DOUBTED, 0
        self._taken: deque[int] = deque([0], maxlen=DOUBTED)
        self._left, self._passed_at = SAVED, 0.0
        self._was = 0.0  # the pace before a trial, while it lasts

    def excuses(self, mark: Mark, round_trip_s: float, limit: Limit, pace: Pace) -> bool:
        """One more throttle: whether it says nothing of the pace."""
        since, self._seen = self._taken[-1], self._seen + 1
        self._taken.append(mark.taken)
        if not self.share:
            return limit.is_unsteady and self._seen >= self._wait and self._try(mark, round_trip_s, pace)
        if self._was and mark.at >= self._passed_at:
            self._was = 0.0
            limit.be_alone()
        allowed = 1.0 if self._was else ALLOWED
        self._left = min(SAVED, self._left + allowed * self.share * (mark.taken - since)) - 1.0
        if self._left >= 0.0:
            return True
        self._left = SAVED
        if self._was or limit.is_unsteady:
            self.share, self._wait, self._seen = 0.0, AGAIN * self._wait, 0
        if self._was:
            pace.set(self._was)
            pace.top, self._was = self._was, 0.0
        return False

    def _try(self, mark: Mark, round_trip_s: float, pace: Pace) -> bool:
        share = (len(self._taken) - 1) / max(1, mark.taken - self._taken[0])
        if share > MOST:
            return False
        self.share, self._left, self._was = share, SAVED_TRIAL, pace.rate
        rate = pace.rate * (RISE_RARE if share < RARE else RISE)
        self._passed_at = mark.at + max(RISE_REQUESTS / rate, RISE_TRIPS * round_trip_s)
        pace.dip(mark.at, rate, top=rate, span_s=self._passed_at - mark.at)
        return True

    def check(self) -> None:
        assert 0.0 <= self.share <= MOST
