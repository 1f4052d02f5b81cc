"""What the network and the server are like at a time: latencies, outages, how often which trouble comes."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .fates import CALM, Odds


@dataclass(slots=True)
class Weather:
    """One world's network; `calm` ends all trouble that is not the server's nature."""

    rng: random.Random
    odds: Odds
    latency_s: float
    jitter_s: float
    late_apply_s: float
    outages: tuple[tuple[float, float], ...]
    has_lied: bool = False
    """Whether an old list was shown as a new one."""

    def latency(self) -> float:
        """One way, in seconds."""
        return self.latency_s + (self.rng.expovariate(1 / self.jitter_s) if self.jitter_s else 0.0)

    def is_out(self, now: float) -> bool:
        return any(begin <= now < end for begin, end in self.outages)

    def calm(self) -> None:
        self.odds = CALM
        self.outages = ()
