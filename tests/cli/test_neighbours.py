"""Runs over the same pairs that meet by their first rows.  Those behind them: `tests/run/test_peers.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.neighbours import Neighbours, Watched
from bulkwriter.errors import AnotherRun, JournalError, is_of_journal
from bulkwriter.model import Batch
from bulkwriter.run.registry import Entry, Registry
from tests.support.journal_child import open_journal

Pairs = list[tuple[int, int]]


class Run:
    """A run with a journal of its own, as `Neighbours` sees it; at work until `leave`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.notes: list[str] = []
        self.journal = open_journal(folder / f"{name}.journal")
        self.registry = Registry(folder / "ledger")
        self.entry = Entry.begun(
            base_url="https://api.example",
            account=None,
            source=f"{folder}/{name}.csv",
            journal=folder / f"{name}.journal",
        )
        said: Any = self
        self.neighbours = Neighbours(said, self.registry, self.entry, source=f"{name}.csv", is_forced=False)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def read(self, pairs: Pairs) -> None:
        class Source:
            async def read(self, max_rows: int) -> Batch:
                return Batch([*pairs], range(max_rows), {})

        asyncio.run(Watched(Source(), self.neighbours).read(len(pairs)))


def rows(first: int, count: int) -> Pairs:
    return [(1, first + i) for i in range(count)]


@pytest.mark.parametrize("has_given", [False, True])
def test_before_anything_was_given_nothing_is_left_of_the_start(tmp_path: Path, has_given: bool) -> None:
    a, b = Run(tmp_path, "a"), Run(tmp_path, "b")
    a.read(rows(1, 3))
    if has_given:
        b.read(rows(50, 3))
    with pytest.raises(AnotherRun, match="has pairs of this source"):
        b.read(rows(3, 200))
    assert (b.registry.get(b.entry) is not None) is has_given, "its doubts are not forgotten"
    a.journal.close()
    b.journal.close()


def test_the_journal_of_the_refused_run_is_intact() -> None:
    assert is_of_journal(JournalError("no"))
    assert not is_of_journal(AnotherRun("no")), "its end is noted, and what was in flight is settled"
