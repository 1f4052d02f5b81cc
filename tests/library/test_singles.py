"""Single writes: the same pair at once, again, after a restart, beside a stream, and where no journal is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from bulkwriter import BulkWriter, JournalError, Outcome, Pair, State, TryLater, UsageError
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.model import ID_MAX, SINGLE_SEQ
from bulkwriter.sources.inputs import checked_pair, checked_pairs
from bulkwriter.store.journal import Journal
from tests.library.test_waits import stage
from tests.support.cli_process import stub
from tests.support.library import all_of, on_loop, settings_for, some_pairs, states, truth, wholly


def test_the_same_pair_at_once_again_and_after_a_restart_is_one_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            first, *others = await asyncio.gather(*(writer.write((7, 42)) for _ in range(50)))
            assert all(other == first for other in others)
            assert (first.state, first.record_id, first.attempts) == (State.CREATED, 1, 1)
            assert await writer.write((7, 42)) == first
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            assert await writer.write((7, 42)) == first
            assert (await writer.write_all([(7, 42), (7, 43)])).counts.duplicates == 1
            assert (await writer.write((7, 43))).seq == 1

    with stub(latency_s=0.01) as server:
        on_loop(main, server=server)
        assert truth(server) == (2, 0)
        assert server.truth()["operations"]["create"] == 2


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("after_s", [0.0, 0.02])
def test_beside_a_stream_of_the_same_pairs(tmp_path: Path, kept: bool, after_s: float) -> None:
    pairs = some_pairs(600)

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j" if kept else None)) as writer:
            streaming = asyncio.create_task(all_of(writer, pairs))
            await asyncio.sleep(after_s)
            outcomes = await asyncio.gather(*(writer.write(pair) for pair in pairs[::5]))
            streamed = await streaming
        assert [outcome.pair for outcome in outcomes] == pairs[::5]
        assert {outcome.state for outcome in outcomes} <= {State.CREATED, State.EXISTING}
        assert sorted(outcome.seq for outcome in streamed) == list(range(600))

    with stub(latency_s=0.002) as server:
        on_loop(main, server=server)
        assert truth(server) == (600, 0)


def test_many_at_once_list_what_exists_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            outcomes = await asyncio.gather(*(writer.write(pair) for pair in some_pairs(200)))
        assert Counter(outcome.state for outcome in outcomes) == {State.EXISTING: 100, State.CREATED: 100}

    with stub(existing={"lessons": 10, "members": ["1-10", "1001-1200"]}) as server:
        on_loop(main, server=server)
        assert server.truth()["list_calls"] <= 5
        assert server.truth()["doubles"] == 0


def test_a_write_that_waits_is_one_coroutine_and_no_more(tmp_path: Path) -> None:
    """A coroutine inside would be 250 bytes more for each write that is outstanding."""

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            writing: Any = writer.write((7, 42))
            task = asyncio.create_task(writing)
            await asyncio.sleep(0)
            assert writing.cr_await is not None
            assert not asyncio.iscoroutine(writing.cr_await)
            assert (await task).state is State.CREATED

    with stub() as server:
        on_loop(main, server=server)


def test_a_cancelled_caller_leaves_the_write_going(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            for seconds in (0.0, 0.01, 0.05):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(writer.write((1, 5)), seconds)
            assert (await writer.write((1, 5))).state is State.CREATED

    with stub(latency_s=0.1) as server:
        on_loop(main, server=server)
        assert truth(server) == (1, 0)


def test_a_rejected_pair_says_why_and_is_not_sent_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            outcome = await writer.write((1, 9))
            assert (outcome.state, outcome.http_status) == (State.REJECTED, 400)
            assert outcome.errors[0].property_name == "CourseMemberId"
            assert await writer.write((1, 9)) == outcome

    with stub(known_members=[1]) as server:
        on_loop(main, server=server)
        assert server.truth()["operations"]["create"] == 1


def test_a_rejected_pair_is_sent_again_by_the_call_that_asks_for_it() -> None:
    """Its member was enrolled meanwhile."""

    async def act(writer: BulkWriter) -> None:
        refused = await writer.write((1, 9))
        assert refused.state is State.REJECTED
        assert (await writer.write((1, 9), retry=["rejected"])).state is State.REJECTED
        here.server._refused.clear()
        assert (await writer.write((1, 9))).state is State.REJECTED
        both = await asyncio.gather(writer.write((1, 9), retry=("rejected",)), writer.write((1, 9)))
        assert [one.state for one in both] == [State.CREATED] * 2
        assert (both[0].seq, both[0].attempts) == (refused.seq, 3)
        assert (await writer.write((1, 9), retry=("rejected",))) == both[0]
        wrongs: list[Any] = ["rejected", ["created"], ["failed", "rejected"], 5, None, [[]]]
        for wrong in wrongs:
            with pytest.raises(UsageError, match="retry"):
                await writer.write((1, 9), retry=wrong)

    here = stage(refused={(1, 9)})
    here.run(act)
    assert (here.watch.attempts, here.journal.counts()) == (3, {State.CREATED: 1})


def test_a_batch_sends_its_rejected_pairs_again_if_it_asks_for_it() -> None:
    async def act(writer: BulkWriter) -> None:
        batch = [(1, 8), (1, 9), (1, 10), (1, 9)]
        first = await writer.write_many(batch)
        assert [one.state for one in first] == [State.CREATED, State.REJECTED, State.REJECTED, State.REJECTED]
        here.server._refused.discard((1, 9))
        assert await writer.write_many(batch) == first, "nobody asked for it"
        again = await writer.write_many(batch, retry=("rejected",))
        assert [one.state for one in again] == [State.CREATED, State.CREATED, State.REJECTED, State.CREATED]
        assert [one.attempts for one in again] == [1, 2, 2, 2]
        assert again[0] == first[0], "only what was rejected"
        for wrong in ("rejected", ["failed"]):
            with pytest.raises(UsageError, match="retry"):
                await writer.write_many([(1, 11)], retry=wrong)

    here = stage(refused={(1, 9), (1, 10)})
    here.run(act)
    assert (here.watch.attempts, here.journal.counts()) == (5, {State.CREATED: 2, State.REJECTED: 1})


@pytest.mark.slow
def test_a_doubt_is_answered_when_looks_have_settled_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            outcomes = await asyncio.gather(*(writer.write(pair) for pair in some_pairs(20)))
        assert {outcome.state for outcome in outcomes} == {State.CREATED}
        assert len({outcome.record_id for outcome in outcomes}) == 20

    with stub(faults={"rst_after": 0.3, "rst_before": 0.3}, seed=4) as server:
        on_loop(main, server=server)
        assert truth(server) == (20, 0)


def test_the_end_of_the_block_ends_those_who_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", in_flight=1)) as writer:
            tasks = [asyncio.create_task(writer.write(pair)) for pair in some_pairs(20)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(each, Outcome) for each in done)
        assert {type(each) for each in done} == {Outcome, TryLater}

    with stub(latency_s=0.03) as server:
        on_loop(main, server=server)
        assert set(states(tmp_path / "j")) == {State.CREATED, State.PENDING}
        unsent = states(tmp_path / "j")[State.PENDING]
        summary = on_loop(lambda: wholly([(50, 1)], settings_for(server, tmp_path / "j")), server=server)
        assert summary.attempts == unsent + 1, "what was left unsent goes with the next source"
        assert (summary.counts.pending, truth(server)) == (0, (21, 0))


@pytest.mark.parametrize("pair", [(0, 1), (1, 2**63), ("1", 2), (True, 1), (1.0, 2), (1,), (1, 2, 3), 5, None, "ab"])
async def test_what_is_no_pair_is_a_slip(tmp_path: Path, pair: Any) -> None:
    async with BulkWriter(settings_for("http://127.0.0.1:9", tmp_path / "j")) as writer:
        with pytest.raises(UsageError):
            await writer.write(pair)


def test_what_counts_as_a_whole_number_is_an_id_alone_as_in_an_iterable() -> None:
    class Number:
        """As numpy's are."""

        def __index__(self) -> int:
            return 7

    pair: Any = (Number(), 42)
    assert checked_pair(pair) == (7, 42)
    assert checked_pairs([pair, (1, 2)]) == [(7, 42), (1, 2)]


def test_a_batch_is_of_plain_pairs_whatever_gives_them() -> None:
    batch = checked_pairs(iter([Pair(1, 2), (3, ID_MAX)]))
    assert batch == [(1, 2), (3, ID_MAX)]
    assert {*map(type, batch)} == {tuple}
    assert checked_pairs([]) == []
    for odd in ((1, 0), (1, ID_MAX + 1), (True, 1), (1, 2, 3), "ab"):
        with pytest.raises(UsageError):
            checked_pairs([(1, 2), cast(Any, odd)])


@pytest.mark.parametrize("existing", ["check", "skip"])
def test_without_a_journal_a_pair_is_still_written_once_a_process(existing: str) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, existing=existing)) as writer:
            created = await writer.write((1, 1))
            again = await writer.write((1, 1))
            assert created.state is State.CREATED
            assert again == created
            async for _ in writer.stream(some_pairs(300)):
                break  # in flight, in doubt, or not sent: the next source must not send what may still be applied
            counts = (await writer.write_all(some_pairs(300))).counts
            assert (counts.created, counts.existing, counts.in_doubt) == (300, 0, 0)

    with stub(latency_s=0.005, faults={"rst_after": 0.02, "rst_before": 0.02}, seed=2) as server:
        on_loop(main, server=server)
        assert truth(server) == (300, 0)


def test_attempts_of_earlier_starts_count(tmp_path: Path) -> None:
    """As they do where a stream meets the row: else a pair that nobody can write is tried for ever."""

    async def main() -> Outcome:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            await writer.write((7, 42))
        journal = Journal.open(tmp_path / "j", base_url=server.base_url, account=None, columns=COMPLETED_LESSONS.fields)
        journal.settle([(SINGLE_SEQ, State.PENDING, 2, None, None, None)])
        journal.close()
        async with BulkWriter(settings_for(server, tmp_path / "j", existing="skip")) as writer:
            return await writer.write((7, 42))

    with stub() as server:
        assert on_loop(main, server=server).attempts == 3


def test_two_writers_on_one_journal(tmp_path: Path) -> None:
    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            with pytest.raises(Exception, match="is held by pid"):
                await BulkWriter(settings_for(server, tmp_path / "j")).__aenter__()
            await writer.write((1, 1))
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            await writer.write((1, 1))

    with stub() as server:
        on_loop(main, server=server)
        assert truth(server) == (1, 0)


def test_a_commit_that_failed_after_its_caller_had_gone_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would hear of it: the run went on, and its summary spoke of a journal that nobody knows."""

    def failing(self: Journal, *rows: object) -> None:
        raise JournalError("the disk failed")

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
            await writer.write((1, 1))
            with monkeypatch.context() as disk:
                disk.setattr(Journal, "append", failing)
                leaving = asyncio.create_task(writer.write((1, 2)))
                await asyncio.sleep(0)
                leaving.cancel()
                await asyncio.wait([leaving])
                await asyncio.sleep(0.1)
            assert isinstance(writer._engine.run.error, JournalError)
            with pytest.raises(JournalError, match="the disk failed"):
                await writer.write((1, 3))

    with stub() as server:
        on_loop(main, server=server)
        assert truth(server) == (1, 0)


def test_a_refusal_is_answered_after_a_stream_was_left_while_others_waited_for_looks(tmp_path: Path) -> None:
    async def main() -> Outcome:
        async with BulkWriter(settings_for(server, tmp_path / "j", list_lag_s=0.5)) as writer:
            refused = writer._engine.pairs.refusals
            async for _ in writer.stream([(1, 1), *((9, i) for i in range(1, 40))]):
                while len(refused) < 5:
                    await asyncio.sleep(0.01)
                break
            assert (await writer.write((1, 1))).state is State.CREATED  # the stream is left by then
            return await asyncio.wait_for(writer.write((9, 1_000)), 30.0)

    with stub(known_lessons=["1-2"]) as server:
        assert on_loop(main, server=server).state is State.REJECTED
