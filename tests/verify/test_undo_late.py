"""A killed undo leaves DELETEs that may come late: no record they may take is called created before that.

And what a DELETE may be answered with besides.  The next undo is over the model of `test_undo.py`, the next run in a
simulated world.
"""

from __future__ import annotations

import pytest

from bulkwriter.model import Reply, State
from bulkwriter.store.schema import ExportRow
from bulkwriter.verify.delete_created import as_being_deleted
from tests.verify.test_undo import World

from ..sim.drive import Simulation
from ..sim.loop import Killed
from ..sim.process import Process
from ..sim.world import Life, plain_world

PAIRS = [(lesson, member) for lesson in range(1, 4) for member in range(1, 5)]


def test_what_a_killed_undo_was_deleting_stays_in_doubt_where_the_next_one_sends_nothing() -> None:
    """It read the record, sent no DELETE, and called it created; a DELETE of the one before could still come."""
    for halt_at in range(1, 12):
        world = World(20)
        with pytest.raises(Killed):
            world.undo(kill_at=6)
        doubts = {row.seq for row in world.journal.export([State.IN_DOUBT])}
        assert len(doubts) == 20
        world.undo(halt_at=halt_at)
        assert not doubts & {row.seq for row in world.journal.export([State.CREATED])}, halt_at
        world.undo()
        world.assert_undone()


@pytest.mark.parametrize(("reply", "deletes"), [(Reply(204), 20), (Reply(200), 20), (Reply(202, b"{}"), 40)])
def test_a_delete_that_is_done_without_a_word_needs_no_second_one(reply: Reply, deletes: int) -> None:
    world = World(20)
    world.server.deletes_with = reply
    undo = world.undo()
    world.assert_undone()
    assert (undo.tally.deleted, world.server.requests["DELETE"]) == (20, deletes)


class AfterAnUndo(Simulation):
    """An undo was killed while DELETEs of some records were on their way: they come `late_s` after the next start."""

    leaving: tuple[ExportRow, ...] = ()
    late_s = 0.0

    def _set_the_stage(self, process: Process, *, is_calm: bool) -> None:
        def delete() -> None:
            for row in self.leaving:
                self.server.records.pop(row.record_id or 0, None)

        process.loop.call_later(self.late_s, delete)


@pytest.mark.parametrize("late_s", [0.0, 0.3, 0.9])
def test_a_record_that_a_killed_undo_deletes_late_is_made_again(late_s: float) -> None:
    """The next run looked for it before the DELETE came: the pair was called created, and then it was gone."""
    simulation = AfterAnUndo(plain_world([*PAIRS], lives=[]))
    assert simulation.journal
    simulation._live(Life("write_all"))
    simulation.leaving, simulation.late_s = tuple(simulation.journal.export([State.CREATED]))[:5], late_s
    simulation.journal.settle([as_being_deleted(row) for row in simulation.leaving])
    simulation._live(Life("write_all"))
    assert not simulation.result.wrong
    assert not simulation.judge.at_end(simulation.journal)
    assert simulation.server.ours() == dict.fromkeys(PAIRS, 1)
