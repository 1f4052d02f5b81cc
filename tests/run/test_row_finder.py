"""Which row a pair has: rows of this start and of earlier ones, found by scans at first, and by the index at last."""

from __future__ import annotations

import pytest

from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.rows import AppendRow
from bulkwriter.run.row_finder import SCANS, RowFinder
from bulkwriter.store.journal import Journal

WIDE = 2**33


@pytest.fixture
def journal() -> Journal:
    return Journal.open(None, base_url="https://row.test", account=None, columns=("a", "b"))


def rows(first: int, pairs: list[tuple[int, int]], state: State = State.INTENT) -> list[AppendRow]:
    return [(first + i, *pair, None, int(state), None) for i, pair in enumerate(pairs)]


def found(finder: RowFinder, journal: Journal, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], int]:
    return {pair: row.seq for pair, row in finder.find(journal, pairs).items()}


def test_rows_of_this_start_and_of_earlier_ones_are_found_however_often(journal: Journal) -> None:
    journal.append(rows(0, [(1, 1), (WIDE, 2)]))
    journal.append([(2, None, None, 3, int(State.INVALID), '{"reason":"x","raw":""}')])
    journal.append(rows(SINGLE_SEQ, [(3, 3)]))
    finder = RowFinder()
    asked = [(1, 1), (WIDE, 2), (3, 3), (4, 4), (5, 5), (9, 9)]
    assert found(finder, journal, asked) == {(1, 1): 0, (WIDE, 2): 1, (3, 3): SINGLE_SEQ}
    finder.append(journal, rows(SINGLE_SEQ + 1, [(4, 4)]))
    finder.append(journal, rows(3, [(5, 5)]))
    now = {(1, 1): 0, (WIDE, 2): 1, (3, 3): SINGLE_SEQ, (4, 4): SINGLE_SEQ + 1, (5, 5): 3}
    for _ in range(3 * SCANS):
        assert found(finder, journal, asked) == now
    assert journal.has_index, "pairs that are given again and again are found by the index"
    assert found(finder, journal, asked) == now


def test_a_journal_in_which_all_pairs_are_new_gets_no_index(journal: Journal) -> None:
    journal.append(rows(0, [(1, n) for n in range(1, 50)]))
    finder = RowFinder()
    for n in range(4 * SCANS):
        pair = (2, n + 1)
        assert finder.find(journal, [pair]) == {}
        finder.append(journal, rows(SINGLE_SEQ + n, [pair]))
    assert not journal.has_index


@pytest.mark.parametrize("is_known", [True, False], ids=["of this start", "of an earlier start"])
def test_a_source_s_row_of_a_single_pair_becomes_a_duplicate(journal: Journal, is_known: bool) -> None:
    finder = RowFinder()
    if is_known:
        finder.append(journal, rows(SINGLE_SEQ, [(7, 7)]))
    else:
        journal.append(rows(SINGLE_SEQ, [(7, 7)]))
    late = finder.append(journal, [*rows(0, [(6, 6), (7, 7)]), *rows(2, [(7, 7)], State.PENDING)])
    assert late == {1, 2}
    assert journal.states_of(0, 9) == bytes([State.INTENT, State.DUPLICATE, State.DUPLICATE])
    assert found(finder, journal, [(7, 7)]) == {(7, 7): SINGLE_SEQ}
