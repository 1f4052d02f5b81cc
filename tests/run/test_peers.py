"""Writers with journals of their own that meet: what one has claimed is no pair for another.  Real files, no server."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.events import Event
from bulkwriter.model import SINGLE_SEQ, Counts, State, Summary
from bulkwriter.run import peers as peers_module
from bulkwriter.run.peers import CUT_OFF_S, Met, Peers, Unseen
from bulkwriter.run.registry import FILES_MAX, Entry, Registry
from bulkwriter.store.claims import START, ClaimedRow, claims_of, pairs_from
from bulkwriter.store.journal import Journal
from tests.support.journal_child import open_journal

Pair = tuple[int, int]
OLD = 100
"""The highest record id on the lists."""


class Writer:
    """A writer with its journal; at work until `leave`."""

    def __init__(self, folder: Path, name: str, *, began_at: float, kept_s: float = 1e9) -> None:
        self.told: list[Event] = []
        self.path, self.next = folder / f"{name}.journal", {False: 0, True: SINGLE_SEQ}
        self.journal: Journal = open_journal(self.path)
        self.registry = Registry(folder / "ledger")
        entry = Entry.begun(base_url="https://api.example", account=None, source="", journal=self.path)
        self.entry = dataclasses.replace(entry, started_at=began_at)
        self.peers = Peers(self.registry, self.entry, tell=self.told.append, kept_s=kept_s, unseen=Unseen(5.0, 60.0))
        self.peers.begin()

    def claim(
        self, *members: int, state: State = State.INTENT, record_id: int | None = None, single: bool = True
    ) -> int:
        """Make rows of these members of lesson 1; return the seq of the first."""
        first = self.next[single]
        self.next[single] += len(members)
        self.journal.append([(first + i, 1, m, None, int(State.INTENT), None) for i, m in enumerate(members)])
        if state is not State.INTENT:
            self.journal.settle([(first + i, int(state), 1, record_id, 200, None) for i in range(len(members))])
        return first

    def met(self, *members: int) -> dict[int, Met]:
        found = asyncio.run(self.peers.met([(1, m) for m in members], above=OLD))
        return {member: met for (_, member), met in found.items()}

    def leave(self, *, has_written: bool = True, in_doubt: int = 0) -> None:
        self.peers.end(Summary(Counts(created=int(has_written), in_doubt=in_doubt)))
        self.journal.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Writer, Writer]]:
    """One writer, and one that began later."""
    both = Writer(tmp_path, "a", began_at=100.0), Writer(tmp_path, "b", began_at=200.0)
    yield both
    for writer in both:
        writer.journal.close()


@pytest.mark.parametrize("single", [True, False])
def test_what_one_may_send_the_other_meets(two: tuple[Writer, Writer], *, single: bool) -> None:
    a, b = two
    a.claim(1, 2, single=single)
    assert set(b.met(2, 3)) == {2}
    b.claim(3, single=not single)
    assert a.met(2, 3) == {3: Met(None, str(b.path), is_at_work=True)}


@pytest.mark.parametrize(
    ("state", "record_id", "met"),
    [
        (State.INTENT, None, Met(None, "", is_at_work=True)),
        (State.IN_DOUBT, None, Met(None, "", is_at_work=True)),
        (State.CREATED, OLD + 1, Met(OLD + 1, "", is_at_work=True)),
        (State.CREATED, OLD, None),  # it is on the lists
        (State.PENDING, None, None),  # whoever makes it an intent asks then
        (State.EXISTING, OLD + 1, None),
        (State.REJECTED, None, None),
        (State.FAILED, None, None),
    ],
)
def test_a_claim_is_what_may_be_sent_or_is_new(
    two: tuple[Writer, Writer], state: State, record_id: int, met: Any
) -> None:
    a, b = two
    a.claim(1, state=state, record_id=record_id)
    assert b.met(1) == ({1: met._replace(journal=str(a.path))} if met else {})


@pytest.mark.parametrize("before", [State.PENDING, State.FAILED, State.REJECTED])
def test_a_row_that_becomes_a_claim_after_it_was_read_is_met(two: tuple[Writer, Writer], before: State) -> None:
    a, b = two
    seq = a.claim(1, state=before)
    assert b.met(1) == {}
    a.journal.settle([(seq, int(State.INTENT), 0, None, None, None)])
    assert set(b.met(1)) == {1}
    a.journal.settle([(seq, int(State.CREATED), 1, 777, 200, None)])
    assert b.met(1)[1].record_id == 777


def test_one_that_ended_meanwhile_counts_until_lists_show_what_it_wrote(tmp_path: Path) -> None:
    a, b = Writer(tmp_path, "a", began_at=100.0, kept_s=-1.0), Writer(tmp_path, "b", began_at=200.0)
    b.claim(5, state=State.CREATED, record_id=500)
    b.claim(6)
    b.leave()
    assert a.met(5, 6, 7) == {5: Met(500, str(b.path), is_at_work=False), 6: Met(None, str(b.path), is_at_work=False)}
    assert not a.peers._peers, "after `kept_s` it is forgotten"
    a.leave()


@pytest.mark.parametrize(
    ("end", "unseen_s"), [("done", 5.0), ("doubt", 65.0), ("killed", CUT_OFF_S + 65.0)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("is_over", [False, True])
def test_one_that_ended_before_counts_until_lists_show_what_it_sent(
    tmp_path: Path, end: str, unseen_s: float, *, is_over: bool
) -> None:
    """Lists need not show records in the order of their ids, so one below the newest that was listed counts, too."""
    a = Writer(tmp_path, "a", began_at=100.0)
    a.claim(5, state=State.CREATED, record_id=OLD - 1)
    a.claim(6)
    a.journal.close() if end == "killed" else a.leave(in_doubt=int(end == "doubt"))
    b = Writer(tmp_path, "b", began_at=time.time() + unseen_s + (1.0 if is_over else -1.0))
    at_once = {5: Met(OLD - 1, str(a.path), is_at_work=False), 6: Met(None, str(a.path), is_at_work=False)}
    assert b.met(5, 6, 7) == ({} if is_over else at_once)
    b.leave()


def test_one_that_ended_before_and_whose_journal_is_gone_is_none(tmp_path: Path) -> None:
    a = Writer(tmp_path, "a", began_at=100.0)
    a.leave()
    a.path.unlink()
    b = Writer(tmp_path, "b", began_at=time.time())
    assert (b.met(5), b.told) == ({}, [])
    b.leave()


@pytest.mark.parametrize(("in_doubt", "waits_s"), [(0, 3.0), (1, 63.0)])
def test_where_a_journal_is_gone_lists_are_not_believed_before_they_show_what_was_sent(
    tmp_path: Path, in_doubt: int, waits_s: float
) -> None:
    a = Writer(tmp_path, "a", began_at=100.0)
    assert a.peers.unseen_s == 0.0
    a.leave(in_doubt=in_doubt)
    a.path.unlink()
    for began_at, expected in ((time.time() + 2.0, waits_s), (time.time() + 70.0, 0.0)):
        again = Writer(tmp_path, "a", began_at=began_at)
        assert again.peers.unseen_s == pytest.approx(expected, abs=0.5)
        again.journal.close()


def test_a_writer_that_starts_again_is_read_from_its_beginning(two: tuple[Writer, Writer]) -> None:
    a, b = two
    a.claim(1)
    assert set(b.met(1)) == {1}
    a.leave()
    for end in ("", "-wal", "-shm"):
        Path(f"{a.path}{end}").unlink(missing_ok=True)
    again = Writer(a.path.parent, "a", began_at=300.0)
    again.claim(2)
    assert set(b.met(1, 2)) == {2}
    again.leave()


def test_a_writer_alone_asks_for_one_folder_and_no_more(two: tuple[Writer, Writer], monkeypatch: Any) -> None:
    a, b = two
    b.leave(has_written=False)
    assert b.registry.get(b.entry) is None, "it sent nothing, so it is as if it had never been"
    monkeypatch.setattr(peers_module, "TICK_S", 0.0)
    assert a.peers.are_there(), "the folder has changed"
    for _ in range(2):
        a.met(1)
    assert not a.peers.are_there()
    again = Writer(a.path.parent, "b", began_at=300.0)
    assert a.peers.are_there()
    again.leave()


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(two: tuple[Writer, Writer]) -> None:
    a, _ = two
    os.utime(a.registry.folder, ns=(1, 1))
    assert a.met(1) == {}
    c = Writer(a.path.parent, "c", began_at=300.0)
    c.claim(1)
    os.utime(a.registry.folder, ns=(1, 1))
    assert a.peers.are_there()
    assert set(a.met(1)) == {1}
    c.leave()


def test_a_journal_that_cannot_be_read_is_told_and_ends_nothing(two: tuple[Writer, Writer]) -> None:
    a, b = two
    b.claim(1)
    b.journal.close()
    b.path.write_bytes(b"x" * 5_000)
    for _ in range(2):
        assert a.met(1) == {}
    assert [str(event).count("cannot be compared") for event in a.told] == [1]


def test_the_source_of_an_earlier_start_is_kept(tmp_path: Path) -> None:
    a = Writer(tmp_path, "a", began_at=100.0)
    a.registry.put(dataclasses.replace(a.entry, source="/data/a.csv", rows=("x",)))
    a.leave()
    a = Writer(tmp_path, "a", began_at=200.0)
    kept = a.registry.get(a.entry)
    assert kept
    assert (kept.source, kept.rows, kept.ended_at) == ("/data/a.csv", ("x",), None)
    a.leave(has_written=False)
    kept = a.registry.get(a.entry)
    assert kept
    assert kept.ended_at, "it is as the start before left it"


def test_a_writer_at_work_is_not_pruned(two: tuple[Writer, Writer]) -> None:
    a, b = two
    for i in range(FILES_MAX):
        path = a.registry.folder / f"0-{i}.json"
        path.write_text("{}")
    for writer in two:
        os.utime(a.registry._path(writer.entry), (1, 1))
    b.journal.close()
    a.registry.put(dataclasses.replace(a.entry, journal="/data/c.journal"))
    assert (a.registry.get(a.entry) is not None, a.registry.get(b.entry)) == (True, None)


def test_claims_are_read_from_where_the_last_read_ended(tmp_path: Path) -> None:
    a = Writer(tmp_path, "a", began_at=1.0)
    a.claim(1, 2, single=False)
    a.claim(3)
    *_, (place, pairs) = pairs_from(a.path, START, above=OLD)
    assert (place, pairs) == ((2, SINGLE_SEQ + 1), [(1, 3)])
    a.claim(4)
    assert list(pairs_from(a.path, place, above=OLD)) == [((2, SINGLE_SEQ + 2), [(1, 4)])]
    assert claims_of(a.path, [(1, 3), (1, 9)], above=OLD) == {(1, 3): ClaimedRow(State.INTENT, None)}
    a.leave()
    for ask in (
        lambda: list(pairs_from(tmp_path / "no", START, above=0)),
        lambda: claims_of(tmp_path / "no", [], above=0),
    ):
        with pytest.raises(JournalError):
            ask()
