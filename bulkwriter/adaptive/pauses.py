"""Estimates the limit from stated pauses (Retry-After), where the law of `stated.py` does not lead.  They may be longer
than the server needed.

A number of requests was taken from the end of one pause to the end of the next.  The rate with the pause included is
`low`: right for a window, but too low for a bucket that was full long before.  The rate without the pause is `high`: it
includes the burst of that bucket.  The limit is between the two.  They come closer the longer a stretch lasts.  Until
then

    far apart     what the throttles so far agree about (`bursts.py`)
    repeated      the same, however close they are, once it is what it was the last time
    closer        what a longer stretch took more than a shorter one, divided by how much longer it was: either a burst
                  or a window's rest is in both of them
    too alike     whichever of the two changed less from time to time
    a long pause  is a window's own, and counts

Invariant: low <= the answer <= high, or the rate that was refused where that is higher.
"""

from __future__ import annotations

import math
from typing import Final

from .bursts import Bursts

WIDE: Final = 1.25
REPEATED: Final = 0.01
NEAR: Final = 1.3  # `high` within this of `low` may both be true
MORE: Final = 15  # requests; fewer are chance


class StatedPauses:
    """Told of every pause that was stated, once it is over."""

    __slots__ = ("_agreed", "_longer", "_off", "_was")

    def __init__(self) -> None:
        self._off = [1.0, 0.9]  # how far `low` and `high` were off lately; `high` has the benefit of the doubt
        self._was: tuple[float, float] | None = None
        self._longer = 0, 0.0
        self._agreed = 0.0  # what the throttles agreed about the last time

    def limit(self, low: float, high: float, rate: float, taken: int, bursts: Bursts | None) -> tuple[float, float]:
        """A short pause, begun by a throttle at `rate`.  Returns what is surely allowed, and what hardly is more."""
        self._compare(low, high)
        (taken_before, before_s), span_s = self._longer, taken / high
        self._longer = taken, span_s
        more, more_s = taken - taken_before, span_s - before_s
        before, self._agreed = self._agreed, bursts.rate(low, max(high, rate)) if bursts else 0.0
        if (found := self._agreed) and (high > WIDE * low or (before and abs(math.log(found / before)) < REPEATED)):
            return found, max(found, rate)
        if taken_before and abs(more) > MORE and more * more_s > 0:
            found = min(max(low, more / more_s), high)
            return found, max(found, rate)
        if self._off[0] < self._off[1]:
            return low, high if high < NEAR * low else low
        return high, max(high, rate)

    def long(self, low: float, high: float) -> tuple[float, float]:
        """The same of a long one."""
        self._compare(low, high)
        return low, high if high < NEAR * low else low

    def _compare(self, low: float, high: float) -> None:
        if self._was:
            for n, value in enumerate((low, high)):
                self._off[n] = self._off[n] / 2 + abs(math.log(value / self._was[n]))
        self._was = low, high
