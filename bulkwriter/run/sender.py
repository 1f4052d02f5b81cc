"""The heart of a run: sends ready pairs on free lanes, and turns replies into outcomes.  Synchronous; it never waits.

`advance` sends while there is a ready pair, a free lane, and nothing that holds the run back.  The run loop calls it at
most once in a turn of the event loop, after a change.  So all lanes that were freed in one turn are used together.
Requests in quick succession wake a near server once instead of once each, which saves 1 to 4 µs of kernel time a pair.
No task, future or timer is made for a pair.

A lane calls `replied` for each reply.  A reply that proves a creation takes the short way.  Any other reply gets a
ruling (`core.rulings`): what it means for the pair, and what it says about the server.

Four things can hold the run back.  They are asked in this order: a stop, a full buffer of outcomes, a token that is
being refreshed, and `admission`.

Each lane remembers what it told of each pair since it opened, including the pairs that it sent back to the queue.  If
the lane turns out to be out of step, all of these are in doubt.  `core.pairs` knows where each pair is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from ..core import stops
from ..core.classify import created_id
from ..core.created import CreatedIds
from ..core.pairs import Pairs
from ..core.reasons import escaped
from ..core.record_log import RecordLog
from ..core.rulings import PairEvent, Ruling, Rulings
from ..core.stats import Stats
from ..events import LaneShifted, SameRejections
from ..listing.looks import Looker
from ..model import SINGLE_SEQ, Fault, Intent, Reply, State, Verdict
from ..quota.gate import CONTENDED_S
from ..rows import outcome_detail, text_of
from .admission import Admission
from .lanes import NOTE, LaneLike, LaneStock, lane_history
from .record_ids import RecordIds
from .run_loop import RunLoop
from .token import TokenRefresh

PENDING, CREATED, REJECTED = int(State.PENDING), int(State.CREATED), int(State.REJECTED)


class Wishes(NamedTuple):
    """What is left to do once nothing more may be sent.

    `again_at`: when to try again (infinity: after the next change).  `lanes`: how many more to open.
    """

    again_at: float = math.inf
    lanes: int = 0


NO_WISHES: Final = Wishes()


class Sender:
    """Sends ready pairs as far as allowed, and turns each reply into an outcome."""

    def __init__(
        self,
        run: RunLoop,
        pairs: Pairs,
        admission: Admission,
        token_refresh: TokenRefresh,
        rulings: Rulings,
        record_ids: RecordIds,
        stats: Stats,
        looker: Looker,
        log: RecordLog,
        *,
        timeout_s: float,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._run, self._pairs, self._admission, self._token_refresh = run, pairs, admission, token_refresh
        self._rulings, self._record_ids, self.stats, self._looker = rulings, record_ids, stats, looker
        self.log = log
        self._timeout_s, self._clock, self._wall = timeout_s, clock, wall
        self.lanes = LaneStock()
        self._created_id = CreatedIds(created_id).read

    def source_begins(self) -> None:
        """Another source begins."""
        self._rulings.source_begins()

    # sending

    def advance(self) -> Wishes:
        """Send while a pair is ready, a lane is free and nothing holds the run back."""
        wishes, now, pairs = NO_WISHES, self._clock(), self._pairs
        if not (self._run.is_stopping or pairs.is_full or self._token_refresh.since == math.inf):
            wishes = self._send(now)
            pairs.turned(now)
        if self.lanes.freed:
            self.lanes.keep_freed(now)
        return wishes

    def _send(self, now: float) -> Wishes:
        pairs, admission, lanes = self._pairs, self._admission, self.lanes
        ready, in_flight, freed = pairs.ready, pairs.in_flight, lanes.freed
        quotas, limit = admission.quotas, admission.limit()
        is_probe = admission.breaker.is_open
        while ready and len(in_flight) < limit:
            if (at := admission.opens_at(now)) > now:
                return Wishes(at)
            if is_probe:
                admission.take_probe(now)
            lane = freed.pop() if freed and freed[-1].is_open else lanes.take(now)
            if lane is None:
                return Wishes(lanes=lanes.missing(min(limit, len(in_flight) + len(ready))))
            if quotas and not quotas.take():  # another process has just taken it
                lanes.give_back(lane, now)
                return Wishes(now + CONTENDED_S)
            intent = pairs.next()
            if lane.send(self._token_refresh.encode(intent.pair), intent, now, now + self._timeout_s):
                self.stats.attempts += 1
                admission.sent(now)
            else:
                pairs.back(intent, now)
                if quotas:
                    quotas.untake()
            now = self._clock()
        return NO_WISHES

    # what lanes say

    def replied(self, lane: LaneLike, reply: Reply) -> None:
        """The request of `lane` was answered, or is known to be lost."""
        now, sent_at, intent, admission = lane.replied_at, lane.sent_at, lane.carried, self._admission
        assert type(intent) is Intent
        if admission.quotas:
            admission.ended(reply, now - sent_at)
        record_id = self._created_id(reply)
        if not record_id:
            self._rule(lane, intent, reply, now)
        else:
            stats = self.stats
            stats.created += 1
            stats.latency.record(now - sent_at)
            seq, pair, attempts, _, floor = intent
            if self._record_ids.add(record_id, floor):
                self._pairs.answered(intent, (seq, CREATED, attempts + 1, record_id, reply.status, None))
                lane.history.frombytes(NOTE(seq, *pair, attempts + 1 << 4 | CREATED))
                for event in admission.created(now, sent_at):
                    self._run.tell(event)
            else:
                stats.heard(reply)
                self._repeated(lane, intent, record_id, now)
        if reply.fault is None:
            self.lanes.freed.append(lane)
        if not self._run.is_due:  # once a pair: half the cost of asking `soon`
            self._run.soon()

    def _rule(self, lane: LaneLike, intent: Intent, reply: Reply, now: float) -> None:
        """Act on a reply that proves no creation."""
        sent_at, stats = lane.sent_at, self.stats
        ruling = self._rulings.rule(
            reply,
            now=now,
            wall_s=self._wall() if reply.retry_after else 0.0,
            created=stats.created,
            has_created=self._admission.has_created,
            is_current_token=sent_at >= self._token_refresh.since,
            is_refreshed=self._token_refresh.is_refreshed,
        )
        stats.count(ruling.verdict.kind, now - sent_at)
        stats.heard(reply)
        self.log.attempt(intent, ruling.event, ruling.verdict, reply, sent_at=sent_at, now=now)
        self._move(lane, intent, ruling, reply.status, now)
        is_whole = reply.fault is None
        news = self._admission.heard(ruling.news, ruling.verdict, sent_at=sent_at, now=now, is_whole=is_whole)
        for event in news:
            self._run.tell(event)
        if ruling.stop:
            self._run.stop(ruling.stop)
        if ruling.wants_token:
            self._token_refresh.refused(is_stopped=ruling.stop is not None)

    def _move(self, lane: LaneLike, intent: Intent, ruling: Ruling, status: int, now: float) -> None:
        """Tell `Pairs` of the event."""
        pairs, verdict = self._pairs, ruling.verdict
        match ruling.event:
            case PairEvent.BACK:
                pairs.back(intent, now)
                lane.history.frombytes(NOTE(intent.seq, *intent.pair, intent.attempts << 4 | PENDING))
            case PairEvent.LOST:
                pairs.lost(intent, verdict.message, now)
            case PairEvent.HELD:
                attempts = intent.attempts + 1
                detail = outcome_detail(verdict.errors, verdict.message)
                row = intent.seq, REJECTED, attempts, None, status, detail
                lane.history.frombytes(NOTE(intent.seq, *intent.pair, attempts << 4 | REJECTED))
                if pairs.held(intent, row, verdict, now, can_look=not self._looker.forbidden):
                    self._refused(intent, status, verdict)

    def _refused(self, intent: Intent, status: int, verdict: Verdict) -> None:
        """Too many pairs refused alike end their source, and are told where they were given one by one."""
        created = self.stats.created
        if intent.seq < SINGLE_SEQ:
            if (error := self._rulings.refused(status, verdict, created=created)) and self._run.source:
                self._run.end_source(error)
        elif count := self._rulings.refused_single(status, verdict, created=created):
            self._run.tell(SameRejections(count, escaped(text_of(verdict.errors, verdict.message))))

    def _repeated(self, lane: LaneLike, intent: Intent, record_id: int, now: float) -> None:
        """A known id came again.  A reply does not name its request, so this is the only sign of a lane out of step."""
        reason = f"the reply repeats record id {record_id}"
        for event in self._admission.bad(reason, sent_at=lane.sent_at, now=now):
            self._run.tell(event)
        self.log.repeated(intent.seq, now, took_s=now - lane.sent_at)
        self._pairs.lost(intent, reason, now)
        self.strayed(lane)
        lane.abort(Fault.SHIFTED)

    def strayed(self, lane: LaneLike) -> None:
        """The lane answered out of step, so nothing that it told since it opened is certain any more."""
        recalled = lane_history(lane)
        if recalled:  # else only its last pair is in doubt
            self._run.tell(LaneShifted(len(recalled)))
        self.log.recalled([intent.seq for intent, _ in recalled], self._clock())
        self._pairs.recalled(recalled, self._clock(), floor=self._record_ids.run_floor)
        self._run.soon()

    def ended(self, lane: LaneLike) -> None:
        self.lanes.ended(lane)
        self._run.soon()

    def crashed(self, error: Exception) -> None:
        self._run.crashed(error)

    # what became of opening one

    def lane_opened(self, lane: LaneLike) -> None:
        self.lanes.opened(lane)
        self._run.soon()

    def lane_failed(self, fault: Fault, detail: str) -> None:
        """A connection could not be made.  No pair was touched."""
        self.lanes.failed_to_open()
        error = stops.at_connect(fault, detail, has_connected=self.lanes.has_connected)
        if error:
            self._run.stop(error)
        else:
            reason = f"{fault.value}: {detail}" if detail else fault.value
            for event in self._admission.unconnected(reason, self._clock()):
                self._run.tell(event)
        self._run.soon()
