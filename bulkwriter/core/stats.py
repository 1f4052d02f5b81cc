"""Counts what happened: attempts by verdict, latencies, the recent rate.

    Stats      plain counters of this process; the engine adds to them
    Histogram  latencies in log-linear buckets: any quantile to within 1.6 %, in constant memory
    RateMeter  events a second over the last 20 seconds

Invariants: every exchange is counted under one verdict and in one bucket.  A rate is never negative.  All three serve
the hot path, so they are slotted objects that change, and one record is one append.  They decide nothing, read no clock
and print nothing.

Source: the bucket scheme is HdrHistogram's (Tene), with the exponent that `frexp` gives in place of its bit tricks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import frexp
from typing import Final

from ..metrics import add_bounded
from ..model import Fault, Reply, VerdictKind

SHORTEST_S: Final = 1e-6  # shorter latencies count as this: no network answers faster
LONGEST_S: Final = 86_400.0  # longer ones count as this: the longest deadline that a setting allows
_SPLIT: Final = 32
"""Buckets an octave.  A bucket is 1/32 of its value wide at most, so its middle is off by 1/64 = 1.6 % at most."""
_BASE: Final = (frexp(SHORTEST_S)[1] + 1) * _SPLIT  # a mantissa is 0.5 or more, so that an octave starts at e + 1
_BUCKETS: Final = (frexp(LONGEST_S)[1] + 2) * _SPLIT - _BASE
_SLOTS: Final = 20
_CREATED: Final = VerdictKind.CREATED


class Histogram:
    """Latencies from 1 µs to a day.  A shorter or longer one counts as the nearest of these.

    Requests that are sent together and answered together have one latency, and are recorded together.
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS

    @property
    def count(self) -> int:
        """How many were recorded.  The sum is made here, not once a pair."""
        return sum(self._counts)

    def record(self, latency_s: float, count: int = 1) -> None:
        self._counts[place_of(min(LONGEST_S, max(SHORTEST_S, latency_s)))] += count  # NaN counts as the shortest

    def below(self, edges_s: Sequence[float]) -> tuple[int, ...]:
        """How many lie between these rising edges: below the first, …, above the last.

        Each edge must lie between two buckets: 32 equal parts of an octave.  Another thread may call it.
        """
        counts = self._counts.copy()
        places = [0, *map(place_of, edges_s), len(counts)]
        return tuple(sum(counts[low:high]) for low, high in pairwise(places))

    def quantile(self, q: float) -> float | None:
        """The latency at or below which a share `q` (0 to 1) of all lies, to within 1.6 %; None if there were none.

        It is the ceil(q * count)-th smallest, and the smallest for q = 0.
        """
        left = max(1, math.ceil(q * self.count))
        for index, count in enumerate(self._counts):
            left -= count
            if left <= 0 and count:
                octave, step = divmod(index + _BASE, _SPLIT)
                return math.ldexp((step + _SPLIT + 0.5) / (2 * _SPLIT), octave - 1)
        return None

    def quantiles(self, *qs: float) -> dict[float, float]:
        """{q: latency in seconds}; empty if none was recorded."""
        return {q: latency_s for q in qs if (latency_s := self.quantile(q)) is not None}


def place_of(latency_s: float) -> int:
    """The bucket of a latency in range."""
    mantissa, exponent = frexp(latency_s)
    return int((exponent + mantissa + mantissa) * _SPLIT - _BASE)  # int() rounds down only above 0


FIRST_S: Final = 1.0


class RateMeter:
    """Events a second over the last `window_s`, or since `started_at` if that is shorter, but over `FIRST_S` at least.

    A server takes a burst in its first milliseconds, which is no rate: 100 in 11 ms are not 9,000 a second.
    """

    __slots__ = ("_counts", "_slot", "_slot_s", "_started_at")

    def __init__(self, started_at: float, window_s: float = 20.0) -> None:
        self._slot_s = window_s / _SLOTS
        self._counts = [0] * _SLOTS
        self._slot = int(started_at / self._slot_s)
        self._started_at = started_at

    def add(self, now: float, count: int = 1) -> None:
        slot = int(now / self._slot_s)
        if slot > self._slot:
            self._turn_to(slot)
        self._counts[self._slot % _SLOTS] += count

    def per_s(self, now: float) -> float:
        """The rate at `now`."""
        slot = int(now / self._slot_s)
        if slot > self._slot:
            self._turn_to(slot)
        # The oldest slot kept began here: the current one is counted for as much of it as has passed.
        from_s = max(self._started_at, (self._slot - _SLOTS + 1) * self._slot_s)
        return sum(self._counts) / max(now - from_s, FIRST_S)

    def _turn_to(self, slot: int) -> None:
        """Empty the slots between the last event and `slot`: they are as old as the window."""
        for stale in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            self._counts[stale % _SLOTS] = 0
        self._slot = slot


class Stats:
    """Counters of this process.  `attempts` counts requests of which at least one byte was written."""

    __slots__ = ("_noted", "_others", "attempts", "created", "creates", "faults", "latency", "responses", "writes")

    def __init__(self, started_at: float) -> None:
        self.attempts = 0
        self.created = 0
        self._others = dict.fromkeys(VerdictKind, 0)
        self.responses: dict[str, int] = {}
        """Whole replies that proved no creation, by HTTP status."""
        self.faults: dict[Fault, int] = {}
        """Requests without a whole reply."""
        self.latency = Histogram()
        self.creates = RateMeter(started_at)
        self.writes = RateMeter(started_at)
        """Creates and rejections: both use a write of the budget and finish a pair."""
        self._noted = 0, 0

    def note(self, now: float) -> None:
        """Note how many were created and rejected by now.  Call this once in a while, not for each."""
        (created, rejected), rejected_now = self._noted, self._others[VerdictKind.REJECTED]
        self._noted = self.created, rejected_now
        self.creates.add(now, self.created - created)
        self.writes.add(now, self.created - created + rejected_now - rejected)

    def count(self, kind: VerdictKind, latency_s: float) -> None:
        """Count one exchange: its verdict, and how long it took."""
        if kind is _CREATED:  # apart, since hashing an enum for the dict costs more than all the rest
            self.created += 1
        else:
            self._others[kind] += 1
        self.latency.record(latency_s)

    def created_all(self, together: Mapping[float, int], now: float) -> None:
        """Count creations by requests that were sent at these times, so many at each."""
        for sent_at, count in together.items():
            self.created += count
            self.latency.record(now - sent_at, count)

    def heard(self, reply: Reply) -> None:
        """Count a reply that proves no creation, or its loss."""
        if reply.fault is None:
            add_bounded(self.responses, str(reply.status))
        else:
            self.faults[reply.fault] = self.faults.get(reply.fault, 0) + 1

    @property
    def throttled(self) -> int:
        return self._others[VerdictKind.THROTTLED]

    def by_kind(self) -> dict[VerdictKind, int]:
        """Exchanges by verdict, every kind named."""
        return {**self._others, _CREATED: self.created}

    def check(self) -> None:
        assert sum(self.by_kind().values()) == self.latency.count
