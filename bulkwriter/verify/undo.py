"""Takes back what a run made: settles its doubts, then deletes the records that it created, and no others.

    doubts of a dead process  --looks-->  created, existing or pending       (`leftovers`)
    created, and doubts that a killed undo left with their record id
        --read by id, compare, delete, read again-->  pending                (`takeback`)
        --not shown by id-->  lists that can be believed, at least `list_lag_s` after the start:
                              there after all: as above;  not there: pending

`existing` rows are never touched, nor what was there before the run began (`beginning`).  Durable and resumable: each
step is in the journal before the next depends on it, so the same command after a kill comes to the same end, and a
later `run` creates the pairs again.  Some workers take batches of ids side by side; pace, pauses and refreshes are
shared (`paced`, `deletes`).  An error or a Ctrl-C sets `halt`: what is on the wire ends, what was not sent stays
`created`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import anyio

from ..core.stats import RateMeter
from ..errors import BulkwriterError, Exit
from ..listing.baseline import Beginning
from ..listing.coverage import Coverage
from ..listing.lists import Filters, ListFailed
from ..model import Intent, State, Window
from ..net.api import IDS_PER_CALL, Page, Seen
from ..net.calls import LANES
from ..quota.eta import Moment
from ..quota.windows import WRITE, concerned
from ..settings import Settings
from ..store.schema import RISING_IDS, ExportRow
from .delete_created import OpenJournal, TakeBack, Tally, read_created
from .resolve_doubts import Leftovers
from .session import Conversation
from .stop_signal import Halted

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

    def least_s(self, windows: Iterable[Window]) -> float:
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


class Undo:
    """One undo in one process: `load`, `settle_doubts`, then `run`; setting the talk's `halt` drains it at any time."""

    def __init__(self, store: OpenJournal, talk: Conversation, settings: Settings) -> None:
        self._store = store
        self._talk = talk
        self._halt = talk.halt
        self._settings = settings
        self._clock = talk.clock
        self._started_at = talk.clock()
        self._leftovers = Leftovers(
            store, settings, get_page=talk.get_page, entity=talk.entity, shifts=talk.shifts,
            clock=talk.clock, tell=talk.tell, rng=talk.rng, halt=talk.halt,
        )  # fmt: skip
        self._takeback = TakeBack(
            store, read=talk.read, delete=talk.deleter.delete, list_lag_s=settings.list_lag_s, halt=talk.halt
        )
        self._doubts: list[Intent] = []
        self._resumed = 0  # records that a killed undo was about to delete
        self._rate = RateMeter(self._started_at)
        self._metered = 0
        self._total = 0

    # how it stands

    @property
    def tally(self) -> Tally:
        return self._takeback.tally

    @property
    def refusal(self) -> str:
        """What the server last refused a delete with, or empty."""
        return self._talk.deleter.refusal

    @property
    def in_doubt(self) -> int:
        counts = self._store.counts
        return counts.get(State.IN_DOUBT, 0) + counts.get(State.INTENT, 0)

    @property
    def left(self) -> int:
        """Records of this run that are still there, as far as is known."""
        return self._store.counts.get(State.CREATED, 0) - self.tally.left_alone

    @property
    def exit_code(self) -> Exit:
        if self.in_doubt:
            return Exit.DOUBTS
        return Exit.INCOMPLETE if self.left or self.tally.left_alone else Exit.OK

    def plan(self) -> UndoPlan:
        return UndoPlan(self._store.counts.get(State.CREATED, 0) + self._resumed, len(self._doubts))

    def expected_s(self) -> float | None:
        """How long the deletes will take under the quotas and what is spent of them; None where nothing is known."""
        return self._talk.eta.seconds(Moment(writes=self.plan().records, rate_per_s=0.0), self._clock())

    def snapshot(self) -> UndoSnapshot:
        now, done = self._clock(), self.tally.done
        self._rate.add(now, done - self._metered)
        self._metered = done
        rate = self._rate.per_s(now)
        eta_s = self._talk.eta.seconds(Moment(writes=self._total - done, rate_per_s=rate), now)
        return UndoSnapshot(done, self._total, rate, eta_s, self._talk.paced.throttled)

    # what it does

    async def load(self) -> None:
        """Read what is in doubt: what a run left, and what an undo left that was killed."""
        self._takeback.beginning = Beginning.of(await self._store.run(lambda journal: journal.meta()))
        rows = await self._store.run(lambda journal: journal.doubts())
        self._resumed = sum(row.record_id is not None for row in rows)
        self._doubts = [
            Intent(row.seq, row.pair, row.attempts, row.line, row.floor)
            for row in rows
            if row.pair and row.record_id is None  # a row that is no pair is settled from the start
        ]

    async def settle_doubts(self) -> None:
        """Look until no doubt of a run is left that can be told; `plan().doubts` are left.  Returns early when halted.

        Raises what makes looks impossible.
        """
        leftovers = self._leftovers
        if self._doubts:
            has_floors = await self._store.run(lambda journal: journal.meta_get(RISING_IDS)) != "no"
            created = self._store.counts.get(State.CREATED, 0)
            witness = await self._witness() if has_floors else 0
            await leftovers.settle(self._doubts, has_floors=has_floors, created=created, witness=witness)
            self._doubts = [*leftovers.undecided, *(doubt.intent for doubt in leftovers.looker.doubts)]
        self._raise()

    async def _witness(self) -> int:
        """The newest record that the run made, if a read by its id shows it, else 0."""
        newest = await self._store.run(
            lambda journal: max((max(ids) for ids in journal.record_ids() if ids), default=0)
        )
        shown = await self._guarded(self._talk.read([newest])) if newest else None
        return newest if newest in (shown or {}) else 0

    async def run(self) -> None:
        """Delete what the run created.  Raises the error that stopped it; the tally is right even then."""
        self._total = self.plan().records
        first_seq = 0
        while not self._halt.is_set:
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
        while rows and len(rows) < before and not self._halt.is_set:
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
        if absent and not self._halt.is_set:
            await self._guarded(self._settle_absent(absent))

    async def _work(self, batches: Iterator[Sequence[ExportRow]], absent: list[ExportRow]) -> None:
        for batch in batches:
            if self._halt.is_set:
                return
            absent += await self._guarded(self._takeback.batch(batch)) or []

    async def _guarded(self, step: Awaitable[T]) -> T | None:
        """What `step` returns, or None where an error or a halt ended it."""
        try:
            return await step
        except Halted:
            return None
        except BulkwriterError as error:
            self._halt.set(error)
            return None

    async def _settle_absent(self, rows: Sequence[ExportRow]) -> None:
        """Reads by id did not show these: find out by lists that can be believed, once they show all that was made."""
        await self._halt.sleep(max(0.0, self._started_at + self._settings.list_lag_s - self._clock()))
        by_id = {row.record_id: row for row in rows}
        shown = await self._talk.persist(partial(self._find_in_step, by_id))
        await self._takeback.gone([row for row in rows if row.record_id not in shown])
        there = [by_id[i] for i, seen in shown.items() if await self._takeback.is_ours(by_id[i], seen)]
        for at in range(0, len(there), IDS_PER_CALL):
            await self._takeback.take(there[at : at + IDS_PER_CALL])

    async def _find_in_step(self, by_id: Mapping[int | None, ExportRow]) -> dict[int, Seen]:
        shifts = self._talk.shifts()
        shown = await self._find(by_id)
        if shifts != self._talk.shifts():  # a list may have been another one's, and empty for that reason
            raise ListFailed("a connection for list calls answered out of step")
        return shown

    async def _find(self, by_id: Mapping[int | None, ExportRow]) -> dict[int, Seen]:
        """Which of these records whole lists show, and as what."""
        shown: dict[int, Seen] = {}

        async def get_page(filters: Filters, number: int) -> Page:
            page = await self._talk.get_page(filters, number)
            for (record_id, pair), created_on in zip(page.records, page.created_on, strict=True):
                if record_id in by_id:
                    shown[record_id] = Seen(record_id, pair, created_on)
            return page

        coverage = Coverage(get_page, self._talk.filters_of, take=lambda records: None, persist=self._talk.persist)
        await coverage.begin()
        pairs = [row.pair for row in by_id.values() if row.pair]
        for at in range(0, len(pairs), COVER_PAIRS):
            await coverage.cover(pairs[at : at + COVER_PAIRS])
        return shown

    def _raise(self) -> None:
        if self._halt.error:
            raise self._halt.error
