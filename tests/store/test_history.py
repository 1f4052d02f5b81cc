"""The history in a journal: rows that count what is committed with them, thinned; steps of records, bounded."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.rows import RecordStep, StepRow
from bulkwriter.store import history
from bulkwriter.store.history import LEFT_OUT, MOST_ROWS, RECENT, SPACED, Moment, left_out_of, thinned
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_reader import JournalReader

from ..support.journal_child import COLUMNS, URL

DAY_S = 86_400.0


def journal_at(path: Path | None) -> Journal:
    return Journal.open(path, base_url=URL, account=None, columns=COLUMNS)


def moment(at: float = 1e9, *, start: int = 1, ended: str | None = None) -> Moment:
    return Moment(
        start, at, at + 0.5, 7, 2, 3, 64, 12.5, "quota", {"quota": 60.04}, {"write:2500/day": 7}, {"lost": 1},
        {"silent": 1}, ended,
    )  # fmt: skip


def step(seq: int, kind: RecordStep = RecordStep.LOST) -> StepRow:
    return seq, 1e9 + 0.25, int(kind), None, "silent", None, None, 90.0, None


def test_a_row_counts_what_is_committed_with_it(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = journal_at(path)
    with journal.transaction():
        journal.append([(seq, 1, seq + 1, seq + 2, int(State.INTENT), None) for seq in range(3)])
        journal.append([(SINGLE_SEQ, 5, 5, None, int(State.PENDING), None)])
        journal.settle([(0, int(State.CREATED), 1, 9, 200, None)])
        assert journal.keep_history(moment(), [step(1)], 4, {0, 1}) == [(0, State.CREATED)]
    with JournalReader(path) as reader:
        (row,), meta = reader.history(), reader.meta()
        (lost,) = reader.steps(1)
        assert reader.steps(2) == []
    journal.close()
    assert row.moment == moment()._replace(held_s={"quota": 60.0})
    assert (row.counts.created, row.counts.pending, row.counts.in_doubt, row.counts.pairs) == (1, 3, 0, 4)
    assert (row.next_seq, row.next_single_seq) == (3, SINGLE_SEQ + 1)
    assert (lost.step, lost.word, lost.took_s, lost.status) == (RecordStep.LOST, "silent", 90.0, None)
    assert left_out_of(meta) == 4


def test_a_row_of_a_group_that_fails_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = journal_at(path)
    journal.append([(0, 1, 1, 2, int(State.PENDING), None)])
    with pytest.raises(IndexError), journal.transaction():  # noqa: PT012 one transaction
        journal.keep_history(moment(), [], 0, ())
        journal.settle([(5, int(State.CREATED), 1, 9, 200, None)])
    journal.close()
    with JournalReader(path) as reader:
        assert reader.history() == []


def test_the_rows_of_a_run_of_39_days_stay_few_and_evenly_spaced() -> None:
    rows: list[tuple[int, int, float]] = []
    most = 0
    for minute in range(39 * 1_440):
        rows.append((minute, 1 + minute // 20_000, 1e9 + minute * 60.0))
        most = max(most, len(rows))
        if len(rows) >= MOST_ROWS:
            gone = set(thinned(rows))
            rows = [row for row in rows if row[0] not in gone]
            assert len(rows) <= MOST_ROWS - RECENT
    assert most == MOST_ROWS
    assert rows[0][0] == 0
    assert [row[0] for row in rows[-RECENT:]] == list(range(39 * 1_440 - RECENT, 39 * 1_440))
    gaps = [b[2] - a[2] for a, b in pairwise(rows)]
    assert max(gaps) <= 3 * 39 * DAY_S / SPACED
    for edge in (19_999, 20_000, 39_999, 40_000):  # the last and the first row of each start
        assert edge in {row[0] for row in rows}


@pytest.mark.parametrize("times", [[1e9] * MOST_ROWS, [1e9 - i * DAY_S for i in range(MOST_ROWS)]])
def test_a_clock_that_stands_still_or_is_set_back_keeps_the_rows_few(times: list[float]) -> None:
    rows = [(i, i, at) for i, at in enumerate(times)]
    assert len(rows) - len(thinned(rows)) <= MOST_ROWS - RECENT


def test_the_table_is_thinned_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_ROWS", 30)
    monkeypatch.setattr(history, "RECENT", 10)
    monkeypatch.setattr(history, "SPACED", 8)
    journal = journal_at(None)
    for i in range(100):
        journal.keep_history(moment(1e9 + 60 * i), [], 0, ())
        assert len(journal.history()) < 30
    assert [row.moment.at for row in journal.history(last=2)] == [1e9 + 60 * 98, 1e9 + 60 * 99]
    journal.close()


def test_of_too_many_steps_throttled_ones_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_STEPS", 10)
    monkeypatch.setattr(history, "DROPPED", 4)
    journal = journal_at(None)
    kinds = [RecordStep.LOST, RecordStep.THROTTLED] * 6
    journal.keep_history(None, [step(seq, kind) for seq, kind in enumerate(kinds)], 3, ())
    left = [seq for seq in range(12) if journal.steps(seq)]
    assert left == [0, 2, 4, 6, 8, 9, 10, 11]
    assert left_out_of(journal.meta()) == 7
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE history SET at = 'x'", "UPDATE history SET created = -1", "UPDATE history SET held_s = 'x'",
        "UPDATE history SET spent = '[1]'", "UPDATE history SET held = x'00'", "UPDATE history SET attempts = 1.5",
        "UPDATE step SET step = 99", "UPDATE step SET at = -1", "UPDATE step SET word = x'00'",
        "UPDATE step SET state = 77", "UPDATE step SET status = 'x'",
    ],
)  # fmt: skip
def test_what_was_not_written_like_this_is_passed_over(change: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = journal_at(path)
    journal.append([(0, 1, 1, 2, int(State.PENDING), None)])
    journal.keep_history(moment(), [step(0)], 0, ())
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with JournalReader(path) as reader:
        is_history = change.startswith("UPDATE history")
        assert [len(reader.history()), len(reader.steps(0))] == ([0, 1] if is_history else [1, 0])
        assert reader.counts() == {State.PENDING: 1}


@pytest.mark.parametrize("text", ["", "-1", "x", "9" * 16, "½"])
def test_a_note_of_steps_left_out_is_a_number_or_nothing(text: str) -> None:
    assert left_out_of({LEFT_OUT: text}) == 0
