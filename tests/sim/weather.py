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
    forbidden: tuple[tuple[float, float], ...] = ()
    """When the server answers every create with 403."""
    tokenless: tuple[tuple[float, float], ...] = ()
    """When no token can be had."""
    has_lied: bool = False
    """Whether an old list was shown as a new one."""

    def latency(self) -> float:
        """One way, in seconds."""
        return self.latency_s + (self.rng.expovariate(1 / self.jitter_s) if self.jitter_s else 0.0)

    def is_out(self, now: float) -> bool:
        return is_within(now, self.outages)

    def is_forbidden(self, now: float) -> bool:
        return is_within(now, self.forbidden)

    def is_tokenless(self, now: float) -> bool:
        return is_within(now, self.tokenless)

    def calm(self) -> None:
        self.odds = CALM
        self.outages = self.forbidden = self.tokenless = ()


def is_within(now: float, times: tuple[tuple[float, float], ...]) -> bool:
    return any(begin <= now < end for begin, end in times)
