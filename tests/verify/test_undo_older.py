"""A server may answer a second POST with the id of the record that was there: nobody deletes that one.

In virtual time over the model of `test_undo.py`, for a repair over that of `test_verify.py`, and once with a real run.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulkwriter.errors import Exit
from bulkwriter.listing.baseline import BEGAN, Baseline
from bulkwriter.model import State
from bulkwriter.rows import Named, doubt_detail
from bulkwriter.run.doubt_resolution import WERE_THERE
from tests.conftest import CANARY
from tests.support.cli_asking import ask, journal_of, pairs_on
from tests.support.cli_process import Here, stub, write_pairs
from tests.support.library import on_loop, settings_for, states, wholly
from tests.support.stranger import Manner, Stranger
from tests.verify.test_undo import World
from tests.verify.test_verify import Doubled

BEFORE, AFTER = "2026-01-01T11:59:00Z", "2026-01-01T12:00:05Z"
NOON = 1_767_268_800.0


def world_of(floor: int | None, *, dates: bool = True) -> World:
    """20 pairs that the journal calls created, of which the first 5 were there before the run, with ids from 7 on."""
    world = World(20)
    began = Baseline(NOON, floor, None)
    world.journal.meta_set(BEGAN, began.text())
    if dates:
        world.server.created_on = {i: BEFORE if i < world.ids[5] else AFTER for i in world.server.records}
    return world


def left(world: World) -> list[int]:
    return [i for i in world.ids if i in world.server.records]


@pytest.mark.parametrize("hides_ids", [False, True])
@pytest.mark.parametrize(("floor", "dates"), [(11, True), (11, False), (1_000, True), (None, True)])
def test_what_was_there_before_is_left_alone_and_told(floor: int | None, *, dates: bool, hides_ids: bool) -> None:
    world = world_of(floor, dates=dates)
    world.server.hides_ids = hides_ids
    for deleted in (15, 0):
        undo = world.undo()
        tally = undo.tally
        assert (tally.deleted, tally.older, tally.done, undo.left) == (deleted, 5, deleted + 5, 0)
        assert (undo.exit_code, left(world)) == (Exit.INCOMPLETE, world.ids[:5])
        assert sorted(tally.olders) == list(zip(world.ids[:5], world.pairs[:5], strict=True))
        assert [row.record_id for row in world.journal.export([State.CREATED])] == world.ids[:5]


@pytest.mark.parametrize(("floor", "stamp"), [(6, BEFORE), (6, None), (None, None), (1_000, AFTER), (None, "soon")])
def test_no_record_of_the_run_is_taken_for_an_older_one(floor: int | None, stamp: object) -> None:
    world = world_of(floor)
    world.server.created_on = dict.fromkeys(world.server.records, stamp)
    world.undo()
    world.assert_undone()


@pytest.mark.parametrize(("floor", "deleted"), [(9, 1), (10, 0)])
def test_repair_does_not_take_it_either(floor: int, deleted: int) -> None:
    world = Doubled({10: (1, 1)}, (1, 1))
    world.journal.meta_set(BEGAN, Baseline(NOON, floor, None).text())
    world.server.created_on = {10: BEFORE, 100: AFTER}
    assert (world.repair().deleted, 10 in world.server.records) == (deleted, not deleted)


def test_a_doubt_whose_record_is_above_its_floor_is_the_runs_even_where_ids_do_not_rise() -> None:
    world = World(3)
    above, below = world.server.add((5, 500), (5, 501))
    details = [f'{{"floor":{above - 1}}}', f'{{"floor":{below}}}']
    rows = [(world.journal.rows + i, 5, 500 + i, None, State.INTENT, details[i]) for i in range(2)]
    world.journal.append(rows)
    world.journal.meta_set("has_rising_ids", "no")
    undo = world.undo()
    assert (undo.plan().doubts, undo.exit_code, undo.tally.deleted) == (1, Exit.DOUBTS, 4)
    assert (above in world.server.records, below in world.server.records) == (False, True)


@pytest.mark.slow
def test_a_server_that_answers_with_the_id_of_what_was_there(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 300)
    there = [[lesson, member] for lesson in (1, 2) for member in range(1, 41)]
    with stub(existing=there, unique="200", faults={"rst_after": 0.04, "500_after": 0.04}, seed=5) as server:
        before = pairs_on(server)
        done = here.run(source, server, "--existing=skip")
        assert (done.code, done.counts("created", "existing"), done.err.count(WERE_THERE)) == (0, (240, 60), 1)
        assert len(pairs_on(server)) == 300 + 80 - 60
        server.set_scenario(tokens=[CANARY])
        code, facts, _ = ask(here, "undo", journal_of(source), server, "--yes")
        assert (code, facts["deleted"], facts["left"], facts["older"]) == (0, 240, 0, 0)
        assert pairs_on(server) == before


@pytest.mark.parametrize(
    ("stamp", "state", "code"),
    [(BEFORE, State.EXISTING, Exit.OK), (AFTER, State.PENDING, Exit.OK), ("soon", State.EXISTING, Exit.OK)],
)
def test_what_a_killed_run_left_in_doubt_is_told_by_the_time_of_its_record(
    stamp: str, state: State, code: Exit
) -> None:
    """The reply named a record that is not above the floor; another writer may have made it after the run began."""
    world = World(3)
    world.journal.meta_set(BEGAN, Baseline(NOON, None, None).text())
    (record_id,) = world.server.add((5, 500))
    world.server.created_on = {record_id: stamp}
    detail = doubt_detail("m", record_id + 9, Named(record_id, NOON + 5))
    world.journal.append([(world.journal.rows, 5, 500, None, State.IN_DOUBT, detail)])
    assert world.undo().exit_code is code
    assert [row.state for row in world.journal.export(list(State))][-1] is state
    assert (record_id in world.server.records) is (state is State.EXISTING)


@pytest.mark.slow
@pytest.mark.parametrize("existing", ["check", "skip"])
def test_the_beginning_is_noted_once_before_anything_is_written(tmp_path: Path, existing: str) -> None:
    with Stranger(Manner(), [(99, m) for m in range(1, 120)]) as server:
        settings = settings_for(server.base_url, tmp_path / "j", existing=existing)
        on_loop(lambda: wholly([(1, 1), (1, 2)], settings))
        on_loop(lambda: wholly([(1, 1), (1, 2), (1, 3)], settings))
    assert states(tmp_path / "j")[State.CREATED] == 3
    kept = json.loads(meta(tmp_path / "j")[BEGAN])
    assert (kept["floor"], kept["newest_on"]) == (119, 1_735_689_601.0)


def meta(path: Path) -> dict[str, str]:
    from bulkwriter.store.journal_reader import JournalReader

    with JournalReader(path) as reader:
        return reader.meta()
