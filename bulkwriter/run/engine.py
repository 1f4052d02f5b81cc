"""The engine waits and acts.  It puts the objects of a run together, and moves pairs from source to journal to lanes.

    Intake ──Intents──> journal ──> Pairs ──> Sender ──> lanes ──replies──> Pairs ──rows──> Committer ──> journal ──>
                                      ^                                       │ in doubt                  deliveries
                                      └────── DoubtResolution <── Looker <────┘

Synchronous objects elsewhere make the decisions.  After each change to a pair one step follows, `advance`, at most once
in a turn of the event loop (`run_loop`).  It makes released pairs ready, sends ready ones, and wakes the looker.  Then
everybody who waits for the run is asked again, the committer too.

There is one task each to commit, to look, to tick, to renew the token, to feed the ceiling, to hear the quotas, and for
each connection that is being opened.  No pair has a task of its own.

When the run ends, nothing new is sent, and requests in flight may end.  Pairs that were not sent become `pending`
again.  If only the source ends, the same holds for its pairs (`settle_source`).  A failed commit (`JournalError`) is
the exception: the journal is not touched again after it, and its intents are doubts for the next start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ..core import stops
from ..core.record_log import RecordLog
from ..core.rulings import Rulings
from ..core.writes import unmet_of
from ..errors import ConfigurationStop, TryLater
from ..events import DoubtsParked, Event, Note
from ..listing.lister import telling_orphans
from ..listing.looks import Looker
from ..model import SINGLE_SEQ, Counts, Fault, Intent, State
from ..net.connect_failures import ConnectFailure
from ..quota.gate import Quotas
from ..settings import Settings
from .admission import admission_for
from .baseline_keeper import BaselineKeeper
from .bottleneck import Bottleneck, quiet_s
from .committer import Committer
from .contention import Contention
from .doubt_resolution import DoubtResolution
from .entrance import Entrance
from .existing_records import KnownRecords, existing_of, outwait_s
from .intents import Intents
from .measured import deliveries_for, pairs_for, sample_of, stats_for
from .ports import Ports, Stored
from .record_ids import RecordIds
from .row_finder import RowFinder
from .run_loop import RunLoop
from .sender import Sender
from .taken_source import TakenSource
from .token import RENEW_S, TokenRefresh

TICK_S: Final = 0.25
"""Time between two sweeps for deadlines and lingering lanes.  A deadline below 2 s is swept 8 times in its length."""
REFUSED_S: Final = 10.0
"""At the end of a run refused pairs wait no longer for failing lists: the server has said that it refuses them."""


class Engine:
    """One run in one process.  Call `start`, give it sources or single pairs, then call `settle_down` and `aclose`."""

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        stored: Stored,
        *,
        tell: Callable[[Event], None],
        is_measured: bool = False,
    ) -> None:
        self.settings = settings
        self.ports = ports = replace(ports, get_page=telling_orphans(ports.get_page, tell, ports.entity))
        clock, store = ports.clock, ports.store
        self.admission = admission = admission_for(settings, ports)
        self.run = run = RunLoop(
            self.advance, settings, suspension=admission.suspension, clocks=ports.clocks, tell=tell
        )
        stats = stats_for(clock(), is_measured=is_measured)
        self.pairs = pairs = pairs_for(
            stats,
            late_apply_s=settings.late_apply_s,
            list_lag_s=settings.list_lag_s,
            max_attempts=settings.max_attempts,
            most_rows=settings.limits.outcome_rows,
        )
        ids = RecordIds(stored.record_ids, are_rising=stored.has_rising_ids, below=stored.below)
        self.token_refresh = token_refresh = TokenRefresh(ports.tokens, ports.api, run, pairs, clock=clock)
        log, deliveries, is_checked = RecordLog(), deliveries_for(run, stats), settings.existing == "check"
        self.resolution = DoubtResolution(
            run, pairs, admission, ids, store, log, is_checked=is_checked, began_at=stored.began_at, clock=clock
        )
        self.looker = looker = Looker(
            doubts=pairs.doubts,
            late_apply_s=settings.late_apply_s,
            list_lag_s=settings.list_lag_s,
            get_page=ports.get_page,
            filters_of=lambda pair: ports.entity.filters(*pair),
            settling=self.resolution,
            shifts=ports.shifts,
            clocks=ports.clocks,
            tell=tell,
            rng=ports.rng,
        )
        rulings = Rulings(settings, has_quotas=ports.quotas is not None, create_role=ports.entity.create_role)
        self.sender = Sender(
            run, pairs, admission, token_refresh, rulings, ids, stats, looker, log,
            timeout_s=settings.timeout_s, clock=clock, wall=ports.server_wall,
        )  # fmt: skip
        baseline = BaselineKeeper(ports, stored)
        self.known = KnownRecords(
            ids,
            existing=existing_of(settings, ports, baseline, tell),
            baseline=baseline,
            token_refresh=token_refresh,
            stats=stats,
            not_before=clock() + max(stored.unseen_for_s, 0.0 if ports.fence else outwait_s(settings)),
            clocks=ports.clocks,
            tell=tell,
        )
        finder, contention = RowFinder(), Contention(ports, self.known, run, pairs, settings)
        self.intents = Intents(
            run, store, pairs, deliveries, admission, looker, settings.limits,
            finder=finder, contention=contention, list_role=ports.entity.list_role, clock=clock,
        )  # fmt: skip
        entrance = Entrance(run, pairs, deliveries, self.known, self.intents, settings, contention=contention)
        self.committer = Committer(
            run, store, pairs, deliveries, entrance, finder, after_commit=self._after_commit, clock=clock
        )
        self.bottleneck = Bottleneck(self)
        self._heard = 0  # attempts when the lanes were last heard out
        self._adopt(stored)

    def _adopt(self, stored: Stored) -> None:
        """Begin where earlier starts ended."""
        ports, tell = self.ports, self.run.tell
        for text in stored.notes:
            tell(Note(text))
        if ports.most_lanes < self.settings.in_flight:
            tell(Note(f"{ports.most_lanes:,} requests in flight at most: the system allows no more open files"))
        if ports.warm_start:
            ports.warm_start.restore(self)
        self.known.adopt(stored.doubts)
        self.intents.contention.adopt(stored.doubts)
        ended_at = ports.clock() + stored.in_doubt_for_s
        self.pairs.adopted(
            stored.doubts, ended_at, being_deleted=stored.being_deleted, causes=stored.causes, named=stored.named
        )
        if stored.doubts:
            self.sender.log.adopted([intent.seq for intent in stored.doubts], ports.clock())
            tell(DoubtsParked(len(stored.doubts), "an earlier start had sent them or was about to"))

    # the step

    def advance(self) -> float:
        """Make the step after a change.  Return when it must be made again even if nothing changes."""
        pairs, source = self.pairs, self.run.source
        if pairs.released and self.intents.contention.lets_go():
            self.resolution.release()
        if pairs.ready and source and source.is_ended and not self.run.is_stopping:
            source.took_back(pairs.taken_back(self._is_of_source))
        if pairs.ready and self.admission.suspension.is_refusing:  # whoever waits is refused
            pairs.taken_back(lambda intent: True)
        again_at, lanes = self.sender.advance()
        for _ in range(lanes):
            self.run.spawn(self._open_lane)
        if pairs.doubts and self.resolution.has_news():
            self.looker.wake()
        return again_at

    def _is_of_source(self, intent: Intent) -> bool:
        """Whether a pair is of the source alone, and no single write waits for it."""
        return intent.seq < SINGLE_SEQ and intent.seq not in self.committer.deliveries.waiters

    # tasks

    def start(self) -> None:
        """Start the background tasks; `aclose` ends them."""
        run, admission = self.run, self.admission
        self.committer.start()
        run.spawn(run.lasting, self.looker.run)
        run.spawn(run.lasting, self.committer.entrance.look_up)
        run.spawn(run.lasting, self.committer.entrance.try_again)
        run.spawn(run.lasting, self._renew_token)
        run.spawn(self._tick)
        if admission.ceiling:
            run.spawn(admission.ceiling.feed, run.soon)
        if admission.quotas:
            run.spawn(self._hear_quotas, admission.quotas)

    async def aclose(self) -> None:
        """End the background tasks.  Callers who still wait for the run wait no longer."""
        await self.run.aclose()

    async def _open_lane(self) -> None:
        try:
            lane = await self.ports.pool.connect(self.sender, body_bytes=self.settings.limits.body_bytes)
        except ConnectFailure as failure:
            self.sender.lane_failed(failure.fault, failure.detail)
        else:
            self.sender.lane_opened(lane)

    async def _renew_token(self) -> None:
        while True:
            await self.ports.clocks.idle(max(RENEW_S, quiet_s(self)))
            await self.token_refresh.renew()

    async def _hear_quotas(self, quotas: Quotas) -> None:
        """A grant of the ledger lets pairs go.  A refusal may end the run."""
        while True:
            if error := quotas.ended_by(*quotas.classes):
                self.run.stop(error)
            self.run.soon()
            await quotas.changed()

    async def _tick(self) -> None:
        tick_s = min(TICK_S, self.settings.timeout_s / 8)
        while True:
            await self.ports.clocks.idle(max(tick_s, quiet_s(self)))
            now = self.ports.clock()
            self.ports.pool.sweep(now)
            is_late = self.resolution.is_winding_up()
            if self.looker.forbidden or (is_late and self.looker.failures.seconds(now) >= REFUSED_S):
                self.pairs.believed()
            if self.looker.forbidden:
                self.tell_doubts()
            self._check_gone(now)
            self.bottleneck.look(now)
            if sampled := sample_of(self.sender.stats, now):
                self.run.tell(sampled)
            self.run.soon()

    def _check_gone(self, now: float) -> None:
        """Give up a source for which the server, or its lists, have been gone for too long.

        The breaker goes on trying after that.  Callers who wait for a doubt are told that it is one.
        """
        breaker, failures, source = self.admission.breaker, self.looker.failures, self.run.source
        failing_s, most_s = failures.seconds(now), self.settings.give_up_after_s
        if source is None:
            if failing_s >= most_s:
                self.tell_doubts()
            return
        taken_s = now - source.began_at
        error = stops.at_gone(min(taken_s, breaker.gone_s(now)), breaker.reason, self.settings)
        if error and (self.pairs.ready or self.pairs.in_flight):
            self.run.end_source(error)
        if min(taken_s, failing_s) >= most_s:
            message = f"list calls have failed for {failing_s:,.0f} s: {failures.reason}"
            hint = "the same command later settles the doubts"
            if failures.hint:
                hint = f"{hint}; if not: {failures.hint}"
            self.run.end_source(TryLater(message, hint=hint, code="gone"))

    def _after_commit(self) -> None:
        self.sender.stats.note(self.ports.clock())
        self.resolution.settled(self.committer.settled)
        if forget := self.known.floors_to_forget():  # or the next start would trust the floors of its doubts
            self.run.spawn(self.ports.store.run, forget)

    # waiting

    async def finish(self, has: Callable[[tuple[int, int]], bool]) -> None:
        """Wait until the pairs of the source are settled; `has` tells which it has.  What is given one by one beside it
        may go on for ever.  Doubts stay where lists are forbidden.  Raises `ConfigurationStop` where lists hide what
        the run made.
        """
        run = self.run
        if run.source:
            run.source.finishes()
        while True:
            await run.until(lambda: run.is_ending or self._is_done(has))
            await self._listen()
            if run.is_ending or (await self.committer.committed() and self._is_done(has)):
                break
        failures = self.looker.failures
        if failures.is_hidden and not run.is_ending and any(not doubt.is_refused for doubt in self.pairs.doubts):
            raise ConfigurationStop(f"pairs stay in doubt: {failures.forbidden}", hint=failures.hint, code="doubts")

    async def _listen(self) -> None:
        """Wait for stray replies: a lane that is out of step has one reply too many, and it comes last."""
        if self._heard != (attempts := self.sender.stats.attempts):
            await self.ports.clocks.sleep(self.settings.limits.linger_s)
            self._heard = attempts  # not before: a cancelled wait has heard nothing

    def _is_done(self, has: Callable[[tuple[int, int]], bool]) -> bool:
        """Whether no pair of the source is in any place.  Its last rows may still be on their way to the disk."""
        pairs, waiters = self.pairs, self.committer.deliveries.waiters
        reopened = self.run.source.reopened if self.run.source else ()

        def is_its(intent: Intent) -> bool:
            if intent.seq in reopened:
                return False
            return intent.seq < SINGLE_SEQ or intent.seq not in waiters or has(intent.pair)

        may_be_looked_up = not self.looker.forbidden
        if may_be_looked_up and any(map(is_its, (doubt.intent for doubt in pairs.doubts))):
            return False  # asked first: doubts last, and the other places may hold many single pairs
        if may_be_looked_up and any(map(is_its, pairs.refusals)):
            return False
        return not any(map(is_its, (*pairs.released, *pairs.in_flight.values(), *pairs.ready)))

    async def settle_down(self) -> list[Intent]:
        """Let requests in flight end, commit outcomes, make unsent pairs `pending`, and return these pairs."""
        self.run.halt()
        with self.ports.clocks.move_on_after(self.settings.limits.drain_s):
            await self.run.until(lambda: not self.pairs.in_flight)
        if self.pairs.in_flight:
            self.sender.lanes.abort(Fault.CANCELLED, lambda lane: True)
        await self._listen()
        return await self.return_unsent(lambda intent: True)

    async def settle_source(self, source: TakenSource) -> list[Intent]:
        """Do the same for the pairs of a source that ends before its last row; single writes go on."""
        in_flight = self.pairs.in_flight
        with self.ports.clocks.move_on_after(self.settings.limits.drain_s):
            await self.run.until(lambda: not any(map(self._is_of_source, in_flight.values())))
        left = {intent.seq for intent in in_flight.values() if self._is_of_source(intent)}
        self.sender.lanes.abort(
            Fault.CANCELLED, lambda lane: isinstance(lane.carried, Intent) and lane.carried.seq in left
        )
        await self._listen()
        unsent = await self.return_unsent(self._is_of_source)
        return [*source.unsent, *unsent]

    async def return_unsent(self, is_wanted: Callable[[Intent], bool]) -> list[Intent]:
        """Return ready pairs that `is_wanted` to `pending`, and wait until all outcomes so far are committed."""
        self.pairs.believed(is_wanted)
        unsent = self.pairs.taken_back(is_wanted)
        self.run.soon()
        await self.committer.committed()
        return unsent

    def tell_doubts(self) -> None:
        """No look will settle doubts in this process.  Callers who wait for one of them are told `in_doubt`."""
        self.committer.deliveries.tell_doubts(self.pairs.doubts)

    def unmet(self, counts: Counts) -> int:
        """How many listed records no row of the source has met yet."""
        return unmet_of(self.known.listed, counts, self.committer.before.get(State.CREATED, 0))

    def check(self) -> None:
        """Invariants, for simulation."""
        self.pairs.check()
        self.admission.check()
        self.resolution.budget.check()
