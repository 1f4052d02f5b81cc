"""Runs contenders in turns (A B C, A B C, …), so that a neighbour who comes or goes touches all of them alike.

A contender is a command with the number of pairs that it writes and a way to read what it told.  Before the first turn
each has a start (one pair: what interpreter and imports cost) and a warm-up (a tenth of its pairs, for caches, compiled
modules and the server), which are not counted.  A turn that does not do what it was to do ends the benchmark: there is
no figure for half a run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import counters
from .children import BenchmarkFailed, Cores, Ended, check_ended, run_child
from .figures import Row

WARM_SHARE = 0.1
TOKEN = "stub-token"  # noqa: S105  the stub's own, no secret
PYTHON = sys.executable


Counting = Callable[[], AbstractContextManager[counters.Counter]]
"""What counts the instructions of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a person asked for, and where.  `pairs` replaces a benchmark's own number."""

    folder: Path
    cores: Cores
    rounds: int = 6
    pairs: int | None = None
    seed: int = 1
    is_long: bool = False
    axes: tuple[str, ...] = ()
    say: Callable[[str], None] = print

    def settings(self) -> dict[str, Any]:
        return {
            "rounds": self.rounds,
            "pairs": self.pairs,
            "seed": self.seed,
            "is_long": self.is_long,
            "are_cores_bound": self.cores.are_bound,
        }


@dataclass(slots=True, kw_only=True)
class Findings:
    """What one benchmark found: raw runs, a row a contender, ratios by name, and what a reader must know of them.

    `spreads` has the least and the most of a ratio over the turns, where it was taken turn by turn.
    """

    runs: list[Row]
    rows: list[Row]
    keys: tuple[str, ...]
    ratios: dict[str, float | None] = field(default_factory=dict)
    spreads: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One command to be measured.

    `argv(pairs)` makes it; `read` turns what it said into figures, of which `pairs` must be what it wrote; `before` is
    called ahead of each run and takes away what the last one left.
    """

    name: str
    pairs: int
    argv: Callable[[int], Sequence[str]]
    cores: frozenset[int]
    read: Callable[[Ended], Row]
    env: Mapping[str, str] = field(default_factory=lambda: {"BULKWRITER_TOKEN": TOKEN})
    stdin: Path | None = None
    before: Callable[[], None] = lambda: None
    has_start: bool = True
    has_own_count: bool = False  # it tells how many pairs it wrote, whatever it was asked for
    limit_s: float = 900.0


def run_once(contender: Contender, pairs: int, *, counting: Counting = counters.counting) -> Row:
    """One run of `pairs` pairs, with all its figures.  Raises `BenchmarkFailed`."""
    contender.before()
    with counting() as counter:
        argv = [*counter.prefix, *contender.argv(pairs)]
        ended = run_child(
            argv, cores=contender.cores, env=contender.env, stdin=contender.stdin, limit_s=contender.limit_s
        )
    check_ended(contender.name, ended)
    told = contender.read(ended)
    wrote = int(told.get("pairs", pairs))
    if wrote != pairs and not contender.has_own_count:
        raise BenchmarkFailed(f"{contender.name} was to write {pairs:,} pairs and wrote {wrote:,}: {ended.err[-500:]}")
    per_pair = max(1, wrote)
    figures: Row = {
        "name": contender.name,
        "pairs": wrote,
        "cpu_us": ended.cpu_s / per_pair * 1e6,
        "cpu_s": ended.cpu_s,
        "user_s": ended.user_s,
        "system_s": ended.system_s,
        "wall_s": ended.wall_s,
    }
    if ended.rss_bytes is not None:
        figures["rss_bytes"] = ended.rss_bytes
    if counter.instructions is not None:
        figures["instructions"] = counter.instructions / per_pair
    return {**figures, **told}


def in_turns(contenders: Sequence[Contender], plan: Plan) -> tuple[list[Row], list[Row]]:
    """All counted runs, and one row a contender with the CPU of its start.  Raises `BenchmarkFailed`."""
    starts = []
    for contender in contenders:
        if contender.has_start:
            starts.append({"name": contender.name, "start_cpu_s": run_once(contender, 1)["cpu_s"]})
        run_once(contender, max(1, round(contender.pairs * WARM_SHARE)))
    runs = []
    for turn in range(1, plan.rounds + 1):
        for contender in contenders:
            run = {"turn": turn, **run_once(contender, contender.pairs)}
            runs.append(run)
            plan.say(f"  {turn}/{plan.rounds} {contender.name}: {glance(run)}")
    return runs, starts


def glance(run: Row) -> str:
    """The figures of a run that a person waits for, on one line."""
    if "took_s" in run:
        return f"{run['took_s']:.3f} s"
    rate = run.get("pairs_per_s")
    return f"{run.get('stage_us', run['cpu_us']):.2f} µs" + (f", {rate:,.0f}/s" if isinstance(rate, float) else "")


def with_starts(rows: Sequence[Row], starts: Sequence[Row]) -> list[Row]:
    """Rows with what a start of each contender takes, and what a pair takes without it."""
    by_name = {start["name"]: start for start in starts}
    found = []
    for row in rows:
        start = by_name.get(row["name"], {})
        if start:
            cpu_s = float(row["cpu_s"]) - float(start["start_cpu_s"])
            start = {**start, "running_us": cpu_s / max(1.0, float(row["pairs"]) - 1) * 1e6}
        found.append({**row, **start})
    return found


def last_json(ended: Ended) -> dict[str, Any]:
    """The object on the last line of stdout."""
    lines = ended.out.strip().splitlines()
    try:
        said: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise BenchmarkFailed(f"no JSON on the last line of: {ended.out[-500:]!r} {ended.err[-500:]!r}") from None
    return said
