"""Old settled rows of single pairs can be dropped: counts stay true, nothing is doubled, and nothing open is dropped.

In virtual time, on the stage of `test_waits`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bulkwriter import BulkWriter, State, UsageError
from bulkwriter.model import SINGLE_SEQ, Counts
from bulkwriter.run.pruning import given_before
from bulkwriter.store.history import HistoryRow, Moment
from tests.library.test_waits import LOST, stage
from tests.sim.fates import CALM

OLD = [(1, member) for member in range(1, 9)]
REFUSED = (1, 8)
MINUTES = timedelta(minutes=2)


def history_row(at: float, nth: int) -> HistoryRow:
    moment = Moment(1, at, None, 0, 0, 0, 1, None, "", {}, {}, {}, {})
    return HistoryRow(moment, Counts(), 0, SINGLE_SEQ + nth)


@pytest.mark.parametrize(
    ("rows", "nth"),
    [
        ([], 0),
        ([(200.0, 5)], 0),
        ([(50.0, 5)], 5),
        ([(50.0, 5), (99.0, 7), (101.0, 9)], 7),
        ([(5.0, 900), (50.0, 5), (150.0, 950)], 900),
        ([(5.0, 900), (150.0, 450), (160.0, 950)], 450),  # the clock was wrong at first
    ],
)
def test_the_history_tells_which_pairs_were_surely_given_before_a_time(rows: list[tuple[float, int]], nth: int) -> None:
    assert given_before([history_row(*row) for row in rows], 100.0) == SINGLE_SEQ + nth


def test_old_settled_pairs_are_dropped_and_still_counted_and_never_written_twice() -> None:
    async def act(writer: BulkWriter) -> None:
        await writer.write_all([(5, 5)])
        for pair in OLD:
            await writer.write(pair)
        here.weather.odds = replace(LOST, lists={"500": 1.0})
        doubt = asyncio.create_task(writer.write((2, 1)))
        await asyncio.sleep(200.0)
        here.weather.odds = replace(CALM, lists={"500": 1.0})  # so that the doubt stays one until rows were pruned
        new = await writer.write((3, 1))
        before = writer.summary().counts

        assert await writer.prune(older_than=MINUTES) == len(OLD)
        assert await writer.prune(older_than=MINUTES) == 0
        here.weather.calm()
        left = [row.pair for rows in (here.journal.whole(SINGLE_SEQ, 99), here.journal.whole(0, 9)) for row in rows]
        assert left == [(2, 1), (3, 1), (5, 5)]
        assert (await doubt).state is State.CREATED
        after = writer.summary().counts
        assert (after.pairs, after.rejected) == (before.pairs, 1)
        assert after.created == before.created + before.in_doubt
        here.journal.check()

        attempts = here.watch.attempts
        again = await writer.write_many(OLD)
        assert [outcome.state for outcome in again] == [State.EXISTING] * 7 + [State.REJECTED]
        assert here.watch.attempts == attempts + 1, "only the refused pair is sent"
        assert (await writer.write((3, 1))) == new
        here.journal.check()

    here = stage(refused={REFUSED}, settings={"existing": "check", "journal": "sim.journal"})
    here.run(act)
    assert max(here.server.ours().values()) == 1


def test_rejected_rows_stay_while_one_of_them_may_be_tried_again() -> None:
    async def act(writer: BulkWriter) -> None:
        assert (await writer.write(REFUSED)).state is State.REJECTED
        await asyncio.sleep(200.0)
        here.weather.odds = replace(CALM, creates={"403": 1.0})
        trying = asyncio.create_task(writer.write(REFUSED, retry=("rejected",)))
        await asyncio.sleep(1.0)
        assert await writer.prune(older_than=timedelta(0)) == 0
        here.weather.calm()
        assert (await trying).state is State.REJECTED

    here = stage(refused={REFUSED}, settings={"existing": "check", "journal": "sim.journal"})
    here.run(act)


@pytest.mark.parametrize(
    ("settings", "older_than", "words"),
    [
        ({"existing": "skip"}, MINUTES, "skip"),
        ({"existing": "check", "journal": None}, MINUTES, "nothing is kept"),
        ({"existing": "check"}, timedelta(-1), "span of time"),
        ({"existing": "check"}, 3600, "span of time"),
    ],
)
def test_what_cannot_be_pruned_is_said(settings: dict[str, object], older_than: timedelta, words: str) -> None:
    async def act(writer: BulkWriter) -> None:
        with pytest.raises(UsageError, match=words):
            await writer.prune(older_than=older_than)

    stage(settings=settings).run(act)
