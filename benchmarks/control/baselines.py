"""Baselines that steer by concurrency or by rate, written from their published descriptions with their own constants.

    VectorArc   Vector's adaptive request concurrency: once a round trip the limit grows by 1 while latency is no longer
                than usual, and falls to 0.9 of itself on a throttle or when latency is 2.5 deviations above its moving
                mean (alpha 0.4); throttled requests keep their place and wait by Fibonacci seconds with full jitter
    Gradient2   Netflix `concurrency-limits`: a limit that follows long over short latency (600 samples, tolerance 1.5,
                smoothing 0.2, 4 more for the queue, 20 to 200); throttled requests go again at once
    Firestore   the "500/50/5" ramp of its bulk writer: 500/s, half as much again each 5 minutes, 500 operations
                pending; an exhausted one waits 60 s, give or take 30%
    Goodput     one like Polars' way: on a throttle, at most once a round trip, the rate falls to what was accepted in
                the last second; each round trip without one it grows by 5%

Nothing here is ours but the seam (`simulate.Control`).  Source: the projects' documentation and published constants.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque

from .workers import FixedWorkers


class VectorArc(FixedWorkers):
    """Workers whose number is the adaptive limit."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, workers=1)
        self._chance = rng
        self._mean_s = self._variance = 0.0
        self._samples: list[float] = []
        self._was_refused = self._was_full = False
        self._next_at = 0.0
        self._busy = 0

    def on_sent(self, now: float) -> None:
        super().on_sent(now)
        self._busy += 1
        self._was_full |= self._busy + len(self._asleep) >= self._workers

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        self._busy -= 1
        super().on_good(now, sent_at, latency_s)
        self._samples.append(latency_s)
        self._adjust(now)

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        self._busy -= 1
        level = self._level(sent_at)
        until = now + max(self._chance.uniform(0, fibonacci(level)), retry_after_s or 0.0)
        heapq.heappush(self._asleep, (until, level + 1))
        self._was_refused = True
        self._adjust(now)
        return until

    def _adjust(self, now: float) -> None:
        if now < self._next_at or not (self._samples or self._was_refused):
            return
        current_s = sum(self._samples) / len(self._samples) if self._samples else self._mean_s
        slow_s = self._mean_s + 2.5 * math.sqrt(self._variance)
        if self._was_refused or (self._mean_s and current_s >= slow_s):
            self._change(max(1, int(self._workers * 0.9)))
        elif self._was_full and current_s <= (self._mean_s or current_s):
            self._change(min(200, self._workers + 1))
        difference_s = current_s - (self._mean_s or current_s)
        self._mean_s = (self._mean_s or current_s) + 0.4 * difference_s
        self._variance = 0.6 * (self._variance + 0.4 * difference_s**2)
        self._samples, self._was_refused, self._was_full = [], False, False
        self._next_at = now + self._mean_s

    def _change(self, workers: int) -> None:
        self._awake += workers - self._workers  # below 0: that many end before another begins
        self._workers = workers


def fibonacci(level: int) -> float:
    """Seconds of the n-th wait, from 0 on: 1, 1, 2, 3, 5, … at most 30."""
    a, b = 1, 1
    for _ in range(min(level, 10)):
        a, b = b, a + b
    return min(a, 30)


class Gradient2:
    """A limit on what is in flight that follows latency alone."""

    def __init__(self, rng: random.Random) -> None:
        self._limit, self._long_s, self._seen, self._in_flight = 20.0, 0.0, 0, 0

    @property
    def in_flight_limit(self) -> int:
        return int(self._limit)

    def next_send_at(self, now: float) -> float:
        return now

    def on_sent(self, now: float) -> None:
        self._in_flight += 1

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        before, self._in_flight = self._in_flight, self._in_flight - 1
        self._seen += 1
        share = 1 / self._seen if self._seen <= 10 else 2 / 601
        self._long_s += share * (latency_s - self._long_s)
        if self._long_s > 2 * latency_s:
            self._long_s *= 0.95
        if before < self._limit / 2:
            return
        gradient = max(0.5, min(1.0, 1.5 * self._long_s / latency_s))
        self._limit = min(200.0, max(20.0, 0.8 * self._limit + 0.2 * (self._limit * gradient + 4)))

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        self.on_good(now, sent_at, now - sent_at)
        return now


class Firestore:
    """A rate that only grows, and a bound on what is pending."""

    in_flight_limit = 500

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._pending: list[float] = []  # when operations that were throttled go again
        self._in_flight = 0
        self._tokens, self._filled_at = 500.0, 0.0

    def next_send_at(self, now: float) -> float:
        rate = 500 * 1.5 ** math.floor(now / 300)
        self._tokens = min(rate, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1 - 1e-9:
            return now + (1 - self._tokens) / rate
        if len(self._pending) + self._in_flight < self.in_flight_limit:
            return now
        return max(now, self._pending[0]) if self._pending else math.inf

    def on_sent(self, now: float) -> None:
        self._tokens -= 1
        self._in_flight += 1
        if self._pending and self._pending[0] <= now:
            heapq.heappop(self._pending)

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        self._in_flight -= 1

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        self._in_flight -= 1
        until = now + max(60 * self._rng.uniform(0.7, 1.3), retry_after_s or 0.0)
        heapq.heappush(self._pending, until)
        return until


class Goodput:
    """A paced rate that is cut to what was accepted."""

    in_flight_limit = 500

    def __init__(self, rng: random.Random) -> None:
        self._rate, self._next_at, self._until = 20.0, 0.0, 0.0
        self._accepted: deque[float] = deque()
        self._trip_at = self._cut_at = 0.0

    def next_send_at(self, now: float) -> float:
        return max(self._next_at, self._until)

    def on_sent(self, now: float) -> None:
        self._next_at = max(now, self._next_at) + 1 / self._rate

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        self._accepted.append(now)
        if sent_at >= self._trip_at:
            self._trip_at = now
            self._rate *= 1.05

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        self._until = max(self._until, now + (retry_after_s or 0.0))
        if sent_at >= self._cut_at:
            accepted = self._accepted
            while accepted and accepted[0] < now - 1:
                accepted.popleft()
            self._rate = max(0.5, min(self._rate, len(accepted) / min(1.0, max(now, 1e-3))))
            self._cut_at = self._trip_at = now
        return self._until
