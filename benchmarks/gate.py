"""CI's short benchmark: has bulkwriter become dearer, measured against the ClientSession loop of the same run?

Both write to the stub, which is there on every machine; only CPU counts, not rates.  A turn is a run of one pair and a
run of many by each; what a pair costs is the difference, so that imports do not hide the hot path.  Ratios of medians
are held against `bars.toml`.

A busy neighbour can spoil a few turns but hardly all: after `FEWEST_TURNS` the gate passes as soon as every bar holds,
and fails only when one is still broken after `MOST_TURNS`, or after `LONGEST_S`: three turns take about 25 s on a quiet
machine.  Instructions are told where they can be counted.
"""

from __future__ import annotations

import statistics
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
LONGEST_S = 60.0
"""No further turn begins later, so that on a busy machine too the gate takes hardly more than 90 s."""
OURS, LOOP = "bulkwriter", "ClientSession loop"


Turn = Mapping[str, Row]
"""A run of one pair and one of many by each contender, by name."""


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
    with stub(plan.folder, plan.cores) as server:
        source = write_pairs(plan.folder / "gate.csv", clustered(PAIRS, plan.seed))
        loop = next(client for client in CLIENTS if client.module == "aiohttp_loop")
        contenders = (
            bulkwriter_run(OURS, server, source, plan.pairs or PAIRS, cores=plan.cores.client),
            client_run(loop, server, source, plan.pairs or LOOP_PAIRS, cores=plan.cores.client),
        )
        for contender in contenders:
            run_once(contender, min(WARM_PAIRS, contender.pairs))
        return judge(read_bars(), turns_for(LONGEST_S, contenders), say=plan.say)


def judge(bars: Sequence[Bar], turns: Iterable[Turn], *, say: Callable[[str], None]) -> bool:
    """Whether every bar holds, by as many of the turns as it takes to say so."""
    taken: list[Turn] = []
    found: dict[str, float] = {}
    for turn in turns:
        taken.append(turn)
        found = ratios_of(taken)
        say(f"  turn {len(taken)}: {', '.join(f'{name} {value:.3f}' for name, value in found.items())}")
        if len(taken) >= FEWEST_TURNS and not broken(bars, found):
            break
    failed = broken(bars, found)
    for bar in bars:
        verdict = "broken" if bar in failed else "holds"
        say(f"{verdict}: {bar.name} {found[bar.name]:.3f}, at most {bar.most:g} ({bar.meaning})")
    if failed:
        say(f"either make it cheaper again, or move the bar and say why, in {BARS.name}")
    return not failed


def turns_for(longest_s: float, contenders: Sequence[Contender]) -> Iterator[Turn]:
    """At most `MOST_TURNS`; none but the first few begins after `longest_s`."""
    began_at = time.monotonic()
    for count in range(MOST_TURNS):
        if count >= FEWEST_TURNS and time.monotonic() - began_at > longest_s:
            return
        yield take_turn(contenders)


def take_turn(contenders: Sequence[Contender]) -> Turn:
    """One run of one pair and one of many by each contender."""
    turn: dict[str, Row] = {}
    for who, contender in zip((OURS, LOOP), contenders, strict=True):
        turn[f"{who}, start"] = run_once(contender, 1)
        turn[who] = run_once(contender, contender.pairs)
    return turn


def ratios_of(turns: Sequence[Turn]) -> dict[str, float]:
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
