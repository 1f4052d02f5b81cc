"""The command line of the benchmarks: run them, compare two results, draw one, or hold the gate.

    python -m benchmarks [NAME ...] [--rounds N] [--pairs N] [--long] [--axis NAME] [--folder DIR] [--seed N]
                                   [--results DIR]
    python -m benchmarks compare A B [--most-worse RATIO]
    python -m benchmarks plot [RESULT.json] [--output FILE.svg]
    python -m benchmarks gate

A benchmark is a module here with `measure(plan: Plan) -> Findings`; its name in `BENCHMARKS` makes it a part of "all",
and its result is shown and saved here.  `compare` takes two results, or two folders with the newest result of each
benchmark.  Exit codes: 0, 1 where a benchmark failed, the gate is broken or a comparison is too bad, 2 usage.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from . import plot, record
from .children import BenchmarkFailed, Cores
from .turns import Plan

BENCHMARKS = (
    "peers",
    "parts",
    "scale",
    "resume",
    "startup",
    "workbooks",
    "singles",
    "quota",
    "machines",
    "resolve",
    "control",
    "ceiling",
    "real",
)
MODULES = {"control": "control.matrix"}


def main(argv: Sequence[str]) -> int:
    given = parser().parse_args(argv)
    try:
        match given.words:
            case ["compare", a, b]:
                return compare(Path(a), Path(b), given.most_worse)
            case ["plot", *which] if len(which) < 2:
                print(plot.draw(Path(which[0]) if which else None, given.output))
            case ["gate"]:
                return gate(given)
            case names if set(names) <= set(BENCHMARKS):
                measure(names or BENCHMARKS, given)
            case words:
                print(f"benchmarks: what is {' '.join(words)!r}?  See --help.", file=sys.stderr)
                return 2
    except (BenchmarkFailed, record.NotComparable, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help=f"{', '.join(BENCHMARKS)}; compare, plot, gate")
    parser.add_argument("--rounds", type=int, default=6, help="turns of each contender; seeds of control [6]")
    parser.add_argument("--pairs", type=int, help="pairs instead of a benchmark's own number")
    parser.add_argument("--long", action="store_true", help="10^7 pairs and rows too")
    parser.add_argument("--axis", action="append", default=[], help="of scale, one of its axes; may be repeated [all]")
    parser.add_argument("--seed", type=int, default=1, help="of the pairs [1]")
    parser.add_argument(
        "--folder", type=Path, help="where journals and sources go; its disk is measured too [a new one]"
    )
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="where results go [benchmarks/results]")
    parser.add_argument(
        "--most-worse",
        type=float,
        metavar="RATIO",
        help="of compare: exit 1 if a figure of B is worse by more [no bound]",
    )
    parser.add_argument("--output", type=Path, help="of plot [beside the result]")
    return parser


def compare(a: Path, b: Path, most_worse: float | None) -> int:
    """Show two results, or the newest ones of two folders, side by side; 1 where a figure is too much worse."""
    worse = []
    for one, other in record.to_compare(a, b):
        print(record.compared(one, other), end="\n\n")
        worse += record.worse_than(one, other, most_worse) if most_worse else []
    for line in worse:
        print(f"benchmarks: worse: {line}", file=sys.stderr)
    return 1 if worse else 0


def measure(names: Sequence[str], given: argparse.Namespace) -> None:
    for name in names:
        module = importlib.import_module(f".{MODULES.get(name, name)}", __package__)
        plan = plan_of(given)
        try:
            made = record.where_and_when(plan)
            print(
                f"{name}: in {plan.folder} on {made['journal_on'] or 'a disk'}, load {made['load_before']}", flush=True
            )
            result = record.result_of(name, plan, module.measure(plan), made)
        finally:
            shutil.rmtree(plan.folder, ignore_errors=True)
        path = record.save(result, given.results)
        print(f"\n{record.shown(result)}\n-> {path}\n", flush=True)


def gate(given: argparse.Namespace) -> int:
    module: ModuleType = importlib.import_module(".gate", __package__)
    plan = plan_of(given)
    try:
        passed: bool = module.hold(plan)
    finally:
        shutil.rmtree(plan.folder, ignore_errors=True)
    return 0 if passed else 1


def plan_of(given: argparse.Namespace) -> Plan:
    """What was asked for, with an empty folder of its own."""
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
    return Plan(
        folder=Path(tempfile.mkdtemp(prefix="bulkwriter-bench-", dir=given.folder)),
        cores=Cores.of_this_machine(),
        rounds=given.rounds,
        pairs=given.pairs,
        seed=given.seed,
        is_long=given.long,
        axes=tuple(given.axis),
        say=lambda text: print(text, flush=True),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
