"""Which part a worker takes: every kind of part, and several workers that must neither stop early nor send twice."""

from __future__ import annotations

import random

import pytest

from bulkwriter.model import Counts
from bulkwriter.postgres.desk import Desk, PartSeen
from bulkwriter.postgres.jobs import PartStanding
from bulkwriter.postgres.lease import PartRow

DONE = Counts(created=8, rejected=1, invalid=1)
FREE = PartRow(1, "", None, 30.0, 90.0, "", 0, 5)
HELD = FREE._replace(holder="other pid 7 aa")


def seen(counts: Counts, row: PartRow = FREE, free_in_s: float = 0.0, *, name: str = "1", rows: int = 10) -> PartSeen:
    return PartSeen(PartStanding(name, rows, counts, row), free_in_s)


def chosen(*parts: PartSeen, desk: Desk | None = None) -> str | float | None:
    found = (desk or Desk()).choose(parts, random.Random(1))
    return found.part.name if isinstance(found, PartSeen) else found


@pytest.mark.parametrize(
    ("counts", "row", "free_in_s", "answer"),
    [
        (Counts(), FREE, 0.0, "1"),  # nobody has begun it
        (DONE._replace(created=7), FREE, 0.0, "1"),  # one row is not read
        (DONE._replace(created=7, pending=1), FREE, 0.0, "1"),
        (DONE._replace(created=7, failed=1), FREE, 0.0, "1"),  # as this start found it
        (DONE._replace(created=7, in_doubt=1), FREE, 0.0, "1"),
        (DONE, FREE, 0.0, None),
        (DONE._replace(created=7), HELD, 12.0, 12.0),  # its worker may die
        (DONE._replace(created=7, failed=1), HELD, 12.0, 12.0),
        (DONE._replace(created=7), HELD, 0.0, "1"),  # its worker is gone
        (DONE._replace(created=7, in_doubt=1), HELD, 0.0, "1"),
        (DONE, HELD, 12.0, None),  # its worker has only to give it up
        (DONE, HELD, 0.0, None),  # it was killed as it did
    ],
)
def test_each_kind_of_part(counts: Counts, row: PartRow, free_in_s: float, answer: str | float | None) -> None:
    assert chosen(seen(counts, row, free_in_s)) == answer


def test_unsent_pairs_come_first_and_a_free_part_before_waiting() -> None:
    failed = seen(DONE._replace(created=7, failed=1), name="1")
    unsent = seen(Counts(), name="2")
    held = seen(Counts(), HELD, 3.0, name="3")
    assert chosen(failed, unsent, held) == "2"
    assert chosen(failed, held) == "1"
    assert chosen(held, seen(Counts(), HELD, 1.5, name="4")) == 1.5


def test_workers_that_begin_together_do_not_all_take_the_same_part() -> None:
    parts = [seen(Counts(), name=str(i)) for i in range(8)]
    taken = {desk.part.name for i in range(40) if isinstance(desk := Desk().choose(parts, random.Random(i)), PartSeen)}
    assert len(taken) == 8


def test_failed_pairs_are_tried_once_a_start_and_not_once_a_worker() -> None:
    begun = Counts(created=2)
    failed = DONE._replace(created=7, failed=1)
    desk = Desk()
    assert chosen(seen(begun, HELD, 9.0), desk=desk) == 9.0
    assert chosen(seen(failed, FREE._replace(shipped=8)), desk=desk) is None  # the other worker has tried them
    own = Desk()
    assert chosen(seen(failed), desk=own) == "1"
    own.ended("1", 9)
    assert chosen(seen(failed, FREE._replace(shipped=9)), desk=own) is None


def test_a_part_that_others_left_half_done_is_taken_again() -> None:
    desk, half = Desk(), Counts(created=5)
    assert chosen(seen(half), desk=desk) == "1"
    desk.ended("1", 9)
    assert chosen(seen(half, FREE._replace(shipped=9)), desk=desk) is None  # nothing has changed since
    assert chosen(seen(half, FREE._replace(shipped=11)), desk=desk) == "1"


def test_rejected_pairs_are_sent_again_where_that_is_asked() -> None:
    assert chosen(seen(DONE), desk=Desk(is_retrying=True)) == "1"
    assert chosen(seen(DONE._replace(created=9, rejected=0)), desk=Desk(is_retrying=True)) is None
