"""Settles the doubts that a dead process left, without sending anything again: what `undo` does first.

The same looks, waits and rules as in a run (`looks`, `doubts`); only what follows differs.  A pair whose record is
found is `created` where the record's id is above the pair's floor, else `existing`; one that two looks did not see is
`pending`, since it was not applied, and an undo is not going to send it.  Where no floor is known, or ids do not rise
and the record's is not above it, the record may be the run's or older: an undo must not guess, so the doubt stays
(`undecided`); a run, which knows whether it had looked before it wrote, settles it.  Outcomes are durable when `settle`
returns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import anyio

from ..core.doubts import Doubts
from ..entities import Entity
from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..events import DoubtsParked, Event
from ..listing.lists import GetPage, Oddness
from ..listing.looks import Looker
from ..listing.persist import NO_LIST, needs_list
from ..model import ID_MAX, Intent, State
from ..rows import SettleRow
from ..settings import Settings
from .delete_created import OpenJournal
from .stop_signal import Halt

CHECK_S = 0.25


class Leftovers:
    """The `Settling` side of a look, and the loop that lets looks go on until no doubt is left."""

    def __init__(
        self,
        store: OpenJournal,
        settings: Settings,
        *,
        get_page: GetPage,
        entity: Entity,
        shifts: Callable[[], int],
        clock: Callable[[], float],
        tell: Callable[[Event], None],
        rng: random.Random,
        halt: Halt,
    ) -> None:
        self._store = store
        self._settings = settings
        self._needs_list = needs_list(entity.list_role)
        self._clock = clock
        self._tell = tell
        self._halt = halt
        self._rows: list[SettleRow] = []
        self._changed = anyio.Event()
        self._has_floors = True
        self._created = self._witness = 0
        self.undecided: list[Intent] = []
        self.looker = Looker(
            doubts=Doubts(late_apply_s=settings.late_apply_s, list_lag_s=settings.list_lag_s),
            late_apply_s=settings.late_apply_s,
            list_lag_s=settings.list_lag_s,
            get_page=get_page,
            filters_of=lambda pair: entity.filters(*pair),
            settling=self,
            shifts=shifts,
            clock=clock,
            tell=tell,
            rng=rng,
            oddness=Oddness(),
        )

    async def settle(self, intents: Sequence[Intent], *, has_floors: bool, created: int, witness: int) -> None:
        """Return when these doubts are settled or `undecided`, or `halt` is set, with the error that made it so.

        `has_floors`: ids rise, so that floors tell; `created`: how many records the run made, which bounds how far the
        newest records reach; `witness`: a record that is there, which every list must show, or 0.
        """
        self._has_floors, self._created, self._witness = has_floors, created, witness
        now = self._clock()
        for intent in intents:
            self.looker.doubts.park(intent, now)
        self._tell(DoubtsParked(len(intents), "an earlier start had sent them or was about to"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look)
            await self._until_settled()
            tasks.cancel_scope.cancel()

    async def _look(self) -> None:
        try:
            await self.looker.run()
        except BulkwriterError as error:
            self._halt.set(error)

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
        failing_s = looker.failing_s(self._clock())
        if looker.forbidden:
            what = f"{len(looker.doubts)} doubts cannot be settled, since what exists cannot be listed"
            self._halt.set(ConfigurationStop(f"{what}: {looker.forbidden}", hint=f"{self._needs_list}; or {NO_LIST}"))
        elif failing_s >= self._settings.give_up_after_s:
            what = f"list calls have failed for {failing_s:,.0f} s: {looker.last_failure}"
            self._halt.set(TryLater(what, hint="the same command later settles the doubts and goes on"))
        return self._halt.is_set

    # what the looker asks and tells

    def found(self, intent: Intent, record_id: int, ended_at: float) -> None:
        is_above = intent.floor is not None and record_id > intent.floor
        if is_above or (intent.floor is not None and self._has_floors):
            state = State.CREATED if is_above else State.EXISTING
            self._note(intent, state, max(intent.attempts, 1), record_id)
        else:
            self.undecided.append(intent)

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

    def is_waiting(self) -> bool:
        return True
