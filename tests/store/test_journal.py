"""The journal: what is stored comes back, counts stay true, and a transaction is whole or nothing.

Files that are refused are in test_journal_opening, threads and group commit in test_journal_writer, crashes and failing
disks in test_journal_crash, reading from outside in test_journal_reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import JournalError
from bulkwriter.model import ID_MAX, SINGLE_SEQ, BadRow, FieldError, Pair, State
from bulkwriter.rows import AppendRow, bad_row_detail, outcome_detail
from bulkwriter.store.bulk import RUNG_MAX, rung_for
from bulkwriter.store.journal import OF_PAIRS, Journal
from bulkwriter.store.states import StateColumn

from ..support.journal_child import COLUMNS, URL


def intents(count: int, *, first: int = 0) -> list[AppendRow]:
    return [(seq, 10 + seq // 3, 1_000 + seq, seq + 2, State.INTENT, None) for seq in range(first, first + count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.csv.journal"


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.open(None, base_url=URL, account=None, columns=COLUMNS)
    yield journal
    if not journal.broken:
        journal.check()
    journal.close()


def test_rows_are_there_again_after_reopening(path: Path) -> None:
    journal = Journal.open(path, base_url=URL, account=None, columns=COLUMNS)
    journal.append(intents(5))
    journal.settle([(1, State.CREATED, 1, 77, 200, None), (3, State.FAILED, 5, None, 503, None)])
    journal.mark([4], State.PENDING)
    journal.close()
    journal = Journal.open(path, base_url=URL, account=None, columns=COLUMNS)
    assert journal.rows == 5
    assert journal.counts() == {State.PENDING: 1, State.INTENT: 2, State.CREATED: 1, State.FAILED: 1}
    assert journal.read(0, 10) == [
        (0, 10, 1_000, State.INTENT, 0, 2),
        (1, 10, 1_001, State.CREATED, 1, 3),
        (2, 10, 1_002, State.INTENT, 0, 4),
        (3, 11, 1_003, State.FAILED, 5, 5),
        (4, 11, 1_004, State.PENDING, 0, 6),
    ]
    assert list(journal.record_ids()) == [[77]]
    assert [(row.seq, row.pair, row.record_id) for row in journal.export([State.CREATED])] == [(1, (10, 1_001), 77)]
    journal.check()
    journal.close()


def test_the_largest_ids_come_back_exact(journal: Journal) -> None:
    journal.append([(0, ID_MAX, ID_MAX - 1, None, State.INTENT, None)])
    journal.settle([(0, State.CREATED, 1, ID_MAX, 200, None)])
    assert journal.read_pairs(0, 1) == [(ID_MAX, ID_MAX - 1)]
    assert list(journal.record_ids()) == [[ID_MAX]]
    row = journal.find_all([(ID_MAX, ID_MAX - 1)]).get((ID_MAX, ID_MAX - 1))
    assert row is not None
    assert (row.pair, row.record_id) == (Pair(ID_MAX, ID_MAX - 1), ID_MAX)


def test_pairs_read_equal_a_batch_with_a_bad_row(journal: Journal) -> None:
    bad = bad_row_detail(BadRow("not a number", "x,\x00é"))
    journal.append([*intents(2), (2, None, None, 4, State.INVALID, bad), *intents(1, first=3)])
    assert journal.read_pairs(0, 9) == [(10, 1_000), (10, 1_001), None, (11, 1_003)]
    assert journal.read_pairs(3, 9) == [(11, 1_003)]
    assert journal.read_pairs(4, 9) == []
    row = journal.row(2)
    assert row is not None
    assert (row.pair, row.message, row.raw, row.line) == (None, "not a number", "x,\x00é", 4)


def test_what_the_server_said_comes_back(journal: Journal) -> None:
    errors = (FieldError("CourseMember", "is 'not' a \"member\""), FieldError("", "é"))
    journal.append(intents(1))
    journal.settle([(0, State.REJECTED, 1, None, 409, outcome_detail(errors, "no"))])
    row = journal.row(0)
    assert row is not None
    assert (row.errors, row.message, row.http_status, row.state) == (errors, "no", 409, State.REJECTED)
    assert journal.row(1) is None


@pytest.mark.parametrize("count", [1, 5, 300, RUNG_MAX + 1])
def test_plain_creations_alone_and_among_others_are_kept_alike(count: int) -> None:
    """They have a statement of their own where a call brings nothing else."""
    kept = []
    odd = (count, State.CREATED, 2, 10**9, 201, None)
    plain = [(seq, State.CREATED, 1, 10 * seq + 7, 200, None) for seq in range(count)]
    for calls in ([[*plain, odd]], [plain, [odd]], [[*plain, plain[-1]], [odd]]):
        journal = Journal.open(None, base_url=URL, account=None, columns=COLUMNS)
        journal.append(intents(count + 1))
        for rows in calls:
            journal.settle(rows)
        journal.check()
        kept.append(journal.whole(0, count + 1))
        journal.close()
    assert kept[0] == kept[1] == kept[2]
    assert [row.record_id for row in kept[0]] == [row[3] for row in (*plain, odd)]
    assert {(row.state, row.http_status, row.attempts) for row in kept[0][:-1]} == {(State.CREATED, 200, 1)}


def test_a_seq_settled_twice_in_one_call_keeps_the_last(journal: Journal) -> None:
    journal.append(intents(3))
    journal.settle([(1, State.CREATED, 1, 5, 200, None), (1, State.IN_DOUBT, 1, None, None, None)])
    assert journal.counts() == {State.INTENT: 2, State.IN_DOUBT: 1}
    assert [row.seq for row in journal.doubts()] == [0, 1, 2]
    assert list(journal.record_ids()) == []


def test_a_row_is_claimed_by_one_of_two(journal: Journal) -> None:
    journal.append(intents(3))
    journal.mark([0, 1], State.PENDING)
    rows = [(seq, State.INTENT, 0, None, None, None) for seq in range(3)]
    assert journal.claim(rows, [State.PENDING, State.FAILED, State.INTENT]) == [0, 2]
    assert journal.claim(rows[:2], [State.PENDING, State.PENDING]) == [1]
    assert journal.counts() == {State.INTENT: 3}


def test_a_floor_is_kept_with_its_intent(journal: Journal) -> None:
    journal.append([(0, 1, 2, 2, State.INTENT, '{"floor": 4000}'), *intents(1, first=1)])
    assert [row.floor for row in journal.doubts()] == [4_000, None]
    assert [row.floor for row in journal.whole(0, 1)] == [4_000]


def test_single_rows_have_seqs_of_their_own(journal: Journal) -> None:
    assert journal.next_single_seq == SINGLE_SEQ
    journal.append(intents(2))
    journal.append([(SINGLE_SEQ, 5, 6, None, State.INTENT, None)])
    journal.append(intents(1, first=2))
    journal.settle([(SINGLE_SEQ, State.IN_DOUBT, 1, None, None, None), (0, State.CREATED, 1, 9, 200, None)])
    assert (journal.rows, journal.next_single_seq) == (3, SINGLE_SEQ + 1)
    assert [row.seq for row in journal.doubts()] == [1, 2, SINGLE_SEQ]
    assert journal.read(SINGLE_SEQ, 9) == [(SINGLE_SEQ, 5, 6, State.IN_DOUBT, 1, None)]
    assert journal.states_of(0, 9) == bytes([3, 1, 1])
    assert journal.states_of(SINGLE_SEQ, 9) == bytes([2])
    assert [row.seq for row in journal.export({State.CREATED, State.IN_DOUBT})] == [0, 1, 2, SINGLE_SEQ]


def test_a_pair_is_found_by_value_and_its_newest_row_counts(journal: Journal) -> None:
    journal.append([*intents(3), (3, 10, 1_000, 5, State.DUPLICATE, None)])
    found = journal.find_all([(10, 1_000)]).get((10, 1_000))
    assert found is not None
    assert found.seq == 0, "a duplicate says nothing about its pair"
    journal.append([(SINGLE_SEQ, 10, 1_000, None, State.INTENT, None)])
    again = journal.find_all([(10, 1_000)]).get((10, 1_000))
    assert again is not None
    assert again.seq == SINGLE_SEQ
    assert journal.find_all([(1_000, 10)]).get((1_000, 10)) is None
    with journal.transaction():
        assert journal.find_all([(11, 1_003)]).get((11, 1_003)) is None


def test_many_pairs_are_found_by_value_before_a_seq(journal: Journal) -> None:
    journal.append(intents(4))
    journal.append([(4, ID_MAX, ID_MAX, 6, State.INTENT, None), (5, 10, 1_000, 7, State.DUPLICATE, None)])
    journal.append([(6, 20, 2_000, 8, State.INTENT, None)])
    journal.append([(SINGLE_SEQ, 30, 3_000, None, State.INTENT, None)])
    wanted = [(10, 1_000), (10, 1_001), (10, 1_001), (10, 1_003), (ID_MAX, ID_MAX), (20, 2_000), (30, 3_000), (9, 9)]
    for _ in ("by a scan", "by the index"):
        found = journal.find_all(wanted, before=6)
        assert {pair: row.seq for pair, row in found.items()} == {(10, 1_000): 0, (10, 1_001): 1, (ID_MAX, ID_MAX): 4}
        assert journal.find_all([], before=6) == {}
        journal.index_pairs()
    plan = journal._db.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM pair WHERE {OF_PAIRS}", (6, "[]")).fetchall()
    assert any("USING INDEX pair_by_ids (id_a=? AND id_b=?" in step[-1] for step in plan), "no look at every row"


def test_rows_come_by_state_from_a_seq_on(journal: Journal) -> None:
    journal.append(intents(6))
    journal.mark([1, 4], State.PENDING)
    journal.mark([5], State.FAILED)
    assert [row.seq for row in journal.doubts()] == [0, 2, 3]
    assert [row.seq for row in journal.export({State.PENDING, State.FAILED})] == [1, 4, 5]
    assert [row.seq for row in journal.export({State.PENDING}, 2)] == [4]
    assert list(journal.export({State.PENDING}, 99)) == []
    assert list(journal.export(())) == []


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 1, 1, 1, 1, None)],
        [(0, 1, 1, 1, 1, None), (2, 1, 1, 1, 1, None)],
        [(0, 1, 1, 1, 9, None)],
        [(SINGLE_SEQ + 1, 1, 1, 1, 1, None)],
    ],
    ids=["not next", "a gap", "no such state", "single, not next"],
)
def test_rows_out_of_turn_are_a_bug(journal: Journal, rows: list[AppendRow]) -> None:
    with pytest.raises(ValueError, match=r"contiguous|follow"):
        journal.append(rows)


@pytest.mark.parametrize("seq", [3, -1, SINGLE_SEQ])
def test_settling_a_row_that_is_not_there_is_a_bug_and_ends_the_journal(journal: Journal, seq: int) -> None:
    journal.append(intents(3))
    with pytest.raises(IndexError):
        journal.settle([(0, State.CREATED, 1, 5, 200, None), (seq, State.CREATED, 1, 6, 200, None)])
    with pytest.raises(JournalError, match="broken off"):
        journal.append(intents(1, first=3))
    assert journal.reopened().counts() == {State.INTENT: 3}


def test_a_transaction_is_whole_or_nothing(journal: Journal) -> None:
    def half_way() -> None:
        with journal.transaction():
            journal.append(intents(3))
            journal.meta_set("watermark", "1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    with pytest.raises(JournalError):
        journal.read(0, 1)
    fresh = journal.reopened()
    assert (fresh.rows, fresh.meta_get("watermark")) == (0, None)
    with fresh.transaction():
        fresh.append(intents(3))
        fresh.meta_set("watermark", "1")
        fresh.meta_set("watermark", "2")
    assert (fresh.rows, fresh.meta_get("watermark")) == (3, "2")
    fresh.close()


def test_a_memory_journal_is_reopened_as_after_a_crash() -> None:
    journal = Journal.open(None, base_url=URL, account=None, columns=COLUMNS)
    journal.append(intents(2))
    again = journal.reopened()
    with pytest.raises(JournalError, match="opened again"):
        journal.append(intents(1, first=2))
    assert again.counts() == {State.INTENT: 2}
    again.close()
    again.close()
    with pytest.raises(JournalError, match="closed"):
        again.append(intents(1, first=2))


@given(st.integers(1, 10 * RUNG_MAX))
def test_a_rung_holds_what_it_takes_and_wastes_little(count: int) -> None:
    rung, taken = rung_for(count)
    assert 1 <= taken <= min(count, rung) <= RUNG_MAX
    assert rung.bit_count() == 1
    assert rung - taken <= count / 4


SETTLED = [state for state in State if state is not State.INVALID]
"""What a row that is a pair can become."""


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 299), st.sampled_from(SETTLED)), min_size=1), st.integers(300, 2_500))
def test_counts_equal_the_table_after_any_settles(changes: list[tuple[int, State]], rows: int) -> None:
    journal = Journal.open(None, base_url=URL, account=None, columns=COLUMNS)
    journal.append(intents(rows))
    journal.settle([(seq, state, 1, None, None, None) for seq, state in changes])
    journal.mark([seq for seq, state in changes if state is State.CREATED], State.IN_DOUBT)
    journal.check()
    last = dict(changes)
    assert {row[0]: row[3] for row in journal.read(0, rows) if row[0] in last} == {
        seq: State.IN_DOUBT if (seq, State.CREATED) in changes else last[seq] for seq in last
    }
    journal.close()


def test_ten_states_would_need_another_format() -> None:
    assert max(State) < 10
    assert StateColumn().counts() == {}
