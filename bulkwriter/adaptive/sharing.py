"""Finds out whether other clients use the same limit: then measurements do not repeat.

A client that is alone measures the same limit again and again.  Beside others it measures its own share, which differs
each time, since chance decides who is refused.  If each client stayed near its measurement, as it does when alone, it
would keep its present share: a client that joins late, or is refused twice in a row, would stay small.  So a shared
limit is paced as TCP paces (`Pace.share`): each throttle cuts in proportion to the rate, and between throttles the rate
climbs by steps that grow less than the rate.  Throttles meet each client in proportion to its rate.  So its rate stands
still where cut · throttles = step.  That is the same share for all.

    unlike   a measurement more than `ALIKE` from the one before, at another rate; or too soon to measure anything
    shared   above `SHARED` of the measurements are unlike, averaged with weight 1/`WEIGHT` from `FIRST` on, and the
             share is above `LEAST`: below that, one request more or less hides what the others do
    alone    again once `SAME` throttles in a row came at the same rate and measured the same: a limit repeats itself.
             Two clients that take turns can look so for a while; five in a row are rare

A hold, the throttle at its beginning, and a throttle caused by a crowd say nothing about sharing.  A window, once
known, is measured by itself and never counts as shared: of six laws none brings equal clients of one together at a fair
price (the table is in tests/README.md).

Invariant: 0 <= unlike <= 1.
Source: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance" (1989).
"""

from __future__ import annotations

import math
from typing import Final

ALIKE: Final = 0.015
SHARED: Final = 0.65
WEIGHT: Final = 6
FIRST: Final = 0.3
LEAST: Final = 12.0
SAME: Final = 5


class Sharing:
    """Told of every throttle that ends an epoch, and of every hold."""

    def __init__(self) -> None:
        self.is_shared = False
        self._unlike = self._was = FIRST
        self._same = 0
        self._last: tuple[float, float] | None = None  # the measurement before, and the rate at its throttle

    def refused(self, measured: float, rate: float, *, taken: int, was: float) -> None:
        """A throttle at `rate`.  `measured`: so many were taken a second since the last one, or 0 if too few to tell;
        `was`: what was measured before."""
        if not measured:
            self._note(min(was, rate), is_unlike=True)
            return
        last, self._last = self._last, (measured, rate)
        if last:
            is_alike = off(measured, last[0]) < max(ALIKE, 1.01 / max(1, taken))  # one request more or less is chance
            is_same = off(rate, last[1]) < ALIKE / 2
            is_early = rate < was * (1 - ALIKE / 2)  # what is ours alone takes again what it took
            self._note(min(measured, rate), is_unlike=is_early or not (is_alike or is_same))
            self._same = self._same + 1 if is_alike and off(rate, last[1]) < ALIKE else 0
            if self.is_shared and self._same >= SAME:
                self.is_shared, self._unlike = False, FIRST

    def held(self, *, is_idle: bool) -> None:
        """A hold ended; `is_idle`: what was known foretold it, and there was none."""
        self._last = None
        if is_idle:
            self._note(math.inf, is_unlike=True)

    def revoke(self) -> None:
        """The last throttle was the beginning of a hold."""
        self._last, self._unlike = None, self._was

    def _note(self, share: float, *, is_unlike: bool) -> None:
        self._was = self._unlike
        self._unlike += (is_unlike - self._unlike) / WEIGHT
        self.is_shared = self.is_shared or (self._unlike > SHARED and share > LEAST)

    def check(self) -> None:
        assert 0.0 <= self._unlike <= 1.0


def off(value: float, other: float) -> float:
    return abs(math.log(value / other))
