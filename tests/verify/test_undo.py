"""`undo` in virtual time, over a model of the API: what it deletes, what it leaves, and what a kill at any point costs.

`World` is one run's journal and the server as that run left it.  Each `undo` is a process of its own: it begins with
the journal as a disk would have it, and may be killed at any request or commit.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest

from bulkwriter.clocks import Clocks
from bulkwriter.errors import BulkwriterError, ConfigurationStop, Exit, TryLater
from bulkwriter.events import Event
from bulkwriter.model import Fault, Reply, State
from bulkwriter.server_client import ServerClient
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_writer import JournalWriter
from bulkwriter.store.schema import RISING_IDS
from bulkwriter.verify.session import ServerSession
from bulkwriter.verify.undo import Undo, UndoPlan
from tests.sim.loop import Killed, VirtualLoop
from tests.support.model_api import BASE_URL, ModelApi, Weather

SETTINGS = Settings(base_url=BASE_URL, token="canary", list_lag_s=2.0, late_apply_s=10.0)
PENDING: tuple[State, int | None] = (State.PENDING, None)
OTHERS = [(1, 10_000), (3, 10_001)]


class World:
    """A journal of `created` pairs, four of which existed before, and one each that was rejected, pending, no pair."""

    def __init__(self, created: int = 60, *, weather: Weather | None = None, seed: int = 0) -> None:
        self.server = ModelApi(OTHERS, seed=seed, weather=weather)
        self.journal = Journal.open(None, base_url=BASE_URL, account=None, columns=("A", "B"))
        existing = [(1, 20_000 + i) for i in range(4)]
        self.pairs = [(1 + i % 7, 100 + i) for i in range(created)]
        there = self.server.add(*existing)
        ids = self.server.add(*self.pairs)
        self.ids = ids
        rows: list[tuple[State, tuple[int, int], int | None]] = []
        rows += [(State.EXISTING, pair, i) for pair, i in zip(existing, there, strict=True)]
        rows += [(State.CREATED, pair, i) for pair, i in zip(self.pairs, ids, strict=True)]
        rows += [(State.REJECTED, (9, 1), None), (State.PENDING, (9, 2), None)]
        self.journal.append([(seq, *pair, seq + 2, state, None) for seq, (state, pair, _) in enumerate(rows)])
        self.journal.settle([(seq, state, 2, i, 200, None) for seq, (state, _, i) in enumerate(rows)])
        self.before = {**self.states(), **dict.fromkeys(self.pairs, PENDING)}
        self.untouched = {i: pair for i, pair in self.server.records.items() if i not in ids}
        self.told: list[Event] = []
        self.now = 0.0

    def states(self) -> dict[tuple[int, int], tuple[State, int | None]]:
        return {row.pair: (row.state, row.record_id) for row in self.journal.export(set(State)) if row.pair}

    def undo(self, *, kill_at: int | None = None, halt_at: int | None = None, settings: Settings = SETTINGS) -> Undo:
        """One process.  Raises `Killed`, or what the undo raised."""
        loop = VirtualLoop(start_s=self.now)
        events = 0

        def event(what: str) -> None:
            nonlocal events
            events += 1
            if events == kill_at:
                loop.kill()
            if events == halt_at:
                self.session.stop.set()

        async def process() -> Undo:
            store = Store(event)
            store.adopt(self.journal)
            self.session = ServerSession(
                cast(ServerClient, self.server), settings, tell=self.told.append, clocks=Clocks(clock=loop.time)
            )
            self.undone = undo = await Undo.load(store, self.session, settings)
            await undo.settle_doubts()
            await undo.run()
            return undo

        self.server.on_request = event
        try:
            return loop.run(process())
        finally:
            self.now = loop.time()
            self.journal = self.journal.reopened()

    def assert_undone(self) -> None:
        assert self.server.records == self.untouched
        assert self.states() == self.before
        assert Counter(self.server.deleted) == Counter(self.ids)


class Store(JournalWriter):
    """A journal without a thread; a kill comes before or after a commit, never within."""

    def __init__(self, event: Any) -> None:
        super().__init__(inline=True)
        self._event = event

    async def settle(self, rows: Any) -> None:
        self._event("commit")
        await asyncio.sleep(0.001)
        await super().settle(rows)
        self._event("committed")
        await asyncio.sleep(0)


def test_exactly_the_runs_records_go_and_the_plan_said_so() -> None:
    world = World()
    undo = world.undo()
    world.assert_undone()
    assert (undo.tally.deleted, undo.tally.gone, undo.left, undo.exit_code) == (60, 0, 0, Exit.OK)
    assert world.server.requests == {"DELETE": 60, "GET": undo.snapshot().total // 15} == {"DELETE": 60, "GET": 4}
    again = world.undo()
    assert (again.tally.done, world.server.requests["DELETE"]) == (0, 60)


def test_a_kill_at_any_request_or_commit_and_the_same_command_again() -> None:
    kill_at, most_doubts = 1, 0
    while True:
        world = World(55)
        try:
            world.undo(kill_at=kill_at)
        except Killed:
            pass
        else:
            break
        gone = {pair for i, pair in zip(world.ids, world.pairs, strict=True) if i not in world.server.records}
        for pair, (state, _) in world.states().items():
            assert state is not State.CREATED or pair not in gone, "the journal claims what was deleted"
            assert state is not State.PENDING or pair in gone or pair == (9, 2), "the journal denies what is there"
        doubts = list(world.journal.export([State.IN_DOUBT]))
        assert all(row.floor == (row.record_id or 0) - 1 for row in doubts), "a run would not know its own record"
        most_doubts = max(most_doubts, len(doubts))
        undo = world.undo()
        world.assert_undone()
        assert undo.exit_code == Exit.OK
        kill_at += 1
    assert kill_at > 60
    assert 0 < most_doubts <= 55


@pytest.mark.parametrize("seed", range(25))
def test_bad_weather_and_kills_come_to_the_same_end(seed: int) -> None:
    rng = random.Random(seed)
    names = ("unsent", "lost_before", "lost_after", "broken_after", "throttled", "short_lists")
    world = World(70, seed=seed, weather=Weather(**{name: rng.uniform(0, 0.12) for name in names}))
    world.server.page_size_max = rng.choice([7, 25, 1_000])
    for _ in range(6):
        try:
            world.undo(kill_at=rng.randint(1, 150))
        except Killed:
            continue
        if world.undone.exit_code == Exit.OK:
            break
    world.server.weather = Weather()
    assert world.undo().exit_code == Exit.OK
    assert world.server.records == world.untouched
    assert world.states() == world.before


def test_a_drain_leaves_what_was_not_sent_as_it_was() -> None:
    for halt_at in (1, 3, 12, 40):
        world = World(120)
        undo = world.undo(halt_at=halt_at)
        assert world.journal.counts().get(State.IN_DOUBT, 0) == 0
        left = [i for i in world.ids if i in world.server.records]
        assert undo.left == len(left) == 120 - undo.tally.deleted > 0
        assert undo.exit_code == Exit.INCOMPLETE
        rows = list(world.journal.export([State.CREATED]))
        assert [row.record_id for row in rows] == left
        assert all((row.attempts, row.http_status) == (2, 200) for row in rows)
        world.undo()
        world.assert_undone()


def test_what_is_gone_already_counts_as_done() -> None:
    world = World(200)
    for record_id in world.ids[:120]:
        del world.server.records[record_id]
    undo = world.undo()
    assert (undo.tally.gone, undo.tally.deleted, undo.exit_code) == (120, 80, Exit.OK)
    assert world.states() == world.before
    assert world.server.requests == {"DELETE": 80, "GET": 4 + 2 + 2}  # 200 by id twice, and the small table once or so


def test_a_record_that_holds_another_pair_is_left_alone() -> None:
    world = World(10)
    world.server.records[world.ids[3]] = (77, 78)
    undo = world.undo()
    assert (undo.tally.deleted, undo.tally.mismatched, undo.left, undo.exit_code) == (9, 1, 0, Exit.INCOMPLETE)
    assert undo.tally.mismatches == [(world.ids[3], world.pairs[3], (77, 78))]
    assert world.server.records == {**world.untouched, world.ids[3]: (77, 78)}
    assert world.states()[world.pairs[3]] == (State.CREATED, world.ids[3])


def test_a_read_by_ids_that_shows_nothing_is_not_believed() -> None:
    world = World(20)
    world.server.hides_ids = True
    undo = world.undo()
    assert (undo.tally.deleted, undo.tally.gone) == (20, 0)
    world.assert_undone()


def test_doubts_of_a_dead_run_are_settled_before_anything_is_deleted() -> None:
    world = World(10)
    there, old = world.server.add((5, 500)), 1  # applied, and the reply lost; a pair that existed before
    journal, first = world.journal, world.journal.rows
    detail = f'{{"floor":{there[0] - 1}}}'
    doubts = [(5, 500), world.untouched[old], (5, 501)]
    journal.append([(first + i, *pair, None, State.INTENT, detail) for i, pair in enumerate(doubts)])
    undo = world.undo()
    assert (undo.tally.deleted, undo.exit_code) == (11, Exit.OK)
    assert world.server.records == world.untouched
    states = world.states()
    assert all(states[pair] == PENDING for pair in doubts)  # the next run looks again what exists
    assert world.now > SETTINGS.late_apply_s + 2 * SETTINGS.list_lag_s


def test_a_doubt_whose_record_is_older_than_its_intent_is_not_the_runs() -> None:
    world = World(3)
    world.journal.append([(world.journal.rows, *world.untouched[1], None, State.INTENT, '{"floor":2}')])
    assert world.undo().exit_code == Exit.OK
    assert world.server.records == world.untouched
    assert world.states()[world.untouched[1]] == (State.EXISTING, 1)


def test_a_look_that_is_to_wait_for_days_ends_the_undo_at_once() -> None:
    world = World(3)
    world.journal.append([(world.journal.rows, 5, 500, None, State.INTENT, '{"floor":2}')])
    world.journal.meta_set(RISING_IDS, "no")  # so that nothing but a look is asked for
    world.server.answers["GET"] = Reply(429, retry_after="999999")
    with pytest.raises(TryLater, match="999,999 s"):
        world.undo()
    assert world.now < 60
    assert world.server.requests["DELETE"] == 0


def test_a_doubt_that_cannot_be_told_from_what_was_there_stays_one() -> None:
    world = World(3)
    world.server.add((5, 500))
    world.journal.append([(world.journal.rows, 5, 500, None, State.IN_DOUBT, None)])
    undo = world.undo()
    assert undo.plan().doubts == 1
    assert undo.exit_code == Exit.DOUBTS
    assert world.states()[5, 500] == (State.IN_DOUBT, None)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(401), ConfigurationStop, "CourseCompletedLesson-Delete"),
        (Reply(403, b"<html>blocked</html>"), ConfigurationStop, "blocked"),
        (Reply(405), ConfigurationStop, "405"),
        (Reply(429, retry_after="999999"), TryLater, "999,999"),
        (Reply(0, fault=Fault.REFUSED), TryLater, "refused"),
        (Reply(0, fault=Fault.LOST), None, ""),
        (Reply(200, b'{"Value":null,"WasSuccessful":true}'), None, ""),  # it says so, and shows the record still
        (Reply(204), None, ""),
        (Reply(404, b'"Not found"'), None, ""),
        (Reply(400, b'{"Errors":[{"Message":"is in use"}],"WasSuccessful":false}'), ConfigurationStop, "is in use"),
    ],
)
def test_a_server_that_does_not_delete(reply: Reply, error: type[BulkwriterError] | None, said: str) -> None:
    world = World(110)
    world.server.answers["DELETE"] = reply
    if error:
        with pytest.raises(error) as raised:
            world.undo()
        assert said in str(raised.value)
        assert world.undone.left == 110
    else:
        world.undo()
        assert world.undone.exit_code == Exit.DOUBTS
    assert len(world.server.records) == len(world.untouched) + 110
    del world.server.answers["DELETE"]
    world.undo()
    world.assert_undone()


def test_deletes_that_are_never_answered_are_tried_again_at_the_end() -> None:
    world = World(300, weather=Weather(lost_before=0.5))
    undo = world.undo()
    world.assert_undone()
    assert undo.exit_code == Exit.OK


def test_a_delete_whose_reply_was_lost_is_ours_all_the_same() -> None:
    world = World(80, weather=Weather(lost_after=0.3))
    undo = world.undo(settings=replace(SETTINGS, max_attempts=2))  # so that some are given up, and tried again
    world.assert_undone()
    assert (undo.tally.deleted, undo.tally.gone) == (80, 0)


def test_throttles_are_obeyed_by_everyone() -> None:
    world = World(100, weather=Weather(throttled=0.2))
    undo = world.undo()
    world.assert_undone()
    assert undo.snapshot().throttled > 10
    assert world.now > undo.snapshot().throttled / 4  # at most LANES of them share a pause of a second


def test_the_plan_tells_the_time_that_quotas_take() -> None:
    from bulkwriter.quota.windows import windows_of

    windows = windows_of(["nexudus"], is_loopback=False)
    assert [UndoPlan(n, 0).least_s(windows) for n in (0, 1, 2_500, 2_501)] == [0, 0, 41 * 60, 86_400]
    assert UndoPlan(101, 0).reads == 6
    assert UndoPlan(101, 0).least_s(()) == 0


def test_a_lesson_of_which_this_token_sees_nothing_is_not_noted_as_gone() -> None:
    world = World(60)
    hidden = {i: world.server.records.pop(i) for i, pair in zip(world.ids, world.pairs, strict=True) if pair[0] == 2}
    del world.server.records[world.ids[0]]  # somebody deleted one of a lesson that is shown
    with pytest.raises(ConfigurationStop, match=f"does not see {len(hidden)} of the records"):
        world.undo()
    assert (world.undone.tally.gone, world.undone.tally.deleted) == (1, 59 - len(hidden))
    assert {i for state, i in world.states().values() if state is State.CREATED} == set(hidden)
    world.server.records.update(hidden)  # a token that sees them
    assert world.undo().tally.deleted == len(hidden)
    assert (world.server.records, world.states()) == (world.untouched, world.before)
