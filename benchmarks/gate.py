"""CI's short benchmark: has bulkwriter become dearer, measured against the ClientSession loop of the same run?

Both write to the stub, which is there on every machine.  A turn is a run of one pair and a run of many by each; what a
pair costs is the difference, so that imports do not hide the hot path.  Ratios are held against `bars.toml`.

What is counted is instructions, by valgrind: a busy neighbour, another processor and a slower disk change CPU time by
half and more (smaller batches, colder caches), but instructions by a few per cent, and a quarter shows.  valgrind makes
the client some 25 times slower, so that it is the slow side, and its batches are full whatever the machine does beside
it.  The loop's count is the same to a thousandth each time, and taken once; ours depends a little on how commits fall.
Where there is no valgrind CPU time is counted, on one core, against bars that only show that something is badly wrong.

Noise only adds, so the least of each counts: the gate passes as soon as every bar holds, and fails when one is still
broken after `MOST_TURNS`, or after `FEWEST_TURNS` and `LONGEST_S`.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from . import counters, machine
from .clients import CLIENTS
from .commands import bulkwriter_run, client_run
from .inputs import clustered, write_pairs
from .servers import stub
from .turns import Contender, Plan, run_once

Kind = Literal["instructions", "cpu"]

BARS = Path(__file__).parent / "bars.toml"
PAIRS: Mapping[Kind, int] = {"instructions": 15_000, "cpu": 50_000}
LOOP_PAIRS: Mapping[Kind, int] = {"instructions": 2_000, "cpu": 20_000}
WARM_PAIRS = 200
MOST_TURNS: Mapping[Kind, int] = {"instructions": 4, "cpu": 7}
FEWEST_TURNS = 3
"""So many are taken whatever the time, if a bar is broken: beside a load of 13 a single one was a fifth too high."""
LONGEST_S = 240.0
"""No fourth turn begins later.  A turn takes some 35 s on a quiet machine of two cores, three times that on a busy
one."""
OURS, LOOP = "bulkwriter", "ClientSession loop"


Turn = Mapping[str, float]
"""What a run of one pair and one of many cost, by contender ("NAME, start" and "NAME"); the pairs are in `Sizes`."""
Sizes = Mapping[str, int]
Cost = Callable[[Contender, int, Kind], float]


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio that must not be above `most`."""

    name: str
    kind: Kind
    meaning: str
    most: float


def read_bars(kind: Kind, path: Path = BARS) -> list[Bar]:
    """The bars in force for what is counted here."""
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    bars = (Bar(bar["name"], bar["kind"], bar["meaning"], float(bar["history"][-1]["most"])) for bar in told["bar"])
    return [bar for bar in bars if bar.kind == kind]


def hold(plan: Plan) -> bool:
    """Measure until every bar holds or there were turns enough; whether they hold.  Raises `BenchmarkFailed`."""
    kind: Kind = "instructions" if counters.has_valgrind() else "cpu"
    where = machine.machine()
    python = machine.versions()["python"]
    plan.say(f"gate: {kind} on {where['processor']}, {where['cores']} cores, {python}, load {machine.load()}")
    if kind == "cpu":
        plan.say("  no valgrind here: CPU time alone shows no step of a quarter beside other work")
    core = plan.cores.client if kind == "cpu" else frozenset[int]()
    with stub(plan.folder, plan.cores) as server:
        source = write_pairs(plan.folder / "gate.csv", clustered(PAIRS[kind], plan.seed))
        loop = next(client for client in CLIENTS if client.module == "aiohttp_loop")
        contenders = (
            bulkwriter_run(OURS, server, source, plan.pairs or PAIRS[kind], cores=core),
            client_run(replace(loop, share=1.0), server, source, plan.pairs or LOOP_PAIRS[kind], cores=core),
        )
        for contender in contenders:
            run_once(contender, min(WARM_PAIRS, contender.pairs))
        sizes = {who: contender.pairs for who, contender in zip((OURS, LOOP), contenders, strict=True)}
        return judge(read_bars(kind), turns_for(LONGEST_S, contenders, kind), sizes, say=plan.say)


def judge(bars: Sequence[Bar], turns: Iterable[Turn], sizes: Sizes, *, say: Callable[[str], None]) -> bool:
    """Whether every bar holds, by as many of the turns as it takes to say so."""
    taken: list[Turn] = []
    found: dict[str, float] = {}
    for turn in turns:
        taken.append(turn)
        found = ratios_of(taken, sizes)
        say(f"  turn {len(taken)}: {', '.join(f'{name} {value:.3f}' for name, value in found.items())}")
        if not broken(bars, found):
            break
    failed = broken(bars, found)
    for bar in bars:
        verdict = "broken" if bar in failed else "holds"
        say(f"{verdict}: {bar.name} {found[bar.name]:.3f}, at most {bar.most:g} ({bar.meaning})")
    if failed:
        say(f"either make it cheaper again, or move the bar and say why, in {BARS.name}")
    return not failed


def turns_for(
    longest_s: float, contenders: Sequence[Contender], kind: Kind, *, cost: Cost | None = None
) -> Iterator[Turn]:
    """At most `MOST_TURNS`; none but the first few begin after `longest_s`.  The loop's instructions count once."""
    began_at = time.monotonic()
    turn: Turn = {}
    for count in range(MOST_TURNS[kind]):
        if count >= FEWEST_TURNS and time.monotonic() - began_at > longest_s:
            return
        names = (OURS,) if count and kind == "instructions" else (OURS, LOOP)
        turn = {**turn, **take_turn(dict(zip(names, contenders, strict=False)), kind, cost or cost_of)}
        yield turn


def take_turn(contenders: Mapping[str, Contender], kind: Kind, cost: Cost) -> Turn:
    """One run of one pair and one of many by each contender."""
    turn: dict[str, float] = {}
    for who, contender in contenders.items():
        turn[f"{who}, start"] = cost(contender, 1, kind)
        turn[who] = cost(contender, contender.pairs, kind)
    return turn


def cost_of(contender: Contender, pairs: int, kind: Kind) -> float:
    """Instructions, or seconds of CPU, of one run.  Raises `BenchmarkFailed`."""
    if kind == "cpu":
        return float(run_once(contender, pairs)["cpu_s"])
    return float(run_once(contender, pairs, counting=counters.by_valgrind)["instructions"]) * pairs


def ratios_of(turns: Sequence[Turn], sizes: Sizes) -> dict[str, float]:
    """The figures that bars are about: of each cost the least."""

    def least(who: str) -> float:
        return min(turn[who] for turn in turns)

    def a_pair(who: str) -> float:
        return (least(who) - least(f"{who}, start")) / (sizes[who] - 1)

    return {"pair": a_pair(OURS) / a_pair(LOOP), "start": least(f"{OURS}, start") / least(f"{LOOP}, start")}


def broken(bars: Sequence[Bar], found: Mapping[str, float]) -> list[Bar]:
    return [bar for bar in bars if found.get(bar.name, 0.0) > bar.most]
