"""Estimates a server's concurrency cap, how many requests it takes at a time, from the requests that it refuses.

A rate limit refuses requests that come too early.  A concurrency cap refuses requests that meet a crowd.  So each
throttle brings its *rank* (`recent.py`), averaged from 0.5 on.  Above `BLAME` the crowd is the cause, and the limit
becomes the number in flight when the refused request went.  A cap refuses at the same number each time, so a throttle
within `SAME` of the one before weighs twice as much.  But a rate limit, which may look so by chance, goes on refusing
when there are fewer: it was no cap if a request is refused alone, or with less than `SLACK` of the number at which the
cap was learnt (some of those may have been on their way back).  And none is learnt where `TAKEN` times as many at a
time were taken before: a counter lets single requests through at the end of its window, and that looks like a cap of 1.

When this limit holds the run back, one more is tried every 250 requests (at least 2 s, and 200 times the cost of a
stated pause).  The step doubles with every two round trips without a throttle.

Invariant: 1 <= limit <= the user's limit, and never below what the user's floor needs.
"""

from __future__ import annotations

from typing import Final

from .recent import Refusal

FIRST: Final = 0.5
BLAME: Final = 0.7
LIKELY: Final = 0.6  # not yet sure, but nobody else is to blame
SAME: Final = 0.1
SLACK: Final = 0.85
TAKEN: Final = 8.0  # steep starts take some beside requests that are refused: with 2 a cap of 7 is missed
WEIGHT: Final = 0.2
WEIGHT_SAME: Final = 0.4
ROOMY: Final = 3.0  # more than so many places free is no crowd; held by the cell of two equal clients
ROOMY_SHARE: Final = 0.4
PROBE_REQUESTS: Final = 250  # a throttle each is 0.4 %
PROBE_MIN_S: Final = 2.0
PROBE_COST: Final = 200.0


class Crowd:
    """The in-flight limit that throttles teach; `is_capped` once there is one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = float(most)
        self.least = 1.0
        """What the user's floor needs."""
        self.is_capped = False
        self._blame = FIRST
        self._step = 1
        self._first = 0  # in flight when the cap was learnt
        self._last = 0  # when one was refused last
        self._grows_at = 0.0

    @property
    def is_likely(self) -> bool:
        """Whether requests in a crowd were refused, and not just any requests."""
        return self._blame > (FIRST if self.is_capped else LIKELY)

    def free(self) -> None:
        """It was no crowd."""
        self.limit, self.is_capped, self._blame = float(self._most), False, FIRST

    def is_to_blame(
        self, now: float, refusal: Refusal, round_trip_s: float, *, is_new: bool, cost_s: float = 0.0, most: int = 0
    ) -> bool:
        """A throttle, which may cost a stated pause of `cost_s`: was it the crowd?  Then the limit falls.  `most`: so
        many others were in flight with a request that was taken before."""
        if refusal.others < 1:
            self.free()
            return False
        if self.is_capped and self.limit - refusal.others > max(ROOMY, ROOMY_SHARE * self.limit):
            self._blame /= 2  # refused though there was room: it is not the crowd, or not the crowd alone
            return False
        if self.is_capped and refusal.others < SLACK * self._first:
            self.free()
            self._blame = 0.0
            return False
        last, self._last = self._last, refusal.others
        weight = WEIGHT_SAME if is_new and abs(refusal.others - last) <= SAME * last else WEIGHT
        self._blame += weight * (refusal.rank - self._blame)
        if self._blame <= BLAME:
            return False
        if not self.is_capped:
            if most > TAKEN * (refusal.others + 1):
                return False
            self._first = refusal.others
        self.is_capped = True
        self.limit = max(self.least, min(self.limit, float(refusal.others)))
        requests_s = PROBE_REQUESTS * round_trip_s / self.limit
        self._grows_at = now + max(PROBE_MIN_S, requests_s, PROBE_COST * cost_s)
        self._step = 1
        return True

    def end_trip(self, now: float, peak: int, round_trip_s: float) -> None:
        """A round trip went well with `peak` in flight at most."""
        if self.is_capped and now >= self._grows_at and peak >= int(self.limit):
            self.limit = min(self._most, self.limit + self._step)
            self._step *= 2
            self._grows_at = now + 2 * round_trip_s

    def check(self) -> None:
        assert 1.0 <= self.limit <= self._most
        assert 0.0 <= self._blame <= 1.0
