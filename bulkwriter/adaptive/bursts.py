"""Estimates a rate where what was taken between two throttles does not tell it: they are few, or state a pause.

**Bursts.**  A bucket of r a second that holds b refuses when some stretch up to that moment took more than b + r ·
time.  So for any r each throttle gives a b: the most that a stretch before it took above r · time.  Throttles with
different histories, in a start and in a climb, give the same b for only one r, the true one.  Unlike in an average,
unused room takes no part in it.

    10 + 100/s   40 taken at up to 243/s, then 95 in a climb to 140/s: at 100/s either took 10 too many, at 80/s the
                 first 13 and the second 22

Of the rates between two bounds those are likely at which the bursts vary as little as at any other, or by less than a
request; the middle of these is the answer.  An estimate costs a millisecond.

**Stated pauses**, where the law of `stated.py` does not lead, may be longer than the server needed.  `low` is what was
taken from the end of one pause to the end of the next, by that time: right for a window, but too low for a bucket that
was full long before.  `high` leaves out the pause, but includes the burst of that bucket.  The limit is between them.

Invariants: marks are in order; low <= the answer <= high, or the rate that was refused where that is higher.  The
caller must not ask for bursts of a window, or across a change of the limit.
Source: the arrival curve of network calculus (Cruz 1991).
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from .recent import Mark

T = TypeVar("T")

STEPS: Final = 32
KEPT: Final = 96
CHANCE: Final = 0.1  # requests squared
THROTTLES: Final = 6
WIDE: Final = 1.25
REPEATED: Final = 0.01
NEAR: Final = 1.3  # `high` within this of `low` may both be true
MORE: Final = 15  # requests; fewer are chance


class Bursts:
    """Told of each round trip and each throttle that ends an epoch."""

    def __init__(self) -> None:
        self._marks: list[Mark] = [Mark(0.0, 0)]
        self._throttles: deque[list[tuple[float, int]]] = deque(maxlen=THROTTLES)  # stretches: how long, how many

    def passed(self, mark: Mark) -> None:
        """A round trip went well, or a hold ended."""
        if mark.at > self._marks[-1].at:
            self._marks.append(mark)
            if len(self._marks) > KEPT:
                self._marks[: KEPT // 2] = self._marks[: KEPT // 2 : 2]

    def refused(self, mark: Mark) -> None:
        """A throttle of a request sent then."""
        self._throttles.append([(mark.at - one.at, mark.taken - one.taken) for one in self._marks if one.at < mark.at])
        self.passed(mark)

    def forget(self) -> None:
        """The limit is another."""
        self._throttles.clear()
        del self._marks[:-1]

    def rate(self, low: float, high: float) -> float:
        """Between those two; 0 if too few throttles are known."""
        if len(self._throttles) < 2 or low >= high:
            return 0.0
        return agreed(self._throttles, burst, low, high, steps=STEPS)[0]

    def check(self) -> None:
        assert len(self._marks) <= KEPT
        assert all(one.at < other.at for one, other in itertools.pairwise(self._marks))


class StatedPauses:
    """Told of every pause that was stated, once it is over."""

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
        # what all throttles agree about, where that is far from sure, or the same again
        if (found := self._agreed) and (high > WIDE * low or (before and abs(math.log(found / before)) < REPEATED)):
            return found, max(found, rate)
        if taken_before and abs(more) > MORE and more * more_s > 0:  # a burst or a window's rest is in both stretches
            found = min(max(low, more / more_s), high)
            return found, max(found, rate)
        if self._off[0] < self._off[1]:  # too alike: what changed less from time to time
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


def burst(stretches: list[tuple[float, int]], rate: float) -> float:
    """What a bucket must have held that refused then: the most above `rate`, and the refused one."""
    return max([1.0, *(taken + 1 - rate * span_s for span_s, taken in stretches)])


def agreed(
    throttles: Sequence[T], burst_of: Callable[[T, float], float], low: float, high: float, *, steps: int
) -> tuple[float, float]:
    """The rate between those two at which all throttles used up the same burst, and how far they are from that, in
    requests.
    """
    rates = [low * (high / low) ** (n / max(1, steps)) for n in range(steps + 1)]
    spreads = [variance([burst_of(one, rate) for one in throttles]) for rate in rates]
    least = min(spreads)
    likely = [rate for rate, spread in zip(rates, spreads, strict=True) if spread <= least + CHANCE]
    return math.exp(sum(map(math.log, likely)) / len(likely)), math.sqrt(least)


def variance(values: Sequence[float]) -> float:
    """As `statistics.pvariance`, whose module no plain run loads."""
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)
