"""Model servers in virtual time: what limits them, how they word a refusal, and how long they take.

A `Server` answers `arrive(at)` with an `Answer`: when the reply leaves, and whether it is a throttle.  Arrivals must
come in the order of time.  The limits themselves are those of the local stub (`bulkwriter.stub.limits`), so that a
model and a stub with the same numbers agree; a limit that changes is a list of such limits, each from its own time on.
Service times are log-normal around `service_s`; a queue of `servers` makes later ones wait.

    form         the header of a throttle: none, whole seconds rounded up, such a number too long by a factor, or a date
                 by the server's own clock, which is 30 s off; a header is read by the client's own parser
    punishes     a refused request counts as well
    Shaper       a bucket that delays what comes early instead of letting it through at once (nginx `limit_req`)

This file draws no conclusions and knows no controller.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import NamedTuple

from bulkwriter.core.classify import parse_retry_after
from bulkwriter.stub.limits import Bucket, Counter, FixedWindow, Limiter, Log

EPOCH_S = 1_800_000_000  # what the wall clock says when virtual time begins
CLOCK_OFF_S = 30
Timed = tuple[float, Limiter]
"""A limiter and the time from which it is in force."""


class Answer(NamedTuple):
    """One reply: when it leaves the server, whether it is a throttle, and what it states."""

    leaves_at: float
    is_throttle: bool
    retry_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where a round trip of about `latency_s` is spent: a tenth on the network, the rest being served."""

    latency_s: float = 0.1
    sigma: float = 0.2
    jitter_s: float = 0.0
    """Longest extra time of a request on its way, drawn evenly: makes spacing at the server uneven."""
    refusal: float = 0.1
    """Share of a round trip after which a throttle leaves the server: with the network, 0.1 is a fifth of one."""

    @property
    def one_way_s(self) -> float:
        return 0.05 * self.latency_s

    @property
    def service_s(self) -> float:
        """Median of the time to serve."""
        return 0.9 * self.latency_s

    @property
    def refusal_s(self) -> float:
        """A throttle is answered after this."""
        return self.refusal * self.latency_s

    @property
    def mean_service_s(self) -> float:
        return self.service_s * math.exp(self.sigma**2 / 2)

    @property
    def mean_s(self) -> float:
        """Mean round trip without any queue."""
        return 2 * self.one_way_s + self.mean_service_s


@dataclass(slots=True, kw_only=True)
class Server:
    """Limits, a form and a timing."""

    rng: random.Random
    timing: Timing
    limits: Sequence[Sequence[Timed]] = ()
    cap: int = 0
    """Most requests being served at a time; 0: any number."""
    servers: int = 0
    """How many are served at once while the others wait in a queue; 0: any number, no queue."""
    form: Callable[[float, float], float | None] = lambda at, wait_s: None
    punishes: bool = False
    broken: float = 0.0
    """Share of requests that are refused for no reason."""
    _ends: list[float] = field(default_factory=list)
    _free: list[float] = field(default_factory=list)

    def arrive(self, at: float) -> Answer:
        current = [in_force(limit, at) for limit in self.limits]
        waits = [wait_s for limiter in current if (wait_s := limiter.wait_s(at)) > 0]
        ends = self._ends
        if self.cap:
            while ends and ends[0] <= at:
                heapq.heappop(ends)
            if len(ends) >= self.cap:
                waits.append(1.0)
        if self.broken and self.rng.random() < self.broken:
            waits.append(1.0)
        if waits:
            for limiter in current if self.punishes else ():
                limiter.book(at)
            return Answer(at + self.timing.refusal_s, True, self.form(at, max(waits)))
        delay_s = 0.0
        for limiter in current:
            limiter.book(at)
            if isinstance(limiter, Shaper):
                delay_s = max(delay_s, limiter.delay_s)
        end = self._served_at(at + delay_s)
        if self.cap:
            heapq.heappush(ends, end)
        return Answer(end, False, None)

    def _served_at(self, at: float) -> float:
        served_s = self.timing.service_s * math.exp(self.rng.gauss(0.0, self.timing.sigma))
        if not self.servers:
            return at + served_s
        free = self._free
        begins = at
        if len(free) >= self.servers:
            begins = max(at, heapq.heappop(free))
        heapq.heappush(free, begins + served_s)
        return begins + served_s


def in_force(limit: Sequence[Timed], at: float) -> Limiter:
    if len(limit) == 1:
        return limit[0][1]
    return next(limiter for since, limiter in reversed(limit) if since <= at)


def bucket(rate_per_s: float, burst: float) -> list[Timed]:
    return [(-math.inf, Bucket(rate_per_s, burst))]


def steps(*rates: tuple[float, float], burst: Callable[[float], float]) -> list[Timed]:
    """A bucket whose rate changes: (from when, rate); each begins empty, as a limit that changes gives nothing away."""
    found: list[Timed] = []
    for since, rate in rates:
        limiter = Bucket(rate, burst(rate))
        if found:
            limiter.wait_s(since)
            for _ in range(int(burst(rate))):
                limiter.book(since)
        found.append((since, limiter))
    return found


class Shaper(Bucket):
    """A bucket that makes each request wait until it would have come at the even rate."""

    @property
    def delay_s(self) -> float:
        """How long the request that was booked last waits."""
        return max(0.0, (self._burst - 1 - self._tokens) / self._rate_per_s)


def shaper(rate_per_s: float, burst: float) -> list[Timed]:
    return [(-math.inf, Shaper(rate_per_s, burst))]


class Drifting(Bucket):
    """A bucket whose rate follows a sine: `rate · (1 + share · sin)`, once in `period_s`."""

    def __init__(self, rate_per_s: float, burst: float, *, share: float, period_s: float, phase: float) -> None:
        super().__init__(rate_per_s, burst)
        self._mean, self._share, self._period_s, self._phase = rate_per_s, share, period_s, phase

    def wait_s(self, now: float) -> float:
        angle = self._phase + 2 * math.pi * now / self._period_s
        self._rate_per_s = self._mean * (1 + self._share * math.sin(angle))
        return super().wait_s(now)


def window(count: int, window_s: float, rng: random.Random) -> list[Timed]:
    return [(-math.inf, FixedWindow(count, window_s, -rng.uniform(0, window_s)))]


def log(count: int, window_s: float) -> list[Timed]:
    return [(-math.inf, Log(count, window_s))]


class SteppingLog(Log):
    """A log of one second whose count changes: (from when, count).  What it took before a change still counts."""

    def __init__(self, *counts: tuple[float, float]) -> None:
        super().__init__(round(max(count for _, count in counts)), 1.0)
        self._counts = counts

    def wait_s(self, now: float) -> float:
        count = round(next(count for since, count in reversed(self._counts) if since <= now))
        return max(0.0, self._times[-count] + self._window_s - now) if len(self._times) >= count else 0.0


def stepping_log(*counts: tuple[float, float]) -> Callable[[random.Random], list[list[Timed]]]:
    return lambda rng: [[(-math.inf, SteppingLog(*counts))]]


def counter(count: int, window_s: float, rng: random.Random) -> list[Timed]:
    return [(-math.inf, Counter(count, window_s, -rng.uniform(0, window_s)))]


def no_header(at: float, wait_s: float) -> None:
    """No Retry-After at all."""


def whole_seconds(at: float, wait_s: float) -> float:
    return max(1.0, math.ceil(wait_s - 1e-9))


def one_second(at: float, wait_s: float) -> float:
    return 1.0


def http_date(at: float, wait_s: float) -> float | None:
    """A date by a clock that is `CLOCK_OFF_S` ahead, beside the `Date` of the same clock; ours is right."""
    date = formatdate(EPOCH_S + CLOCK_OFF_S + math.floor(at), usegmt=True)
    until = formatdate(EPOCH_S + CLOCK_OFF_S + math.ceil(at + wait_s - 1e-9), usegmt=True)
    return parse_retry_after(until, date, EPOCH_S + at)


def three_times(at: float, wait_s: float) -> float:
    return 3 * whole_seconds(at, wait_s)
