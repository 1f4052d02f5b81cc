"""The pairs that benchmarks write, as files in every format that `run` reads.

Clustered ids are what an installation has: lessons of one course next to each other, members of one enrolment next to
each other; every lesson's block of members is written in turn.  Scattered ids are drawn from 31 bits, the worst for
dedupe.  Both are without doubles, follow from the seed alone, and are streamed: 10^7 pairs take no memory.
"""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

MEMBERS = 5_000
"""Members that complete one lesson, in clustered pairs."""
HEADER = "CourseLessonId{}CourseMemberId\n"
FORMATS = (".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz")


def clustered(count: int, seed: int) -> Iterator[tuple[int, int]]:
    rng = random.Random(f"{seed}:clustered")
    lesson, member = rng.randrange(10_000, 90_000), rng.randrange(1_000_000, 9_000_000)
    for i in range(count):
        yield lesson + i // MEMBERS, member + i % MEMBERS


def scattered(count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Pairs all over 31 bits: member ids step through them by an odd stride, so that none comes twice."""
    rng = random.Random(f"{seed}:scattered")
    stride, at = rng.randrange(2**29, 2**30) * 2 + 1, rng.randrange(2**31)
    for _ in range(count):
        at = (at + stride) % 2**31
        yield rng.randrange(1, 2**31), at + 1


def write_pairs(path: Path, pairs: Iterable[tuple[int, int]]) -> Path:
    """Write pairs to `path` in the format that its name tells, unless it is there already; returns `path`."""
    if path.exists():
        return path
    form = path.name.removesuffix(".gz").rpartition(".")[2]
    with opened(path) as file:
        if form == "jsonl":
            file.writelines(f'{{"CourseLessonId":{a},"CourseMemberId":{b}}}\n' for a, b in pairs)
        else:
            mark = "\t" if form == "tsv" else ","
            file.write(HEADER.format(mark))
            file.writelines(f"{a}{mark}{b}\n" for a, b in pairs)
    return path


def opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(cast(IO[bytes], gzip.open(path, "wb", compresslevel=6)), encoding="ascii")
    return path.open("w", encoding="ascii")


def read_csv(path: Path, count: int) -> list[tuple[int, int]]:
    """The first `count` pairs of a CSV as the peers read it: all at once, with as little code as that takes."""
    with path.open(encoding="ascii") as file:
        next(file)
        rows = (line.split(",") for line, _ in zip(file, range(count), strict=False))
        return [(int(a), int(b)) for a, b in rows]
