"""What a run of a cell shows: figures a reader can compare, worked out from the bins of its clients.

    steady       accepted in the second half ÷ what the limit allows in that time; beside a neighbour, its share too
    total        the same from the first request on
    throttled    throttles ÷ replies, in the steady half and over all
    converged_s  when the first second (or 20 requests' worth) began of which 90% of the limit were accepted
    p95_ratio    95th percentile of latency in the steady half ÷ the same of that server without any load
    dropped      share of throttles in the 10 s after the limit fell
    raised_s     from a raise until the first second of which 90% of the new limit were accepted
    jain         Jain's index over equal clients in the steady half: (sum x)² ÷ (n · sum x²)
    too_early    sends before a Retry-After that had been read
    in_20_s      accepted in 20 s from the first accepted one on ÷ what the limit allows then; in_60_s, in_300_s and
                 in_hour likewise; for servers that state a wait
    throttled_20_s   throttles ÷ replies in the first 20 s of these
    sends        requests for each accepted one

Nothing here decides; `bars.py` says what is good enough.
"""

from __future__ import annotations

import math
import random
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from . import servers
from .cells import Cell
from .simulate import BIN_S, Client, Control, Recorder, Simulation, Stalls, TakesBusy, recorder
from .workers import FixedWorkers, Noisy

MakeControl = Callable[[Cell, random.Random], Control]
IN_FLIGHT = 1_024
SPANS = {"in_20_s": 20.0, "in_60_s": 60.0, "in_300_s": 300.0, "in_hour": 3_600.0}


@dataclass(slots=True, kw_only=True)
class Figures:
    """One run of one cell."""

    cell: str
    steady: float
    total: float
    throttled: float
    throttled_all: float
    sends: float
    too_early: int
    converged_s: float
    p95_ratio: float | None = None
    dropped: float | None = None
    raised_s: float | None = None
    jain: float | None = None
    floor: float | None = None
    in_20_s: float | None = None
    in_60_s: float | None = None
    in_300_s: float | None = None
    in_hour: float | None = None
    throttled_20_s: float | None = None
    digest: int = 0
    events: int = 0
    took_s: float = 0.0


def run(cell: Cell, make: MakeControl, seed: int) -> Figures:
    """Run one cell with one seed."""
    rng = random.Random(f"{cell.name}:{seed}")  # chance that can be replayed is the point
    records = [recorder(cell.ends_at, keeps_latencies=bool(cell.queue)) for _ in range(cell.clients)]
    clients = [client(cell, make, record, n, rng) for n, record in enumerate(records)]
    others = neighbours(cell, rng)
    simulation = Simulation(cell.server(rng), clients + others, ends_at=cell.ends_at, rng=rng)
    began = time.perf_counter()
    simulation.run()
    took_s = time.perf_counter() - began
    figures = judge(cell, records, [other.record for other in others])
    figures.events, figures.took_s = simulation.events, took_s
    return figures


def client(cell: Cell, make: MakeControl, record: Recorder, number: int, rng: random.Random) -> Client:
    """One of the equal clients."""
    control = make(cell, random.Random(rng.random()))
    return Client(
        control,
        record,
        starts_at=cell.joins_at if number and cell.joins_at else rng.uniform(0, 1) if number else 0.0,
        stalls=Stalls(random.Random(rng.random()), *cell.stalls) if cell.stalls else None,
        busy=control if cell.is_plain and isinstance(control, TakesBusy) else None,
    )


def neighbours(cell: Cell, rng: random.Random) -> list[Client]:
    """Who else uses the same limit, without being one of the equal clients."""
    found: list[Control] = []
    if cell.naive:
        found.append(FixedWorkers(random.Random(rng.random()), cell.naive))
    if cell.noisy:
        found.append(Noisy(random.Random(rng.random()), cell.noisy))
    return [Client(control, recorder(cell.ends_at)) for control in found]


def judge(cell: Cell, records: list[Recorder], others: list[Recorder]) -> Figures:
    start, end = cell.ends_at - cell.steady_s, cell.ends_at
    good = merged([r.good for r in records])
    bad = merged([r.throttled for r in records])
    steady_good, steady_bad = total(good, start, end), total(bad, start, end)
    all_good, all_bad = total(good, 0, end), total(bad, 0, end)
    first = records[0]
    beside = sum(total(r.good, start, end) for r in others)
    beside_all = sum(total(r.good, 0, end) for r in others)
    figures = Figures(
        cell=cell.name,
        steady=(steady_good + beside) / cell.allowed(start, end),
        total=(all_good + beside_all) / cell.allowed(0, end),
        throttled=steady_bad / max(1, steady_good + steady_bad),
        throttled_all=all_bad / max(1, all_good + all_bad),
        sends=(all_good + all_bad) / max(1, all_good),
        too_early=sum(r.too_early for r in records),
        converged_s=reaches(good, cell.allowed(0, 1), 0.0, end),
        digest=first.digest,
    )
    if cell.form is servers.one_second:
        begins = first_of(good)
        for key, span_s in SPANS.items():
            if begins + span_s <= end:
                setattr(figures, key, total(good, begins, begins + span_s) / cell.allowed(begins, begins + span_s))
        lost = total(bad, begins, begins + 20)
        figures.throttled_20_s = lost / (lost + total(good, begins, begins + 20))
    if cell.queue:
        figures.p95_ratio = p95([s for at, s in first.latencies if at >= start]) / p95_alone(cell)
    if cell.drops_at is not None:
        after = cell.drops_at, cell.drops_at + 10
        figures.dropped = total(bad, *after) / max(1, total(bad, *after) + total(good, *after))
    if cell.raises_at is not None:
        figures.raised_s = reaches(good, cell.raised_to, cell.raises_at, end) - cell.raises_at
    if cell.clients > 1:
        shares = [float(total(r.good, start, end)) for r in records]
        figures.jain = sum(shares) ** 2 / (len(shares) * max(1.0, sum(x * x for x in shares)))
    if cell.min_rate:
        figures.floor = total(first.good, start, end) / (cell.steady_s * cell.min_rate)
    return figures


def first_of(counts: array[int]) -> float:
    """The begin of the first bin in which there is one."""
    return next(n for n, count in enumerate(counts) if count) * BIN_S


def merged(counts: list[array[int]]) -> array[int]:
    return counts[0] if len(counts) == 1 else array("i", map(sum, zip(*counts, strict=True)))


def total(counts: array[int], start: float, end: float) -> int:
    return sum(counts[round(start / BIN_S) : round(end / BIN_S)])


def reaches(good: array[int], limit_per_s: float, since: float, end: float) -> float:
    """When the first span began of which 90% of the limit were accepted; `inf` if never."""
    span = max(round(1 / BIN_S), round(20 / limit_per_s / BIN_S))
    first, last = round(since / BIN_S), round(end / BIN_S) - span
    wanted = 0.9 * limit_per_s * span * BIN_S
    count = sum(good[first : first + span])
    for at in range(first, last):
        if count >= wanted:
            return at * BIN_S
        count += good[at + span] - good[at]
    return math.inf


def p95(latencies: list[float]) -> float:
    return sorted(latencies)[int(0.95 * len(latencies))] if latencies else math.inf


def p95_alone(cell: Cell) -> float:
    """What the 95th percentile would be without any queue; 1.645 is that of the standard normal distribution."""
    timing = cell.timing
    return 2 * timing.one_way_s + timing.service_s * math.exp(1.645 * timing.sigma)
