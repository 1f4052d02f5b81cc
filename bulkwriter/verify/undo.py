"""Takes back what a run made: settles its doubts, then deletes the records that it created, and no others.

    doubts of a dead process  --looks-->  created, existing or pending       (`resolve_doubts`)
    created, and doubts that a killed undo left with their record id
        --read by id, compare, delete, read again-->  pending                (`delete_created`)
        --not shown by id-->  lists that can be believed, at least `list_lag_s` after the start:
                              there after all: as above;  not there: pending, or
                              created as before where this token may not see it (`note_absent`)

`existing` rows are never touched, nor what was there before the run began (`listing.baseline`).  Durable and resumable:
each step is in the journal before the next depends on it, so the same command after a kill comes to the same end, and a
later `run` creates the pairs again.  A few workers take batches of ids side by side, as many as calls may be on the
wire; pauses and refreshes are shared (`session`).  An error or a Ctrl-C sets `stop`: what is on the wire ends, what was
not sent stays `created`.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import anyio

from ..core.stats import RateMeter
from ..errors import BulkwriterError, Exit
from ..listing.baseline import Baseline, floors_tell
from ..listing.coverage import Coverage
from ..listing.lists import Filters, ListFailed
from ..listing.visibility import wanted_of
from ..model import Intent, QuotaWindow, State
from ..net.api import IDS_PER_CALL, ListedRecord, ListPage
from ..net.calls import LANES
from ..quota.view import WorkAhead
from ..quota.windows import WRITE, concerned
from ..rows import Named
from ..settings import Settings
from ..store.journal_writer import JournalWriter
from ..store.schema import RISING_IDS, ExportRow
from .delete_created import CreatedDeleter, Deletions, read_created
from .resolve_doubts import DoubtResolver
from .session import ServerSession
from .stop_signal import StopSet

T = TypeVar("T")

COVER_PAIRS: Final = 1_000
"""Pairs of absent records looked up at a time, from which lists are chosen."""


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What an undo is about to do: settle `doubts`, then delete `records`."""

    records: int
    doubts: int

    @property
    def reads(self) -> int:
        """List calls for the deletes: each record is read before and after."""
        return 2 * -(-self.records // IDS_PER_CALL)

    def least_s(self, windows: Iterable[QuotaWindow]) -> float:
        """The shortest time in which quotas allow the deletes; first value: 2,501 at 2,500 a day take one day."""
        spans = (max(0, self.records - 1) // w.count * w.window_s for w in concerned(windows, WRITE))
        return max(spans, default=0.0)


@dataclass(frozen=True, slots=True)
class UndoSnapshot:
    """How an undo stands: `done` of `total` records, however they ended."""

    done: int
    total: int
    rate_per_s: float
    eta_s: float | None
    throttled: int


class UndoStanding(ABC):
    """What the figures of an undo say, whether it is of one journal or of all parts of a job."""

    _session: ServerSession

    @property
    @abstractmethod
    def tally(self) -> Deletions: ...

    @property
    @abstractmethod
    def in_doubt(self) -> int: ...

    @property
    @abstractmethod
    def left(self) -> int:
        """Records of this run that are still there, as far as is known."""

    @abstractmethod
    def plan(self) -> UndoPlan: ...

    @property
    def refusal(self) -> str:
        """What the server last refused a delete with, or empty."""
        return self._session.deleter.refusal

    @property
    def exit_code(self) -> Exit:
        if self.in_doubt:
            return Exit.DOUBTS
        return Exit.INCOMPLETE if self.left or self.tally.left_alone else Exit.OK

    def expected_s(self) -> float | None:
        """How long the deletes will take under the quotas and what is spent of them; None where nothing is known."""
        return self._session.eta.seconds(WorkAhead(writes=self.plan().records, rate_per_s=0.0), self._session.clock())


class Undo(UndoStanding):
    """One undo in one process: `load`, `settle_doubts`, then `run`; setting the session's `stop` drains it any time.

    `doubts` are those of a run; `resumed` counts the records that an undo was about to delete when it was killed.
    """

    def __init__(
        self,
        store: JournalWriter,
        session: ServerSession,
        settings: Settings,
        *,
        baseline: Baseline,
        doubts: list[Intent],
        named: Mapping[int, Named],
        resumed: int,
    ) -> None:
        self._store = store
        self._session = session
        self._stop = session.stop
        self._settings = settings
        self._started_at = session.clock()
        self._deleter = CreatedDeleter(store, session, baseline, list_lag_s=settings.list_lag_s)
        self._doubts, self._named = doubts, named
        self._resumed = resumed
        self._rate = RateMeter(self._started_at)
        self._metered = 0
        self._total = 0

    @classmethod
    async def load(cls, store: JournalWriter, session: ServerSession, settings: Settings) -> Undo:
        """Read what is in doubt: what a run left, and what an undo left that was killed."""
        baseline = Baseline.of(await store.run(lambda journal: journal.meta()))
        rows = await store.run(lambda journal: journal.doubts())
        doubts = [
            Intent(row.seq, row.pair, row.attempts, row.line, row.floor)
            for row in rows
            if row.pair and row.record_id is None  # a row that is no pair is settled from the start
        ]
        resumed = sum(row.record_id is not None for row in rows)
        named = {row.seq: row.named for row in rows if row.named}
        return cls(store, session, settings, baseline=baseline, doubts=doubts, named=named, resumed=resumed)

    # how it stands

    @property
    def tally(self) -> Deletions:
        return self._deleter.tally

    @property
    def in_doubt(self) -> int:
        counts = self._store.counts
        return counts.get(State.IN_DOUBT, 0) + counts.get(State.INTENT, 0)

    @property
    def left(self) -> int:
        return self._store.counts.get(State.CREATED, 0) - self.tally.left_alone

    def plan(self) -> UndoPlan:
        return UndoPlan(self._store.counts.get(State.CREATED, 0) + self._resumed, len(self._doubts))

    def snapshot(self) -> UndoSnapshot:
        now, done = self._session.clock(), self.tally.done
        self._rate.add(now, done - self._metered)
        self._metered = done
        rate = self._rate.per_s(now)
        eta_s = self._session.eta.seconds(WorkAhead(writes=self._total - done, rate_per_s=rate), now)
        return UndoSnapshot(done, self._total, rate, eta_s, self._session.throttled)

    # what it does

    async def settle_doubts(self) -> None:
        """Look until no doubt of a run is left that can be told; `plan().doubts` are left.  Returns early when stopped.

        Raises what makes looks impossible.
        """
        if self._doubts:
            created = self._store.counts.get(State.CREATED, 0)
            below = sum(named.record_id > 0 for named in self._named.values())
            is_told = await self._store.run(lambda journal: journal.meta_get(RISING_IDS)) != "no"
            has_floors = is_told and floors_tell(below, below + created)
            resolver = DoubtResolver(
                self._store,
                self._session,
                self._settings,
                has_floors=has_floors,
                created=created,
                witness=await self._witness() if has_floors else 0,
            )
            await resolver.settle(self._doubts, self._named)
            self._doubts = [*resolver.undecided, *(doubt.intent for doubt in resolver.looker.doubts)]
        self._raise()

    async def _witness(self) -> int:
        """The newest record that the run made, if a read by its id shows it, else 0."""
        newest = await self._store.run(
            lambda journal: max((max(ids) for ids in journal.record_ids() if ids), default=0)
        )
        shown = await self._guarded(self._session.read([newest])) if newest else None
        return newest if newest in (shown or {}) else 0

    async def run(self) -> None:
        """Delete what the run created.  Raises the error that stopped it; the tally is right even then."""
        self._total = self.plan().records
        first_seq = 0
        while not self._stop.is_set:
            rows = await self._store.run(partial(read_created, first_seq=first_seq))
            if not rows:
                break
            first_seq = rows[-1].seq + 1
            await self._chunk(rows)
        await self._try_doubts_again()
        self._raise()

    async def _try_doubts_again(self) -> None:
        """Go through what an undo has left in doubt, this one or one that was killed, as long as that helps."""
        rows, before = await self._being_deleted(), sys.maxsize
        while rows and len(rows) < before and not self._stop.is_set:
            before = len(rows)
            await self._chunk(rows)
            rows = await self._being_deleted()

    async def _being_deleted(self) -> list[Any]:
        doubts = await self._store.run(lambda journal: journal.doubts())
        return [row for row in doubts if row.record_id is not None]

    async def _chunk(self, rows: Sequence[ExportRow]) -> None:
        absent: list[ExportRow] = []
        batches = (rows[at : at + IDS_PER_CALL] for at in range(0, len(rows), IDS_PER_CALL))
        async with anyio.create_task_group() as tasks:
            for _ in range(min(LANES, -(-len(rows) // IDS_PER_CALL))):
                tasks.start_soon(self._work, batches, absent)
        if absent and not self._stop.is_set:
            await self._guarded(self._settle_absent(absent))

    async def _work(self, batches: Iterator[Sequence[ExportRow]], absent: list[ExportRow]) -> None:
        for batch in batches:
            if self._stop.is_set:
                return
            absent += await self._guarded(self._deleter.batch(batch)) or []

    async def _guarded(self, step: Awaitable[T]) -> T | None:
        """What `step` returns, or None where an error or the signal to stop ended it."""
        try:
            return await step
        except StopSet:
            return None
        except BulkwriterError as error:
            self._stop.set(error)
            return None

    async def _settle_absent(self, rows: Sequence[ExportRow]) -> None:
        """Reads by id did not show these: find out by lists that can be believed, once they show all that was made."""
        await self._stop.sleep(max(0.0, self._started_at + self._settings.list_lag_s - self._session.clock()))
        by_id = {row.record_id: row for row in rows}
        shown = await self._session.retry(partial(self._find_in_step, by_id))
        await self._deleter.note_absent([row for row in rows if row.record_id not in shown])
        found = [by_id[i] for i, seen in shown.items() if await self._deleter.is_ours(by_id[i], seen)]
        for at in range(0, len(found), IDS_PER_CALL):
            await self._deleter.delete(found[at : at + IDS_PER_CALL])

    async def _find_in_step(self, by_id: Mapping[int | None, ExportRow]) -> dict[int, ListedRecord]:
        shifts = self._session.shifts()
        shown = await self._find(by_id)
        if shifts != self._session.shifts():  # a list may have been another one's, and empty for that reason
            raise ListFailed("a connection for list calls answered out of step")
        return shown

    async def _find(self, by_id: Mapping[int | None, ExportRow]) -> dict[int, ListedRecord]:
        """Which of these records whole lists show, and as what."""
        shown: dict[int, ListedRecord] = {}
        pairs = [row.pair for row in by_id.values() if row.pair]
        firsts, seconds = wanted_of(pairs)

        async def get_page(filters: Filters, number: int) -> ListPage:
            page = await self._session.get_page(filters, number)
            for (record_id, pair), created_on in zip(page.records, page.created_on, strict=True):
                if pair[0] in firsts or pair[1] in seconds:
                    self._deleter.shown.add(pair)
                if record_id in by_id:
                    shown[record_id] = ListedRecord(record_id, pair, created_on)
            return page

        coverage = Coverage(get_page, self._session.entity.filters, retry=self._session.retry)
        await coverage.begin()
        for at in range(0, len(pairs), COVER_PAIRS):
            await coverage.cover(pairs[at : at + COVER_PAIRS])
        return shown

    def _raise(self) -> None:
        if self._stop.error:
            raise self._stop.error
        if self._deleter.hidden:
            raise self._deleter.hidden_error()
