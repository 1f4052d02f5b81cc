"""Servers drawn by chance: any kind, any numbers, any distance; judged by the same bars as the matrix.

Nobody chose them, so nobody tuned on them.  A number is a server: `drawn(17)` is the same one everywhere.

    kind      a bucket, a bucket that delays, a window, a log, a counter, a cap, a queue, or two of these at once
    rate      1 to 3,000 a second, evenly by magnitude, as everything here
    distance  5 ms to 1 s, with at most `OUT` requests on their way at the limit; jitter and how fast a throttle is
              answered vary as well
    form      mostly none, else whole seconds or a date

A server is watched for at least 2,000 requests and four windows, and at least as long as its distance needs; the half
of it is steady.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from . import servers
from .cells import Cell, Limits, both, bucket, counter, log, shaper, window
from .servers import Timing

OUT = 500
LEAST_S, LEAST_STATED_S = 30.0, 120.0
REQUESTS, TRIPS, WINDOWS = 1_000, 60, 2
APART = 1.5
"""Of two limits at once one is so much lower, or it would not be clear what they allow."""


@dataclass(slots=True)
class Draft:
    """What a kind says of itself."""

    name: str
    limits: Limits = field(default=lambda rng: [])
    per_s: float = math.inf
    allowed_per_s: float = 0.0
    """Where that is less than `per_s`."""
    window_s: float = 0.0
    cap: int = 0
    queue: int = 0


def drawn(number: int) -> Cell:
    """The server of that number."""
    rng = random.Random(f"drawn:{number}")  # chance that can be replayed is the point
    timing = Timing(latency_s=between(rng, 0.005, 1.0), sigma=rng.choice(SIGMAS), refusal=rng.choice(REFUSALS))
    draft = rng.choice(KINDS)(rng, timing)
    is_two = bool(draft.window_s) and rng.random() < 0.3
    if is_two:
        other = a_bucket(rng, timing, least=APART * draft.per_s, most=20 * draft.per_s)
        limits, name = both(draft.limits, other.limits), f"{draft.name}, and {other.name}"
        draft = Draft(name, limits, draft.per_s, draft.allowed_per_s, draft.window_s)
    form = rng.choices((servers.no_header, servers.whole_seconds, servers.http_date), (6, 3, 1))[0]
    least_s = max(LEAST_S if form is servers.no_header else LEAST_STATED_S, REQUESTS / draft.per_s)
    steady_s = max(least_s, TRIPS * timing.latency_s, WINDOWS * draft.window_s)
    if draft.window_s:
        steady_s = math.ceil(steady_s / draft.window_s) * draft.window_s
    steady_s = round(steady_s, 1)
    said = f"{draft.name}, {1_000 * timing.latency_s:.0f} ms ±{timing.sigma}, {FORMS[form]}"
    return Cell(
        name=f"{number}: {said}",
        factor="server",
        limits=draft.limits,
        limit_per_s=draft.allowed_per_s or draft.per_s,
        timing=timing,
        cap=draft.cap,
        queue=draft.queue,
        form=form,
        ends_at=2 * steady_s,
        steady_s=steady_s,
    )


def between(rng: random.Random, least: float, most: float) -> float:
    return math.exp(rng.uniform(math.log(least), math.log(most)))


def rate_of(rng: random.Random, timing: Timing) -> float:
    rate = between(rng, 1.0, min(3_000.0, OUT / timing.latency_s))
    return round(rate, 1) if rate < 20 else round(rate)


def a_bucket(rng: random.Random, timing: Timing, least: float = 0.0, most: float = 0.0) -> Draft:
    rate = round(between(rng, least, most), 1) if most else rate_of(rng, timing)
    holds = round(between(rng, 1.0, max(2.0, 20 * rate)))
    return Draft(f"bucket {rate:g}/s, holds {holds:,}", bucket(rate, holds), rate)


def a_shaper(rng: random.Random, timing: Timing) -> Draft:
    rate = rate_of(rng, timing)
    holds = round(between(rng, 1.0, max(2.0, 4 * rate)))
    return Draft(f"bucket {rate:g}/s, delays {holds:,}", shaper(rate, holds), rate)


def counted(
    kind: str, make: Callable[[int, float], Limits], lets: Callable[[int], int] = lambda count: count
) -> Callable[[random.Random, Timing], Draft]:
    """`lets(count)` go in each window in the long run."""

    def draft(rng: random.Random, timing: Timing) -> Draft:
        window_s = float(rng.choice((1, 1, 5, 10, 15, 30, 60)))
        count = max(5, round(rate_of(rng, timing) * window_s))
        per_s = count / window_s
        return Draft(
            f"{kind} {count:,} in {window_s:g} s", make(count, window_s), per_s, lets(count) / window_s, window_s
        )

    return draft


def a_cap(rng: random.Random, timing: Timing) -> Draft:
    cap = round(between(rng, 1.0, 100.0))
    return Draft(f"at most {cap} at a time", per_s=cap / timing.mean_s, cap=cap)


def a_queue(rng: random.Random, timing: Timing) -> Draft:
    count = round(between(rng, 2.0, 100.0))
    return Draft(f"queue before {count}", per_s=count / timing.mean_service_s, queue=count)


SIGMAS, REFUSALS = (0.05, 0.2, 0.4), (0.1, 0.3, 1.0)
FORMS = {servers.no_header: "no header", servers.whole_seconds: "whole seconds", servers.http_date: "date"}
KINDS: tuple[Callable[[random.Random, Timing], Draft], ...] = (
    a_bucket,
    a_bucket,
    a_shaper,
    counted("window", window),
    counted("window", window),
    counted("log", log),
    counted("counter", counter, lambda count: count - 1),
    a_cap,
    a_queue,
)
