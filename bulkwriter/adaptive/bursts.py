"""Estimates the rate of a token bucket from a few throttles: the rate at which all of them used up the same burst.

A bucket of r a second that holds b refuses when some stretch up to that moment took more than b + r · time.  So for any
r each throttle gives a b: the most that a stretch before it took above r · time.  Throttles with different histories,
in a start and in a climb, give the same b for only one r, the true one.  An average would be spoilt by the part of a
climb below the limit.  A maximum is not, since unused room takes no part in it.

    10 + 100/s   40 taken at up to 243/s, then 95 in a climb to 140/s: at 100/s either took 10 too many, at 80/s the
                 first 13 and the second 22

`STEPS` rates between two bounds are tried.  A rate is likely if the bursts of the last `THROTTLES` vary as little as at
any other rate, or by less than a request (`CHANCE`).  The middle of the likely rates is the answer.  Stretches begin at
the ends of round trips; above `KEPT` the older half of them is thinned out.  An estimate costs a millisecond, and is
asked for only when little else is known.

Invariant: marks are in order.  The caller must not ask about a window, which is no bucket, or across a change of the
limit.
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


class Bursts:
    """Told of each round trip and each throttle that ends an epoch."""

    __slots__ = ("_marks", "_throttles")

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
