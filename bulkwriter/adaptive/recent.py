"""Remembers the last sends, since a throttle is judged by the moment at which its request was *sent*, not answered.

It keeps for each of the last `KEPT` requests when it went, and how many others were in flight then.  A refused one is
taken out, so the rest are those that the server took, or has not answered yet; a lost one counts as taken.

    taken_before   how many requests the server had taken before the refused one: what a limit is measured by
    rank           the share of requests, among those of about the last round trip, that were sent with fewer others in
                   flight; ties count half.  A concurrency cap refuses the crowded ones (near 1), a rate limit refuses
                   whoever comes too early (0.5 on average)
    per_s          how fast requests went then: over a quarter of a round trip, and at least `SPACED` of them

Invariant: `refused` <= `sent`.  A request costs one append; everything else happens only at a throttle.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Final, NamedTuple

KEPT: Final = 4096  # a second at 3,000/s; an older throttle is treated as an echo
STRETCHES: Final = 256
RANKED: Final = 16  # compare with at least so many, however long ago
SPACED: Final = 8  # over so many the rate is known to an eighth, however late the loop wakes up
RANKED_MIN: Final = 5  # with fewer nothing can be said


class Mark(NamedTuple):
    """A moment, and how many requests the server had taken before it."""

    at: float
    taken: int


class Refusal(NamedTuple):
    """What is known about a refused request at the moment it was sent."""

    others: int
    sent_before: int
    taken_before: int
    rank: float
    per_s: float


class RecentSends:
    """The last requests in the order of sending, and totals since the start."""

    __slots__ = ("_others", "_times", "refused", "sent")

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=KEPT)
        self._others: deque[int] = deque(maxlen=KEPT)
        self.sent = 0
        self.refused = 0

    @property
    def taken(self) -> int:
        """Requests that the server took, as far as is known now."""
        return self.sent - self.refused

    def add(self, now: float, others: int, count: int = 1) -> None:
        """So many requests went together, with so many others in flight before the first of them."""
        self._times.extend(itertools.repeat(now, count))
        self._others.extend(range(others, others + count))
        self.sent += count

    def refuse(self, sent_at: float, round_trip_s: float) -> Refusal | None:
        """Take a refused request out; None if it went too long ago to be remembered."""
        times = self._times
        refused_before, self.refused = self.refused, self.refused + 1
        back = len(times) - 1
        while back >= 0 and times[back] > sent_at:
            back -= 1
        if back < 0 or times[back] != sent_at:
            return None
        others, sent_before = self._others[back], self.sent - (len(times) - back)
        rank = self._rank(others, sent_at - round_trip_s)
        per_s = self._per_s(back, sent_at, round_trip_s)
        del times[back], self._others[back]
        return Refusal(others, sent_before, max(0, sent_before - refused_before), rank, per_s)

    def first_since(self, paused_until: float) -> Mark | None:
        """The first request after a pause that was not refused."""
        since = list(itertools.takewhile(lambda at: at >= paused_until, reversed(self._times)))
        return Mark(since[-1], self.taken - len(since)) if since else None

    def taken_in(self, mark: Mark, span_s: float) -> int:
        """How many of the last requests before `mark` went within `span_s`."""
        since = mark.at - span_s
        return sum(1 for at in reversed(self._times) if since < at < mark.at)

    def stretches(self, mark: Mark, since: Mark) -> list[tuple[float, int]]:
        """How long, and how many were taken: stretches that end at `mark` and begin after `since`, some of them."""
        times = [at for at in self._times if since.at <= at < mark.at]
        step = max(1, len(times) // STRETCHES)
        return [(mark.at - at, len(times) - n) for n, at in enumerate(times) if n % step == 0]

    def most_others(self, until: float) -> int:
        """How many others were in flight at most when a request went that the server took, until then."""
        return max((n for at, n in zip(self._times, self._others, strict=True) if at <= until), default=0)

    def back(self, count: int) -> float:
        """When the last but `count - 1` went, or long ago."""
        return self._times[-count] if count <= len(self._times) else -math.inf

    def _per_s(self, back: int, sent_at: float, round_trip_s: float) -> float:
        """How fast requests went then."""
        first = max(0, back - SPACED)
        while first > 0 and self._times[first] > sent_at - round_trip_s / 4:
            first -= 1
        span_s = sent_at - self._times[first]
        return (back - first) / span_s if span_s > 0 else 0.0

    def _rank(self, others: int, since: float) -> float:
        fewer, as_many, seen = 0, 0, 0
        for at, n in zip(reversed(self._times), reversed(self._others), strict=True):
            if seen >= RANKED and at < since:
                break
            seen += 1
            fewer += n < others
            as_many += n == others
        return (fewer + as_many / 2) / seen if seen >= RANKED_MIN else 0.5

    def check(self) -> None:
        assert 0 <= self.refused <= self.sent
        assert len(self._times) == len(self._others)
