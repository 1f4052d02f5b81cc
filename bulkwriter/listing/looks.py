"""Looks: list calls that settle doubts, many together where that is cheaper, and what to do when a list fails.

A look reads either the newest records down to the floor of the oldest doubt in it (one call brings a thousand records),
or, for few doubts, the list of each pair by both its ids: whichever is expected to need fewer calls (`look_plan`; the
reading itself is in `look_reader`).  Which answer may settle what is decided by `Doubts`; a look that fails settles
nothing and is made again after a growing pause.

Looks go on beside the run and never hold up its sending.  They are made no more often than `LOOKS_PER_WAIT` times in
the time that a doubt has to wait anyway, so that they come in batches; once nothing else is left to do, or nothing but
doubts and losses comes, an early look settles at once what was applied, and only what was not has to wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Protocol

import anyio

from ..clocks import Clocks
from ..core.doubts import Doubt, Doubts
from ..events import DoubtsSettled, Event, LookFailed, Note
from ..model import Intent
from ..net.api import ListedRecord, Record
from .lists import Filters, GetPage, ListFailed, Outrun
from .look_plan import plan_look
from .look_reader import Looked, LookReader
from .retry_until_deadline import Oddness, Pauses
from .visibility import SEES_ALL, Hidden, Visibility
from .witnesses import Witnesses

LOOKS_PER_WAIT: Final = 5
SOONEST_S: Final = 0.05
"""Shortest time between two looks of a run that goes on, however short the waits are."""
EACH_AT_ONCE: Final = 50
"""Doubts looked up one by one that are settled together."""
HIDDEN_TRIES: Final = 3
"""So many looks in a row that lists did not show records of the run may end the looks; see `Hidden`."""
NEAR_AT_ONCE: Final = 100
"""Doubts whose neighbours the journal reads in one step, at some 0.2 ms each."""
SHORTEST_PAUSE_S: Final = 0.1
"""After a look that failed: it costs more than one call, and may fail at once."""


class Settling(Protocol):
    """What the engine does with a doubt that is settled, and what it knows."""

    def found(self, doubt: Doubt, record: ListedRecord) -> None: ...
    def absent(self, intent: Intent) -> None: ...
    def newest_id(self) -> int | None: ...
    def witness_id(self) -> int: ...
    def created_count(self) -> int: ...
    async def created_near(self, intents: list[Intent]) -> list[list[Record]]: ...
    def is_waiting(self) -> bool: ...


class FailedLooks:
    """The looks that failed since one last read a list: how long to pause, and for how long that has gone on.  Pure.

    With `oddness`, lists of another shape end the looks for good: a command that a person waits for says so at once.  A
    run goes on meanwhile, and looks again until it gives up.
    """

    def __init__(self, pauses: Pauses, oddness: Oddness | None = None) -> None:
        self._pauses = pauses
        self._oddness = oddness
        self._count = 0
        self._until = 0.0
        self.since: float | None = None
        self.reason = ""
        """What the last one failed of; it stays when looks succeed again."""
        self.forbidden = ""
        """Why looks will never work, or empty."""
        self.hint = ""
        """What to do about that, where it is a sign-in that failed or records that lists hide, or empty."""
        self.is_hidden = False
        """Whether looks were ended since lists hide what the run made."""
        self._hidden = 0
        self._hidden_since = 0.0

    def failed(self, failure: ListFailed, now: float) -> float:
        """A look failed at `now`; returns how long to pause."""
        self.reason = failure.reason
        if failure.is_forbidden or (self._oddness and self._oddness.failed(failure, now)):
            self.forbidden = failure.reason
            self.hint = failure.stop.hint if failure.stop else ""
        if isinstance(failure, Hidden):
            self._hidden_since = self._hidden_since if self._hidden else now
            self._hidden += 1
            self.hint = SEES_ALL
            if self._hidden >= HIDDEN_TRIES and now - self._hidden_since >= failure.least_s:
                self.forbidden, self.is_hidden = failure.reason, True
        if self.since is None:
            self.since = now
        pause_s = max(self._pauses.after(failure, self._count), SHORTEST_PAUSE_S)
        self._count += 1
        self._until = now + pause_s
        return pause_s

    def try_again(self) -> None:
        """Looks may work again, though they were forbidden: a role was given, or a token came back."""
        self.forbidden, self.is_hidden, self._hidden = "", False, 0

    def ended(self) -> None:
        """A list was read."""
        self._count, self.since = 0, None

    def succeeded(self) -> None:
        """A whole look was made."""
        self.ended()
        self._hidden = 0
        if self._oddness:
            self._oddness.good()

    def seconds(self, now: float) -> float:
        """For how long looks have failed, up to the last failure and the pause after it; 0 while they work."""
        return 0.0 if self.since is None else min(now, self._until) - self.since


class Looker:
    """Settles the doubts of one run for as long as `run` runs.  `oddness` is explained at `FailedLooks`."""

    def __init__(
        self,
        *,
        doubts: Doubts,
        late_apply_s: float,
        list_lag_s: float,
        get_page: GetPage,
        filters_of: Callable[[tuple[int, int]], Filters],
        settling: Settling,
        shifts: Callable[[], int],
        clocks: Clocks,
        tell: Callable[[Event], None],
        rng: random.Random,
        oddness: Oddness | None = None,
    ) -> None:
        self.doubts = doubts
        self._lag_s = list_lag_s
        self._every_s = max(list_lag_s, (late_apply_s + list_lag_s) / LOOKS_PER_WAIT, SOONEST_S)
        self._visibility = Visibility()
        self._reader = LookReader(
            get_page=get_page, filters_of=filters_of, shifts=shifts, clocks=clocks, visibility=self._visibility
        )
        self._settling = settling
        self._clocks, self._clock = clocks, clocks.clock
        self._tell = tell
        self._witnesses = Witnesses(list_lag_s)
        self.failures = FailedLooks(Pauses(rng), oddness)
        self._has_read = False  # since the last failure a list was read whole
        self._looked_early_at = -1.0
        self._changed = anyio.Event()

    @property
    def forbidden(self) -> str:
        """Why looks will never work, or empty."""
        return self.failures.forbidden

    def wake(self) -> None:
        """Something changed that a look may have waited for."""
        self._changed.set()

    async def run(self) -> None:
        """Look for ever, whenever a doubt is due."""
        while True:
            await self._until_due()
            self._has_read = False
            try:
                await self._look()
            except ListFailed as failure:
                if self._has_read:
                    self.failures.ended()
                await self._failed(failure)
            else:
                self.failures.succeeded()

    async def _until_due(self) -> None:
        while True:
            self._changed = anyio.Event()
            now = self._clock()
            self._witnesses.note(now, self._settling.witness_id())
            at = self._next_at(now)
            if at is not None and at <= now:
                return
            with self._clocks.move_on_after(None if at is None else at - now):
                await self._changed.wait()

    def _next_at(self, now: float) -> float | None:
        """When to look next, or None while there is nothing to look for."""
        if self.forbidden or not self.doubts:
            return None
        at = self.doubts.next_due_at()
        assert at is not None
        if self._settling.is_waiting():
            if self._looked_early_at < self.doubts.parked_at:
                at = min(at, self.doubts.parked_at + self._lag_s)
            return at
        # While the run goes on, wait until the batch is worth a look.
        return at + self._every_s

    async def _look(self) -> None:
        began_at = self._clock()
        batch = list(self.doubts) if self._settling.is_waiting() else self.doubts.due(began_at)
        await self._note_own(batch, began_at)
        self._visibility.look_begins()
        newest, each = self._part(batch)
        if newest:
            try:
                witness = self._witnesses.at(began_at)
                looked = await self._reader.newest(newest, witness, self._own_of(newest, witness))
                self._take(newest, looked, began_at)
            except Outrun:
                each = [*newest, *each]
        each.sort(key=lambda doubt: not doubt.is_named)  # they show whether ids rise, so that floors tell of the others
        for i in range(0, len(each), EACH_AT_ONCE):  # settled by and by: a list that fails takes nothing back
            await self._look_up(each[i : i + EACH_AT_ONCE])
        self._looked_early_at = began_at  # one that failed is made again before the doubts are due
        if self._visibility.is_hiding:
            raise self._visibility.failure()

    async def _note_own(self, batch: list[Doubt], began_at: float) -> None:
        """Keep what the run made near the doubts that this look may miss for the first time: it is begun so late that
        the look which agrees is begun a lag after all of it.
        """
        due = [
            d.intent for d in batch if not d.is_refused and d.absent_at is None and self.doubts.due_at(d) <= began_at
        ]
        for at in range(0, len(due), NEAR_AT_ONCE):
            some = due[at : at + NEAR_AT_ONCE]
            for intent, own in zip(some, await self._settling.created_near(some), strict=True):
                self._visibility.own[intent.seq] = own

    def _own_of(self, batch: list[Doubt], witness: int) -> dict[int, tuple[int, int]]:
        """The records of the run that a look for these doubts must show, if it may say that they are absent: those up
        to its witness, and those that were there when an earlier look had missed the doubt.
        """
        return dict(
            record
            for doubt in batch
            if not self._visibility.sees(doubt.intent.pair)
            for record in self._visibility.own.get(doubt.intent.seq, ())
            if doubt.absent_at is not None or record[0] <= witness
        )

    async def _look_up(self, batch: list[Doubt]) -> None:
        """Look up one by one; that lists are new is seen to only where it may be said of a doubt that it is absent."""
        began_at = self._clock()
        is_due = any(self.doubts.due_at(doubt) <= began_at for doubt in batch)
        witness = self._witnesses.at(began_at) if is_due else 0
        looked = await self._reader.each(batch, witness, self._own_of(batch, witness))
        self._take(batch, looked, began_at)

    def _part(self, batch: list[Doubt]) -> tuple[list[Doubt], list[Doubt]]:
        newest_id = self._settling.newest_id()
        if newest_id is None:
            return [], batch
        return plan_look(batch, newest_id=newest_id, most=self._settling.created_count() + len(self.doubts))

    def _take(self, batch: list[Doubt], looked: Looked, began_at: float) -> None:
        """Settle what was seen, and raise what ended the looking."""
        if looked.whole or looked.seen:
            self._settle(batch, looked, began_at)
            self._has_read = self._has_read or bool(looked.whole)
        if looked.failure:
            raise looked.failure

    def _settle(self, batch: list[Doubt], looked: Looked, began_at: float) -> None:
        found = absent = released = 0
        for i, doubt in enumerate(batch):
            intent = doubt.intent
            record = looked.seen.get(intent.pair)
            if intent.seq not in self.doubts or (record is None and i >= looked.whole):
                continue
            if record:
                if self.doubts.seen(doubt, began_at=began_at):
                    self._visibility.own.pop(intent.seq, None)
                    found += not doubt.is_refused
                    self._settling.found(doubt, record)
            elif doubt.absent_at is not None and self._visibility.may_hide(intent.pair):
                continue  # `_look` will tell
            elif self.doubts.not_seen(doubt, began_at=began_at, ended_at=looked.ended_at):
                self._visibility.own.pop(intent.seq, None)
                absent += not doubt.is_refused
                released += not (doubt.is_refused or intent.attempts)
                self._settling.absent(intent)
        if found or absent:
            self._tell(DoubtsSettled(found, absent, released))

    async def _failed(self, failure: ListFailed) -> None:
        pause_s = self.failures.failed(failure, self._clock())
        if self.failures.forbidden:
            why = failure.reason if self.failures.is_hidden else f"what exists cannot be listed: {failure.reason}"
            self._tell(Note(f"doubts stay as they are: {why}"))
        self._tell(LookFailed(failure.reason, pause_s))
        await self._clocks.sleep(pause_s)
