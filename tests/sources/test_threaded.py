"""The reading thread: closing and cancelling never wait for it, lose nothing, and it is never far ahead."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from bulkwriter.errors import SourceError
from bulkwriter.model import Batch
from bulkwriter.sources import open_source
from bulkwriter.sources.threaded import BATCHES_AHEAD, ThreadSource


async def test_closing_and_cancelling_do_not_wait_for_a_read_that_hangs(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    source = open_source(str(path))
    before = time.monotonic()
    with pytest.raises(TimeoutError):  # hangs in open(2): nobody writes
        await asyncio.wait_for(source.read(10), 0.01)
    waiting = asyncio.create_task(source.read(10))
    await asyncio.sleep(0)
    await source.aclose()
    await source.aclose()
    with pytest.raises(SourceError, match="was closed"):
        await waiting
    with pytest.raises(SourceError, match="was closed"):
        await source.read(10)
    assert time.monotonic() - before < 5
    os.close(os.open(path, os.O_WRONLY))  # lets the thread go, so that the test leaves none behind
    join_threads()


class SteppedReader:
    """A blocking reader that gives one row whenever the test lets it, and counts."""

    def __init__(self) -> None:
        self.may_read = threading.Semaphore(0)
        self.reads = 0
        self.is_closed = threading.Event()

    def read(self) -> Batch | None:
        self.may_read.acquire()
        self.reads += 1
        return Batch([(self.reads, 1)], range(self.reads, self.reads + 1), {})

    def fraction(self) -> float | None:
        return None

    def check(self) -> None:
        raise AssertionError("a stream without a size cannot be looked at")

    def close(self) -> None:
        self.is_closed.set()


async def test_a_cancelled_read_loses_nothing() -> None:
    reader = SteppedReader()
    source = ThreadSource(reader, "stepped")
    for expected in (1, 2, 3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source.read(1), 0.005)
        reader.may_read.release()
        batch = await source.read(1)
        assert batch is not None
        assert batch.pairs == [(expected, 1)]
    await source.aclose()
    reader.may_read.release()
    assert reader.is_closed.wait(5)
    join_threads()


async def test_reading_ahead_is_bounded() -> None:
    reader = SteppedReader()
    reader.may_read = threading.Semaphore(1_000)
    source = ThreadSource(reader, "eager")
    for taken in range(1, 20):
        assert await source.read(1) is not None
        assert reader.reads <= taken + BATCHES_AHEAD
    await source.aclose()
    assert reader.is_closed.wait(5)
    join_threads()


async def test_a_bug_in_the_thread_is_raised_where_it_is_seen() -> None:
    class Broken(SteppedReader):
        def read(self) -> Batch | None:
            raise ZeroDivisionError("a bug")

    source = ThreadSource(Broken(), "broken")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await source.read(1)
    await source.aclose()
    join_threads()


async def test_a_source_never_read_opens_nothing() -> None:
    await open_source("/does/not/exist.csv").aclose()
    assert not source_threads()


def source_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "bulkwriter-source"]


def join_threads() -> None:
    for thread in source_threads():
        thread.join(5)
    assert not source_threads()
