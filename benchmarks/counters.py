"""Counts a child's instructions with `perf stat`, where the machine has a counter and lets us read it.

Instructions hardly depend on neighbours, so they show a change of one per cent where CPU time shows ten.  Many virtual
machines have no counter: then nothing is counted, nothing stands in front of the command, and no result names them.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

EVENT = "instructions:u"


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
