"""Cancelling: at whatever moment and however often, the journal then tells the truth and nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import BulkWriter, State, UsageError
from bulkwriter.model import Ended
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.store.starts import last_start
from bulkwriter.stub.thread import StubThread
from tests.support.cli_process import stub
from tests.support.library import on_loop, settings_for, some_pairs, states, truth, wholly

PAIRS = some_pairs(300)
TURNS = 40
"""So many turns of the loop are between the last two cancels tried; an opening and a closing take about 20."""


async def trickle() -> AsyncIterator[tuple[int, int]]:
    for i, pair in enumerate(PAIRS):
        if i % 20 == 0:
            await asyncio.sleep(0.001)
        yield pair


async def stream_slowly(writer: BulkWriter, pairs: Any) -> None:
    async for outcome in writer.stream(pairs):
        if outcome.seq % 20 == 0:
            await asyncio.sleep(0)


async def write_each(writer: BulkWriter, pairs: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for pair in PAIRS[:60]:
            group.create_task(writer.write(pair))


WAYS: dict[str, tuple[Any, Any]] = {
    "stream": (stream_slowly, lambda: PAIRS),
    "stream of an async generator": (stream_slowly, trickle),
    "write_all": (BulkWriter.write_all, lambda: PAIRS),
    "write_all of an async generator": (BulkWriter.write_all, trickle),
    "write": (write_each, lambda: ()),
}


async def cancelled(way: str, server: StubThread, journal: Path, *, rng: random.Random) -> None:
    """Start a writer and cancel it up to three times, at moments and with pauses drawn from `rng`."""
    act, pairs = WAYS[way]

    async def victim() -> None:
        async with BulkWriter(settings_for(server, journal, in_flight=8)) as writer:
            await act(writer, pairs())

    task = asyncio.create_task(victim())
    if rng.random() < 0.4:
        await turns(rng.randrange(TURNS))
    else:
        await asyncio.sleep(rng.random() * 0.12)
    for _ in range(rng.choice((1, 1, 2, 3))):
        task.cancel()
        await turns(rng.randrange(20))
    await asyncio.wait([task], timeout=10)
    assert task.done()
    if not task.cancelled():
        assert task.exception() is None


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("way", WAYS)
def test_cancelled_at_any_moment(tmp_path: Path, way: str, loop: str) -> None:
    rng = random.Random(f"{way} {loop}")
    for i in range(4):
        journal = tmp_path / f"{i}.journal"
        with stub(latency_s=0.002) as server:
            on_loop(partial(cancelled, way, server, journal, rng=rng), loop=loop, server=server)
            assert State.INTENT not in states(journal)
            summary = on_loop(partial(wholly, PAIRS, settings_for(server, journal)), loop=loop, server=server)
            assert truth(server) == (len(PAIRS), 0), i
        assert summary.exit_code == 0
        assert summary.counts.pending == summary.counts.in_doubt == 0


@pytest.mark.parametrize("count", range(1, 30, 2))
def test_who_asks_for_the_end_of_an_opening_is_named_in_the_journal(tmp_path: Path, count: int) -> None:
    """A Ctrl-C of the first 50 ms was noted as an end before anything was sent, and nobody's."""
    asked = Ended("signal", "SIGINT", 130)

    async def main() -> None:
        writer = BulkWriter(settings_for("http://127.0.0.1:9", tmp_path / "j"))
        opening = asyncio.create_task(writer.__aenter__())
        await turns(count)
        writer.drain("SIGINT", ended=asked)
        await asyncio.wait([opening])
        if not opening.cancelled():
            await writer.__aexit__(None, None, None)

    on_loop(main)
    if (tmp_path / "j").exists():
        with JournalReader(tmp_path / "j") as reader:
            noted = last_start(reader.meta())
        assert noted
        assert noted.ended == asked
    else:
        assert count == 1, "it had no turn to begin in"


def test_what_was_never_begun_cannot_be_drained() -> None:
    with pytest.raises(UsageError, match="not opened yet"):
        BulkWriter(settings_for("http://127.0.0.1:9")).drain("a test")
