"""Baselines of the usual kind: so many workers, and what each of them does after a throttle.

    FixedWorkers   every worker alone: full jitter in [0, min(20 s, 0.1 s · 2**n)] after its n-th throttle in a row, as
                   in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015); Retry-After where there is one
    AwsAdaptive    botocore's `adaptive` mode: such workers behind one token bucket whose rate follows CUBIC
    Noisy          no baseline but a neighbour: comes and goes, and sends at random while it is there

Constants are the published defaults: botocore's `bucket.py`, `throttling.py` (scale 0.4, beta 0.7) and `adaptive.py`
(smoothing 0.8 of a rate measured in halves of a second, at least 0.5/s).  Nothing here is ours but the seam.
"""

from __future__ import annotations

import heapq
import math
import random

WORKERS = 64


class FixedWorkers:
    """`workers` that send, wait for the answer, and sleep alone after a throttle."""

    def __init__(self, rng: random.Random, workers: int = WORKERS, base_s: float = 0.1, cap_s: float = 20.0) -> None:
        self._rng, self._workers, self._base_s, self._cap_s = rng, workers, base_s, cap_s
        self._awake = workers  # idle, and how often each of them was throttled in a row
        self._asleep: list[tuple[float, int]] = []
        self._levels: dict[float, list[int]] = {}
        self._next_level = 0

    @property
    def in_flight_limit(self) -> int:
        return self._workers

    def next_send_at(self, now: float) -> float:
        if self._awake > 0:
            return now
        return self._asleep[0][0] if self._asleep else math.inf

    def on_sent(self, now: float) -> None:
        if self._asleep and self._asleep[0][0] <= now:
            self._next_level = heapq.heappop(self._asleep)[1]
        else:
            self._next_level = 0
            self._awake -= 1
        if self._next_level:
            self._levels.setdefault(now, []).append(self._next_level)

    def _level(self, sent_at: float) -> int:
        levels = self._levels.get(sent_at)
        if not levels:
            return 0
        level = levels.pop()
        if not levels:
            del self._levels[sent_at]
        return level

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        self._level(sent_at)
        self._awake += 1

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        level = self._level(sent_at)
        delay_s = self._rng.uniform(0, min(self._cap_s, self._base_s * 2 ** min(level, 20)))
        until = now + max(delay_s, retry_after_s or 0.0)
        heapq.heappush(self._asleep, (until, level + 1))
        return until


class AwsAdaptive(FixedWorkers):
    """The same workers behind a token bucket, which is off until the first throttle."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, base_s=1.0)
        self._is_on = False
        self._fill = self._capacity = self._tokens = 0.0
        self._filled_at = 0.0
        self._measured = self._last_max = self._count = 0.0
        self._bucket_at, self._throttled_at = 0.0, 0.0

    def next_send_at(self, now: float) -> float:
        at = super().next_send_at(now)
        if not self._is_on or at > now:
            return at
        self._refill(now)
        return now if self._tokens >= 1 - 1e-9 else now + (1 - self._tokens) / self._fill

    def on_sent(self, now: float) -> None:
        super().on_sent(now)
        if self._is_on:
            self._refill(now)
            self._tokens -= 1

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        super().on_good(now, sent_at, latency_s)
        self._measure(now)
        if not self._is_on:
            return
        window_s = (self._last_max * 0.3 / 0.4) ** (1 / 3)
        self._use(0.4 * (now - self._throttled_at - window_s) ** 3 + self._last_max, now)

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        until = super().on_throttle(now, sent_at, retry_after_s)
        self._measure(now)
        self._last_max = min(self._measured, self._fill) if self._is_on else self._measured
        self._throttled_at = now
        self._is_on = True
        self._use(self._last_max * 0.7, now)
        return until

    def _measure(self, now: float) -> None:
        at = math.floor(now * 2) / 2
        self._count += 1
        if at > self._bucket_at:
            self._measured = 0.8 * self._count / (at - self._bucket_at) + 0.2 * self._measured
            self._count, self._bucket_at = 0.0, at

    def _use(self, rate: float, now: float) -> None:
        self._refill(now)
        self._fill = max(0.5, min(rate, 2 * self._measured))
        self._capacity = max(1.0, self._fill)
        self._tokens = min(self._tokens, self._capacity)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._fill)
        self._filled_at = now


class Noisy:
    """Sends `per_s` at random (Poisson) for some seconds, then nothing for some, whatever the server says."""

    in_flight_limit = 1_000_000

    def __init__(self, rng: random.Random, per_s: float, mean_s: float = 5.0) -> None:
        self._rng, self._per_s, self._mean_s = rng, per_s, mean_s
        self._at = 0.0
        self._until = rng.expovariate(1 / mean_s)

    def next_send_at(self, now: float) -> float:
        return self._at

    def on_sent(self, now: float) -> None:
        self._at += self._rng.expovariate(self._per_s)
        if self._at > self._until:
            self._at = self._until + self._rng.expovariate(1 / self._mean_s)
            self._until = self._at + self._rng.expovariate(1 / self._mean_s)

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        """It takes no notice."""

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        return now
