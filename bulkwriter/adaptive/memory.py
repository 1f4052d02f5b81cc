"""The server's limit as an earlier run found it, used until this run knows better.

    start      at half of the remembered rate, and up to it in `SPAN_S`; but at no more than `ROOM` in flight, and
               from there to the half as any start grows
    confirmed  the first throttle comes within `NEAR` of it: on at a tenth less, and up to it again
    too high   the first throttle comes earlier: as in any start
    too low    none comes up to `EXCEEDED` of it: forgotten, and on as in any start
    too old    above `OLD_S` it is not taken at all

So a memory of ten times the limit costs some dozens of throttles, one of a twentieth some seconds.
Invariant: `rate` is 0 if nothing is remembered any more.  Not here: the file (`run.warm_start`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from .limit import Limit
from .pace import Pace
from .recent import Mark

HALF: Final = 0.5
ROOM: Final = 16  # in flight: refused together, so many teach little that is wrong
ALMOST: Final = 0.99
SPAN_S: Final = 0.8
NEAR: Final = 0.25
BELOW: Final = 0.9
EXCEEDED: Final = 3.0
OLD_S: Final = 7 * 86_400.0


class Memory:
    """The remembered limit; `restore` once, before anything is sent."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.age_s = 0.0
        self.is_wrong = False
        """The server took far more."""

    def restore(self, learnt: Mapping[str, Any], age_s: float) -> float:
        """Take what an earlier run learnt `age_s` ago.  Returns its rate, 0 where it is too old, or nonsense."""
        rate = learnt.get("rate_per_s")
        if 0.0 <= age_s < OLD_S and isinstance(rate, float) and 0.0 < rate < math.inf:
            self.rate, self.age_s = rate, age_s
        return self.rate

    def begin(self, now: float, round_trip_s: float, limit: Limit, pace: Pace) -> None:
        """The first request was taken: begin where it says, if it says anything."""
        if self.rate:
            limit.top = self.rate
            pace.dip(now, min(HALF * self.rate, ROOM / round_trip_s), top=self.rate, span_s=SPAN_S)
            pace.is_starting = True

    def leads(self, limit: Limit, rate: float) -> bool:
        """Whether it says how to go on from this rate; once the server takes so much more it is forgotten."""
        if 0.0 < EXCEEDED * self.rate <= rate:
            self.rate, limit.top, self.is_wrong = 0.0, math.inf, True
        return 0.0 < ALMOST * HALF * self.rate <= rate

    def refused_first(self, limit: Limit, mark: Mark, rate: float) -> float:
        """The first throttle of all came at this rate.  Returns the rate to go on at."""
        lower, remembered = limit.refused_first(mark, rate), self.rate
        self.rate = 0.0
        if abs(rate - remembered) >= NEAR * remembered:
            return lower
        limit.top = max(rate, remembered)
        return max(lower, BELOW * min(rate, remembered))

    def check(self) -> None:
        assert 0.0 <= self.rate < math.inf
