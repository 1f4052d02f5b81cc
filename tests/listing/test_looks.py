"""Looks in virtual time: what they settle and when, how many calls they cost, and what a failing list changes.

The waits are `late_apply_s` 60 and `list_lag_s` 5, the defaults.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from bulkwriter.clocks import Clocks
from bulkwriter.core.doubts import Doubt, Doubts
from bulkwriter.events import DoubtsSettled, Event, LookFailed
from bulkwriter.listing.lists import Filters, ListFailed
from bulkwriter.listing.looks import Looker
from bulkwriter.model import Intent
from bulkwriter.net.api import ListedRecord, ListPage, Record

from ..sim.loop import run_virtual
from ..support.list_server import ListServer, filters_of

LATE, LAG = 60.0, 5.0


@dataclass
class Settled:
    """Stands for the engine: what it was told, and when."""

    newest: int | None = 1_000_000
    witness: int = 0
    created: int = 0
    is_over: bool = True
    own: dict[int, tuple[int, int]] = field(default_factory=dict)
    found_at: dict[int, tuple[float, int]] = field(default_factory=dict)
    absent_at: dict[int, float] = field(default_factory=dict)

    def found(self, doubt: Doubt, record: ListedRecord) -> None:
        self.found_at[doubt.intent.seq] = asyncio.get_running_loop().time(), record.record_id

    def absent(self, intent: Intent) -> None:
        self.absent_at[intent.seq] = asyncio.get_running_loop().time()

    def newest_id(self) -> int | None:
        return self.newest

    def witness_id(self) -> int:
        return self.witness

    async def created_near(self, intents: list[Intent]) -> list[list[Record]]:
        pairs = [intent.pair for intent in intents]
        return [[(i, own) for i, own in self.own.items() if own[0] == a or own[1] == b] for a, b in pairs]

    def created_count(self) -> int:
        return self.created

    def is_waiting(self) -> bool:
        return self.is_over


@dataclass
class Stage:
    """A looker at work over a model server."""

    server: ListServer
    settled: Settled
    looker: Looker
    events: list[Event]
    shifts: list[int]

    def park(self, seq: int, *, floor: int | None = None, at: float = 0.0) -> Intent:
        intent = Intent(seq, (1, seq), 1, None, floor)
        self.looker.doubts.park(intent, at)
        self.looker.wake()
        return intent


def played(server: ListServer, settled: Settled, act: Callable[[Stage], Awaitable[None]]) -> Stage:
    """Let a looker run for as long as `act` takes."""
    events: list[Event] = []
    shifts = [0]

    async def main() -> Stage:
        looker = Looker(
            doubts=Doubts(late_apply_s=LATE, list_lag_s=LAG),
            late_apply_s=LATE,
            list_lag_s=LAG,
            get_page=server.get_page,
            filters_of=lambda pair: filters_of(*pair),
            settling=settled,
            shifts=lambda: shifts[0],
            clocks=Clocks(clock=asyncio.get_running_loop().time),
            tell=events.append,
            rng=random.Random(1),
        )
        stage = Stage(server, settled, looker, events, shifts)
        running = asyncio.get_running_loop().create_task(looker.run())
        await act(stage)
        assert not running.done()
        running.cancel()
        looker.doubts.check()
        return stage

    return run_virtual(main)


def test_what_was_applied_is_found_early_once_nothing_else_is_left_to_do() -> None:
    server, settled = ListServer(), Settled()
    ids = server.add((1, 1), (1, 2))

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        stage.park(2, floor=0)
        await asyncio.sleep(10)

    stage = played(server, settled, act)
    assert {seq: record_id for seq, (_, record_id) in settled.found_at.items()} == {1: ids[0], 2: ids[1]}
    assert max(at for at, _ in settled.found_at.values()) < LAG + 1
    assert len(server.calls) == 1
    assert stage.events == [DoubtsSettled(2, 0)]


def test_what_was_not_applied_waits_for_two_looks() -> None:
    server, settled = ListServer(), Settled()

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(200)

    played(server, settled, act)
    assert LATE + 2 * LAG <= settled.absent_at[1] < LATE + 2 * LAG + 1
    assert len(server.calls) == 3  # the early one, and the two that count


def test_a_late_application_and_a_lagging_list_are_waited_for() -> None:
    """Applied 59.9 s after it was lost, on the list 4.9 s later."""
    server, settled = ListServer(), Settled()

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(LATE - 0.1)
        record = server.server.add((1, 1), LATE - 0.1, is_old=True)
        record.visible_at += LAG - 0.1
        await asyncio.sleep(60)

    played(server, settled, act)
    assert not settled.absent_at
    assert settled.found_at[1][0] < LATE + 2 * LAG + 1


def test_looks_go_on_beside_a_run_in_batches() -> None:
    """500 doubts in 100 s of a run that goes on: a look every 13 s, each one call."""
    server, settled = ListServer(), Settled(is_over=False, created=10_000)
    server.add_all((1, seq) for seq in range(500))

    async def act(stage: Stage) -> None:
        for seq in range(500):
            stage.park(seq, floor=0, at=asyncio.get_running_loop().time())
            await asyncio.sleep(0.2)
        await asyncio.sleep(100)

    settled.newest = 1_400
    played(server, settled, act)
    assert len(settled.found_at) == 500
    assert len(server.calls) <= 500 // 10


def test_doubts_far_below_the_top_are_looked_up_one_by_one() -> None:
    server, settled = ListServer(), Settled(newest=50_000_000, created=1_000_000)
    server.add((1, 1), (1, 2))

    async def act(stage: Stage) -> None:
        for seq in (1, 2, 3):
            stage.park(seq, floor=100)
        await asyncio.sleep(10)

    played(server, settled, act)
    assert set(settled.found_at) == {1, 2}
    assert [call[:2] for call in server.calls] == [(1, 1), (1, 2), (1, 3)]


def test_where_ids_do_not_rise_each_pair_has_a_list_of_its_own() -> None:
    server, settled = ListServer(), Settled(newest=None)
    (record_id,) = server.add((1, 1))

    async def act(stage: Stage) -> None:
        stage.park(1, floor=5_000_000)
        await asyncio.sleep(10)

    played(server, settled, act)
    assert settled.found_at[1][1] == record_id
    assert server.calls == [(1, 1, 1)]


@pytest.mark.parametrize(("floor", "which"), [(None, 0), (0, 0), ("between", 1), ("above", 0)])
def test_of_two_records_the_first_above_the_floor_is_named(floor: int | str | None, which: int) -> None:
    server, settled = ListServer(), Settled(newest=None)
    ids = server.add((1, 1), (2, 2), (1, 1))
    floors = {"between": ids[1], "above": ids[2] + 1}

    async def act(stage: Stage) -> None:
        stage.park(1, floor=floors[floor] if isinstance(floor, str) else floor)
        await asyncio.sleep(10)

    played(server, settled, act)
    assert settled.found_at[1][1] == (ids[0], ids[2])[which]


def test_a_failed_look_settles_nothing_and_is_made_again() -> None:
    server = ListServer(fails=lambda call: ListFailed("HTTP 500") if call <= 12 else None)
    settled = Settled()
    server.add((1, 1))

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        while not any(isinstance(event, LookFailed) for event in stage.events):
            await asyncio.sleep(0.1)
        assert stage.looker.failures.since is not None
        assert not settled.found_at
        await asyncio.sleep(60)
        assert stage.looker.failures.since is None

    stage = played(server, settled, act)
    assert set(settled.found_at) == {1}
    assert sum(isinstance(event, LookFailed) for event in stage.events) == 3  # each after four tries of its page


def test_lists_that_were_read_settle_though_the_next_one_fails() -> None:
    chance = random.Random(1)  # two of three calls fail: of thirty lists in a row one always does
    server = ListServer(fails=lambda call: ListFailed("HTTP 429") if chance.random() < 2 / 3 else None)
    server.add_all((1, seq) for seq in range(30))

    async def act(stage: Stage) -> None:
        [stage.park(seq) for seq in range(30)]
        await asyncio.sleep(200)

    assert set(played(server, Settled(newest=None), act).settled.found_at) == set(range(30))
    assert len(server.calls) < 30 * 3 * 2


def test_a_stated_wait_of_a_list_is_kept() -> None:
    server = ListServer(fails=lambda call: ListFailed("HTTP 429", retry_after_s=40.0) if call == 1 else None)
    settled = Settled()
    server.add((1, 1))

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(60)

    played(server, settled, act)
    assert settled.found_at[1][0] >= LAG + 40


def test_a_token_that_may_not_list_ends_the_looks_and_keeps_the_doubts() -> None:
    server = ListServer(fails=lambda call: ListFailed("HTTP 403", is_forbidden=True))

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(500)
        assert stage.looker.forbidden == "HTTP 403"
        assert 1 in stage.looker.doubts

    played(server, Settled(), act)
    assert len(server.calls) == 1


def test_a_connection_out_of_step_settles_nothing() -> None:
    """Its list may have been another pair's."""
    server, settled = ListServer(takes_s=1.0), Settled()
    server.add((1, 1))

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(LAG + 1.02)  # the list has come; a stray reply comes right behind it
        stage.shifts[0] += 1
        await asyncio.sleep(0.1)
        assert not settled.found_at
        await asyncio.sleep(30)

    played(server, settled, act)
    assert set(settled.found_at) == {1}


def test_a_doubt_that_comes_during_a_look_is_not_judged_by_it() -> None:
    server, settled = ListServer(takes_s=2.0), Settled()

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(LATE + LAG + 1)  # the first look that counts is on its way
        stage.park(2, floor=0, at=0.0)
        await asyncio.sleep(LAG + 4)
        assert 1 in settled.absent_at
        assert 2 not in settled.absent_at
        await asyncio.sleep(LAG + 4)
        assert 2 in settled.absent_at

    played(server, settled, act)


def test_a_doubt_settled_elsewhere_meanwhile_is_left_alone() -> None:
    server, settled = ListServer(takes_s=2.0), Settled()
    server.add((1, 1))

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(LAG + 1)
        (doubt,) = stage.looker.doubts
        assert stage.looker.doubts.seen(doubt, began_at=0.0)
        await asyncio.sleep(10)

    played(server, settled, act)
    assert not settled.found_at


class Narrow(ListServer):
    """Lists hide the records of lesson 1."""

    async def get_page(self, filters: Filters, number: int) -> ListPage:
        page = await super().get_page(filters, number)
        kept = [record for record in page.records if record[1][0] != 1]
        return page._replace(records=kept, total=len(kept))


@pytest.mark.parametrize("has_witness", [False, True])
@pytest.mark.parametrize("newest", [1_000_000, None], ids=["ids rise", "one by one"])
def test_where_lists_hide_what_the_run_made_nothing_is_absent(newest: int | None, *, has_witness: bool) -> None:
    """Its newest record is hidden as well, so that the list might be an old one; but the list shows newer ones than
    some that it hides.
    """
    server = Narrow()
    ids = server.add((1, 5), (1, 6), (2, 5), (2, 6), (1, 1))
    settled = Settled(newest=newest, own=dict(zip(ids[:4], [(1, 5), (1, 6), (2, 5), (2, 6)], strict=True)))
    settled.witness = ids[4] if has_witness else 0

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        stage.looker.doubts.park(Intent(2, (2, 5), 1, None, ids[3]), 0.0)
        stage.looker.doubts.park(Intent(3, (2, 9), 1, None, 0), 0.0)
        await asyncio.sleep(300)

    stage = played(server, settled, act)
    assert "does not see records that this run made" in stage.looker.forbidden
    assert stage.looker.failures.is_hidden
    assert 1 not in settled.absent_at
    assert 1 not in settled.found_at


@pytest.mark.parametrize("gone", [0, 1])
def test_one_record_that_somebody_deleted_ends_no_look(gone: int) -> None:
    server = ListServer()
    ids = server.add((1, 5), (1, 6))
    settled = Settled(own={**dict(zip(ids, [(1, 5), (1, 6)], strict=True)), **({999: (1, 7)} if gone else {})})

    async def act(stage: Stage) -> None:
        stage.park(1, floor=0)
        await asyncio.sleep(200)

    stage = played(server, settled, act)
    assert settled.absent_at.keys() == {1}
    assert not any(isinstance(event, LookFailed) for event in stage.events)
