"""What is known before pairs are sent: who is there, the highest record id, and when that id tells nothing.

`KnownRecords` stands on a list server of the simulation's model, a token that counts how often it is asked for, and a
baseline that keeps what it is given in a list.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import pytest

from bulkwriter.clocks import Clocks
from bulkwriter.core.stats import Stats
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.events import Event, Note
from bulkwriter.listing.existing import Existing
from bulkwriter.listing.lists import ListFailed
from bulkwriter.model import Intent
from bulkwriter.run.existing_records import NOT_RISING, OUTWAITING, KnownRecords, outwait_s
from bulkwriter.run.record_ids import RecordIds
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal
from bulkwriter.store.schema import RISING_IDS
from bulkwriter.wording import typed

from ..sim.loop import run_virtual
from ..support.list_server import ListServer

T = TypeVar("T")


class Kept:
    """Stands for the keeper of the baseline, and for the token."""

    def __init__(self, server: ListServer) -> None:
        self.get_page = server.get_page
        self.floors: list[int | None] = []
        self.asked_for_a_token = 0

    async def note(self, floor: int | None) -> None:
        await asyncio.sleep(0.01)
        self.floors.append(floor)

    async def begin(self) -> None:
        self.asked_for_a_token += 1


class Stage:
    """One `KnownRecords` and what is around it."""

    def __init__(
        self, server: ListServer, ids: RecordIds | None = None, *, existing: str = "check", not_before: float = 0.0
    ) -> None:
        self.server, self.ids, self.kept = server, ids or RecordIds(), Kept(server)
        self.told: list[Event] = []
        self.stats = Stats(0.0)
        clocks = Clocks(clock=asyncio.get_running_loop().time, wall=lambda: 0.0)
        looked_up = None
        if existing == "check":
            looked_up = Existing(
                server.get_page, COMPLETED_LESSONS, Settings(), clocks=clocks, tell=self.told.append,
                rng=random.Random(1),
            )  # fmt: skip
        self.known = KnownRecords(
            self.ids, existing=looked_up, baseline=cast(Any, self.kept), token_refresh=cast(Any, self.kept),
            stats=self.stats, not_before=not_before, clocks=clocks, tell=self.told.append,
        )  # fmt: skip


def on(stage: Callable[[], Stage], then: Callable[[Stage], Awaitable[T]]) -> T:
    async def main() -> T:
        return await then(stage())

    return run_virtual(main)


def server_with(*pairs: tuple[int, int]) -> ListServer:
    server = ListServer()
    server.add(*pairs)
    return server


def test_what_is_there_is_found_and_the_highest_id_is_the_floor() -> None:
    server = ListServer()
    ids = server.add((1, 1), (7, 7))

    async def then(stage: Stage) -> None:
        assert await stage.known.find([(1, 1), (1, 2)]) == {(1, 1): ids[0]}
        assert stage.known.floor() == ids[1] == stage.ids.run_floor
        assert stage.kept.floors == [ids[1]]
        assert (stage.known.listed, stage.known.is_listing) == (2, False)

    on(lambda: Stage(server), then)


def test_nothing_is_asked_of_anybody_for_no_pairs() -> None:
    async def then(stage: Stage) -> None:
        assert await stage.known.find([]) == {}
        assert (stage.server.calls, stage.kept.asked_for_a_token, stage.kept.floors) == ([], 0, [])

    on(lambda: Stage(server_with((1, 1))), then)


def test_skip_looks_nothing_up_but_the_highest_id_once() -> None:
    server = ListServer()
    (newest,) = server.add((1, 1))

    async def then(stage: Stage) -> None:
        assert await stage.known.find([(1, 1)]) == {}
        assert await stage.known.find([(1, 2)]) == {}
        assert (len(server.calls), stage.known.floor(), stage.kept.floors) == (1, newest, [newest])
        assert (stage.known.calls, stage.known.listed, stage.known.trouble) == (0, 0, "")

    on(lambda: Stage(server, existing="skip"), then)


def test_skip_goes_on_without_a_floor_where_lists_fail_until_a_record_is_made() -> None:
    server = server_with((1, 1))
    server.fails = lambda call: ListFailed("no list today")

    async def then(stage: Stage) -> None:
        assert await stage.known.find([(1, 1)]) == {}
        assert (stage.known.floor(), stage.kept.floors, stage.ids.run_floor) == (None, [None], None)
        stage.ids.add_all([900], [None])
        assert stage.known.floor() == 900

    on(lambda: Stage(server, existing="skip"), then)


def test_an_empty_server_has_the_floor_zero() -> None:
    async def then(stage: Stage) -> None:
        await stage.known.find([(1, 1)])
        assert (stage.known.floor(), stage.kept.floors) == (0, [0])

    on(lambda: Stage(ListServer(), existing="skip"), then)


@pytest.mark.parametrize("existing", ["check", "skip"])
def test_who_asks_at_once_shares_one_look_and_none_goes_on_without_a_floor(existing: str) -> None:
    server = ListServer()
    (newest,) = server.add((1, 1))

    async def ask(stage: Stage, pair: tuple[int, int]) -> int | None:
        await stage.known.find([pair])
        return stage.known.floor()

    async def then(stage: Stage) -> None:
        assert await asyncio.gather(*(ask(stage, (2, i)) for i in range(1, 9))) == [newest] * 8
        assert stage.kept.floors == [newest]

    on(lambda: Stage(server, existing=existing), then)


def test_a_floor_counts_as_the_run_s_only_before_anything_was_sent() -> None:
    async def then(stage: Stage) -> None:
        stage.stats.attempts = 1
        await stage.known.find([(1, 1)])
        assert stage.ids.run_floor is None
        assert len(stage.kept.floors) == 1

    on(lambda: Stage(server_with((1, 1))), then)


@pytest.mark.parametrize(
    ("existing", "floors", "of_the_run"),
    [("skip", [5, None, 3], 3), ("skip", [None], None), ("skip", [], None), ("check", [5, 3], None)],
)
def test_doubts_of_an_earlier_start_bring_their_lowest_floor(
    existing: str, floors: list[int | None], of_the_run: int | None
) -> None:
    doubts = [Intent(i, (1, i + 1), 1, False, floor) for i, floor in enumerate(floors)]

    async def then(stage: Stage) -> None:
        stage.known.adopt(doubts)
        assert stage.ids.run_floor == of_the_run

    on(lambda: Stage(ListServer(), existing=existing), then)


def test_ids_that_do_not_rise_make_the_journal_forget_floors_once() -> None:
    async def then(stage: Stage) -> None:
        assert stage.known.floors_to_forget() is None
        for record_id in range(1, 9):
            stage.ids.add_all([record_id], [1_000])
        assert stage.known.floor() == 8  # nobody has looked yet: they may all have been there before
        stage.ids.judge(is_new=False)
        assert stage.known.floors_to_forget() is None
        stage.ids.judge(is_new=None)
        assert stage.known.floor() is None
        forget = stage.known.floors_to_forget()
        assert forget is not None
        assert stage.known.floors_to_forget() is None
        assert [event.text for event in stage.told if isinstance(event, Note)] == [NOT_RISING]
        journal = Journal.open(None, base_url="http://127.0.0.1:1", account=None, columns=("a", "b"))
        forget(journal)
        assert journal.meta_get(RISING_IDS) == "no"
        journal.close()

    on(lambda: Stage(ListServer(), existing="skip"), then)


def test_after_a_lost_journal_nobody_looks_before_all_of_it_can_be_seen() -> None:
    settings = Settings(after_loss=True, late_apply_s=60.0, list_lag_s=5.0)
    assert (outwait_s(settings), outwait_s(Settings())) == (65.0, 0.0)
    server = server_with((1, 1))

    async def then(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        assert stage.known.outwaits_s(loop.time()) == pytest.approx(65.0, abs=0.1)
        await asyncio.gather(stage.known.find([(1, 1)]), stage.known.find([(1, 2)]))
        assert loop.time() >= 65.0
        assert sum(OUTWAITING in typed(event.text) for event in stage.told if isinstance(event, Note)) == 1
        assert stage.known.outwaits_s(loop.time()) == 0.0

    on(lambda: Stage(server, not_before=asyncio.get_running_loop().time() + 65.0), then)
