"""The library on a real loop against the stub: what a stream yields, what ends it, what stays open.

One outcome an input, whatever it is; leaving a stream is no more than that; what the caller's own iterable raises is
the caller's to see.  Single writes are in test_library_singles, cancelling in test_library_cancel, signing in and
stops in test_library_stops.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from bulkwriter import BulkWriter, Limits, Outcome, State, TryLater, UsageError
from bulkwriter.run.summary import ALL_DONE
from tests.support.cli_process import stub
from tests.support.library import all_of, on_loop, settings_for, some_pairs, states, truth, wholly

MANY = some_pairs(2_000)


async def fail_in(stream: AsyncIterator[Outcome]) -> None:
    async for _ in stream:
        raise KeyError


def words(outcomes: list[Outcome]) -> Counter[str]:
    assert sorted(outcome.seq for outcome in outcomes) == list(range(len(outcomes)))
    return Counter(outcome.state.word for outcome in outcomes)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_one_outcome_an_input_also_when_it_was_settled_before(tmp_path: Path, loop: str) -> None:
    grid = {"lessons": [1], "members": [1, 2, 3]}
    inputs: list[Any] = [*some_pairs(40), (1, 1), "no pair", (7, 99), (0, 5)]
    said = {"created": 37, "existing": 3, "duplicate": 1, "invalid": 2, "rejected": 1}

    async def main() -> None:
        settings = settings_for(server, tmp_path / "j")
        async with BulkWriter(settings) as writer:
            assert words(await all_of(writer, inputs)) == said
            assert words(await all_of(writer, inputs)) == said
        async with BulkWriter(settings) as writer:
            outcomes = await all_of(writer, inputs)
        assert words(outcomes) == said
        by_seq = {outcome.seq: outcome for outcome in outcomes}
        assert by_seq[0].record_id in (1, 2, 3)
        assert by_seq[5].record_id == by_seq[5].record_id
        assert by_seq[41].message
        assert by_seq[41].pair is None
        assert by_seq[42].errors
        assert by_seq[42].http_status == 400

    with stub(existing=grid, known_members=[1, 2, 3, 4]) as server:
        on_loop(main, loop=loop, server=server)
        assert server.truth()["operations"]["create"] == 38
        assert truth(server) == (40, 0)


def test_the_way_out_of_a_stream_is_free(tmp_path: Path) -> None:
    with warnings.catch_warnings():  # what earlier tests left behind is not this one's
        warnings.simplefilter("ignore")
        gc.collect()

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            async for _ in writer.stream(MANY):
                break
            async with aclosing(writer.stream(MANY)) as stream:
                async for _ in stream:
                    break
            with pytest.raises(KeyError):
                await fail_in(writer.stream(MANY))
            left = aiter(writer.stream(MANY))
            await anext(left)
            del left
            gc.collect()
            summary = await writer.write_all(MANY)
        assert (summary.counts.created, summary.exit_code) == (len(MANY), 0)

    with stub(latency_s=0.005) as server:
        on_loop(main, server=server)
        assert truth(server) == (len(MANY), 0)


def test_leaving_stream_and_block_at_once_returns_what_was_not_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", in_flight=4)) as writer:
            async for _ in writer.stream(MANY):
                break

    with stub(latency_s=0.01) as server:
        on_loop(main, server=server)
        assert set(states(tmp_path / "j")) == {State.CREATED, State.PENDING}
        on_loop(lambda: wholly(MANY, settings_for(server, tmp_path / "j")), server=server)
        assert truth(server) == (len(MANY), 0)


def test_a_second_stream_at_the_same_time_is_a_slip(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            async with aclosing(writer.stream(MANY)) as stream:
                await anext(stream)
                with pytest.raises(UsageError, match="still running"):
                    await writer.write_all(MANY)
            assert (await writer.write_all(MANY)).counts.created == len(MANY)

    with stub(latency_s=0.1) as server:  # or the first would be over before the second is refused
        on_loop(main, server=server)


def test_without_asyncio_it_says_what_it_needs(tmp_path: Path) -> None:
    """As under trio, whose loop is none of asyncio's."""
    entering = BulkWriter(settings_for("http://127.0.0.1:1", tmp_path / "j")).__aenter__()
    with pytest.raises(UsageError, match="no asyncio loop is running"):
        entering.send(None)
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", ["stream", "write_all"])
def test_what_the_callers_iterable_raises_reaches_the_caller(tmp_path: Path, kind: str, way: str) -> None:
    def rows() -> Iterator[tuple[int, int]]:
        yield from some_pairs(30)
        raise KeyError("mine")

    async def rows_async() -> AsyncIterator[tuple[int, int]]:
        for pair in rows():
            yield pair

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            pairs = rows() if kind == "sync" else rows_async()
            with pytest.raises(KeyError, match="mine"):
                await (all_of(writer, pairs) if way == "stream" else writer.write_all(pairs))
            assert (await writer.write_all(some_pairs(60))).counts.created == 60  # no harm done

    with stub() as server:
        on_loop(main, server=server)
        assert truth(server) == (60, 0)


def test_a_slow_consumer_slows_the_source(tmp_path: Path) -> None:
    taken = 0

    def rows() -> Iterator[tuple[int, int]]:
        nonlocal taken
        for pair in some_pairs(20_000):
            taken += 1
            yield pair

    async def main() -> None:
        settings = settings_for(server, tmp_path / "j", limits=Limits(outcome_rows=100, chunk_rows=50))
        async with BulkWriter(settings) as writer, aclosing(writer.stream(rows())) as stream:
            await anext(stream)
            await asyncio.sleep(0.3)
            assert taken < 500

    with stub() as server:
        on_loop(main, server=server)


def test_inside_a_task_group_of_anyio(tmp_path: Path) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group, BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            group.start_soon(writer.write_all, MANY)
            await anyio.sleep(0.05)
            group.cancel_scope.cancel()

    with stub(latency_s=0.002) as server:
        on_loop(main, loop="asyncio", server=server)
        assert State.INTENT not in states(tmp_path / "j")
        on_loop(lambda: wholly(MANY, settings_for(server, tmp_path / "j")), server=server)
        assert truth(server) == (len(MANY), 0)


async def test_a_writer_that_is_not_open_says_so(tmp_path: Path) -> None:
    writer = BulkWriter(settings_for("http://127.0.0.1:9", tmp_path / "j"))
    for error, words in ((UsageError, "not open"), (TryLater, "has ended")):
        with pytest.raises(error, match=words):
            await writer.write_all(MANY)
        with pytest.raises(error, match=words):
            await writer.write((1, 1))
        with pytest.raises(error, match=words):
            await anext(writer.stream(MANY))
        if not (tmp_path / "j").exists():
            async with writer:
                pass
    with pytest.raises(UsageError, match="used once"):
        await writer.__aenter__()


def test_before_it_is_opened_it_has_nothing_to_tell(tmp_path: Path) -> None:
    writer = BulkWriter(settings_for("http://127.0.0.1:9", tmp_path / "j"))
    for ask in (writer.summary, writer.snapshot, lambda: writer.drain("a test")):
        with pytest.raises(UsageError, match="not opened yet"):
            ask()


def test_another_event_loop_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            for use in (writer.write((1, 1)), writer.write_all(MANY), anext(writer.stream(MANY))):
                with pytest.raises(UsageError, match="another event loop"):
                    await asyncio.to_thread(asyncio.run, awaited(use))
            assert (await writer.write_all(MANY)).counts.created == len(MANY)

    async def awaited(use: Awaitable[object]) -> None:
        await use

    with stub() as server:
        on_loop(main, loop="asyncio", server=server)


def test_a_drained_writer_begins_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            writer.drain("a test")
            assert (await writer.write_all(MANY)).counts.pairs == 0
            assert await all_of(writer, MANY) == []
            with pytest.raises(TryLater):
                await writer.write((1, 1))

    with stub() as server:
        on_loop(main, server=server)
        assert server.truth()["operations"].get("create", 0) == 0


def test_an_end_with_unsent_pairs_is_never_the_end_of_all(tmp_path: Path) -> None:
    """Closed with thirty pairs unsent it said 0, and after a source even that every pair was written or found."""

    async def unsent(name: str, source: list[Any]) -> tuple[str, int, bool]:
        async with BulkWriter(settings_for(server, tmp_path / name, in_flight=1)) as writer:
            if source:
                await writer.write_all(source)
            await asyncio.wait([writer.submit((2, member)) for member in range(1, 31)], return_when="FIRST_COMPLETED")
        last = writer.summary()
        assert last.ended is not None
        assert last.exit_code == last.ended.exit_code
        assert last.counts.pending
        return last.ended.code, last.exit_code, last.ended.reason == ALL_DONE

    async def main() -> None:
        assert await unsent("single", []) == ("closed", 75, False)
        assert await unsent("beside", [(1, 1)]) == ("left", 75, False)

    with stub(latency_s=0.05) as server:
        on_loop(main, server=server)


def test_what_is_on_its_way_is_no_doubt(tmp_path: Path) -> None:
    """Right after the loop was left hundreds of pairs counted as in doubt, and a moment later none."""

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", in_flight=4)) as writer:
            taken = 0
            async for _ in writer.stream(MANY):
                taken += 1
                if taken == 20:
                    break
            at_once = writer.summary()
            assert (at_once.counts.in_doubt, at_once.ended) == (0, None)
            assert at_once.counts.created >= 20
            assert at_once.under_way > 0
            assert at_once.counts.pending >= at_once.under_way
            assert at_once.abandoned().counts.in_doubt == at_once.under_way
            while writer.summary().under_way:
                await asyncio.sleep(0.01)
            later = writer.summary()
            assert later.counts.pairs >= at_once.counts.pairs
            assert (later.counts.in_doubt, later.counts.failed) == (0, 0)
        last = writer.summary()
        assert (last.under_way, last.counts.in_doubt) == (0, 0)
        assert last.ended is not None
        assert (last.ended.code, last.rows.not_read) == ("left", len(MANY) - last.rows.read)
        assert last.exit_code == last.ended.exit_code == 75  # not all was done

    with stub(latency_s=0.01) as server:
        on_loop(main, server=server)
