"""The matrix: one factor varied at a time around a base server, each cell with what it is judged by.

    base         a token bucket of 100/s that holds 10, 100 ms a round trip with log-normal jitter, 409 without header,
                 one client that never runs out of pairs
    server       how it limits; form  how it words a throttle; rate  how much it allows; latency  how far it is
    clients      who else is there

`steady` is the second half of a cell, in whole windows.  A cell lasts at least 2,000 requests and three windows.
The steady bars apply to cells that are `is_clean`: the others change their limit, share it, or lie about it.
Whether a throttle comes as 409 or as 429 is `core.classify`'s business: a controller hears the same of both, and of a
503 that states Retry-After, which stands here at a server that is overloaded rather than too strict.
"""

# ruff: noqa: E501  # one line a cell reads as a table

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from . import servers
from .servers import Server, Timed, Timing

Limits = Callable[[random.Random], list[list[Timed]]]


NEAR, USUAL, FAR = Timing(latency_s=0.005), Timing(), Timing(latency_s=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One server with its clients.  `limit_per_s` is what the server allows in the long run."""

    name: str
    factor: str
    limits: Limits = lambda rng: []
    limit_per_s: float = 100.0
    timing: Timing = USUAL
    cap: int = 0
    queue: int = 0
    """Servers behind a queue; 0: no queue."""
    form: Callable[[float, float], float | None] = servers.no_header
    ends_at: float = 60.0
    steady_s: float = 30.0
    clients: int = 1
    joins_at: float = 0.0
    """When the last of several clients starts."""
    naive: int = 0
    """Workers of an impolite neighbour."""
    min_rate: float = 0.0
    drops_at: float | None = None
    raises_at: float | None = None
    raised_to: float = 0.0
    changes: tuple[tuple[float, float], ...] = ()
    """(from when, allowed a second), where that is not `limit_per_s` all the time."""
    noisy: float = 0.0
    """What a neighbour sends a second while it is there, for some seconds at a time."""
    remembered: float = 0.0
    """The limit that an earlier run learnt."""
    punishes: bool = False
    stalls: tuple[float, float, float] | None = None
    """Shortest and longest stall of the client's event loop, and the mean time between two."""
    is_plain: bool = False
    """A throttle is a 503 that states no wait."""
    broken: float = 0.0
    """Share of requests that are answered with a 503, at whatever pace they come."""

    def allowed(self, start: float, end: float) -> float:
        """How many requests the server lets through in that time, without what it has saved."""
        changes = self.changes or ((0.0, self.limit_per_s),)
        ends = (*(since for since, _ in changes[1:]), math.inf)
        spans = (
            (min(end, until) - max(start, since), rate) for (since, rate), until in zip(changes, ends, strict=True)
        )
        return sum(span_s * rate for span_s, rate in spans if span_s > 0)

    @property
    def is_clean(self) -> bool:
        """Whether the limit stands still, is ours alone, and is told truly."""
        return self.factor not in ("change", "clients", "plain") and self.form is not servers.three_times

    def server(self, rng: random.Random) -> Server:
        return Server(
            rng=rng,
            timing=self.timing,
            limits=self.limits(rng),
            cap=self.cap,
            servers=self.queue,
            form=self.form,
            punishes=self.punishes,
            broken=self.broken,
        )


def bucket(rate: float, burst: float) -> Limits:
    return lambda rng: [servers.bucket(rate, burst)]


def window(count: int, window_s: float) -> Limits:
    return lambda rng: [servers.window(count, window_s, rng)]


def log(count: int, window_s: float) -> Limits:
    return lambda rng: [servers.log(count, window_s)]


def counter(count: int, window_s: float) -> Limits:
    return lambda rng: [servers.counter(count, window_s, rng)]


def shaper(rate: float, burst: float) -> Limits:
    return lambda rng: [servers.shaper(rate, burst)]


def both(one: Limits, other: Limits) -> Limits:
    return lambda rng: [*one(rng), *other(rng)]


def drifting(rate: float, burst: float, *, share: float, period_s: float) -> Limits:
    def limits(rng: random.Random) -> list[list[Timed]]:
        phase = rng.uniform(0, 2 * math.pi)
        return [[(-math.inf, servers.Drifting(rate, burst, share=share, period_s=period_s, phase=phase))]]

    return limits


def stepping(*rates: tuple[float, float], share: float = 0.1) -> Limits:
    """A bucket whose rate changes; it holds `share` of a second's worth."""
    begins = (-math.inf, rates[0][1])
    return lambda rng: [servers.steps(begins, *rates[1:], burst=lambda rate: max(1.0, rate * share))]


BASE = bucket(100, 10)

HALVES = ((0.0, 100.0), (30.0, 50.0), (60.0, 100.0))
TENFOLD = ((0.0, 100.0), (30.0, 1_000.0))

# fmt: off
CELLS = (
    Cell(name="bucket 100/s, holds 10", factor="server", limits=BASE),
    Cell(name="bucket, holds 1", factor="server", limits=bucket(100, 1)),
    Cell(name="bucket, holds 100", factor="server", limits=bucket(100, 100)),
    Cell(name="bucket, holds 1,000", factor="server", limits=bucket(100, 1_000), ends_at=90),
    Cell(name="window 100 in 1 s", factor="server", limits=window(100, 1)),
    Cell(name="window 1,000 in 10 s", factor="server", limits=window(1_000, 10), ends_at=200, steady_s=100),
    Cell(name="window 6,000 in 60 s", factor="server", limits=window(6_000, 60), ends_at=600, steady_s=300),
    Cell(name="log 1,000 in 10 s", factor="server", limits=log(1_000, 10), ends_at=200, steady_s=100),
    Cell(name="counter 1,000 in 10 s", factor="server", limits=counter(1_000, 10), ends_at=200, steady_s=100),
    Cell(name="at most 1 at a time", factor="server", cap=1, limit_per_s=1 / USUAL.mean_s, ends_at=240, steady_s=120),
    Cell(name="at most 5 at a time", factor="server", cap=5, limit_per_s=5 / USUAL.mean_s),
    Cell(name="at most 20 at a time", factor="server", cap=20, limit_per_s=20 / USUAL.mean_s),
    Cell(name="queue before 20 servers", factor="server", queue=20, limit_per_s=20 / USUAL.mean_service_s),
    Cell(name="10/s and 300/min", factor="server", limits=both(bucket(10, 10), window(300, 60)), limit_per_s=5, ends_at=1_200, steady_s=600),
    Cell(name="limit drifts by 20%", factor="change", limits=drifting(100, 10, share=0.2, period_s=30)),
    Cell(name="halves and returns", factor="change", limits=stepping(*HALVES), changes=HALVES, ends_at=90, drops_at=30, raises_at=60, raised_to=100),
    Cell(name="rises tenfold", factor="change", limits=stepping(*TENFOLD), changes=TENFOLD, ends_at=60, raises_at=30, raised_to=1_000),
    Cell(name="whole seconds", factor="form", limits=BASE, form=servers.whole_seconds, ends_at=400, steady_s=200),
    Cell(name="a date, clock 30 s off", factor="form", limits=BASE, form=servers.http_date, ends_at=400, steady_s=200),
    Cell(name="three times too long", factor="form", limits=BASE, form=servers.three_times, ends_at=400, steady_s=200),
    Cell(name="window, whole seconds", factor="form", limits=window(1_000, 10), form=servers.whole_seconds, ends_at=400, steady_s=200),
    Cell(name="503 above 20, 1 s stated", factor="form", cap=20, limit_per_s=20 / USUAL.mean_s, form=servers.whole_seconds, ends_at=400, steady_s=200),
    Cell(name="1/s", factor="rate", limits=bucket(1, 1), limit_per_s=1, ends_at=2_400, steady_s=1_200),
    Cell(name="10/s", factor="rate", limits=bucket(10, 1), limit_per_s=10, ends_at=300, steady_s=150),
    Cell(name="1,000/s", factor="rate", limits=bucket(1_000, 100), limit_per_s=1_000, ends_at=30, steady_s=15),
    Cell(name="3,000/s", factor="rate", limits=bucket(3_000, 300), limit_per_s=3_000, ends_at=20, steady_s=10),
    Cell(name="100/s remembered", factor="rate", limits=BASE, remembered=100),
    Cell(name="1,000/s remembered", factor="rate", limits=bucket(1_000, 100), limit_per_s=1_000, remembered=1_000, ends_at=30, steady_s=15),
    Cell(name="5 ms away", factor="latency", limits=BASE, timing=NEAR),
    Cell(name="1 s away", factor="latency", limits=BASE, timing=FAR, ends_at=180, steady_s=90),
    Cell(name="2 equal clients", factor="clients", limits=BASE, clients=2, ends_at=120, steady_s=60),
    Cell(name="8 equal clients", factor="clients", limits=BASE, clients=8, ends_at=240, steady_s=120),
    Cell(name="a second one joins", factor="clients", limits=BASE, clients=2, joins_at=30, ends_at=150, steady_s=60),
    Cell(name="a noisy neighbour", factor="clients", limits=BASE, noisy=40, ends_at=120, steady_s=60),
    Cell(name="64 naive workers beside", factor="clients", limits=BASE, naive=64, min_rate=20, ends_at=60),
)
# fmt: on
