"""Replies that tell of a creation and name a record that is not above the floor: it may have been there before.

By hand on the sender and on doubt resolution, then real runs against a server whose ids rise, fall, come at random, in
blocks of two backends, or are shared with other entities, and which answers a second POST of a pair with the record
that was there.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bulkwriter.core.dedupe import IdSet
from bulkwriter.core.doubts import Doubt
from bulkwriter.core.record_log import RecordLog
from bulkwriter.listing.baseline import is_near, is_newer
from bulkwriter.model import Fault, Intent, Reply, State
from bulkwriter.net.api import ListedRecord
from bulkwriter.rows import Named
from bulkwriter.run.doubt_resolution import DoubtResolution
from bulkwriter.run.record_ids import RecordIds
from bulkwriter.run.run_loop import RunLoop
from bulkwriter.settings import Settings
from bulkwriter.store.schema import read_detail

from ..support.cli_asking import ask, journal_of
from ..support.cli_process import Here
from ..support.sender_stage import Stage, created
from ..support.stranger import Manner, Stranger

SENT_AT = 1_764_000_000.0  # 2025-11-24T16:00:00Z
EARLIER, NOW, LOCAL_NOW = "2025-11-24T15:59:30Z", "2025-11-24T16:00:00Z", "2025-11-24T17:00:00"


@pytest.mark.parametrize(
    ("created_on", "newer"),
    [
        (EARLIER, False),
        (NOW, True),
        ("2025-11-24T15:59:55Z", None),  # its clock may lag behind that of Date, or another writer was just before us
        ("2025-11-24T15:59:49.5Z", None),
        ("2025-11-24T18:00:00+02:00", True),
        (LOCAL_NOW, None),
        ("2025-11-22T16:00:00", False),
        ("2025-11-26T16:00:00", True),
        ("soon", None),
        (None, None),
    ],
)
def test_a_record_is_older_or_newer_only_where_its_time_shows_it(created_on: object, *, newer: bool | None) -> None:
    assert is_newer(created_on, SENT_AT) is newer


def test_a_record_that_is_not_above_the_floor_is_no_creation_yet() -> None:
    stage = Stage()
    stage.give(1, 2, floor=50)
    stage.lane_of(1).answer(created(50))
    stage.lane_of(2).answer(created(51))
    assert stage.settled() == {1: State.IN_DOUBT, 2: State.CREATED}
    (doubt,) = stage.pairs.doubts
    assert doubt.named == read_detail(stage.pairs._rows[0][5]).named == Named(50, pytest.approx(SENT_AT, abs=1.0))  # type: ignore[arg-type]
    assert (stage.pairs.doubts.due_at(doubt), stage.admission.has_created) == (doubt.ended_at + 5.0, True)
    assert stage.admission.breaker.bad == 0


def test_a_look_that_comes_too_soon_to_see_it_says_nothing() -> None:
    stage = Stage()
    stage.give(1, floor=50)
    stage.lane_of(1).answer(created(50))
    doubts, (doubt,) = stage.pairs.doubts, stage.pairs.doubts
    assert not doubts.not_seen(doubt, began_at=stage.now + 5.0, ended_at=stage.now + 5.1)
    assert (doubts.due_at(doubt), doubt.absent_at) == (stage.now + 65.0, None)
    doubts.check()


def test_the_same_record_for_the_same_pair_again_was_there_and_shows_no_connection_out_of_step() -> None:
    stage = Stage(Settings(in_flight=1))
    stage.give(1, floor=50)
    stage.lane_of(1).answer(created(50))
    (doubt,) = stage.pairs.doubts
    stage.pairs.doubts.drop(1)
    stage.pairs.absent(doubt.intent)
    stage.pairs.freed()
    stage.run.soon()
    stage.lane_of(1).answer(created(50))
    assert stage.settled() == {1: State.EXISTING}
    assert (stage.pairs._rows[-1][3], stage.pairs.doubts.named, stage.events) == (50, {}, [])


def test_a_record_named_for_another_pair_shows_one() -> None:
    stage = Stage(Settings(in_flight=1))
    stage.give(1, 2, floor=50)
    stage.lane_of(1).answer(created(50))
    stage.lane_of(2).answer(created(50))
    assert stage.settled() == {1: State.IN_DOUBT, 2: State.IN_DOUBT}
    assert not stage.pairs.doubts.get(2).is_named  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("below", "created_on", "is_checked", "state"),
    [
        (1, EARLIER, True, State.EXISTING),
        (1, NOW, True, State.CREATED),
        (1, NOW, False, State.CREATED),
        (1, LOCAL_NOW, True, State.EXISTING),  # ids have risen until now
        (4, LOCAL_NOW, True, State.CREATED),
        (4, None, False, State.CREATED),
        (9, EARLIER, True, State.EXISTING),
    ],
)
def test_what_a_look_makes_of_it(below: int, created_on: object, *, is_checked: bool, state: State) -> None:
    stage = Stage()
    resolution = resolution_of(stage, is_checked=is_checked)
    for seq in range(below):
        stage.give(seq, floor=500)
        stage.lane_of(seq).answer(created(100 + seq))
    doubt = stage.pairs.doubts.get(0)
    assert doubt
    stage.pairs.doubts.drop(0)
    resolution.found(doubt, ListedRecord(100, doubt.intent.pair, created_on))
    assert stage.settled()[0] is state
    assert stage.record_ids.are_rising is (below < 4 or created_on == EARLIER)
    assert len(stage.events) == (state is State.EXISTING)


@pytest.mark.parametrize(
    ("created_on", "is_rising", "state"),
    [
        (NOW, True, State.CREATED),
        (EARLIER, True, State.EXISTING),
        (None, True, State.EXISTING),
        (None, False, State.EXISTING),
        (EARLIER, False, State.EXISTING),
    ],
)
def test_a_lost_request_is_told_by_the_time_of_its_record_where_ids_tell_nothing(
    created_on: object, *, is_rising: bool, state: State
) -> None:
    stage = Stage()
    stage.record_ids.are_rising = is_rising
    resolution = resolution_of(stage, is_checked=False)
    stage.give(1, floor=500)
    stage.lane_of(1).answer(Reply(0, fault=Fault.LOST))
    doubt = stage.pairs.doubts.get(1)
    assert doubt
    stage.pairs.doubts.drop(1)
    resolution.found(doubt, ListedRecord(100, doubt.intent.pair, created_on))
    assert (stage.settled()[1], stage.record_ids.are_rising) == (state, is_rising)


@pytest.mark.parametrize(("began_at", "state"), [(SENT_AT, State.CREATED), (None, State.EXISTING)])
def test_an_intent_of_a_killed_process_is_told_by_the_beginning_of_the_run(
    began_at: float | None, state: State
) -> None:
    stage = Stage()
    stage.record_ids.are_rising = False
    resolution = resolution_of(stage, is_checked=False, began_at=began_at)
    resolution.found(Doubt(Intent(1, (1, 2), 0, 3, 500), 0.0), ListedRecord(100, (1, 2), NOW))
    assert stage.settled()[1] is state


@pytest.mark.parametrize(("created_on", "near"), [(EARLIER, False), ("2025-11-24T15:59:55Z", True), (NOW, False)])
def test_another_writer_just_before_us_says_nothing_of_ids(created_on: str, *, near: bool) -> None:
    assert is_near(created_on, SENT_AT) is near
    assert not is_near(LOCAL_NOW, SENT_AT)
    ids = RecordIds(below=9)
    ids.judge(is_new=None, is_near=near)
    assert ids.are_rising is near


def test_no_look_goes_by_floors_while_many_records_below_theirs_are_not_judged() -> None:
    ids = RecordIds()
    ids.add_all([*range(1, 101)], [0] * 100)
    for count, tells in ((3, True), (3, False)):
        ids.add_all([*range(1_000 + count, 1_000, -1)] if tells else [2_001, 2_002, 2_003], [10**9] * count)
        assert (ids.floors_tell, ids.are_rising) == (tells, True)
    for _ in range(3):
        ids.judge(is_new=False)
    assert (ids.floors_tell, ids.are_rising) == (True, True)


def test_what_a_killed_process_was_told_counts_against_rising_ids() -> None:
    given = IdSet()
    given.add_new(list(range(1, 41)))
    ids = RecordIds(given, below=4)
    ids.judge(is_new=True)
    assert not ids.are_rising


def resolution_of(stage: Stage, *, is_checked: bool, began_at: float | None = None) -> DoubtResolution:
    return DoubtResolution(
        cast(RunLoop, stage.run), stage.pairs, stage.admission, stage.record_ids, cast(Any, SimpleNamespace()),
        RecordLog(), is_checked=is_checked, began_at=began_at, clock=lambda: stage.now,
    )  # fmt: skip


SHAPES = ["rising", "shared", "random", "falling", "blocks"]
OTHERS, BEFORE = [(1, m) for m in range(20, 30)], [(9, m) for m in range(1, 40)]


def rows_of(journal: Path) -> dict[tuple[int, int], tuple[State, int]]:
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
        return {(a, b): (State(s), i) for a, b, s, i in db.execute("SELECT id_a, id_b, state, record_id FROM pair")}


@pytest.mark.slow
@pytest.mark.parametrize("dated", ["zoned", "local"])
@pytest.mark.parametrize("existing", ["check", "skip"])
@pytest.mark.parametrize("ids", SHAPES)
def test_no_creation_is_told_as_existing_and_nothing_older_as_created(
    here: Here, tmp_path: Path, ids: str, existing: str, dated: str
) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text("CourseLessonId,CourseMemberId\n" + "".join(f"1,{m}\n" for m in range(1, 101)))
    there = OTHERS if existing == "skip" else []
    with Stranger(Manner(ids=ids, answers_old=True, dated=dated), BEFORE + there) as server:
        done = here.run(source, server.base_url, f"--existing={existing}")
        assert done.code == 0, done.err
        rows = rows_of(journal_of(source))
        assert server.count == (139, 0)
        told = {pair for pair, (state, _) in rows.items() if state is State.EXISTING}
        assert told <= set(there), done.err
        if ids in ("rising", "shared"):
            assert told == set(there)
        code, facts, done = ask(here, "undo", journal_of(source), server.base_url, "--yes")
        assert (code, facts["deleted"]) == (int(facts["older"] > 0), 100 - len(there)), done.err
        assert sorted(server.records.values()) == sorted(there + BEFORE)


def test_stored(tmp_path: Path) -> None:
    detail = '{"message":"m","floor":50,"named":[50,1764000000.0]}'
    assert read_detail(detail).named == Named(50, SENT_AT)
    for wrong in ("[50]", "[50,1]", "[-1,1.5]", "{}", "null", '["50",1.5]'):
        with pytest.raises(ValueError, match="not as it was written"):
            read_detail(detail.replace("[50,1764000000.0]", wrong))
