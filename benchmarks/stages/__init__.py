"""Single stages of a pair's way, each alone in a process of its own: `python -m benchmarks.stages NAME CSV PAIRS URL`.

A stage is a function that takes `Work`, gets ready, and returns the steps to be timed; the process reports their CPU a
pair, of all its threads, as `stage_us`.  Replies, pairs and lanes are made beforehand, so that only the stage is timed.
The sum of the stages is less than a whole run: what is between them (the event loop, the garbage collector, caches that
stages take from each other) shows only there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Steps = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage is given: pairs, the same as a CSV, a folder to write in, and a server's address."""

    pairs: list[tuple[int, int]]
    source: Path
    folder: Path
    url: str

    def chunks(self, rows: int) -> list[list[tuple[int, int]]]:
        return [self.pairs[i : i + rows] for i in range(0, len(self.pairs), rows)]


Stage = Callable[[Work], Steps]
