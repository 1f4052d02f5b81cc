"""Finds out whether other clients use the same limit: then measurements do not repeat.

A client that is alone measures the same limit again and again.  Beside others it measures its own share.  That differs
each time, since chance decides who is refused.  If each client stayed near its measurement, as it does when alone, it
would keep its present share: a client that joins late, or is refused twice in a row, would stay small.  So a shared
limit is paced as TCP paces (`Pace.share`): each throttle cuts in proportion to the rate, and between throttles the rate
climbs by steps that grow less than the rate.  Throttles meet each client in proportion to its rate.  So its rate stands
still where cut · throttles = step.  That is the same share for all.  The more throttles there are, the less depends on
chance.

    unlike   a measurement more than `ALIKE` from the one before, at another rate; or too soon to measure anything
    shared   above `SHARED` of the measurements are unlike, averaged with weight 1/`WEIGHT` from `FIRST` on, and the
             share is above `LEAST`: below that, one request more or less hides what the others do
    alone    again once `SAME` throttles in a row came at the same rate and measured the same: a limit repeats itself.
             Two clients that take turns can look so for a while; five in a row are rare

Three kinds of events say nothing about sharing: a hold, the throttle at its beginning, and a throttle caused by a
crowd, since the throughput of a cap varies with latency.  A window, once known, is measured by itself and never counts
as a shared limit.

**Windows and logs: no law found.**  Equal clients of one window keep about the shares that they got first.  Six laws
were tried on 1,000 in 10 s: Jain's index (median of three seeds, 0.95 is wanted) for two, three and eight clients of a
fixed window, and of a log; the price in points of the limit (worst of the six cells), and throttles

    after each hold                                        window           log              price   throttled
    as it is: on just below the limit                      0.98 0.82 0.35   0.78 0.73 0.72   -       0.3 to 2.3 %
    4 % less, and back by the same step for all            0.69 0.46 0.41   0.78 0.88 0.78   1.0     0.2 to 3.0 %
    8 % less, and so                                       0.95 0.46 0.71   0.78 0.91 0.75   3.3     0.3 to 2.5 %
    4 % less, and back by a step that grows as its root    0.69 0.52 0.22   0.78 0.73 0.69   0.9     0.2 to 2.5 %
    one time in two, by chance, 4 % less                   0.78 0.60 0.34   0.78 0.74 0.69   0.9     0.4 to 2.5 %
    a climb that takes longer the larger the share is      0.79 0.66 0.36   0.99 0.73 0.71   0.6     0.3 to 3.5 %
    from one request a round trip up by one each           1.00 0.99 0.47   0.74 0.67 0.37   1.9     2.5 to 7.7 %

The last one equals two and three clients of a window at once: all run the same course until the window is used up.
Eight use it up in 1.6 s, so who notices first that it is open again gets most.  A log has no end that all notice.

The others are too slow at that price.  In 1,500 s the second row comes to 1.00 for two of a window, 0.37 for eight, and
0.57 for three of a log (one seed, the last 300 s).  Jain's index rises from 0.5 to 0.95 for two once the difference of
the shares has shrunk to 0.23.  A cut by b shrinks it by b at most: 1.47/b throttles.  It costs b/2 of the limit, until
it is climbed back, and a stated pause of p costs p of the time T between two.  Within p/T + b/2 = 2 % the fastest is
b = 0.04 where nothing is stated: 37 windows; and T = 100 s, b = 0.02 at p = 1 s: two hours.

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

    __slots__ = ("_last", "_same", "_unlike", "_was", "is_shared")

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
            self._note(min(measured, rate), is_unlike=not (is_alike or is_same))
            self._same = self._same + 1 if is_alike and off(rate, last[1]) < ALIKE else 0
            if self.is_shared and self._same >= SAME:
                self.is_shared, self._unlike = False, FIRST

    def held(self) -> None:
        """A hold ended."""
        self._last = None

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
