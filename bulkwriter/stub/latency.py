"""How long the stub takes to serve a request: fixed, log-normal, or behind a queue of a few servers.

The time of one request is `median_s` · exp(`sigma` · N(0, 1)); with `sigma` 0 it is always `median_s`.  With `servers`
above 0 a request waits, first come first served, until one of them is free: nothing is ever refused, but latency grows
with load, as in front of most databases.

First value: median 0.1 s, sigma 0, one server: requests at 0.00 and 0.05 end at 0.10 and 0.20.
Pure: `now` and the generator are arguments; waiting is the caller's.
"""

from __future__ import annotations

import heapq
import math
import random


class Service:
    """Says when a request that arrives now is served."""

    def __init__(self, *, median_s: float, sigma: float, servers: int, rng: random.Random) -> None:
        self._median_s, self._sigma, self._rng = median_s, sigma, rng
        self._free_at = [-math.inf] * servers  # a heap

    @property
    def is_instant(self) -> bool:
        return not self._median_s

    def delay_s(self, now: float) -> float:
        """Seconds from `now` until the reply to a request that arrives now; takes its place in the queue."""
        took_s = self._median_s
        if self._sigma:
            took_s *= math.exp(self._rng.gauss(0.0, self._sigma))
        if not self._free_at:
            return took_s
        ends_at = max(now, self._free_at[0]) + took_s
        heapq.heapreplace(self._free_at, ends_at)
        return ends_at - now
