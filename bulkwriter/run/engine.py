"""The engine waits and acts: it owns the background tasks, and moves pairs from source to journal to lanes to journal.

    intake ──append──> journal ──> Pairs.ready ──> lanes ──replies──> Pairs' rows ──Committer──> journal ──> delivery
                                        ^                                 │ in doubt
                                        └─────── Settlement <── Looker <──┘

Decisions are made elsewhere, by synchronous objects that this file wakes up: when a reply comes, when a timer it set
for them ends, when a commit is durable, at each tick.  Tasks: one that commits outcomes, one that looks, one that
ticks, one that feeds the ceiling, one for each connection being opened; never one a pair.

An error ends the run in one way only: `stop` keeps the first one, nothing new is sent, requests in flight may end, and
whatever was not sent goes back to `pending`.  A failed commit (`JournalError`) is the exception to the last step: after
it the journal is not touched again, and its intents are doubts for the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import anyio

from ..core import stops
from ..core.writes import unmet_of
from ..errors import BulkwriterError, TryLater, bug_of_ours, is_of_journal
from ..events import DoubtsParked, Event, Note, Stopping
from ..guarded import guarded
from ..listing.lister import telling_orphans
from ..listing.looks import Looker
from ..listing.retry_until_deadline import NO_LIST
from ..model import Counts, Fault, Intent, State
from ..net.dial import ConnectFailure
from ..quota.eta import Eta
from ..settings import Settings
from .background import Background, Step
from .bottleneck import Brake, quiet_s
from .committer import Committer, settled_in
from .existing_records import NOT_RISING, KnownRecords, existing_of, forget_floors, outwait_s
from .intents import Intents
from .keep_baseline import BaselineKeeper
from .parts import parts_for
from .ports import Ports, Stored
from .reach import reach_of
from .sender import Sender
from .settlement import Settlement
from .token import Bearer

TICK_S: Final = 0.25
"""Time between two sweeps for deadlines and lingering lanes; a deadline below 2 s is swept 8 times in its length."""
REFUSED_S: Final = 10.0
"""At the end of a run refused pairs wait no longer for lists that fail: the server has said that it refuses them."""
LISTS_GONE: Final = f"the same command later settles the doubts; if it ends so again, {NO_LIST}"


class Engine:
    """One run in one process.  `start` it, give it sources or single pairs, then `settle_down` and `aclose`."""

    def __init__(self, settings: Settings, ports: Ports, stored: Stored, *, tell: Callable[[Event], None]) -> None:
        self.settings = settings
        self.ports = ports = replace(ports, get_page=telling_orphans(ports.get_page, tell, ports.entity))
        self.tell = tell
        self.error: BulkwriterError | None = None
        self.stopping = anyio.Event()
        self.on_halt: Callable[[], None] = lambda: None
        """Set by whoever takes a source, to be told that no more rows are wanted."""
        clock = ports.clock
        self.started_at = clock()
        some = asyncio.Event()
        self.parts = parts = parts_for(settings, ports, stored, on_first_row=some.set)
        self.stats, self.pairs, self.eta = parts.stats, parts.pairs, Eta(parts.quotas, parts.ceiling)
        self.sender = Sender(settings, parts, host=self, clock=clock)
        self.settlement = Settlement(self.sender, parts, settings, clock=clock, counts=lambda: ports.store.counts)
        self.looker = Looker(
            doubts=parts.pairs.doubts,
            late_apply_s=settings.late_apply_s,
            list_lag_s=settings.list_lag_s,
            get_page=ports.get_page,
            filters_of=lambda pair: ports.entity.filters(*pair),
            settling=self.settlement,
            shifts=ports.shifts,
            clock=clock,
            tell=tell,
            rng=ports.rng,
        )
        ahead_s = settings.limits.chunk_s
        self.intents = Intents(
            ports.store,
            self.sender,
            self.pairs,
            self.looker,
            settings,
            list_role=ports.entity.list_role,
            reach=lambda: reach_of(parts, clock(), ahead_s=ahead_s),
        )
        self.committer = Committer(ports.store, self.pairs, self.intents.deliver, some=some, clock=clock)
        self._wire(stored)

    def _wire(self, stored: Stored) -> None:
        d, ports, first = self.sender, self.ports, BaselineKeeper(self.ports, stored)
        self.settlement.looker = self.looker
        d.replies.parking, d.replies.tell, d.replies.wall = self.settlement, self.tell, ports.wall
        self.bearer = Bearer(ports.tokens, ports.api, d, tell=self.tell, quiet_s=lambda: quiet_s(self))
        if ports.quotas:
            ports.quotas.wake, ports.quotas.stop, ports.quotas.tell = d.pump, self.stop, self.tell
        self.known = KnownRecords(
            self.parts.record_ids,
            existing=existing_of(self.settings, ports, first, self.tell),
            first=first,
            begin=self.bearer.begin,
            has_sent=lambda: self.stats.attempts > 0,
            not_before=self.started_at + outwait_s(self.settings),
            clock=ports.clock,
            tell=self.tell,
        )
        self.settlement.run_floor = lambda: self.known.run_floor
        self.brake = Brake(self)
        self._changed = anyio.Event()
        self._flushing = anyio.Lock()
        self._background = Background(self)
        self._committing: Step
        self._created_before = stored.tally.get(State.CREATED, 0)
        self._keeps_floors = stored.has_rising_ids
        self._heard = 0  # attempts when the lanes were last heard out
        self._settled_before = self._metered = settled_in(ports.store.counts)
        self._wake = guarded(d.pump, self.crashed)
        self._wake_timer: asyncio.TimerHandle | None = None
        for text in stored.notes:
            self.tell(Note(text))
        if ports.most_lanes < self.settings.in_flight:
            self.tell(Note(f"{ports.most_lanes:,} requests in flight at most: the system allows no more open files"))
        if ports.warm_start:
            ports.warm_start.restore(self)
        self.known.adopt(stored.doubts)
        self.pairs.adopted(stored.doubts, ports.clock(), leaving=stored.leaving, causes=stored.causes)
        if stored.doubts:
            self.tell(DoubtsParked(len(stored.doubts), "an earlier start had sent them or was about to"))

    # tasks

    def start(self) -> None:
        """Start the background tasks; `aclose` ends them."""
        use_freed = guarded(self.sender.use_freed, self.crashed)
        self.sender.soon = partial(asyncio.get_running_loop().call_soon, use_freed)
        self._committing = self.spawn(self.committer.run, self._after_commit)
        self.spawn(self.looker.run)
        self.spawn(self.bearer.renew)
        self.spawn(self._tick)
        if self.parts.ceiling:
            self.spawn(self.parts.ceiling.feed, self.sender.pump)

    def spawn(self, step: Callable[..., Any], *args: Any) -> Step:
        """Run something beside, to its end or to that of the run; cancel what this returns to end it sooner."""
        return self._background.start(step, *args)

    async def aclose(self) -> None:
        """End the background tasks.  What still waits for the run waits no longer."""
        self.halt()
        await self._background.aclose()
        self._poke()

    async def _tick(self) -> None:
        tick_s = min(TICK_S, self.settings.timeout_s / 8)
        while True:
            await anyio.sleep(max(tick_s, quiet_s(self)))
            now = self.ports.clock()
            self.ports.pool.sweep(now)
            self.settlement.release()
            is_late = self.settlement.is_winding_up()
            if is_late:
                self.looker.wake()  # its looks wait for company only while the run goes on
            if self.looker.forbidden or (is_late and self.looker.failing_s(now) >= REFUSED_S):
                self.pairs.believed()
            if self.looker.forbidden:
                self.intents.tell_doubts()
            self._check_gone(now)
            self.brake.look(now)
            self.eta.note(self.stats.writes.per_s(now), self.brake.now(now).kind, now)
            self._poke()

    def _check_gone(self, now: float) -> None:
        breaker = self.parts.breaker
        error = stops.at_gone(breaker.gone_s(now), breaker.reason, self.settings)
        if error and (self.pairs.ready or self.pairs.in_flight):
            self.stop(error)
        failing_s = self.looker.failing_s(now)
        if failing_s >= self.settings.give_up_after_s:
            message = f"list calls have failed for {failing_s:,.0f} s: {self.looker.last_failure}"
            self.stop(TryLater(message, hint=LISTS_GONE, code="gone"))

    # the sender's host

    def open_lanes(self, count: int) -> None:
        for _ in range(count):
            self.spawn(self._open_lane)

    async def _open_lane(self) -> None:
        try:
            lane = await self.ports.pool.connect(self.sender, body_bytes=self.settings.limits.body_bytes)
        except ConnectFailure as failure:
            self.sender.lane_failed(failure.fault, failure.detail)
        else:
            self.sender.lane_opened(lane)

    def wake_at(self, at: float) -> None:
        if self._wake_timer:
            self._wake_timer.cancel()
        delay_s = max(0.0, at - self.ports.clock())
        self._wake_timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def stop(self, error: BulkwriterError) -> None:
        """End the run early with `error`: nothing new is sent.  The first error counts, or that of a failed disk."""
        if self.error is None or (is_of_journal(error) and not is_of_journal(self.error)):
            self.error = stops.true_without_journal(error, self.settings)
            self.tell(Stopping(error.message, error.hint, is_error=True))
        self.halt()

    def why_ended(self, otherwise: BulkwriterError) -> BulkwriterError:
        """What stopped the run, or `otherwise`: for those who still wait for it."""
        return self.error or stops.true_without_journal(otherwise, self.settings)

    def crashed(self, error: BaseException) -> None:
        """A bug of ours: keep what is known and end the run."""
        self.stop(bug_of_ours(error))

    def halt(self) -> None:
        """No new attempts from here on."""
        self.sender.is_stopped = True
        if self._wake_timer:
            self._wake_timer.cancel()  # it may be hours away, and would hold all of this until then
        self.stopping.set()
        self.on_halt()
        self._poke()

    def unmet(self, counts: Counts) -> int:
        """Records that lists have shown and no row of the source has met yet."""
        return unmet_of(self.known.listed, counts, self._created_before)

    # waiting

    def _poke(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _after_commit(self) -> None:
        settled = settled_in(self.ports.store.counts)
        self.stats.note(self.ports.clock())
        self.parts.budget.note_success(max(0, settled - self._metered))
        self._metered = settled
        if self.pairs.doubts:
            self.looker.wake()  # the journal may have told of some that a recall asked about
        if self._keeps_floors and not self.parts.record_ids.are_rising:
            self._keeps_floors = False
            self.tell(Note(NOT_RISING))
            self.spawn(self.ports.store.run, forget_floors)
        self.sender.pump()
        if not self.pairs.in_flight or self.is_stopping:
            self._poke()

    @property
    def is_stopping(self) -> bool:
        return self.stopping.is_set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until `is_so()`; it is asked after commits, stops and ticks."""
        while not is_so():
            await self._changed.wait()

    async def finish(self) -> None:
        """Wait until all that was given is settled, as far as it can be: doubts stay where lists are forbidden."""
        self.looker.wake()
        while True:
            await self.until(lambda: self.is_stopping or self._is_done())
            await self._listen()
            if self.is_stopping or self._is_done():
                return

    async def _listen(self) -> None:
        """Hear the lanes out: one that is out of step has a reply too many, which comes last."""
        if self._heard != (attempts := self.stats.attempts):
            await anyio.sleep(self.settings.limits.linger_s)
            self._heard = attempts  # not before: a cancelled wait has heard nothing

    def _is_done(self) -> bool:
        pairs = self.pairs
        is_busy = pairs.ready or pairs.in_flight or pairs.released or not pairs.is_settled
        return not is_busy and (not pairs.doubts or bool(self.looker.forbidden))

    async def settle_down(self) -> list[Intent]:
        """Let requests in flight end, commit outcomes, and make unsent pairs `pending`; returns these."""
        self.halt()
        with anyio.move_on_after(self.settings.limits.drain_s):
            await self.until(lambda: not self.pairs.in_flight)
        if self.pairs.in_flight:
            self.sender.lanes.abort_all(Fault.CANCELLED)
        await self._listen()
        return await self.return_unsent(lambda intent: True)

    async def return_unsent(self, is_wanted: Callable[[Intent], bool]) -> list[Intent]:
        """Return ready pairs that `is_wanted` to `pending`, and wait until all outcomes so far are committed."""
        self.pairs.believed(is_wanted)
        unsent = self.pairs.taken_back(is_wanted)
        await self.committed()
        return unsent

    @property
    def settled(self) -> int:
        """Pairs settled by this process."""
        return settled_in(self.ports.store.counts) - self._settled_before

    async def committed(self) -> bool:
        """Wait until all outcomes so far are durable; False if the disk failed."""
        committing = self._committing.task
        await self.until(lambda: self.pairs.is_settled or is_of_journal(self.error) or committing.done())
        if not self.pairs.is_settled and not is_of_journal(self.error):
            async with self._flushing:  # whose business it is has ended before its time: a bug, or an interrupt
                await self.committer.flush()
        return not is_of_journal(self.error)

    def refresh_token(self) -> None:
        self.spawn(self.bearer.refresh)
