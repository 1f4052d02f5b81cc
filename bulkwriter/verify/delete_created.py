"""Deletes some records that the run created: read, compare, note, delete, read again, note.

    1. read the records by their ids, and compare their pairs with the journal's
    2. note `in_doubt` with the record id in the journal, durably: it may be gone from now on
    3. delete each
    4. read them again: what a DELETE was answered for and the list does not show any more is gone
    5. note `pending` without a record id: the next run creates it again

A record that was there before the run began (`listing.baseline`) is left alone, whatever the journal says of it.

Invariants: no id is deleted unless a read of this process showed it with its own pair; nothing is noted as gone on one
sign alone.  A process killed between 2 and 5 leaves doubts that are told by their record id: the next undo goes through
the same steps with them, and the next run looks for them, as for every doubt (their floor is one below the id).
A record that is not shown at first (1) is neither deleted nor believed to be gone here: it is given back as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Final

from ..core.dedupe import PairSet
from ..errors import ConfigurationStop
from ..listing.baseline import Baseline
from ..listing.visibility import perhaps_hidden, why_unseen
from ..model import State
from ..net.api import ListedRecord
from ..rows import SettleRow, doubt_detail, undone_detail
from ..store.journal import Journal
from ..store.journal_writer import JournalWriter
from ..store.schema import ExportRow
from .deletes import Fate
from .session import ServerSession

ROUNDS: Final = 3
"""DELETEs of one id that are answered while lists still show it, `list_lag_s` apart, before it is left in doubt."""
EXAMPLES: Final = 20
NOBODY_DELETED: Final[Mapping[int, bool]] = MappingProxyType({})
CHUNK_ROWS: Final = 5_000
"""Rows read from the journal at a time."""


@dataclass(slots=True)
class Deletions:
    """What became of records; `older` were there before the run.  `mismatches` are examples: record id, the run's pair,
    the pair that it holds; `olders` too: record id, pair."""

    deleted: int = 0
    gone: int = 0
    mismatched: int = 0
    older: int = 0
    refused: int = 0
    mismatches: list[tuple[int, tuple[int, int], tuple[int, int]]] = field(default_factory=list)
    olders: list[tuple[int, tuple[int, int]]] = field(default_factory=list)

    def add_gone(self, count: int, *, deleted: int) -> None:
        """So many records are there no more, of which this undo deleted some."""
        self.deleted += deleted
        self.gone += count - deleted

    def add_older(self, record_id: int, pair: tuple[int, int]) -> None:
        """One was there before the run."""
        self.older += 1
        if len(self.olders) < EXAMPLES:
            self.olders.append((record_id, pair))

    def add_mismatched(self, record_id: int, pair: tuple[int, int], holds: tuple[int, int]) -> None:
        """One that is the run's by its id holds another pair."""
        self.mismatched += 1
        if len(self.mismatches) < EXAMPLES:
            self.mismatches.append((record_id, pair, holds))

    @property
    def left_alone(self) -> int:
        """Records that the journal calls created, and that are not this run's."""
        return self.mismatched + self.older

    @property
    def done(self) -> int:
        return self.deleted + self.gone + self.left_alone + self.refused


class CreatedDeleter:
    """Deletes records of some rows; several calls may run at once on different rows."""

    def __init__(self, store: JournalWriter, session: ServerSession, baseline: Baseline, *, list_lag_s: float) -> None:
        self._store = store
        self._session = session
        self._baseline = baseline
        self._list_lag_s = list_lag_s
        self._unanswered: set[int] = set()  # seqs of records that a DELETE was sent for, without an answer
        self.tally = Deletions()
        self.shown = PairSet()
        """Pairs of records that reads by id or lists, have shown: this token sees their first and second ids."""
        self.hidden: list[int] = []
        """Record ids that this token may not see."""

    async def batch(self, rows: Sequence[ExportRow]) -> list[ExportRow]:
        """Delete the records of at most `IDS_PER_CALL` rows; returns the rows whose records a read did not show."""
        shown = await self._shown(rows)
        ours, absent = [], []
        for record in shown.values():
            self.shown.add(record.pair)
        for row in rows:
            seen = shown.get(row.record_id or 0)
            if seen is None:
                absent.append(row)
            elif await self.is_ours(row, seen):
                ours.append(row)
        await self.delete(ours)
        return absent

    async def is_ours(self, row: ExportRow, seen: ListedRecord) -> bool:
        """Whether what was seen is the record that this run made for the row; else it is noted as left alone."""
        if seen.pair != row.pair:
            await self._leave(row, seen.pair)
        elif self._baseline.is_before(seen.record_id, seen.created_on):
            await self._leave(row, None)
        else:
            return True
        return False

    async def delete(self, rows: Sequence[ExportRow]) -> None:
        """Delete the records of these rows, each shown with its own pair by a read just before."""
        if not rows or self._session.stop.is_set:
            return
        await self._store.settle([as_being_deleted(row) for row in rows])
        own: dict[int, bool] = {}  # seqs of records that are said to be gone, and whether we have deleted them
        for _ in range(ROUNDS):
            answered = await self._delete_each(rows, own)
            shown = await self._shown(answered) if answered else {}
            await self.note_gone([row for row in answered if row.record_id not in shown], own)
            rows = [row for row in answered if row.record_id in shown]
            if not rows or not await self._session.stop.pause(self._list_lag_s):
                return

    async def _shown(self, rows: Sequence[ExportRow]) -> Mapping[int, ListedRecord]:
        return await self._session.read([row.record_id or 0 for row in rows])

    async def _delete_each(self, rows: Sequence[ExportRow], own: dict[int, bool]) -> list[ExportRow]:
        """One DELETE each; the rows for which it was answered that the record is not there any more.

        What was not sent, and what the server refused, is created as before; but not where an earlier DELETE may count,
        of this process or of one that was killed.
        """
        answered, kept = [], []
        for row in rows:
            assert row.record_id is not None
            fate = await self._session.deleter.delete(row.record_id)
            if fate in (Fate.DELETED, Fate.GONE):
                own[row.seq] = own.get(row.seq, False) or fate is Fate.DELETED
                answered.append(row)
            elif fate is Fate.UNKNOWN:
                self._unanswered.add(row.seq)
            elif fate is Fate.REFUSED or (fate is Fate.UNSENT and row.state is State.CREATED):
                kept.append(row)
                self.tally.refused += fate is Fate.REFUSED
        await self._store.settle([as_created(row) for row in kept if row.seq not in own])
        return answered

    async def note_gone(self, rows: Sequence[ExportRow], own: Mapping[int, bool] = NOBODY_DELETED) -> None:
        """Note that the records of these rows are not there; `own` tells by seq which of them this undo deleted."""
        deleted = {row.seq for row in rows if own.get(row.seq, False) or row.seq in self._unanswered}
        if rows:
            await self._store.settle([as_pending(row, is_deleted=row.seq in deleted) for row in rows])
        self.tally.add_gone(len(rows), deleted=len(deleted))

    async def note_absent(self, rows: Sequence[ExportRow]) -> None:
        """Note as gone what neither reads by id nor lists show, except what this token may not see: that stays.

        An undo that was killed saw what it had begun to delete, so of these rows nothing is hidden.
        """
        created = PairSet(row.pair for row in rows if row.pair and row.state is State.CREATED)
        hidden = perhaps_hidden(self.shown, created, created, PairSet())
        gone = []
        for row in rows:
            if row.state is State.CREATED and row.pair and row.pair in hidden:
                self.hidden.append(row.record_id or 0)
            else:
                gone.append(row)
        await self.note_gone(gone)

    def hidden_error(self) -> ConfigurationStop:
        """What to tell where records are `hidden`."""
        return ConfigurationStop(
            f"this token does not see {len(self.hidden)} of the records that this run made {why_unseen(self.hidden)}",
            hint="the same command with a token whose user sees every location deletes them; if somebody has deleted "
            "them, a run of these pairs needs a new journal",
        )

    async def _leave(self, row: ExportRow, pair: tuple[int, int] | None) -> None:
        """Note that the record is not ours to delete: it holds another pair, or (None) was there before the run."""
        assert row.record_id is not None
        assert row.pair is not None
        if pair is None:
            self.tally.add_older(row.record_id, row.pair)
        else:
            self.tally.add_mismatched(row.record_id, row.pair, pair)
        if row.state is not State.CREATED:
            await self._store.settle([as_created(row)])


def as_being_deleted(row: ExportRow) -> SettleRow:
    """In doubt from now on: a record of the pair that is newer than the floor is the one that was to be deleted."""
    detail = doubt_detail("undo began to delete the record", (row.record_id or 0) - 1)
    return (row.seq, State.IN_DOUBT, row.attempts, row.record_id, row.http_status, detail)


def as_created(row: ExportRow) -> SettleRow:
    return (row.seq, State.CREATED, row.attempts, row.record_id, row.http_status, None)


def as_pending(row: ExportRow, *, is_deleted: bool) -> SettleRow:
    """To be sent by the next start, as if never sent; its detail says what was undone, for `explain` and `export`."""
    assert row.record_id is not None
    return (row.seq, State.PENDING, 0, None, None, undone_detail(row.record_id, is_deleted=is_deleted))


def read_created(journal: Journal, *, first_seq: int) -> list[ExportRow]:
    """Up to `CHUNK_ROWS` whole created rows from `first_seq` on; for the journal's thread."""
    return list(islice(journal.export((State.CREATED,), first_seq), CHUNK_ROWS))
