"""Whoever waits for a single write is answered, where lists are forbidden, and where a stream or the block is left.

In virtual time: a caller that waits for ever shows as `Overrun`: the loop's time comes to its end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import pytest

from bulkwriter import BulkWriter, NotWell, Outcome, State, TryLater
from tests.sim.assembly import SimAssembly
from tests.sim.disk import Disk
from tests.sim.drive import new_journal
from tests.sim.fates import CALM, Odds
from tests.sim.process import Process, Trace
from tests.sim.server import Server
from tests.sim.watch import Watch
from tests.sim.world import World, plain_world

T = TypeVar("T")
PAIR: Final = (1, 1)
MOST_S: Final = 600.0
LOST: Final = replace(CALM, creates={"reset after": 1.0})


class Stage:
    """One process on a world of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.process = Process(Trace(), start_s=0.0, most_s=MOST_S)
        self.journal = new_journal()
        rng, settings = random.Random(world.seed), world.settings
        self.server = Server(rng=rng, list_lag_s=settings.list_lag_s, page_cap=world.page_cap, refused=world.refused)
        self.watch = Watch(self.process, settings, self.journal)
        self.weather = world.weather(rng)
        self.assembly = SimAssembly(
            settings, process=self.process, server=self.server, weather=self.weather, watch=self.watch,
            journal=self.journal, disk=world.disk, rng=rng,
        )  # fmt: skip

    def run(self, act: Callable[[BulkWriter], Awaitable[T]]) -> T:
        """Open a writer, `act` with it, and leave it; nothing may go wrong on the way, or be doubled."""

        async def main() -> T:
            writer = BulkWriter(self.world.settings, observers=[self.watch.tell], assembly=self.assembly)
            async with writer:
                self.watch.engine = writer._engine
                return await act(writer)

        result = self.process.loop.run(main())
        assert not self.watch.failures + self.process.loop.failures
        assert max(self.server.ours().values(), default=0) <= 1
        return result


def stage(*, odds: Odds = CALM, settings: dict[str, Any] | None = None, **changes: Any) -> Stage:
    world = plain_world([], lives=[], odds=odds, **changes)
    return Stage(replace(world, settings=replace(world.settings, **{"existing": "skip", **(settings or {})})))


def test_a_doubt_that_no_list_may_settle_is_told_as_such() -> None:
    """The journal keeps it, and who has the role may look it up later: the caller waited for ever."""

    async def act(writer: BulkWriter) -> list[Outcome]:
        return [await writer.write(PAIR), await writer.write(PAIR)]

    here = stage(odds=replace(LOST, lists={"403": 1.0}))
    for told in here.run(act):
        assert (told.pair, told.state, told.attempts) == (PAIR, State.IN_DOUBT, 1)
        assert told.message, "why nobody knows"
    assert here.watch.attempts == 1
    assert here.journal.counts() == {State.IN_DOUBT: 1}


@pytest.mark.parametrize("trouble", [{"outages": ((0.0, MOST_S),)}, {"odds": replace(CALM, connects=1.0)}])
def test_who_waits_while_nothing_works_is_told_that_the_writer_is_not_well(trouble: dict[str, Any]) -> None:
    async def act(writer: BulkWriter) -> None:
        with pytest.raises(NotWell) as raised:
            await writer.write(PAIR)
        assert raised.value.__cause__ is not None

    here = stage(settings={"give_up_after_s": 30.0}, **trouble)
    here.run(act)
    assert here.process.now < 30 + 60
    assert here.journal.counts() == {State.PENDING: 1}


@pytest.mark.parametrize("fate", ["500", "garbage"])
def test_who_waits_for_a_doubt_while_lists_fail_is_told_that_it_is_one(fate: str) -> None:
    async def act(writer: BulkWriter) -> Outcome:
        return await writer.write(PAIR)

    here = stage(settings={"give_up_after_s": 30.0}, odds=replace(LOST, lists={fate: 1.0}))
    assert here.run(act).state is State.IN_DOUBT
    assert here.process.now < 30 + 60
    assert here.journal.counts() == {State.IN_DOUBT: 1}


def test_who_waits_for_a_doubt_while_the_block_is_left_is_told_that_it_is_one() -> None:
    async def act(writer: BulkWriter) -> asyncio.Task[Outcome]:
        waiting = asyncio.create_task(writer.write(PAIR))
        while not writer.summary().counts.in_doubt:
            await asyncio.sleep(0.01)
        return waiting

    assert stage(odds=LOST).run(act).result().state is State.IN_DOUBT


def test_who_waits_for_what_was_not_sent_while_the_block_is_left_is_told_to_come_back() -> None:
    async def act(writer: BulkWriter) -> list[asyncio.Task[Outcome]]:
        waiting = [asyncio.create_task(writer.write((1, member))) for member in range(1, 9)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return waiting

    here = stage(settings={"in_flight": 1})
    ends = [task.exception() for task in here.run(act)]
    assert {type(end) for end in ends} == {type(None), TryLater}
    assert here.journal.counts()[State.PENDING] == sum(end is not None for end in ends)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.02])
def test_a_pair_that_a_stream_gives_back_while_it_is_given_one_by_one_is_written(after_s: float, seed: int) -> None:
    """Its row was `pending` again, and whoever waited for it waited for ever."""

    async def act(writer: BulkWriter) -> Outcome:
        stream = writer.stream([(1, member) for member in range(1, 9)])
        async for _ in stream:
            break
        leaving = asyncio.create_task(stream.aclose())
        await asyncio.sleep(after_s)
        outcome = await writer.write((1, 8))
        await leaving
        return outcome

    how = {"in_flight": 1, "limits": replace(plain_world([], lives=[]).settings.limits, chunk_rows=100)}
    assert stage(settings=how, disk=Disk(commit_s=0.01), seed=seed).run(act).state is State.CREATED
