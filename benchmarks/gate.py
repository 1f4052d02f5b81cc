"""CI's short benchmark: has bulkwriter become dearer, measured against the ClientSession loop of the same run?

Both write to the stub, which is there on every machine; only CPU counts, not rates.  A turn is a run of one pair and a
run of many by each; what a pair costs is the difference, so that imports do not hide the hot path.  Ratios of medians
are held against `bars.toml`.

A busy neighbour can spoil a few turns but hardly all: after `FEWEST_TURNS` the gate passes as soon as every bar holds,
and fails only when one is still broken after `MOST_TURNS`, about 60 s on a quiet machine.  Instructions are told where
they can be counted.
"""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .clients import CLIENTS
from .commands import bulkwriter_run, client_run
from .figures import Row
from .inputs import clustered, write_pairs
from .servers import stub
from .turns import Contender, Plan, run_once

BARS = Path(__file__).parent / "bars.toml"
PAIRS = 50_000
LOOP_PAIRS = 20_000
WARM_PAIRS = 2_000
FEWEST_TURNS, MOST_TURNS = 3, 7
OURS, LOOP = "bulkwriter", "ClientSession loop"


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio that must not be above `most`."""

    name: str
    meaning: str
    most: float


def read_bars(path: Path = BARS) -> list[Bar]:
    """The bars in force."""
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Bar(bar["name"], bar["meaning"], float(bar["history"][-1]["most"])) for bar in told["bar"]]


def hold(plan: Plan) -> bool:
    """Measure until every bar holds or there were turns enough; whether they hold.  Raises `BenchmarkFailed`."""
    bars, found = read_bars(), dict[str, float]()
    with stub(plan.folder, plan.cores) as server:
        source = write_pairs(plan.folder / "gate.csv", clustered(PAIRS, plan.seed))
        loop = next(client for client in CLIENTS if client.module == "aiohttp_loop")
        contenders = (
            bulkwriter_run(OURS, server, source, plan.pairs or PAIRS, cores=plan.cores.client),
            client_run(loop, server, source, plan.pairs or LOOP_PAIRS, cores=plan.cores.client),
        )
        for contender in contenders:
            run_once(contender, min(WARM_PAIRS, contender.pairs))
        turns: list[dict[str, Row]] = []
        while len(turns) < MOST_TURNS:
            turns.append(take_turn(contenders))
            found = ratios_of(turns)
            plan.say(f"  turn {len(turns)}: {', '.join(f'{name} {value:.3f}' for name, value in found.items())}")
            if len(turns) >= FEWEST_TURNS and not broken(bars, found):
                break
    for bar in bars:
        verdict = "broken" if bar in broken(bars, found) else "holds"
        plan.say(f"{verdict}: {bar.name} {found[bar.name]:.3f}, at most {bar.most:g} ({bar.meaning})")
    if broken(bars, found):
        plan.say(f"either make it cheaper again, or move the bar and say why, in {BARS.name}")
    return not broken(bars, found)


def take_turn(contenders: Sequence[Contender]) -> dict[str, Row]:
    """One run of one pair and one of many by each contender."""
    turn = {}
    for who, contender in zip((OURS, LOOP), contenders, strict=True):
        turn[f"{who}, start"] = run_once(contender, 1)
        turn[who] = run_once(contender, contender.pairs)
    return turn


def ratios_of(turns: Sequence[Mapping[str, Row]]) -> dict[str, float]:
    """The figures that bars are about, and "instructions" where they were counted."""

    def median(who: str, key: str) -> float:
        return statistics.median(float(turn[who][key]) for turn in turns)

    def a_pair(who: str) -> float:
        return (median(who, "cpu_s") - median(f"{who}, start", "cpu_s")) / (median(who, "pairs") - 1)

    found = {
        "pair": a_pair(OURS) / a_pair(LOOP),
        "start": median(f"{OURS}, start", "cpu_s") / median(f"{LOOP}, start", "cpu_s"),
    }
    if all("instructions" in run for turn in turns for run in turn.values()):
        found["instructions"] = median(OURS, "instructions") / median(LOOP, "instructions")
    return found


def broken(bars: Sequence[Bar], found: Mapping[str, float]) -> list[Bar]:
    return [bar for bar in bars if found.get(bar.name, 0.0) > bar.most]
