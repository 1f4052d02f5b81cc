"""`scripts/sim`: campaigns over many seeds, the replay of one, and how soon each broken twin is caught."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.progress import say

from .drive import simulate
from .hunt import broken, caught_by
from .twins import TWINS

BATCH = 50


@dataclass
class Tally:
    """What a batch of seeds came to."""

    seeds: int = 0
    processes: int = 0
    events: int = 0
    virtual_s: float = 0.0
    wrong: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.seeds += other.seeds
        self.processes += other.processes
        self.events += other.events
        self.virtual_s += other.virtual_s
        self.wrong += other.wrong


def run_batch(first: int, count: int, twin: str | None = None) -> Tally:
    """Simulate `count` seeds."""
    tally = Tally()
    for seed in range(first, first + count):
        if twin:
            with broken(twin):
                result = simulate(seed)
        else:
            result = simulate(seed)
        tally.add(Tally(1, result.processes, result.events, result.virtual_s))
        if result.wrong:
            tally.wrong.append((seed, result.wrong[0]))
    return tally


def batches(first: int, count: int, jobs: int, twin: str | None) -> Iterator[Tally]:
    """All batches, as they are done."""
    parts = [(at, min(BATCH, first + count - at)) for at in range(first, first + count, BATCH)]
    if jobs == 1:
        for at, size in parts:
            yield run_batch(at, size, twin)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run_batch, *zip(*parts, strict=True), [twin] * len(parts))


def campaign(first: int, count: int, jobs: int, twin: str | None) -> int:
    """Many seeds; 1 if one of them broke something."""
    began, total = time.monotonic(), Tally()
    with suppress(KeyboardInterrupt):  # what was simulated until then counts
        for tally in batches(first, count, jobs, twin):
            total.add(tally)
            for seed, what in tally.wrong:
                say(f"seed {seed}: {what}\n  replay: scripts/sim --seed {seed}")
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{total.seeds:,} seeds, {len(total.wrong)} wrong ")
    took_s = time.monotonic() - began
    say(
        f"{total.seeds:,} seeds, {len(total.wrong)} wrong, in {took_s:.0f} s: {total.processes:,} processes, "
        f"{total.events:,} events, {total.virtual_s / 3600:,.0f} h of virtual time"
    )
    if not total.wrong:
        say(f"so at most one seed in {total.seeds // 3:,} is wrong (95 %: the 3/n bound)")
    return 1 if total.wrong else 0


def replay(seed: int, twin: str | None) -> int:
    """One seed, with its whole trace."""
    if twin:
        with broken(twin):
            result = simulate(seed, keeps_all=True)
    else:
        result = simulate(seed, keeps_all=True)
    say(*result.lines)
    say(f"seed {seed}: {len(result.wrong)} wrong, trace {result.digest:08x}", *result.wrong)
    return 1 if result.wrong else 0


def show_twins(most: int) -> int:
    """How many seeds it takes to catch each twin; 1 if one is not caught."""
    missed = 0
    for name in TWINS:
        found = caught_by(name, most)
        missed += found is None
        say(
            f"{name:42} "
            + (f"seed {found.seed:4}, {found.tried:3} tried: {found.what[:90]}" if found else "NOT CAUGHT")
        )
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; alone: replay it with its trace")
    parser.add_argument("--count", type=int, default=None, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes to share them")
    parser.add_argument("--twin", choices=list(TWINS), default=None, help="put a broken twin in place")
    parser.add_argument("--twins", action="store_true", help="how soon each broken twin is caught (--count: at most)")
    chosen = parser.parse_args()
    if chosen.twins:
        return show_twins(chosen.count or 300)
    if chosen.count is None and chosen.seed is not None:
        return replay(chosen.seed, chosen.twin)
    return campaign(chosen.seed or 0, chosen.count or 1_000, chosen.jobs, chosen.twin)


if __name__ == "__main__":
    raise SystemExit(main())
