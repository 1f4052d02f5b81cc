"""What is expected and what was observed, with plain values: which records count, and when they are forgotten."""

from __future__ import annotations

import pytest

from bulkwriter.model import State
from bulkwriter.verify.expected import ExpectedPairs, ObservedPairs

REQUIRED = [(1, 1), (1, 2), (2, 1)]
OTHERS = [(2, 7)]
RECORDS = [(9, (1, 1)), (8, (1, 1)), (7, (2, 1)), (6, (2, 7)), (5, (2, 8)), (4, (3, 1))]
"""One pair twice, one missing, one that may be there, a stranger, and one with a first id that is nobody's."""


def expected() -> ExpectedPairs:
    pairs = ExpectedPairs()
    pairs.add_pairs(REQUIRED)
    pairs.add_rows([(0, *pair, State.REJECTED) for pair in OTHERS], is_live=False)
    return pairs


def facts(observed: ObservedPairs) -> tuple[set[tuple[int, int]], set[tuple[int, int]], int]:
    return set(observed.seen), set(observed.doubled), observed.strangers


SHOWN = ({(1, 1), (2, 1), (2, 7)}, {(1, 1)}, 1)


@pytest.mark.parametrize(
    ("state", "is_live", "is_required", "doubts", "pending"),
    [
        (State.CREATED, False, True, 0, 0),
        (State.EXISTING, False, True, 0, 0),
        (State.PENDING, False, False, 0, 1),
        (State.INTENT, False, False, 1, 0),
        (State.INTENT, True, False, 0, 1),
        (State.IN_DOUBT, True, False, 1, 0),
        (State.REJECTED, False, False, 0, 0),
        (State.FAILED, False, False, 0, 0),
    ],
)
def test_a_row_is_expected_by_its_state(
    state: State, is_live: bool, is_required: bool, doubts: int, pending: int
) -> None:
    pairs = ExpectedPairs()
    pairs.add_rows([(0, 5, 6, state)], is_live=is_live)
    assert ((5, 6) in pairs.required, (5, 6) in pairs, pairs.doubts, pairs.pending) == (
        is_required, True, doubts, pending,
    )  # fmt: skip
    assert list(pairs.first_ids) == [5]


def test_rows_without_a_pair_of_their_own_are_not_expected() -> None:
    pairs = ExpectedPairs()
    pairs.add_rows([(0, None, None, State.INVALID), (1, 1, 1, State.DUPLICATE), (2, None, 4, None)], is_live=False)
    assert not len(pairs.required) + len(pairs.others) + len(pairs.first_ids)


def test_a_table_tells_what_is_seen_doubled_and_strange() -> None:
    observed = ObservedPairs(expected())
    observed.take_table(RECORDS[:3])
    observed.take_table(RECORDS[3:])
    assert facts(observed) == SHOWN


def test_a_table_that_is_read_again_counts_once() -> None:
    observed = ObservedPairs(expected())
    observed.take_table(RECORDS)
    observed.begin_table()
    assert facts(observed) == (set(), set(), 0)
    observed.take_table(RECORDS)
    assert facts(observed) == SHOWN


def test_lists_of_first_ids_tell_the_same_and_only_once_they_are_whole() -> None:
    observed = ObservedPairs(expected())
    for first in (1, 2):
        observed.begin_list(first)
        observed.take_list(RECORDS)  # a server that does not filter
        before = facts(observed)
        observed.begin_list(first)  # it failed, and is read again
        assert facts(observed) == before
        observed.take_list([record for record in RECORDS if record[1][0] == first])
        observed.end_list()
    assert facts(observed) == SHOWN
