"""Estimates from latency how many requests at a time are useful, if the server queues requests and refuses none.

    late     the mean of a sample above base + max(25 %, 10 ms), and above base + two standard errors
    queue    late twice in a row, the second time with requests sent after the first (or one stall would be two), or
             at the start once with half as much again.  Then delivered rate · bearable latency is what the server
             works on (Little's law), and more only waits: that is the limit
    slower   late, though a fifth fewer are in flight and latency did not follow: the server became slower.  Its latency
             is the new base, and the limit is what it was before
    growth   a tenth more when the limit is reached and latency is nearer to base than to late

Base is the mean of the first 64 replies, then a low mean: it falls a quarter of the way to a sample that is faster by
more than chance, or rises by 0.3 %.  Below 10 ms a queue harms nobody, and is mostly in our own machine.  While a rate
limit is known, nothing of this happens: below the limit no queue grows.

Invariant: 1 <= limit <= the user's limit.
"""

from __future__ import annotations

import math
from typing import Final

SAMPLE: Final = 16
SAMPLE_MAX: Final = 512
EXACT: Final = 0.05
SLACK: Final = 0.25
SLACK_MIN_S: Final = 0.01
START_SLACK: Final = 1.5
CHANCE: Final = 2.0
HELPS: Final = 0.8
GROWTH: Final = 0.1
BASE_EARLY: Final = 4
BASE_FIRST: Final = 64
BASE_FALL: Final = 0.25
BASE_RISE: Final = 1.003
LEAST_PER_S: Final = 1.0
LIMIT_MIN: Final = 2.0  # one alone cannot tell a queue from a slow server


class Queueing:
    """The in-flight limit that latency teaches, and the round trip."""

    __slots__ = ("_all", "_base_of", "_base_s", "_count", "_counts_from", "_most", "_since",
                 "_square_s2", "_sum_s", "_was", "_was_late", "delivered", "least", "limit",
                 "round_trip_s")  # fmt: skip

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = float(most)
        self.least = 1.0
        """What the user's floor needs."""
        self.round_trip_s = 0.1  # until the first reply
        self.delivered = 0.0
        """Replies a second, lately."""
        self._base_s = 0.0  # until there are some replies
        self._base_of = 0  # how many
        self._was_late = False
        self._was: tuple[float, float] | None = None  # limit and latency before a row of cuts
        self._counts_from = 0.0  # requests sent before a change of the limit say nothing of it
        self._sum_s = self._square_s2 = self._since = 0.0
        self._count = self._all = 0

    @property
    def is_found(self) -> bool:
        """Whether latency limits."""
        return self.limit < self._most

    def begin(self, now: float, latency_s: float) -> None:
        """The first reply came."""
        self.round_trip_s, self._since = latency_s, now

    def replied(self, sent_at: float, latency_s: float, count: int = 1) -> None:
        """So many replies came, to requests that were sent together."""
        self._all += count
        if sent_at >= self._counts_from:
            self._count += count
            self._sum_s += latency_s * count
            self._square_s2 += latency_s * latency_s * count

    def delivered_now(self, now: float) -> float:
        """Replies a second; of the running sample while that is longer than a second, or the only one.  An idle time
        has delivered little or nothing, which tells no rate: not less than `LEAST_PER_S`."""
        span_s = now - self._since
        now_per_s = self.delivered if self.delivered and span_s < 1.0 else self._all / max(1e-3, span_s)
        return max(LEAST_PER_S, now_per_s)

    def is_slow(self, latency_s: float) -> bool:
        """Whether one reply took so long that a start should not go on."""
        return latency_s > START_SLACK * self._bearable_s() > 0.0

    def end_trip(self, now: float, peak: int, *, is_starting: bool, is_paced: bool) -> bool:
        """A round trip went well with `peak` in flight at most.  True when a queue was found just now."""
        if not self._base_s and self._count >= BASE_EARLY:
            self._base_s, self._base_of = self._sum_s / self._count, self._count
        if self._count < SAMPLE:
            return False
        mean_s = self._sum_s / self._count
        error_s = math.sqrt(max(0.0, self._square_s2 / self._count - mean_s * mean_s) / self._count)
        if error_s > EXACT * mean_s and self._count < SAMPLE_MAX and not is_starting:
            return False
        is_late = mean_s > max(self._bearable_s(), self._base_s + CHANCE * error_s)
        count = self._next_sample(now, mean_s)
        if is_paced:
            self.limit, self._was, is_late = float(self._most), None, False
        was_late, self._was_late = self._was_late, is_late
        if is_late:
            self._counts_from = now
            is_sure = was_late or (is_starting and mean_s > START_SLACK * self._bearable_s())
            return is_sure and (peak > LIMIT_MIN or self._was is not None) and self._shrink(now, mean_s)
        self._was = None
        self._learn_base(mean_s, error_s, count)
        if self.is_found:
            self._relax(now, peak, mean_s)
        return False

    def _bearable_s(self) -> float:
        return self._base_s + max(SLACK * self._base_s, SLACK_MIN_S) if self._base_s else 0.0

    def _next_sample(self, now: float, mean_s: float) -> int:
        count = self._count
        self.round_trip_s = mean_s
        self.delivered = self._all / max(1e-9, now - self._since)
        self._since, self._all, self._count, self._sum_s, self._square_s2 = now, 0, 0, 0.0, 0.0
        return count

    def _learn_base(self, mean_s: float, error_s: float, count: int) -> None:
        if self._base_of < BASE_FIRST:
            self._base_s += (mean_s - self._base_s) * count / (self._base_of + count)
            self._base_of += count
        elif mean_s + error_s < self._base_s:
            self._base_s += BASE_FALL * (mean_s + error_s - self._base_s)
        elif not self.is_found:
            self._base_s *= BASE_RISE

    def _shrink(self, now: float, mean_s: float) -> bool:
        if self._was:
            limit, before_s = self._was
            share = self.limit / limit
            if share < HELPS:
                if mean_s > before_s * (1 + share) / 2:
                    self._base_s, self._was = mean_s, None
                    self._change(now, limit)
                    return False
                self._was = self.limit, mean_s
        useful = max(LIMIT_MIN, self.least, round(self.delivered * self._bearable_s()))
        if useful >= self.limit:
            return False
        if not self._was:
            self._was = min(self.limit, 2 * self.delivered * mean_s), mean_s
        self._change(now, useful)
        return True

    def _relax(self, now: float, peak: int, mean_s: float) -> None:
        if peak >= int(self.limit) and mean_s < (self._base_s + self._bearable_s()) / 2:
            self._change(now, min(self._most, self.limit + max(1.0, GROWTH * self.limit)))

    def _change(self, now: float, limit: float) -> None:
        self.limit = float(limit)
        self._counts_from = now
        self._count, self._sum_s, self._square_s2 = 0, 0.0, 0.0

    def check(self) -> None:
        assert 1.0 <= self.limit <= self._most
        assert self._base_s >= 0.0
