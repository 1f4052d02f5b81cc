"""Counts a child's instructions: with `perf stat`, where the machine has a counter and lets us read it, or by valgrind.

Instructions hardly depend on neighbours, so they show a change of one per cent where CPU time shows ten.  Many virtual
machines have no counter: then nothing is counted, nothing stands in front of the command, and no result names them.
valgrind counts everywhere, at some 25 times the time, and so only where it is asked for: cachegrind without its caches.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

EVENT = "instructions:u"
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
REFS = re.compile(r"\bI\s+refs:\s+([\d,]+)")


@dataclass(slots=True)
class Counter:
    """`prefix` goes in front of the command; `instructions` is there when the command has ended, or None."""

    prefix: tuple[str, ...] = ()
    instructions: float | None = None


@contextlib.contextmanager
def counting() -> Iterator[Counter]:
    """Count what a command started inside with the prefix executes."""
    if not has_counter():
        yield Counter()
        return
    with tempfile.TemporaryDirectory(prefix="bulkwriter-perf-") as folder:
        told = Path(folder, "perf.csv")
        counter = Counter(("perf", "stat", "-x", ",", "-e", EVENT, "-o", str(told), "--"))
        yield counter
        counter.instructions = instructions_in(told.read_text(encoding="utf-8")) if told.exists() else None


@contextlib.contextmanager
def by_valgrind() -> Iterator[Counter]:
    """Count what a command started inside with the prefix executes, in all its threads, but not in its children."""
    with tempfile.TemporaryDirectory(prefix="bulkwriter-valgrind-") as folder:
        told = Path(folder, "valgrind.log")
        counter = Counter((*VALGRIND, f"--log-file={told}", "--"))
        yield counter
        counter.instructions = refs_in(told.read_text(encoding="utf-8", errors="replace")) if told.exists() else None


@cache
def has_valgrind() -> bool:
    """Whether valgrind is here and can run this very interpreter."""
    if shutil.which(VALGRIND[0]) is None:
        return False
    argv = (*VALGRIND, "--", sys.executable, "-c", "")
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    return ended.returncode == 0 and refs_in(ended.stderr) is not None


def refs_in(told: str) -> float | None:
    """The count in what cachegrind said."""
    found = REFS.search(told)
    return float(found[1].replace(",", "")) if found else None


@cache
def has_counter() -> bool:
    if shutil.which("perf") is None:
        return False
    argv = ("perf", "stat", "-x", ",", "-e", EVENT, "--", "true")
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    return ended.returncode == 0 and instructions_in(ended.stderr) is not None


def instructions_in(told: str) -> float | None:
    """The count in what `perf stat -x,` wrote, or None where it says that it could not count."""
    for line in told.splitlines():
        value, _, rest = line.partition(",")
        if EVENT in rest:
            return float(value) if value.replace(".", "", 1).isdigit() else None
    return None
