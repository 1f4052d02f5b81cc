"""The history that runs keep in their journals, over lives with trouble and kills, in virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from bulkwriter.model import State
from bulkwriter.rows import RecordStep
from bulkwriter.store.history import COUNTS

from ..sim.drive import Simulation
from ..sim.world import draw_world

OPEN = {State.INTENT, State.IN_DOUBT}
SENT_AGAIN = {State.PENDING, State.FAILED}
"""A later start sends these, and a record that it creates at once takes no further step."""


class Remembering(Simulation):
    """A simulation that keeps what the journal told after each life."""

    def __init__(self, seed: int) -> None:
        super().__init__(draw_world(seed))
        self.after: list[dict[str, Any]] = []

    def _after(self, *args: Any, **named: Any) -> None:
        super()._after(*args, **named)
        journal = self.journal
        rows = journal.whole(0, 10_000)
        self.after.append(
            {
                "history": journal.history(),
                "states": {row.seq: int(row.state) for row in rows},
                "steps": {row.seq: journal.steps(row.seq) for row in rows},
                "pairs": sum(journal.counts().values()),
            }
        )


@pytest.fixture(scope="module", params=[3, 11, 12])
def lives(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    simulation = Remembering(request.param)
    assert not simulation.run().wrong
    return simulation.after


def test_totals_never_fall_and_starts_follow_each_other(lives: list[dict[str, Any]]) -> None:
    rows = lives[-1]["history"]
    assert rows
    for before, after in pairwise(rows):
        assert after.moment.at >= before.moment.at
        assert after.moment.start - before.moment.start in (0, 1)
        assert after.moment.attempts >= before.moment.attempts
        assert after.moment.throttled >= before.moment.throttled
        assert after.counts.pairs >= before.counts.pairs
        assert sum(after.moment.held_s.values()) >= sum(before.moment.held_s.values())
        assert all(after.moment.steps.get(word, 0) >= count for word, count in before.moment.steps.items())


def test_no_row_tells_more_than_the_journal_holds(lives: list[dict[str, Any]]) -> None:
    for life in lives:
        if life["history"]:
            last = life["history"][-1]
            assert last.counts.pairs <= life["pairs"]
            assert last.next_seq == last.counts.pairs - (last.next_single_seq - 2**40)


def test_a_start_that_ends_by_itself_has_a_last_row_that_says_why(lives: list[dict[str, Any]]) -> None:
    last = lives[-1]["history"][-1]
    assert last.moment.ended == "done"
    assert {name: getattr(last.counts, name) for name in COUNTS}["in_doubt"] == 0
    assert last.counts.pairs == lives[-1]["pairs"]


def test_steps_are_in_order_and_end_with_the_state_of_the_row(lives: list[dict[str, Any]]) -> None:
    life, told = lives[-1], 0
    for seq, steps in life["steps"].items():
        if not steps:
            continue
        told += 1
        assert steps[0].step in (
            RecordStep.THROTTLED, RecordStep.UNSENT, RecordStep.STOPPED, RecordStep.LOST, RecordStep.REFUSED,
            RecordStep.RECALLED, RecordStep.ADOPTED,
        )  # fmt: skip
        assert all(a.at <= b.at + 1.0 for a, b in pairwise(steps))
        last = steps[-1]
        if last.step is RecordStep.SETTLED and last.state not in SENT_AGAIN:
            assert last.state == life["states"][seq]
        assert life["states"][seq] not in OPEN
    assert told
