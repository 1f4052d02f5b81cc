"""What a journal ships, replayed into a fresh one, makes the same file: row by row, in every table, at every cut."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import Exit, JournalError
from bulkwriter.model import ID_MAX, SINGLE_SEQ, BadRow, FieldError, State
from bulkwriter.rows import STATE_ALONE, RecordStep, bad_row_detail, intent_detail, outcome_detail
from bulkwriter.store.history import Moment
from bulkwriter.store.journal import Journal
from bulkwriter.store.shipping import calls_of, packed_group, replay, rows_of
from tests.support.journal_child import COLUMNS, URL

TABLES = ("pair", "meta", "history", "step")
Tables = dict[str, list[tuple[Any, ...]]]


class Kept:
    """A log in memory.  `fails_at`: the group of this number is refused, and never kept."""

    def __init__(self, fails_at: int = 0, error: JournalError | None = None) -> None:
        self.groups: list[bytes] = []
        self.counts: list[dict[State, int]] = []
        self._fails_at, self._error = fails_at, error or JournalError("taken by another")

    def ship(self, group: bytes, counts: Mapping[State, int]) -> None:
        if len(self.groups) + 1 == self._fails_at:
            raise self._error
        self.groups.append(group)
        self.counts.append(dict(counts))


class Refused(JournalError):
    exit_code = Exit.TRY_LATER


def plain() -> Journal:
    return Journal.open(None, base_url=URL, account=None, columns=COLUMNS)


def begun(log: Kept) -> Journal:
    """A journal whose log is empty: it begins with its meta."""
    journal = plain().shipped(log)
    journal.begin(journal.meta())
    return journal


def again(groups: list[bytes]) -> Journal:
    journal = plain()
    assert replay(journal, enumerate(groups, 1), log="the log") == len(groups)
    return journal


def tables(journal: Journal) -> Tables:
    return {name: journal._db.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in TABLES}


class Life:
    """Random calls, as a run, single pairs, an undo and a history make them."""

    def __init__(self, journal: Journal, seed: int) -> None:
        self.journal, self.rng = journal, random.Random(seed)

    def step(self) -> None:
        calls = [self.source, self.single, self.settle, self.settle, self.mark, self.recall, self.history, self.meta]
        with self.journal.transaction():
            for call in self.rng.choices([*calls, self.prune, self.nothing, self.index], k=self.rng.randint(1, 3)):
                call()

    def source(self) -> None:
        rng, first = self.rng, self.journal.rows
        rows: list[Any] = []
        for seq in range(first, first + rng.choice((1, 2, 30, 130))):
            kind = rng.random()
            if kind < 0.1:
                rows.append((seq, None, None, seq + 2, State.INVALID, bad_row_detail(BadRow("no number", "x,\x00é"))))
            elif kind < 0.2:
                rows.append((seq, 5, 6, rng.choice((None, seq + 2)), int(State.DUPLICATE), None))
            else:
                rows.append((seq, rng.choice((7, ID_MAX)), rng.randint(1, ID_MAX), seq + 2, 1, intent_detail(9)))
        self.journal.append(rows, {"source": f"{len(rows)}"} if rng.random() < 0.5 else None)

    def single(self) -> None:
        first = self.journal.next_single_seq
        rows = [(first + i, 11, self.rng.randint(1, 10**6), None, int(State.PENDING), None) for i in range(7)]
        self.journal.append(rows)

    def some(self) -> list[int]:
        rng, journal = self.rng, self.journal
        there = [*range(journal.rows), *range(SINGLE_SEQ, journal.next_single_seq)]
        there = [seq for seq in there if journal.states_of(seq, 1) not in (b"\x07", b"\x08")]
        return rng.choices(there, k=rng.choice((1, 3, 40))) if there else []

    def settle(self) -> None:
        rng = self.rng
        refused = outcome_detail((FieldError("CourseMember", "is 'not' a \"member\""),), "é")
        plain = rng.random() < 0.5
        rows: list[Any] = []
        for seq in self.some():
            if plain or rng.random() < 0.6:
                rows.append((seq, 3, 1, rng.randint(1, ID_MAX), 200, None))
            else:
                rows.append(
                    rng.choice(
                        (
                            (seq, int(State.REJECTED), 2, None, 409, refused),
                            (seq, int(State.EXISTING), 0, rng.choice((None, 5)), None, None),
                            (seq, int(State.PENDING), STATE_ALONE, None, None, None),
                        )
                    )
                )
        self.journal.settle(rows)

    def mark(self) -> None:
        seqs = [seq for seq in self.some() if self.journal.states_of(seq, 1) in (b"\x01", b"\x02")]
        self.journal.mark(seqs, State.IN_DOUBT)

    def recall(self) -> None:
        rows = [(seq, int(State.IN_DOUBT), 1, None, None, '{"message":"cut"}') for seq in self.some()]
        self.journal.recall(rows, {int(State.FAILED), int(State.PENDING)})
        self.journal.claim(rows, [int(State.INTENT)] * len(rows))

    def history(self) -> None:
        rng = self.rng
        moment = Moment(
            1, rng.random() * 10**9, None, 3, 0, 1, 2, rng.random(), "none", {"none": rng.random() * 99}, {"w": 3},
            {"LOST": 2}, {}, None,
        )  # fmt: skip
        step = (3, rng.random(), RecordStep.LOST, 500, "reset", None, None, rng.random(), None)
        self.journal.keep_history(rng.choice((None, moment)), rng.choice(([], [step, step])), rng.randint(0, 4), [])

    def meta(self) -> None:
        self.journal.meta_set(self.rng.choice(("run", "began")), f'{{"at":{self.rng.random()}}}')

    def prune(self) -> None:
        first = SINGLE_SEQ + self.rng.randint(0, 9)
        self.journal.prune(first, self.journal.states_of(first, 20))

    def index(self) -> None:
        self.journal.index_pairs()

    def nothing(self) -> None:
        self.journal.settle([])


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_a_replay_makes_the_same_rows_at_every_cut(seed: int, steps: int) -> None:
    log = Kept()
    journal = begun(log)
    life, before = Life(journal, seed), [tables(journal)]
    for _ in range(steps):
        count = len(log.groups)
        life.step()
        if len(log.groups) > count:
            before.append(tables(journal))
            assert log.counts[-1] == journal.counts()
        else:
            assert tables(journal) == before[-1], "a change that was not shipped"
    for cut in {0, 1, random.Random(seed).randint(0, steps), len(log.groups) - 1}:
        if cut < len(log.groups):
            copied = again(log.groups[: cut + 1])
            assert tables(copied) == before[cut]
            copied.check()


def test_a_group_that_was_not_shipped_ends_the_journal_with_the_error_of_the_log() -> None:
    log = Kept(fails_at=3, error=Refused("the database is gone", hint="later"))
    journal = begun(log)
    Life(journal, 1).source()
    for _ in range(2):
        with pytest.raises(Refused, match="is gone") as caught:
            journal.meta_set("run", "{}")
        assert (caught.value.exit_code, caught.value.hint) == (Exit.TRY_LATER, "later")
    assert len(log.groups) == 2
    assert "run" not in again(log.groups).meta(), "nobody was told of it"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda groups: groups[1:],
        lambda groups: [*groups[:-1], groups[-1][:-4]],
        lambda groups: [*groups, b"\x09[]"],
        lambda groups: [*groups, b'\x01[["?",1]]'],
        lambda groups: [*groups, b'\x01[["a",1,["="]]]'],
        lambda groups: [*groups, b"\x01{}", b""],
        lambda groups: [*groups, groups[1]],
    ],
)
def test_a_log_that_is_not_whole_is_refused(spoil: Any) -> None:
    log = Kept()
    life = Life(begun(log), 2)
    for _ in range(6):
        life.source()
    numbered = list(enumerate(spoil(log.groups), 1 + (spoil(log.groups)[0] is not log.groups[0])))
    with pytest.raises(JournalError, match=r"the log: group \d+ of the log is missing, damaged, or of a newer"):
        replay(plain(), numbered, log="the log")


def test_many_groups_are_replayed_in_few_transactions_and_pairs_take_few_bytes() -> None:
    log = Kept()
    journal = begun(log)
    for at in range(0, 20_000, 100):
        seqs = range(at, at + 100)
        journal.append(
            [(seq, 1_000 + seq // 500, 10**6 + seq * 7 % 9_999, seq + 2, 1, intent_detail(10**8)) for seq in seqs]
        )
        journal.settle([(seq, 3, 1, 10**8 + (seq ^ 5), 200, None) for seq in seqs])
    assert sum(map(len, log.groups)) < 20 * 20_000
    copied = again(log.groups)
    assert tables(copied) == tables(journal)


def test_columns_keep_what_they_are_given() -> None:
    rows = [(1, None, 2**62, "é", 3, None), (2, 5, 1, None, 3, None), (5, 5, 2, "x", 3, "")]
    (call,) = calls_of(packed_group([("s", rows)]))
    assert rows_of(*call[1:]) == rows


def test_a_file_that_ships_is_a_journal_like_any_other(tmp_path: Path) -> None:
    log, path = Kept(), tmp_path / "part.journal"
    journal = Journal.open(path, base_url=URL, account=None, columns=COLUMNS).shipped(log)
    journal.begin(journal.meta())
    Life(journal, 3).source()
    kept = tables(journal)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.meta_set("run", "{}")
    assert tables(again(log.groups)) == kept
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM pair").fetchone() == (len(kept["pair"]),)
    db.close()
