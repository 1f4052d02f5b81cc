"""The benchmark *control*: every controller in every cell, and what of the bars it meets.

    python -m benchmarks control [--rounds SEEDS] [--seed FIRST]

A row is a cell, with the medians of our controller over the seeds, and how many runs missed a bar.  Rows are in the
order of what is lost: the worst cell first.  Cells of `held_out`, and half of those of `stated`, are marked with *: the
controller was not made on them.  What the others reach in the matrix stands in the notes and in the heat map.  For each
seed ours also runs on `DRAWN` servers drawn by chance (`drawn.py`), which are told of as a whole and have no rows.
Runs are spread over the cores: virtual time minds no neighbours.
"""

from __future__ import annotations

import math
import os
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from bulkwriter.adaptive import Controller

from ..figures import Row
from ..turns import Findings, Plan
from . import baselines, workers
from .bars import STEADY, THROTTLED, distance, misses
from .cells import CELLS, Cell
from .drawn import drawn
from .held_out import HELD_OUT
from .measure import IN_FLIGHT, Figures, run
from .simulate import Control
from .stated import LONG, STATED, STATED_HELD_OUT

MEDIANS = ("steady", "throttled", "total", "in_20_s", "throttled_20_s", "in_60_s", "in_300_s", "in_hour", "converged_s",
           "p95_ratio", "dropped", "raised_s", "jain", "floor", "sends")  # fmt: skip
KEYS = (*MEDIANS, "missed", "of_runs")
OURS = "bulkwriter"
KNOWN, UNKNOWN = (*CELLS, *STATED), (*HELD_OUT, *STATED_HELD_OUT, *LONG)
"""What the controller was made on, and what only judges it."""
DRAWN, FIRST_DRAWN = 50, 10_000
"""Servers drawn by chance, a seed, and the number before the first: lower ones were looked at while it was made."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A controller.  `most_seeds` and `longest_s` spare one that hammers: 2,000 throttles a second for an hour."""

    name: str
    make: Callable[[Cell, random.Random], Control]
    most_seeds: int = 5
    longest_s: float = math.inf


def ours(cell: Cell, rng: random.Random) -> Controller:
    """The real one, cold, or with what the cell remembers as learnt an hour ago."""
    controller = Controller(IN_FLIGHT, pause_cap_s=60.0, rng=rng, min_rate=cell.min_rate)
    if cell.remembered:
        controller.restore({"rate_per_s": float(cell.remembered)}, 3_600.0)
    return controller


CONTENDERS = (
    Contender(OURS, ours, most_seeds=1_000),
    Contender("64 workers, jittered backoff", lambda cell, rng: workers.FixedWorkers(rng)),
    Contender("AWS adaptive", lambda cell, rng: workers.AwsAdaptive(rng)),
    Contender("Vector ARC", lambda cell, rng: baselines.VectorArc(rng)),
    Contender("Netflix Gradient2", lambda cell, rng: baselines.Gradient2(rng), most_seeds=1, longest_s=200),
    Contender("Firestore 500/50/5", lambda cell, rng: baselines.Firestore(rng)),
    Contender("cut to goodput", lambda cell, rng: baselines.Goodput(rng)),
)
OTHERS_CELLS = tuple(cell for cell in CELLS if cell.is_clean and not cell.remembered)
"""Where the others are run too: one client, one limit that stands still and is told truly."""

Job = tuple[int, bool, int, int]
"""Contender, whether the cell is held out, its number, the seed."""


def carry_out(job: Job) -> tuple[Job, Figures]:
    contender, is_held_out, number, seed = job
    cell = (UNKNOWN if is_held_out else KNOWN)[number]
    if (longest_s := CONTENDERS[contender].longest_s) < cell.ends_at:
        cell = replace(cell, ends_at=longest_s, steady_s=longest_s / 2)
    return job, run(cell, CONTENDERS[contender].make, seed)


def carry_out_drawn(number: int) -> tuple[int, Figures]:
    return number, run(drawn(number), ours, 1)


def jobs_of(seeds: int, first: int) -> Iterator[Job]:
    """Every contender in every cell that it is run in."""
    for number, contender in enumerate(CONTENDERS):
        for seed in range(first, first + min(seeds, contender.most_seeds)):
            if number == 0:
                yield from ((0, True, n, seed) for n in range(len(UNKNOWN)))
                yield from ((0, False, n, seed) for n in range(len(KNOWN)))
            else:
                yield from ((number, False, n, seed) for n, cell in enumerate(CELLS) if cell in OTHERS_CELLS)


def measure(plan: Plan) -> Findings:
    found: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    marked = {cell.name: f"{cell.name} *" for cell in UNKNOWN} | {cell.name: cell.name for cell in KNOWN}
    jobs = list(jobs_of(plan.rounds, plan.seed))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
        for (contender, _, _, _), figures in pool.map(carry_out, jobs, chunksize=4):
            found[CONTENDERS[contender].name, figures.cell].append(figures)
        numbers = (FIRST_DRAWN + n for n in range(DRAWN * plan.seed, DRAWN * (plan.seed + plan.rounds)))
        by_chance = [(drawn(number), figures) for number, figures in pool.map(carry_out_drawn, numbers, chunksize=4)]
    mine = {cell: found[OURS, cell.name] for cell in (*KNOWN, *UNKNOWN)}
    order = sorted(mine, key=lambda cell: statistics.median(distance(cell, one) for one in mine[cell]), reverse=True)
    rows = [row_of(cell, mine[cell], marked[cell.name]) for cell in order]
    return Findings(
        runs=[run_row(marked[cell.name], one) for cell in mine for one in mine[cell]],
        rows=rows,
        keys=KEYS,
        ratios=in_short(mine),
        notes=[*missed(mine), *told_of(by_chance), *(standing(contender.name, found) for contender in CONTENDERS)],
        settings={"others": heat(found), "worst_first": [row["name"] for row in rows]},
    )


def run_row(name: str, one: Figures) -> Row:
    values = {key: getattr(one, key) for key in (*MEDIANS, "too_early")}
    return {"name": name, **{key: round(value, 5) for key, value in values.items() if value is not None}}


def row_of(cell: Cell, runs: Sequence[Figures], name: str) -> Row:
    """Medians, and how many runs miss a bar."""
    row: Row = {"name": name}
    for key in MEDIANS:
        values = [value for one in runs if (value := getattr(one, key)) is not None]
        if values:
            row[key] = statistics.median(values)
    row["missed"] = sum(any(misses(cell, one)) for one in runs)
    row["of_runs"] = len(runs)
    return row


def in_short(mine: dict[Cell, list[Figures]]) -> dict[str, float | None]:
    """What is claimed in one line each."""
    clean = [one for cell, runs in mine.items() if cell.is_clean for one in runs]
    steady = [one.steady for one in clean]
    throttled = [one.throttled for one in clean]
    return {
        "steady, median of the clean cells' runs": statistics.median(steady),
        "steady, worst": min(steady),
        "throttled, median": statistics.median(throttled),
        "throttled, worst": max(throttled),
        "sends before a stated Retry-After": float(sum(one.too_early for runs in mine.values() for one in runs)),
    }


def missed(mine: dict[Cell, list[Figures]]) -> Iterator[str]:
    """A line for each bar: in how many runs of how many cells it is missed."""
    runs: Counter[str] = Counter()
    cells: dict[str, set[str]] = defaultdict(set)
    for cell, figures in mine.items():
        for one in figures:
            for key in misses(cell, one):
                runs[key] += 1
                cells[key].add(cell.name)
    count = sum(map(len, mine.values()))
    yield f"{len(mine)} cells, {count} runs of ours; bars missed:" + ("" if runs else " none")
    for key, n in runs.most_common():
        yield f"  {key}: {n} runs, in {', '.join(sorted(cells[key]))}"


def told_of(by_chance: Sequence[tuple[Cell, Figures]]) -> Iterator[str]:
    """What all the servers drawn by chance have in common, and the worst of them."""
    steady = [one.steady for _, one in by_chance]
    throttled = [one.throttled for _, one in by_chance]
    good = sum(one.steady >= STEADY and one.throttled <= THROTTLED for _, one in by_chance)
    worst, _ = max(((cell.name, distance(cell, one)) for cell, one in by_chance), key=lambda pair: pair[1])
    yield (
        f"{len(by_chance)} servers drawn by chance: both steady bars on {good}; "
        f"medians {statistics.median(steady):.1%} and {statistics.median(throttled):.2%} throttled; "
        f"a tenth is below {quantile(steady, 0.1):.1%}, a tenth above {quantile(throttled, 0.9):.2%}; "
        f"{sum(one.too_early for _, one in by_chance)} sends before a stated Retry-After"
    )
    yield f"  worst: {worst}"


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def standing(name: str, found: dict[tuple[str, str], list[Figures]]) -> str:
    """In how many of the cells that all were run in a controller meets both bars, and its worst figures there."""
    medians = {cell.name: medians_of(found[name, cell.name]) for cell in OTHERS_CELLS}
    met = sum(steady >= STEADY and throttled <= THROTTLED for steady, throttled in medians.values())
    worst, most = min(s for s, _ in medians.values()), max(t for _, t in medians.values())
    return f"{name}: both steady bars in {met} of {len(medians)} clean cells; worst {worst:.0%}, {most:.1%} throttled"


def medians_of(runs: Sequence[Figures]) -> tuple[float, float]:
    return statistics.median(one.steady for one in runs), statistics.median(one.throttled for one in runs)


def heat(found: dict[tuple[str, str], list[Figures]]) -> dict[str, dict[str, tuple[float, float]]]:
    """By controller and cell: steady efficiency and throttles."""
    return {
        contender.name: {
            cell.name: (round(pair[0], 4), round(pair[1], 4))
            for cell in OTHERS_CELLS
            for pair in (medians_of(found[contender.name, cell.name]),)
        }
        for contender in CONTENDERS
    }
