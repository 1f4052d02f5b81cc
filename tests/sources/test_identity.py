"""A source that changes while it is read: no row that is in no version of it, and an error as soon as it shows.

The moments are drawn from a seed; the change is made between two reads, while the thread reads ahead.
"""

from __future__ import annotations

import gzip
import os
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from itertools import count
from pathlib import Path

import pytest

from bulkwriter.errors import SourceError
from bulkwriter.sources.columns import Columns
from bulkwriter.sources.files import FileStream, make_reader
from bulkwriter.sources.identity import SETTLE_S, FileIdentity, SourceChanged, Watch
from bulkwriter.sources.threaded import ThreadSource

from .test_sources import HEAD
from .test_threaded import join_threads

Pair = tuple[int, int]
ROWS = 20_000
OLD: list[Pair] = [(1_000_000 + i, 500_000 + 7 * i) for i in range(ROWS)]
NEW: list[Pair] = [(3_000_000 + i, 900_000 + 7 * i) for i in range(ROWS)]
GROWN: list[Pair] = [*OLD, *NEW[: ROWS // 2]]
PAST_S = 1_700_000_000


def as_csv(pairs: list[Pair]) -> bytes:
    return HEAD + b"".join(b"%d,%d\n" % pair for pair in pairs)


def as_jsonl(pairs: list[Pair]) -> bytes:
    return b"".join(b'{"CourseLessonId":%d,"CourseMemberId":%d}\n' % pair for pair in pairs)


def as_gzip(pairs: list[Pair]) -> bytes:
    return gzip.compress(as_csv(pairs), compresslevel=1, mtime=0)


FORMS: dict[str, Callable[[list[Pair]], bytes]] = {
    "a.csv": as_csv,
    "a.tsv": lambda pairs: as_csv(pairs).replace(b",", b"\t"),
    "a.jsonl": as_jsonl,
    "a.csv.gz": as_gzip,
}
OF: dict[tuple[str, str], bytes] = {
    (name, version): form(pairs)
    for name, form in FORMS.items()
    for version, pairs in (("old", OLD), ("new", NEW), ("grown", GROWN))
}


def truncate(path: Path, name: str, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(len(OF[name, "old"])))


def rewrite(path: Path, name: str, rng: random.Random) -> None:
    """As a re-export does: emptied, then written in pieces."""
    data = OF[name, "new"]
    with path.open("wb", buffering=0) as file:
        cut = rng.randrange(len(data))
        file.write(data[:cut])
        time.sleep(rng.choice((0, 0.001)))
        file.write(data[cut:])


def overwrite(path: Path, name: str, rng: random.Random) -> None:
    """The second part alone, in place; the size stays (but for gzip's)."""
    data = OF[name, "new"]
    with path.open("r+b", buffering=0) as file:
        at = rng.randrange(len(data) // 2)
        file.seek(at)
        file.write(data[at:])


def append(path: Path, name: str, rng: random.Random) -> None:
    """A part of what is to come; the cut may be within a row."""
    data = OF[name, "grown"][len(OF[name, "old"]) :]
    with path.open("ab", buffering=0) as file:
        file.write(data[: rng.randrange(1, len(data))])


def replace(path: Path, name: str, rng: random.Random) -> None:
    other = path.with_name("other")
    other.write_bytes(OF[name, "new"])
    os.utime(other, (PAST_S, PAST_S))
    other.replace(path)


def remove(path: Path, name: str, rng: random.Random) -> None:
    path.unlink()


CHANGES = (truncate, rewrite, overwrite, append, replace, remove)


def source_of(path: Path, *, confirm_s: float = 0.0) -> ThreadSource:
    """As `open_source` makes it, but for how often it looks."""
    stream = FileStream(str(path), str(path))
    return ThreadSource(
        make_reader(stream, str(path), columns=Columns(), line_bytes=65_536), str(path), confirm_s=confirm_s
    )


async def read_while_it_changes(path: Path, name: str, change: Callable[..., None], rng: random.Random) -> None:
    path.write_bytes(OF[name, "old"])
    os.utime(path, (PAST_S, PAST_S))  # so that a write of the same size shows, however coarse the system's clock is
    found: list[Pair | None] = []
    change_at = rng.randrange(ROWS - 2_000)
    rows = rng.choice((1_000, 300, 1_700))
    async with aclosing(source_of(path)) as source:
        while len(found) <= change_at:
            batch = await source.read(rows)
            assert batch is not None
            assert not batch.bad
            found += batch.pairs
        change(path, name, rng)
        for _ in range(2):
            with pytest.raises(SourceChanged, match="while it was read") as caught:
                await source.read(rows)
            assert caught.value.exit_code == 6
            assert "what was sent is kept" in caught.value.hint
    assert found == OLD[: len(found)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
async def test_no_row_is_believed_of_a_file_that_changed(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    name = rng.choice(list(FORMS))
    await read_while_it_changes(tmp_path / name, name, CHANGES[seed % len(CHANGES)], rng)
    join_threads()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_each_change_is_told(tmp_path: Path, change: Callable[..., None]) -> None:
    await read_while_it_changes(tmp_path / "a.csv", "a.csv", change, random.Random(7))
    join_threads()


async def test_rows_read_ahead_are_not_handed_out_once_the_file_has_changed(tmp_path: Path) -> None:
    """The whole of a small file is in memory at once; behind a quota it may wait there for days."""
    path = tmp_path / "a.csv"
    path.write_bytes(as_csv(OLD[:100]))
    source = source_of(path, confirm_s=0.05)
    assert await source.read(10)
    path.write_bytes(as_csv(NEW[:200]))
    time.sleep(0.06)
    for _ in range(2):
        with pytest.raises(SourceChanged, match=r"a\.csv grew from 1,530 to 3,030 bytes while it was read"):
            await source.read(10)
    await source.aclose()
    join_threads()


async def test_a_file_read_to_its_end_may_change(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(as_csv(OLD[:10]))
    source = source_of(path)
    assert await source.read(10)
    assert await source.read(10) is None
    path.unlink()
    assert await source.read(10) is None
    await source.aclose()
    join_threads()


A = FileIdentity(1, 2, 300, 5)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (A, ""),
        (FileIdentity(1, 3, 300, 5), "was replaced by another file"),
        (FileIdentity(2, 2, 300, 5), "was replaced by another file"),
        (FileIdentity(1, 2, 4_000, 6), "grew from 300 to 4,000 bytes"),
        (FileIdentity(1, 2, 0, 6), "shrank from 300 to 0 bytes"),
        (FileIdentity(1, 2, 300, 6), "was written to"),
    ],
)
def test_what_happened_is_said(now: FileIdentity, words: str) -> None:
    assert A.change_to(now) == words


class FakeTime:
    """A wall clock that `sleep` moves; while it does, `meanwhile` happens."""

    def __init__(self, wall_s: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.wall_s = wall_s
        self.slept_s = 0.0
        self._meanwhile = meanwhile

    def wall(self) -> float:
        return self.wall_s

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self._meanwhile()


@pytest.mark.parametrize(
    ("age_s", "slept_s"),
    [(0.0, SETTLE_S), (0.5, SETTLE_S - 0.5), (SETTLE_S, 0.0), (1e6, 0.0), (-3_600.0, SETTLE_S)],
)
def test_a_torn_line_is_believed_when_the_file_has_been_quiet(tmp_path: Path, age_s: float, slept_s: float) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"11,4")
    os.utime(path, (PAST_S, PAST_S))
    with path.open("rb") as file:
        time_ = FakeTime(PAST_S + age_s)
        Watch(file.fileno(), str(path), "a.csv", wall=time_.wall, sleep=time_.sleep).check(is_torn=True)
        assert time_.slept_s == pytest.approx(slept_s)
        time_ = FakeTime(PAST_S + age_s, lambda: path.write_bytes(b"11,42\n"))
        Watch(file.fileno(), str(path), "a.csv", wall=time_.wall, sleep=time_.sleep).check(is_torn=False)
        assert time_.slept_s == 0.0


async def test_the_first_half_of_a_row_that_is_being_copied_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    whole = as_csv(OLD[:3])
    for cut in count(len(whole) - 6):
        if cut >= len(whole):
            break
        path.write_bytes(whole[:cut])
        stream = FileStream(str(path), "a.csv", sleep=lambda _: path.write_bytes(whole))
        reader = make_reader(stream, "a.csv", columns=Columns(), line_bytes=64)
        batch = reader.read()
        assert batch is not None
        assert batch.pairs == OLD[:2]
        with pytest.raises(SourceError, match="grew from"):
            reader.read()
        reader.close()


async def test_a_relative_path_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(as_csv(OLD[:10]))
    monkeypatch.chdir(tmp_path)
    source = source_of(Path("a.csv"))
    assert await source.read(1)
    monkeypatch.chdir("/")
    assert await source.read(100)
    assert await source.read(100) is None
    await source.aclose()
    join_threads()
