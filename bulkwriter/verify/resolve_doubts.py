"""Settles the doubts that a dead process left, without sending anything again: what `undo` does first.

The same looks, waits and rules as in a run (`looks`, `doubts`, `baseline.is_own`); only what follows differs.  A pair
whose record is found is `created` or `existing`.  One that two looks did not see is `pending`: it was not applied, and
an undo is not going to send it.  Where neither the record's id nor its time tells whether it is the run's, an undo
must not guess, so the doubt stays (`undecided`); a run, which knows whether it had looked before it wrote, settles it.
Outcomes are durable when `settle` returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from ..core.doubts import Doubt, Doubts
from ..core.stops import at_long_wait
from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..events import DoubtsParked
from ..listing.baseline import is_own
from ..listing.lists import Filters, ListFailed
from ..listing.looks import Looker
from ..listing.retry_until_deadline import NO_LIST, Oddness, needs_list
from ..model import ID_MAX, Intent, State
from ..net.api import ListedRecord, ListPage, Record
from ..rows import Named, SettleRow
from ..settings import Settings
from ..store.journal_writer import JournalWriter
from .session import ServerSession

CHECK_S = 0.25


class DoubtResolver:
    """The `Settling` side of a look, and the loop that lets looks go on until no doubt is left.

    `has_floors`: ids rise, so that floors tell; `created`: how many records the run made, which bounds how far the
    newest records reach; `witness`: a record that is there, which every list must show, or 0.
    """

    def __init__(
        self,
        store: JournalWriter,
        session: ServerSession,
        settings: Settings,
        *,
        has_floors: bool,
        created: int,
        witness: int,
    ) -> None:
        self._store = store
        self._session = session
        self._settings = settings
        self._has_floors = has_floors
        self._created = created
        self._witness = witness
        self._rows: list[SettleRow] = []
        self._changed = anyio.Event()
        self.undecided: list[Intent] = []
        self.looker = Looker(
            doubts=Doubts(late_apply_s=settings.late_apply_s, list_lag_s=settings.list_lag_s),
            late_apply_s=settings.late_apply_s,
            list_lag_s=settings.list_lag_s,
            get_page=self._get_page,
            filters_of=lambda pair: session.entity.filters(*pair),
            settling=self,
            shifts=session.shifts,
            clocks=session.clocks,
            tell=session.tell,
            rng=session.rng,
            oddness=Oddness(),
        )

    async def settle(self, intents: Sequence[Intent], named: Mapping[int, Named]) -> None:
        """Return when these doubts are settled or `undecided`, or the session's `stop` is set, with what made it so.

        `named` has what replies named, by seq.
        """
        now = self._session.clock()
        for intent in intents:
            self.looker.doubts.park(intent, now, named=named.get(intent.seq))
        self._session.tell(DoubtsParked(len(intents), "an earlier start had sent them or was about to"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look)
            await self._until_settled()
            tasks.cancel_scope.cancel()

    async def _get_page(self, filters: Filters, number: int) -> ListPage:
        try:
            return await self._session.get_page(filters, number)
        except ListFailed as failure:
            if error := at_long_wait(failure.retry_after_s, self._settings, self._session.wall()):
                raise error from None
            raise

    async def _look(self) -> None:
        try:
            await self.looker.run()
        except BulkwriterError as error:
            self._session.stop.set(error)

    async def _until_settled(self) -> None:
        while self.looker.doubts and not self._must_stop():
            self._changed = anyio.Event()
            with anyio.move_on_after(CHECK_S):
                await self._changed.wait()
            await self._commit()
        await self._commit()

    async def _commit(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            await self._store.settle(rows)

    def _must_stop(self) -> bool:
        """Whether it is time to stop, or looks will never settle what is left."""
        looker = self.looker
        failing_s = looker.failures.seconds(self._session.clock())
        if looker.forbidden:
            why = "" if looker.failures.is_hidden else ", since what exists cannot be listed"
            what = f"{len(looker.doubts)} doubts cannot be settled{why}"
            hint = looker.failures.hint or f"{needs_list(self._session.entity.list_role)}; or {NO_LIST}"
            self._session.stop.set(ConfigurationStop(f"{what}: {looker.forbidden}", hint=hint))
        elif failing_s >= self._settings.give_up_after_s:
            what = f"list calls have failed for {failing_s:,.0f} s: {looker.failures.reason}"
            self._session.stop.set(TryLater(what, hint="the same command later settles the doubts and goes on"))
        return self._session.stop.is_set

    # what the looker asks and tells

    def found(self, doubt: Doubt, record: ListedRecord) -> None:
        intent, named, record_id = doubt.intent, doubt.named, record.record_id
        sent_at = named.at if named else None
        is_ours = is_own(record_id, record.created_on, floor=intent.floor, sent_at=sent_at, are_rising=self._has_floors)
        if is_ours is None:
            self.undecided.append(intent)
        else:
            self._note(intent, State.CREATED if is_ours else State.EXISTING, max(intent.attempts, 1), record_id)

    def absent(self, intent: Intent) -> None:
        self._note(intent, State.PENDING, intent.attempts, None)

    def _note(self, intent: Intent, state: State, attempts: int, record_id: int | None) -> None:
        self._rows.append((intent.seq, state, attempts, record_id, None, None))
        self._changed.set()

    def newest_id(self) -> int | None:
        return ID_MAX if self._has_floors else None  # not known: `created_count` bounds the records above a floor

    def witness_id(self) -> int:
        return self._witness

    def created_count(self) -> int:
        return self._created

    async def created_near(self, intents: list[Intent]) -> list[list[Record]]:
        doubts = [(intent.seq, intent.pair) for intent in intents]
        return await self._store.run(lambda journal: journal.created_near(doubts))

    def is_waiting(self) -> bool:
        return True
