"""Two writers that do not know of each other and are given the same pairs: in virtual time, over one server.

A caller that waits for ever shows as `Overrun`: the loop's time comes to its end.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bulkwriter import BulkWriter, Outcome, State, TryLater
from bulkwriter.errors import AnotherRun
from bulkwriter.run.peers import Met
from bulkwriter.store.journal import Journal
from tests.library.test_waits import LOST, Stage, stage
from tests.sim.assembly import SimAssembly
from tests.sim.drive import new_journal
from tests.sim.peers import Pair, SimPeers

PAIRS = [(1, member) for member in range(1, 31)]
PAIR = PAIRS[0]


class Two(Stage):
    """A second writer beside the first: its own journal and lanes, the same loop and server."""

    def __init__(self, here: Stage, seed: int, *, sees: bool = True, is_forced: bool = False) -> None:
        self.__dict__ = here.__dict__
        rng = random.Random(seed)
        self.second = new_journal()
        self.other = SimAssembly(
            self.world.settings, process=self.process, server=self.server, weather=self.weather, watch=self.watch,
            journal=self.second, disk=self.world.disk, rng=rng,
        )  # fmt: skip
        self.assembly.peers = SimPeers([self.second] if sees else [], rng)
        self.other.peers = SimPeers([self.journal] if sees else [], rng, is_forced=is_forced)

    def both(self, act: Any) -> Any:
        async def main() -> Any:
            settings, watch = self.world.settings, self.watch
            first = BulkWriter(settings, observers=[watch.tell], assembly=self.assembly)
            async with first, BulkWriter(settings, assembly=self.other) as second:
                watch.engine = first._engine
                return await act(first, second)

        return self.process.loop.run(main())

    @property
    def records(self) -> list[int]:
        return sorted(self.server.ours().values())


async def all_given(writer: BulkWriter, pairs: Sequence[Pair]) -> list[Outcome]:
    return await asyncio.gather(*(writer.write(pair) for pair in pairs))


@pytest.mark.parametrize("existing", ["skip", "check"])
@pytest.mark.parametrize("seed", range(6))
def test_the_same_single_pairs_at_once_are_one_record_each(seed: int, existing: str) -> None:
    async def act(first: BulkWriter, second: BulkWriter) -> tuple[list[Outcome], list[Outcome]]:
        return await asyncio.gather(all_given(first, PAIRS), second.write_many(PAIRS[::-1]))

    here = Two(stage(settings={"existing": existing}), seed)
    outcomes = here.both(act)
    assert here.records == [1] * len(PAIRS)
    told = Counter(outcome.state for some in outcomes for outcome in some)
    assert told == {State.CREATED: len(PAIRS), State.EXISTING: len(PAIRS)}
    ids = [{o.pair: o.record_id for o in some} for some in outcomes]
    assert ids[0] == ids[1]


def test_two_that_cannot_see_each_other_double_them() -> None:
    """So the test above can fail."""

    async def act(first: BulkWriter, second: BulkWriter) -> Any:
        return await asyncio.gather(all_given(first, PAIRS), all_given(second, PAIRS))

    here = Two(stage(), 1, sees=False)
    here.both(act)
    assert here.records == [2] * len(PAIRS)


@pytest.mark.parametrize("seed", range(4))
def test_a_source_beside_single_pairs_ends_or_finds_them_and_the_next_one_goes_on(seed: int) -> None:
    async def act(first: BulkWriter, second: BulkWriter) -> int:
        singles = asyncio.create_task(all_given(first, PAIRS))
        starts = 0
        while True:
            starts += 1
            try:
                summary = await second.write_all(PAIRS)
                break
            except AnotherRun:
                assert second.error is None, "only the source has ended"
                await asyncio.sleep(1.0)
        assert {o.state for o in await singles} <= {State.CREATED, State.EXISTING}
        assert summary.counts.created + summary.counts.existing == len(PAIRS)
        return starts

    here = Two(stage(), seed)
    assert here.both(act) < 10
    assert here.records == [1] * len(PAIRS)


def test_a_source_that_is_told_to_go_on_sends_what_another_may_send() -> None:
    async def act(first: BulkWriter, second: BulkWriter) -> None:
        await second.write_all(PAIRS)

    here = Two(stage(), 1, is_forced=True)
    here.journal.append([(i, *pair, None, int(State.INTENT), None) for i, pair in enumerate(PAIRS)])
    here.both(act)
    assert here.records == [1] * len(PAIRS)
    assert here.second.counts() == {State.CREATED: len(PAIRS)}


class Holding:
    """Another writer that has every pair, until `until`."""

    is_forced = False

    def __init__(self, here: Stage, until: float) -> None:
        self._here, self._until = here, until

    def are_there(self) -> bool:
        return True

    async def met(self, pairs: Collection[Pair], *, above: int) -> dict[Pair, Met]:
        is_over = self._here.process.now >= self._until
        return {} if is_over else {pair: Met(None, "other.journal", is_at_work=True) for pair in pairs}


def held(until: float, **settings: Any) -> Stage:
    here = stage(settings=settings)
    here.assembly.peers = Holding(here, until)
    return here


def test_a_source_waits_for_what_another_writer_has_just_claimed() -> None:
    async def act(writer: BulkWriter) -> None:
        assert (await writer.write_all(PAIRS)).counts.created == len(PAIRS)

    here = held(2.0)
    here.run(act)
    assert 2.0 < here.process.now < 10.0


def test_a_source_waits_no_longer_than_half_a_minute_for_another_writer() -> None:
    async def act(writer: BulkWriter) -> None:
        with pytest.raises(AnotherRun, match=r"at work has pairs.*other\.journal"):
            await writer.write_all(PAIRS)
        assert here.watch.attempts == 0

    here = held(1e9)
    here.run(act)
    assert 30.0 < here.process.now < 45.0


def test_who_waits_for_another_writer_is_answered_when_that_has_not_sent_it() -> None:
    async def act(writer: BulkWriter) -> Outcome:
        return await writer.write(PAIR)

    here = held(20.0)
    assert here.run(act).state is State.CREATED
    assert 20.0 < here.process.now < 32.0


def test_who_waits_too_long_for_another_writer_is_told_so_and_the_pair_is_pending() -> None:
    async def act(writer: BulkWriter) -> None:
        with pytest.raises(TryLater, match=r"another writer.*other\.journal") as raised:
            await writer.write(PAIR)
        assert "again later" in raised.value.hint
        assert (raised.value.code, writer.outstanding) == ("contested", 0)

    here = held(1e9, patience_s=30.0)
    here.run(act)
    assert 30.0 < here.process.now < 45.0
    assert here.journal.counts() == {State.PENDING: 1}
    assert here.watch.attempts == 0


def test_a_call_that_ends_its_wait_is_told_what_the_pair_waits_for() -> None:
    async def act(writer: BulkWriter) -> Outcome:
        outcome = await writer.write(PAIR, timeout=3.0)
        await writer.flush()
        return outcome

    here = held(10.0)
    told = here.run(act)
    assert told.state is State.PENDING
    assert "other.journal" in told.message
    assert here.journal.counts() == {State.CREATED: 1}


def test_the_end_of_the_writer_ends_the_wait() -> None:
    async def act(writer: BulkWriter) -> asyncio.Future[Outcome]:
        future = writer.submit(PAIR)
        await asyncio.sleep(5.0)
        return future

    here = held(1e9)
    with pytest.raises(TryLater, match="ends"):
        here.run(act).result()
    assert here.journal.counts() == {State.PENDING: 1}


def doubtful(journal: Journal) -> None:
    journal.append([(0, *PAIR, None, int(State.INTENT), None)])


def test_a_doubt_of_an_earlier_start_is_not_sent_while_another_writer_has_the_pair() -> None:
    async def act(writer: BulkWriter) -> None:
        await asyncio.sleep(200.0)
        assert here.watch.attempts == 0
        assert (await writer.write(PAIR)).state is State.CREATED

    here = stage()
    doubtful(here.journal)
    here.assembly.peers = Holding(here, 150.0)
    here.run(act)


def test_a_doubt_that_nobody_else_has_goes_again_by_itself() -> None:
    async def act(writer: BulkWriter) -> None:
        await asyncio.sleep(200.0)
        assert here.journal.counts() == {State.CREATED: 1}

    here = stage()
    doubtful(here.journal)
    here.assembly.peers = Holding(here, 0.0)
    here.run(act)


def test_a_pair_in_doubt_here_is_waited_for_there() -> None:
    async def act(first: BulkWriter, second: BulkWriter) -> None:
        lost = asyncio.create_task(first.write(PAIR))
        while State.IN_DOUBT not in here.journal.counts():
            await asyncio.sleep(0.01)
        assert (await second.write(PAIR)).state is State.EXISTING
        assert (await lost).state is State.CREATED

    here = Two(stage(odds=replace(LOST, lists={})), 3)
    here.both(act)
    assert here.records == [1]
