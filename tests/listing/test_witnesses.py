"""The record that shows how old a list is: by plain times and ids.  The lag is 4 s, so a note is kept each second."""

from __future__ import annotations

import pytest

from bulkwriter.listing.lists import ListFailed
from bulkwriter.listing.look_reader import check_witness
from bulkwriter.listing.witnesses import Witnesses

LAG = 4.0


def noted(*notes: tuple[float, int]) -> Witnesses:
    witnesses = Witnesses(LAG)
    for now, record_id in notes:
        witnesses.note(now, record_id)
    return witnesses


@pytest.mark.parametrize(
    ("began_at", "witness"),
    [
        (3.9, 0),  # no record has been there for a lag
        (4.0, 100),
        (4.9, 100),
        (5.0, 101),
        (60.0, 103),  # however long ago: lists have shown it since
    ],
)
def test_the_witness_is_the_last_record_made_a_lag_before(began_at: float, witness: int) -> None:
    assert noted((0.0, 100), (1.0, 101), (2.0, 102), (3.0, 103)).at(began_at) == witness


def test_without_a_record_there_is_no_witness() -> None:
    assert noted().at(100.0) == 0
    assert noted((0.0, 0), (1.0, 0)).at(100.0) == 0


def test_notes_within_a_quarter_of_the_lag_are_passed_over() -> None:
    """So a record made in between becomes a witness later, never too early."""
    witnesses = noted((0.0, 100), (0.9, 199), (1.0, 200))
    assert witnesses.at(4.95) == 100
    assert witnesses.at(5.0) == 200


def test_what_was_made_long_ago_stays_a_witness_until_a_later_one_may_be_asked_for() -> None:
    witnesses = noted((0.0, 100), (50.0, 200))
    assert witnesses.at(53.9) == 100
    witnesses.note(54.0, 300)
    assert witnesses.at(54.0) == 200


def test_so_few_are_kept_that_a_run_of_days_needs_no_more_memory() -> None:
    witnesses = noted(*((second / 10, second) for second in range(100_000)))
    assert len(witnesses._noted) <= 6


def test_of_ids_that_fell_the_highest_is_the_witness() -> None:
    assert noted((0.0, 300), (1.0, 200)).at(5.0) == 300


def test_a_list_below_its_witness_is_an_old_one() -> None:
    check_witness(300, 300)
    check_witness(0, 0)
    with pytest.raises(ListFailed, match="the list ends at record 299, and this run made record 300 before"):
        check_witness(299, 300)
