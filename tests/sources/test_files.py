"""Files, pipes and standard input: what paths mean, what fails and how it is told, and that nothing ever hangs."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bulkwriter.errors import SourceError, UsageError
from bulkwriter.sources import Source, open_source
from bulkwriter.sources.files import unreadable

from .test_sources import HEAD


def gzipped(data: bytes) -> bytes:
    """Without the time in it: test names hold these bytes, and must be the same in every process."""
    return gzip.compress(data, mtime=0)


GOOD = HEAD + b"1,2\n3,4\n"
JSON = b'{"CourseLessonId": 1, "CourseMemberId": 2}\n{"CourseLessonId": 3, "CourseMemberId": 4}\n'
BIG = HEAD + b"".join(b"%d,%d\n" % (i, i + 1) for i in range(1, 30_001))


async def pairs_of(source: Source, max_rows: int = 1_000) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    reached: float | None = 0.0
    try:
        while (batch := await source.read(max_rows)) is not None:
            assert 0 < len(batch.pairs) <= max_rows
            found += batch.pairs
            fraction = source.fraction()
            assert fraction is None or (reached is not None and reached <= fraction <= 1)
            reached = fraction
        assert await source.read(max_rows) is None
    finally:
        await source.aclose()
    return found


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", GOOD),
        ("a.CSV", GOOD),
        ("a.tsv", GOOD.replace(b",", b"\t")),
        ("a.jsonl", JSON),
        ("a.ndjson", JSON),
        ("a.csv.gz", gzipped(GOOD)),
        ("a.TSV.GZ", gzipped(GOOD[:40]) + gzipped(GOOD[40:]) + b"\0" * 10),  # two members and padding
        ("a.ndjson.gz", gzipped(JSON)),
    ],
)
async def test_the_suffix_tells_the_format(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    source = open_source(str(path))
    assert source.name == str(path)
    assert await pairs_of(source) == [(1, 2), (3, 4)]
    assert source.fraction() == 1.0


@pytest.mark.parametrize("max_rows", [1, 777, 100_000])
async def test_batches_are_no_larger_than_asked_and_complete(tmp_path: Path, max_rows: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(BIG if max_rows > 1 else BIG[:2_000].rpartition(b"\n")[0])
    os.utime(path, (0, 0))  # an old file's last line is believed at once
    found = await pairs_of(open_source(str(path)), max_rows)
    assert found == [(i, i + 1) for i in range(1, len(found) + 1)]
    assert len(found) == (30_000 if max_rows > 1 else path.read_bytes().count(b"\n"))


READ_AHEAD = 131_072
"""What Python 3.12 and later read of a compressed file at a time."""


async def test_the_fraction_is_that_of_the_rows_delivered(tmp_path: Path) -> None:
    for path, data in ((tmp_path / "a.csv", BIG), (tmp_path / "a.csv.gz", gzipped(BIG))):
        path.write_bytes(data)
        source = open_source(str(path))
        delivered = 0
        while (batch := await source.read(3_000)) is not None:
            delivered += len(batch.pairs)
            fraction = source.fraction()
            assert fraction is not None
            ahead = READ_AHEAD / len(data) if path.suffix == ".gz" else 0.0
            share = delivered / 30_000  # of the rows; early ones are short
            assert 0.7 * share <= fraction <= min(1.0, 1.6 * share + ahead)
        assert delivered == 30_000
        await source.aclose()


async def test_named_columns_and_their_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"who,what\n2,1\n")
    assert await pairs_of(open_source(path, lesson_column="What", member_column="WHO")) == [(1, 2)]
    with pytest.raises(SourceError, match="no column CourseLessonId; found: who, what"):
        await pairs_of(open_source(str(path), member_column="who"))
    with pytest.raises(UsageError):
        open_source(str(path), lesson_column="who", member_column="WHO")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("none.csv", None, "there is no such file"),
        ("folder.csv", b"", "is a directory"),
        ("a.txt", GOOD, "the name does not tell the format"),
        ("a", GOOD, "the name does not tell the format"),
        ("a.csv.gz", GOOD, "is not compressed (gzip), although its name ends with .gz"),
        ("b.csv.gz", gzipped(BIG)[:20_000], "damaged or cut short"),
        ("c.csv.gz", gzipped(BIG)[:-9] + b"\xff" * 9, "damaged or cut short"),
        ("d.csv.gz", gzipped(BIG)[:5_000] + b"\xff" * 5_000, "damaged or cut short"),
        ("e.csv.gz", gzipped(GOOD) + b"rubbish", "damaged or cut short"),
        ("f.csv.gz", b"", "is empty"),
        ("g.csv", gzipped(GOOD), "compressed (gzip)"),
    ],
)
async def test_what_cannot_be_read_is_a_source_error(tmp_path: Path, name: str, data: bytes | None, words: str) -> None:
    path = tmp_path / name
    if name.startswith("folder"):
        path.mkdir()
    elif data is not None:
        path.write_bytes(data)
    source = open_source(str(path))
    with pytest.raises(SourceError) as caught:
        await pairs_of(source)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


async def test_rows_before_the_cut_of_a_gzip_file_are_delivered(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzipped(BIG)[:30_000])
    source = open_source(str(path))
    found: list[tuple[int, int] | None] = []
    with suppress(SourceError):
        while batch := await source.read(1_000):
            found += batch.pairs
    for _ in range(2):
        with pytest.raises(SourceError, match="damaged or cut short"):
            await source.read(1)
    assert len(found) > 5_000
    assert found == [(i, i + 1) for i in range(1, len(found) + 1)]
    await source.aclose()


def test_other_failures_of_the_system_are_translated() -> None:
    error = unreadable("a.csv", OSError(errno.EIO, os.strerror(errno.EIO)))
    assert "a.csv cannot be read: Input/output error" in str(error)
    error = unreadable("a.csv", PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    assert "a.csv may not be read by this user" in str(error)


async def test_a_pipe_is_read_as_it_comes_and_has_no_fraction(tmp_path: Path) -> None:
    path = tmp_path / "pipe"  # without a suffix: told by its first byte
    os.mkfifo(path)
    source = open_source(str(path))
    first = asyncio.create_task(source.read(1_000))
    await asyncio.sleep(0)
    with path.open("wb", buffering=0) as writer:  # opens because the thread opens the other end
        writer.write(GOOD)
        batch = await first
        assert batch is not None
        assert batch.pairs == [(1, 2), (3, 4)]
        assert source.fraction() is None
        writer.write(b"5,6\n7,")
        batch = await source.read(1_000)
        assert batch is not None
        assert batch.pairs == [(5, 6)]
    for _ in range(2):
        with pytest.raises(SourceError, match="ended within a line") as error:
            await source.read(1_000)
        assert "echo" in error.value.hint.typed
    await source.aclose()


async def test_a_closed_object_at_the_end_of_a_pipe_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = open_source(str(path))
    first = asyncio.create_task(source.read(1_000))
    await asyncio.sleep(0)
    with path.open("wb", buffering=0) as writer:
        writer.write(b'{"CourseLessonId": 3, "CourseMemberId": 20}')
    batch = await first
    assert batch is not None
    assert batch.pairs == [(3, 20)]
    assert not batch.bad
    assert await source.read(1_000) is None
    await source.aclose()


SCRIPT = """
import asyncio, sys
from bulkwriter.sources import open_source
async def main():
    source = open_source("-")
    try:
        while (batch := await asyncio.wait_for(source.read(1000), float(sys.argv[1]))) is not None:
            print(batch.pairs, source.fraction())
    except TimeoutError:
        print("gave up")
    await source.aclose()
asyncio.run(main())
"""


@pytest.mark.slow
def test_a_process_ends_although_standard_input_hangs() -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, "0.3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        process.stdin.write(JSON)
        process.stdin.flush()
        assert process.wait(180) == 0  # our end of the pipe is still open
        assert process.stdout.read() == b"[(1, 2), (3, 4)] None\ngave up\n"
        assert process.stderr.read() == b""
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


@pytest.mark.slow
def test_standard_input_may_be_a_file_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "whatever"
    path.write_bytes(GOOD)
    with path.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "9"], stdin=stdin, capture_output=True, timeout=180, check=True
        )
    assert done.stdout == b"[(1, 2), (3, 4)] 1.0\n"
    command = ["sh", "-c", 'exec "$0" -c "$1" 9 <&-', sys.executable, SCRIPT]
    done = subprocess.run(command, capture_output=True, timeout=180, check=False)
    assert b"standard input cannot be read: Bad file descriptor" in done.stderr


@pytest.mark.slow
def test_standard_input_may_be_non_blocking() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with (
        subprocess.Popen([sys.executable, "-c", SCRIPT, "9"], stdin=reading, stdout=subprocess.PIPE) as process,
        os.fdopen(writing, "wb") as writer,
    ):
        os.close(reading)
        time.sleep(0.3)  # so that it finds nothing at first
        writer.write(GOOD)
        writer.close()
        assert process.stdout is not None
        assert process.stdout.read() == b"[(1, 2), (3, 4)] None\n"


def test_how_much_of_a_file_was_read_is_told_by_its_lines(tmp_path: Path) -> None:
    """Ids grow longer on the way: by bytes the first hundred of these rows were a hundred of 25,000."""
    path = tmp_path / "pairs.csv"
    rows = "".join(f"{n},{n}\n" for n in range(1, 20_001))
    path.write_text("CourseLessonId,CourseMemberId\n" + rows, encoding="ascii")

    async def estimates() -> list[float]:
        source, read, told = open_source(path), 0, []
        while batch := await source.read(100):
            read += len(batch.pairs)
            told.append(read / (source.fraction() or 1.0))
        await source.aclose()
        return told

    told = asyncio.run(estimates())
    assert len(told) >= 200
    assert told == [pytest.approx(20_000, rel=0.001)] * len(told)
