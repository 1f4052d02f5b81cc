"""Batches, pairs that nobody waits for, timeouts, the bound on what is outstanding, and what a close leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import Backlogged, BulkWriter, Outcome, State, TryLater, UsageError
from bulkwriter.model import SINGLE_SEQ
from bulkwriter.run.single import NO_ROW
from tests.support.cli_process import stub
from tests.support.library import on_loop, settings_for, some_pairs, states, truth


def test_a_batch_has_its_outcomes_in_its_order_and_another_may_follow(tmp_path: Path) -> None:
    pairs = some_pairs(300)

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            first, second = await asyncio.gather(writer.write_many(pairs[:200]), writer.write_many(iter(pairs[100:])))
            assert [outcome.pair for outcome in first] == pairs[:200]
            assert [outcome.pair for outcome in second] == pairs[100:]
            assert first[100:] == second[:100], "the same pairs, the same rows"
            assert {outcome.state for outcome in (*first, *second)} == {State.CREATED}
            assert await writer.write_many([pairs[5], pairs[5], pairs[0]]) == [first[5], first[5], first[0]]
            assert await writer.write_many([]) == []
            assert writer.outstanding == 0

    with stub(latency_s=0.002) as server:
        on_loop(main, server=server)
        assert truth(server) == (300, 0)


def test_nothing_of_a_batch_is_given_if_one_is_no_pair(tmp_path: Path) -> None:
    bad: list[Any] = [(1, 1), (1, 0)]

    async def main() -> None:
        async with BulkWriter(settings_for("http://127.0.0.1:9", tmp_path / "j")) as writer:
            with pytest.raises(UsageError):
                await writer.write_many(bad)
            assert writer.outstanding == 0

    asyncio.run(main())


def test_above_the_bound_calls_wait_in_order_and_submit_refuses(tmp_path: Path) -> None:
    pairs = some_pairs(40)

    async def main() -> None:
        settings = settings_for(server, tmp_path / "j", most_outstanding=5)
        async with BulkWriter(settings) as writer:
            futures = [writer.submit(pair) for pair in pairs[:5]]
            with pytest.raises(Backlogged):
                writer.submit(pairs[5])
            order: list[int] = []

            async def one(i: int) -> None:
                assert (await writer.write(pairs[i])).state is State.CREATED
                order.append(i)

            most = 0
            tasks = [asyncio.create_task(one(i)) for i in range(5, 20)]
            batch = asyncio.create_task(writer.write_many(pairs[20:]))
            while not all(task.done() for task in (*tasks, batch)):
                most = max(most, writer.outstanding)
                writer._singles.check()
                await asyncio.sleep(0)
            await asyncio.gather(*tasks, batch)
            await writer.flush()
            assert most <= 5
            assert sorted(order) == list(range(5, 20))
            assert all(future.result().state is State.CREATED for future in futures)

    with stub(latency_s=0.002) as server:
        on_loop(main, server=server)
        assert truth(server) == (40, 0)


def test_a_caller_that_leaves_the_queue_leaves_no_hole(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", most_outstanding=1)) as writer:
            first = writer.submit((1, 1))
            waiting = [asyncio.create_task(writer.write((1, n))) for n in range(2, 6)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await first
            waiting[1].cancel()
            assert {(await task).state for task in waiting[2:]} == {State.CREATED}
            writer._singles.check()
            with pytest.raises(Backlogged) as raised:
                await writer.write_many([(2, 1), (2, 2), (2, 3)], timeout=0.0)
            assert raised.value.taken == 1
            await writer.flush()

    with stub(latency_s=0.005) as server:
        on_loop(main, server=server)
        assert server.truth()["doubles"] == 0


def test_who_is_let_in_as_the_writer_ends_hears_of_it(tmp_path: Path) -> None:
    """The last answer lets the next call in, and closes the writer before that call goes on (seed 14003756)."""

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", most_outstanding=1)) as writer:
            ends: list[Coroutine[None, None, None]] = []

            def close(_: object) -> None:
                ends.append(writer._singles.aclose(TryLater("the writer ends")))
                with pytest.raises(StopIteration):  # all in this turn of the loop: everything is committed
                    ends[0].send(None)

            writer.submit((1, 1)).add_done_callback(close)
            calls = [asyncio.create_task(writer.write((1, 2))), asyncio.create_task(writer.write_many([(1, 3)]))]
            ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)
            assert [type(end) for end in ended] == [TryLater, TryLater]
            assert len(ends) == 1

    with stub() as server:
        on_loop(main, server=server)


def test_a_timeout_ends_the_waiting_and_not_the_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", in_flight=1)) as writer:
            await writer.write((9, 9))
            none = await writer.write((1, 1), timeout=0.0)
            assert (none.seq, none.state) == (NO_ROW, State.PENDING)
            sent, unsent = await writer.write_many([(1, 1), (1, 2)], timeout=0.15)
            assert (sent.pair, sent.state) == ((1, 1), State.IN_DOUBT)
            assert (unsent.pair, unsent.state) == ((1, 2), State.PENDING)
            assert unsent.seq > SINGLE_SEQ
            assert (await writer.write((1, 1), timeout=30)).state is State.CREATED
            await writer.flush()
        assert set(states(tmp_path / "j")) == {State.CREATED}

    with stub(latency_s=0.4) as server:
        on_loop(main, server=server)
        assert truth(server) == (3, 0)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), "1"])
def test_a_timeout_that_is_no_time_is_a_usage_error(tmp_path: Path, bad: Any) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            for call in (writer.write((1, 1), timeout=bad), writer.write_many([(1, 1)], timeout=bad)):
                with pytest.raises(UsageError, match="timeout"):
                    await call
            assert writer.outstanding == 0

    with stub() as server:
        on_loop(main, server=server)


def test_a_timeout_counts_the_attempt_that_left_the_doubt(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", late_apply_s=60.0)) as writer:
            await writer.write((9, 9))
            outcome = await writer.write((1, 1), timeout=0.5)
            while outcome.attempts == 0:  # a slow machine: still on its way
                outcome = await writer.write((1, 1), timeout=0.5)
            assert (outcome.state, outcome.attempts) == (State.IN_DOUBT, 1)

    with stub(faults=[{"kind": "rst_before", "skip": 1}]) as server:
        on_loop(main, server=server)


def test_a_close_keeps_what_was_not_sent_and_the_next_start_resumes_it(tmp_path: Path) -> None:
    pairs = some_pairs(2_000)

    async def first() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", in_flight=2)) as writer:
            await writer.write((99, 99))
            futures = [writer.submit(pair) for pair in pairs]
            await futures[0]
            began = time.monotonic()
        assert time.monotonic() - began < 10, "to leave does not flush"
        ended = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(each) for each in ended} == {Outcome, TryLater}
        unsent = sum(isinstance(each, TryLater) for each in ended)
        assert states(tmp_path / "j")[State.PENDING] == unsent

    async def second() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", most_outstanding=50)) as writer:
            unsent = states(tmp_path / "j")[State.PENDING]
            assert await writer.resume() == unsent
            assert await writer.resume() <= 50, "those that are on their way are not given again"
            await writer.flush()
        assert states(tmp_path / "j") == {State.CREATED: 2_001}

    with stub(latency_s=0.01) as server:
        on_loop(first, server=server)
        on_loop(second, server=server)
        assert truth(server) == (2_001, 0)
