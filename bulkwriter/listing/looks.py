"""Looks: list calls that settle doubts, many together where that is cheaper, and what to do when a list fails.

A look reads either the newest records down to the floor of the oldest doubt in it (one call brings a thousand records),
or, for few doubts, the list of each pair by both its ids: whichever is expected to need fewer calls.  Which answer
may settle what is decided by `Doubts`; a look that fails settles nothing and is made again after a growing pause.

What is not in a list is absent only if the list is as new as it seems: one that ends below a record which the run had
made more than `list_lag_s` before the look (its witness) is older, and settles nothing but what it shows.  The newest
records show that by themselves; where doubts are looked up one by one, the top of the list is read before.

Looks go on beside the run and never hold up its sending.  They are made no more often than `LOOKS_PER_WAIT` times in
the time that a doubt has to wait anyway, so that they come in batches; once nothing else is left to do, or nothing but
doubts and losses comes, an early look settles at once what was applied, and only what was not has to wait.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

import anyio

from ..core.doubts import Doubt, Doubts
from ..events import DoubtsSettled, Event, LookFailed, Note
from ..model import Intent
from ..net.api import ListPage, Record
from .lister import StaleList
from .lists import Filters, GetPage, ListFailed, Outrun, is_newest_first, scan, top_page
from .look_plan import plan_look
from .retry_until_deadline import Oddness, Pauses

LOOKS_PER_WAIT: Final = 5
SOONEST_S: Final = 0.05
"""Shortest time between two looks of a run that goes on, however short the waits are."""
EACH_AT_ONCE: Final = 50
"""Doubts looked up one by one that are settled together."""
STRAY_S: Final = 0.05
"""How long a look waits for a stray reply before it is believed: a connection out of step has one reply too many, which
comes last.  Replies do not name their request, so a list of another pair could pass for this one's."""

Seen = dict[tuple[int, int], int]
"""Record id by pair, of the pairs that a look found."""


class Looked(NamedTuple):
    """What a look found, of how many doubts of its batch it would have found everything, and what ended it then."""

    seen: Seen
    whole: int
    failure: ListFailed | None = None


Look = Callable[[list[Doubt]], Awaitable[Looked]]


class Settling(Protocol):
    """What the engine does with a doubt that is settled, and what it knows."""

    def found(self, intent: Intent, record_id: int, ended_at: float) -> None: ...
    def absent(self, intent: Intent) -> None: ...
    def newest_id(self) -> int | None: ...
    def witness_id(self) -> int: ...
    def created_count(self) -> int: ...
    def is_waiting(self) -> bool: ...


class Looker:
    """Settles the doubts of one run for as long as `run` runs.

    With `oddness`, lists of another shape end the looks for good: a command that a person waits for says so at once.  A
    run goes on meanwhile, and looks again until it gives up.
    """

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
        clock: Callable[[], float],
        tell: Callable[[Event], None],
        rng: random.Random,
        oddness: Oddness | None = None,
    ) -> None:
        self.doubts = doubts
        self._lag_s = list_lag_s
        self._every_s = max(list_lag_s, (late_apply_s + list_lag_s) / LOOKS_PER_WAIT, SOONEST_S)
        self._get_page = get_page
        self._filters_of = filters_of
        self._settling = settling
        self._shifts = shifts
        self._clock = clock
        self._tell = tell
        self._pauses = Pauses(rng)
        self._oddness = oddness
        self._witnesses: deque[tuple[float, int]] = deque()
        self._has_read = False  # since the last failure a list was read whole
        self._looked_early_at = -1.0
        self._changed = anyio.Event()
        self.forbidden = ""
        """Why looks will never work, or empty."""
        self.failing_since: float | None = None
        self._failing_until = 0.0
        self.last_failure = ""

    def wake(self) -> None:
        """Something changed that a look may have waited for."""
        self._changed.set()

    def failing_s(self, now: float) -> float:
        """For how long looks have failed, up to the last failure and the pause after it; 0 while they work."""
        return 0.0 if self.failing_since is None else min(now, self._failing_until) - self.failing_since

    async def run(self) -> None:
        """Look for ever, whenever a doubt is due."""
        failures = 0
        while True:
            await self._until_due()
            self._has_read = False
            try:
                await self._look()
                self._has_read = True
            except ListFailed as failure:
                if self._has_read:
                    failures, self.failing_since = 0, None
                await self._failed(failure, failures)
                failures += 1
            else:
                failures, self.failing_since = 0, None
                if self._oddness:
                    self._oddness.good()

    async def _until_due(self) -> None:
        while True:
            self._changed = anyio.Event()
            now = self._clock()
            self._note_witness(now)
            at = self._next_at(now)
            if at is not None and at <= now:
                return
            with anyio.move_on_after(None if at is None else at - now):
                await self._changed.wait()

    def _note_witness(self, now: float) -> None:
        """Keep what the run has made by now, a few times in a lag, until a look may ask for it."""
        kept = self._witnesses
        if not kept or now >= kept[-1][0] + self._lag_s / 4:
            kept.append((now, self._settling.witness_id()))
        while len(kept) > 1 and kept[1][0] <= now - self._lag_s:
            kept.popleft()

    def _witness(self, began_at: float) -> int:
        """A record that a list begun then shows, if it is as new as it seems; 0: none is known."""
        return max((record_id for at, record_id in self._witnesses if at <= began_at - self._lag_s), default=0)

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
        newest, each = self._part(batch)
        if newest:
            try:
                await self._look_and_settle(newest, self._look_newest, began_at)
            except Outrun:
                each = [*newest, *each]
        for i in range(0, len(each), EACH_AT_ONCE):  # settled by and by: a list that fails takes nothing back
            await self._look_and_settle(each[i : i + EACH_AT_ONCE], self._look_each, self._clock())
        self._looked_early_at = began_at  # one that failed is made again before the doubts are due

    async def _look_and_settle(self, batch: list[Doubt], look: Look, began_at: float) -> None:
        shifts = self._shifts()
        looked = await look(batch)
        ended_at = self._clock()
        if looked.whole or looked.seen:
            await anyio.sleep(STRAY_S)
            if self._shifts() != shifts:
                raise ListFailed("a connection for list calls answered out of step")
            self._settle(batch, looked, began_at=began_at, ended_at=ended_at)
            self._has_read = self._has_read or bool(looked.whole)
        if looked.failure:
            raise looked.failure

    def _part(self, batch: list[Doubt]) -> tuple[list[Doubt], list[Doubt]]:
        newest_id = self._settling.newest_id()
        if newest_id is None:
            return [], batch
        return plan_look(batch, newest_id=newest_id, most=self._settling.created_count() + len(self.doubts))

    async def _look_newest(self, batch: list[Doubt]) -> Looked:
        wanted = {doubt.intent.pair: doubt.intent.floor or 0 for doubt in batch}
        seen: Seen = {}

        def take(records: list[Record]) -> None:
            for record_id, pair in records:
                if pair in wanted and record_id > wanted[pair]:
                    seen[pair] = min(record_id, seen.get(pair, record_id))

        try:
            witness = self._witness(self._clock())
            newest = await scan(self._showing(take), {}, take=take, down_to=min(wanted.values()))
            if len(seen) < len(wanted):
                check_witness(newest, witness)
        except ListFailed as failure:
            return Looked(seen, 0, failure)
        return Looked(seen, len(batch))

    async def _look_each(self, batch: list[Doubt]) -> Looked:
        seen: Seen = {}
        count = 0
        try:
            await self._look_at_top(batch)
            for doubt in batch:
                record_id = await self._look_at(doubt.intent.pair, doubt.intent.floor or 0)
                if record_id:
                    seen[doubt.intent.pair] = record_id
                count += 1
        except ListFailed as failure:
            return Looked(seen, count, failure)
        return Looked(seen, len(batch))

    async def _look_at_top(self, batch: list[Doubt]) -> None:
        """See that lists are as new as they seem, where it may be said of a doubt that it is absent."""
        now = self._clock()
        witness = self._witness(now)
        if witness and any(self.doubts.due_at(doubt) <= now for doubt in batch):
            page = await top_page(self._get_page)
            if is_newest_first(page):
                check_witness(page.records[0][0] if page.records else 0, witness)

    async def _look_at(self, pair: tuple[int, int], floor: int) -> int | None:
        """The id of the pair's first record above the floor, or of any, or None."""
        ids: list[int] = []

        def take(records: list[Record]) -> None:
            ids.extend(record_id for record_id, its_pair in records if its_pair == pair)

        try:
            await scan(self._showing(take), self._filters_of(pair), take=take)
        except StaleList:
            if not ids:
                raise
        return min([i for i in ids if i > floor] or ids, default=None)

    def _showing(self, take: Callable[[list[Record]], None]) -> GetPage:
        """A `GetPage` that takes what is shown by pages that are too old to be believed in what they do not show."""

        async def get_page(filters: Filters, number: int) -> ListPage:
            try:
                return await self._get_page(filters, number)
            except StaleList as stale:
                take(stale.page.records)
                raise

        return get_page

    def _settle(self, batch: list[Doubt], looked: Looked, *, began_at: float, ended_at: float) -> None:
        found = absent = released = 0
        for i, doubt in enumerate(batch):
            intent = doubt.intent
            record_id = looked.seen.get(intent.pair)
            if intent.seq not in self.doubts or (record_id is None and i >= looked.whole):
                continue
            if record_id is not None:
                if self.doubts.seen(doubt, began_at=began_at):
                    found += not doubt.is_refused
                    self._settling.found(intent, record_id, doubt.ended_at)
            elif self.doubts.not_seen(doubt, began_at=began_at, ended_at=ended_at):
                absent += not doubt.is_refused
                released += not (doubt.is_refused or intent.attempts)
                self._settling.absent(intent)
        if found or absent:
            self._tell(DoubtsSettled(found, absent, released))

    async def _failed(self, failure: ListFailed, failures: int) -> None:
        if failure.is_forbidden or (self._oddness and self._oddness.failed(failure, self._clock())):
            self.forbidden = failure.reason
            self._tell(Note(f"doubts stay as they are, since what exists cannot be listed: {failure.reason}"))
        self.last_failure = failure.reason
        if self.failing_since is None:
            self.failing_since = self._clock()
        pause_s = max(self._pauses.after(failure, failures), failure.retry_after_s or 0.0, 0.1)
        self._tell(LookFailed(failure.reason, pause_s))
        self._failing_until = self._clock() + pause_s
        await anyio.sleep(pause_s)


def check_witness(newest: int, witness: int) -> None:
    """Raise where a list whose newest record is `newest` is too old to say of anything that it is absent."""
    if newest < witness:
        raise ListFailed(f"the list ends at record {newest}, and record {witness} was made before: it is an old one")
