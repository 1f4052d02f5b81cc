"""Runs over the same pairs that meet: by their first rows, and by what each has claimed in its journal."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.neighbours import Neighbours, Watched
from bulkwriter.errors import AnotherRun, JournalError, is_of_journal
from bulkwriter.model import Batch, State
from bulkwriter.run.registry import Entry, Registry
from bulkwriter.store.claims import claims_from
from bulkwriter.store.journal import Journal
from tests.support.journal_child import open_journal

URL = "https://api.example"
Pairs = list[tuple[int, int]]


class Said:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Run:
    """A run with a journal of its own, as `Neighbours` sees it; at work until `leave`."""

    def __init__(self, folder: Path, name: str, *, began_at: float, is_forced: bool = False) -> None:
        self.said, self.path, self.seq = Said(), folder / f"{name}.journal", 0
        self.journal: Journal = open_journal(self.path)
        self.registry = Registry(folder / "ledger")
        entry = Entry.begun(base_url=URL, account=None, source=str(folder / f"{name}.csv"), journal=self.path)
        entry = dataclasses.replace(entry, started_at=began_at)
        said: Any = self.said
        self.neighbours = Neighbours(said, self.registry, entry, source=f"{name}.csv", is_forced=is_forced)

    def read(self, pairs: Pairs, state: State = State.INTENT) -> None:
        """Read these rows from the source, and keep them in the journal."""

        class Source:
            async def read(self, max_rows: int) -> Batch:
                return Batch([*pairs], range(max_rows), {})

        asyncio.run(Watched(Source(), self.neighbours).read(len(pairs)))
        self.add(pairs, state)

    def add(self, pairs: Pairs, state: State = State.INTENT) -> None:
        rows = [(self.seq + i, *pair, None, int(State.INTENT), None) for i, pair in enumerate(pairs)]
        self.journal.append(rows)
        if state is not State.INTENT:
            self.journal.settle([(row[0], int(state), 1, 900 + row[0], 200, None) for row in rows])
        self.seq += len(rows)

    def leave(self) -> None:
        self.journal.close()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[tuple[Run, Run]]:
    """One run, and one that began later."""
    both = Run(tmp_path, "a", began_at=100.0), Run(tmp_path, "b", began_at=200.0)
    yield both
    for run in both:
        run.leave()


def rows(first: int, count: int) -> Pairs:
    return [(1, first + i) for i in range(count)]


def test_a_run_at_work_is_refused_where_a_later_one_has_claimed_the_pair(runs: tuple[Run, Run]) -> None:
    a, b = runs
    a.read(rows(1, 150))
    b.read(rows(500, 3))
    a.read(rows(200, 50))
    with pytest.raises(AnotherRun, match="1,501 among them") as error:
        a.read([(1, 7_000), (1, 501)])
    hint = error.value.hint.typed
    assert "let it end" in hint
    assert "This run has sent pairs" in hint
    assert f"bulkwriter verify {a.path}" in hint
    assert a.registry.get(a.neighbours._entry), "its doubts are not forgotten"


def test_a_later_run_is_refused_behind_its_first_pairs(runs: tuple[Run, Run]) -> None:
    a, b = runs
    a.read(rows(1, 150))
    b.read(rows(900, 150))
    a.read(rows(300, 10))
    with pytest.raises(AnotherRun, match="1,305"):
        b.read([(1, 305)])


def test_one_that_ended_meanwhile_counts_too(runs: tuple[Run, Run]) -> None:
    a, b = runs
    a.read(rows(1, 3))
    b.read(rows(500, 3), State.CREATED)
    b.leave()
    with pytest.raises(AnotherRun, match="was at work a moment ago") as error:
        a.read([(1, 502)])
    assert error.value.hint.typed.startswith("give the same command again")


def test_before_anything_was_given_nothing_is_left_of_the_start(runs: tuple[Run, Run]) -> None:
    a, b = runs
    a.read(rows(1, 3))
    with pytest.raises(AnotherRun) as error:
        b.read(rows(3, 200))
    assert "has sent pairs" not in error.value.hint.typed
    assert b.registry.get(b.neighbours._entry) is None


def test_what_the_older_one_had_written_before_is_on_the_lists(runs: tuple[Run, Run]) -> None:
    a, b = runs
    a.read(rows(1, 150), State.CREATED)
    a.add(rows(200, 5), State.REJECTED)
    b.read(rows(900, 150))
    b.read(rows(120, 20))
    b.read(rows(200, 5))
    a.add(rows(400, 5), State.CREATED)
    with pytest.raises(AnotherRun, match="1,404"):
        b.read([(1, 404)])


def test_with_yes_it_is_told_once_and_goes_on(tmp_path: Path) -> None:
    a, b = Run(tmp_path, "a", began_at=1.0, is_forced=True), Run(tmp_path, "b", began_at=2.0)
    a.read(rows(1, 3))
    b.read(rows(500, 9))
    a.read(rows(500, 2))
    a.read(rows(502, 2))
    assert [note.partition(" and")[0] for note in a.said.notes] == ["a run at work has pairs of this source,"]
    a.leave()
    b.leave()


def test_a_journal_that_cannot_be_read_is_told_and_ends_nothing(runs: tuple[Run, Run]) -> None:
    a, b = runs
    a.read(rows(1, 3))
    b.read(rows(500, 3))
    b.leave()
    b.path.write_bytes(b"x" * 5_000)
    for _ in range(2):
        a.read(rows(800, 3))
    assert len(a.said.notes) == 1
    assert "cannot be compared" in a.said.notes[0]


def test_the_journal_of_the_refused_run_is_intact() -> None:
    assert is_of_journal(JournalError("no"))
    assert not is_of_journal(AnotherRun("no")), "its end is noted, and what was in flight is settled"


def test_claims_are_read_in_chunks_from_where_the_last_ended(tmp_path: Path) -> None:
    run = Run(tmp_path, "a", began_at=1.0)
    run.add(rows(1, 7))
    run.add(rows(20, 2), State.EXISTING)
    assert list(claims_from(run.path, 5, has_created=False)) == [(9, [(1, 6), (1, 7)])]
    assert list(claims_from(run.path, 9, has_created=True)) == []
    run.leave()
    with pytest.raises(JournalError):
        list(claims_from(tmp_path / "none", 0, has_created=True))
