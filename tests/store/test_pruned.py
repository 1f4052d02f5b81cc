"""Rows of single pairs that were pruned: counted, missing where the journal says so, and nowhere else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.store import states
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.store.pruned import Pruned, pruned_of
from tests.support.journal_child import open_journal

ROWS = 30
STATES = [State.CREATED, State.EXISTING, State.REJECTED, State.FAILED, State.IN_DOUBT, State.PENDING]
COUNTS = dict.fromkeys(STATES, ROWS // 6) | {State.CREATED: ROWS // 6 + 2}


def settled(journal: Journal) -> bytes:
    return journal.states_of(SINGLE_SEQ, ROWS - 6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of two rows of a source and of thirty single pairs; the settled ones of the first 24 are pruned."""
    path = tmp_path / "pairs.csv.journal"
    journal = open_journal(path)
    for first, count in ((0, 2), (SINGLE_SEQ, ROWS)):
        journal.append([(first + i, 1 + first % 7, 1 + i, None, State.PENDING, None) for i in range(count)])
    journal.settle([(seq, State.CREATED, 1, 7 + seq, 201, None) for seq in (0, 1)])
    for i in range(ROWS):
        record_id = 100 + i if i % 6 < 2 else None
        journal.settle([(SINGLE_SEQ + i, int(STATES[i % 6]), 1, record_id, 201, None)])
    assert journal.counts() == COUNTS
    assert journal.prune(SINGLE_SEQ, settled(journal)) == 12
    journal.close()
    return path


def test_counts_stay_those_of_the_whole_and_rows_are_found_behind_the_gaps(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scan_rows in (7, 10_000):
        for module in ("bounds", "journal_rows"):
            monkeypatch.setattr(f"bulkwriter.store.{module}.SCAN_ROWS", scan_rows)
        journal = open_journal(path)
        journal.check()
        assert journal.counts() == COUNTS
        assert (journal.rows, journal.next_single_seq) == (2, SINGLE_SEQ + ROWS)
        assert [row[0] for rows in journal.scan() for row in rows][2:5] == [
            SINGLE_SEQ + 3,
            SINGLE_SEQ + 4,
            SINGLE_SEQ + 5,
        ]
        assert sum(len(rows) for rows in journal.scan()) == ROWS + 2 - 12
        journal.close()
        with JournalReader(path) as reader:
            assert reader.counts() == COUNTS
            assert len(list(reader.export({State.CREATED}))) == COUNTS[State.CREATED] - 4
            assert pruned_of(reader.meta()) == Pruned(SINGLE_SEQ + ROWS - 6, 4, 4, 4)


def test_only_what_is_still_as_it_was_seen_is_dropped_and_nothing_twice(path: Path) -> None:
    journal = open_journal(path)
    assert journal.prune(SINGLE_SEQ, settled(journal)) == 0
    seen = journal.states_of(SINGLE_SEQ, ROWS)
    journal.mark([SINGLE_SEQ + 24], State.PENDING)
    assert journal.on_server(SINGLE_SEQ + 24, 6) == [(125, (SINGLE_SEQ % 7 + 1, 26))]
    assert journal.prune(SINGLE_SEQ, seen) == 2
    journal.settle([(SINGLE_SEQ + 25, State.CREATED, 1, 9, 201, None)])  # a look settles what is gone
    journal.settle([(SINGLE_SEQ + 24, State.CREATED, 1, 9, 201, None)])
    assert journal.counts() == COUNTS
    journal.append([(SINGLE_SEQ + ROWS, 3, 3, None, State.PENDING, None)])
    journal.check()
    journal.close()
    journal = open_journal(path)
    assert journal.next_single_seq == SINGLE_SEQ + ROWS + 1
    journal.close()


def test_a_journal_without_any_row_left_goes_on_at_the_next_seq(tmp_path: Path) -> None:
    path = tmp_path / "all.journal"
    journal = open_journal(path)
    journal.append([(SINGLE_SEQ, 1, 1, None, State.PENDING, None)])
    journal.settle([(SINGLE_SEQ, State.CREATED, 1, 5, 201, None)])
    assert journal.prune(SINGLE_SEQ, journal.states_of(SINGLE_SEQ, 1)) == 1
    journal.close()
    journal = open_journal(path)
    assert (journal.next_single_seq, journal.counts()) == (SINGLE_SEQ + 1, {State.CREATED: 1})
    journal.close()


def test_a_seal_keeps_what_was_pruned(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkwriter.store.seal.LEAST_ROWS", 1)
    open_journal(path).close()
    assert path.with_name(path.name + ".seal").exists()
    journal = open_journal(path)
    assert journal._openings == 1
    assert journal.counts() == COUNTS
    assert journal.states_of(SINGLE_SEQ, 1)[0] == states.HOLE
    journal.check()
    journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        f"DELETE FROM pair WHERE seq = {SINGLE_SEQ + 3}",  # missing, and not pruned
        f"DELETE FROM pair WHERE seq = {SINGLE_SEQ + 25}",  # above what was pruned
        f"INSERT INTO pair(seq, state, id_a, id_b) VALUES ({SINGLE_SEQ}, 0, 1, 1)",
        f"UPDATE pair SET id_a = -1 WHERE seq = {SINGLE_SEQ + 3}",
        f"UPDATE pair SET state = 'x' WHERE seq = {SINGLE_SEQ + 3}",
        "DELETE FROM meta WHERE key = 'pruned'",
        "UPDATE meta SET value = '{}' WHERE key = 'pruned'",
        "UPDATE meta SET value = 'x' WHERE key = 'pruned'",
        "UPDATE meta SET value = replace(value, '4', '5') WHERE key = 'pruned'",
        "UPDATE meta SET value = replace(value, '4', '-4') WHERE key = 'pruned'",
        'UPDATE meta SET value = \'{"before":1,"created":0,"existing":0,"rejected":0}\' WHERE key = \'pruned\'',
    ],
)
def test_rows_that_are_missing_without_a_note_of_it_are_damage(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(statement)
    with pytest.raises(JournalError, match="damaged"):
        open_journal(path)
