"""The heart of a run: turns replies into outcomes, and sends ready pairs on free lanes.  Synchronous; it never waits.

Everything happens by the turn of the event loop.  In a turn lanes only keep the bytes that come, and say so.  At the
end of the turn the run loop makes one step:

    read   what came on all lanes, in order.  The usual reply is told by its ends and digits (`core.created`).  A lane
           reads any other text itself and calls `replied`
    rule   replies that prove a creation take the short way, all in a row together.  Any other reply gets a ruling
           (`core.rulings`): what it means for the pair, and what it says about the server
    send   while there is a ready pair, a free lane, and nothing that holds the run back

So the clock is read once for all replies, and lanes that were freed in one turn are used together.  Requests in quick
succession wake a near server once instead of once each, which saves 1 to 4 µs of kernel time a pair.  No task, future
or timer is made for a pair.

Four things can hold the run back.  They are asked in this order: a stop, a full buffer of outcomes, a token that is
being refreshed, and `admission`.

Each lane remembers what it told of each pair since it opened, including the pairs that it sent back to the queue.  If
the lane turns out to be out of step, all of these are in doubt.  `core.pairs` knows where each pair is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from ..core import stops
from ..core.classify import created_id
from ..core.created import UsualReply
from ..core.pairs import Pairs
from ..core.reasons import escaped
from ..core.record_log import RecordLog
from ..core.rulings import PairEvent, Ruling, Rulings
from ..core.stats import Stats
from ..events import LaneShifted, SameRejections
from ..listing.looks import Looker
from ..model import SINGLE_SEQ, Fault, Intent, Reply, State, Verdict, VerdictKind
from ..quota.gate import CONTENDED_S, TURN_S
from ..rows import Named, SettleRow, outcome_detail, text_of
from .admission import Admission
from .lanes import NOTE, LaneLike, LaneStock, lane_history
from .record_ids import RecordIds
from .run_loop import RunLoop
from .token import TokenRefresh

PENDING, CREATED, EXISTING, REJECTED = (
    int(State.PENDING), int(State.CREATED), int(State.EXISTING), int(State.REJECTED),
)  # fmt: skip


class Created(NamedTuple):
    """Pairs that were created, by column: the lanes that carried them, the pairs, the record ids."""

    lanes: list[LaneLike]
    intents: list[Intent]
    ids: list[int]


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
        self._usual = UsualReply(created_id)

    def source_begins(self) -> None:
        """Another source begins."""
        self._rulings.source_begins()

    def advance(self) -> Wishes:
        """Read what came in this turn.  Then send while a pair is ready, a lane is free and nothing holds the run
        back.
        """
        self.read()
        wishes, now, pairs = NO_WISHES, self._clock(), self._pairs
        if not (self._run.is_stopping or pairs.is_full or self._token_refresh.since == math.inf):
            wishes = self._send(now)
            pairs.turned(now)
        if self.lanes.freed:
            self.lanes.keep_freed(now)
        return wishes

    # sending

    def _send(self, now: float) -> Wishes:
        pairs, admission, lanes = self._pairs, self._admission, self.lanes
        ready, in_flight, limit = pairs.ready, pairs.in_flight, admission.limit()
        is_probe = admission.breaker.is_open
        while ready and (wanted := min(len(ready), limit - len(in_flight))) > 0:
            if (at := admission.opens_at(now)) > now:
                return Wishes(at)
            if is_probe:
                admission.take_probe(now)
            room = admission.room(now, wanted)
            if not room:
                return Wishes(now + CONTENDED_S)
            taken = lanes.take(now, room)
            if not taken:
                return Wishes(lanes=lanes.missing(min(limit, len(in_flight) + len(ready))))
            sent = self._write(taken, now)
            self.stats.attempts += sent
            admission.sent(now, sent)
            now = self._clock()
        return NO_WISHES

    def _write(self, lanes: list[LaneLike], now: float) -> int:
        """Send a ready pair on each of these lanes.  Return how many requests were written."""
        pairs, encode, deadline, sent = self._pairs, self._token_refresh.encode, now + self._timeout_s, 0
        has_quotas, fence = self._admission.quotas is not None, self._admission.fence
        for place, lane in enumerate(lanes):
            # The process was stopped: others may have that room now, or this part.
            if (has_quotas and self._clock() > now + TURN_S) or (fence and fence.over_s()):
                self.lanes.freed.extend(lanes[place:])
                break
            intent = pairs.next()
            if lane.send(encode(intent[1]), intent, now, deadline):
                sent += 1
            else:
                pairs.back(intent, now)
        return sent

    # reading

    def arrived(self, lane: LaneLike) -> None:
        """Bytes came on `lane`.  They are read at the end of this turn."""
        self.lanes.arrived.append(lane)
        if not self._run.is_due:  # once a pair: half the cost of asking `soon`
            self._run.soon()

    def read(self) -> None:
        """Read what has come on all lanes, in order.  Usual replies in a row are settled together."""
        if not self.lanes.arrived:
            return
        now, usual, created = self._clock(), self._usual, Created([], [], [])
        lanes, status = self.lanes.take_arrived(), usual.status  # a reply that is learnt below changes it
        arrived = iter(lanes)
        try:
            for lane, record_id in zip(arrived, usual.ids_in([lane.unread for lane in lanes]), strict=True):
                if record_id and lane.is_fresh:  # asked now: what was read before may have ended it
                    created.intents.append(lane.take(now))
                    created.lanes.append(lane)
                    created.ids.append(record_id)
                else:
                    if created.ids:
                        row, created = created, Created([], [], [])
                        self._settle(row, status, now)
                    lane.read(now)
        finally:  # a bug loses nothing: what is read is settled, and the next step reads the rest
            self.lanes.arrived.extend(arrived)
            if created.ids:
                self._settle(created, status, now)

    def replied(self, lane: LaneLike, reply: Reply) -> None:
        """The request of `lane` was answered in another way than usual, or is known to be lost."""
        now, intent = lane.replied_at, lane.carried
        assert type(intent) is Intent
        self._admission.saw(reply, now - lane.sent_at)
        if record_id := created_id(reply):
            self._usual.learn(lane.text, reply, record_id)
            self._settle(Created([lane], [intent], [record_id]), reply.status, now)
        else:
            self._admission.ended(1)
            self._rule(lane, intent, reply, now)
            if reply.fault is None:
                self.lanes.freed.append(lane)
        self._run.soon()

    def _settle(self, created: Created, status: int, now: float) -> None:
        """Each of these replies proves that a record was created.  Rows come first: no bug behind them can lose one."""
        lanes, intents, ids = created
        repeated, below = self._record_ids.add_all(ids, [intent.floor for intent in intents])
        named: list[tuple[LaneLike, Intent, int]] = []
        again: list[tuple[LaneLike, Intent, int]] = []
        for at in sorted((*repeated, *below), reverse=True) if repeated or below else ():
            one = lanes.pop(at), intents.pop(at), ids.pop(at)
            (named if at in below or self._pairs.doubts.named.get(one[1].seq) == one[2] else again).append(one)
        rows: list[SettleRow] = [
            (seq, CREATED, attempts + 1, record_id, status, None)
            for (seq, _, attempts, _, _), record_id in zip(intents, ids, strict=True)
        ]
        self._pairs.answered_all(intents, rows)
        for lane, (seq, (first, second), attempts, _, _) in zip(lanes, intents, strict=True):
            lane.history.frombytes(NOTE(seq, first, second, attempts + 1 << 4 | CREATED))
        together = Counter([lane.sent_at for lane in lanes])
        self.stats.created_all(together, now)
        self._admission.ended(len(lanes) + len(named) + len(again))
        for one in named:
            self._named(*one, status, now)
            lanes.append(one[0])
            together[one[0].sent_at] += 1
        self.lanes.freed.extend(lanes)
        if lanes:
            for event in self._admission.created(now, together):
                self._run.tell(event)
        for one in again:
            self._repeated(*one, status, now)

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
                pairs.lost(intent, verdict.message, now, self._sent(lane))
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

    def _named(self, lane: LaneLike, intent: Intent, record_id: int, status: int, now: float) -> None:
        """The record that the reply names may be an older one: its id is not above the floor.  If it names the same one
        again for the same pair, whose lists do not show it, then it was there before this request.
        """
        self.stats.count(VerdictKind.IN_DOUBT, now - lane.sent_at)
        self.stats.heard(Reply(status))
        if self._pairs.doubts.named.pop(intent.seq, None) == record_id:
            row = intent.seq, EXISTING, intent.attempts + 1, record_id, status, None
            self._pairs.answered(intent, row)
            return
        self.log.named(intent.seq, now, status=status, took_s=now - lane.sent_at)
        reason = f"the reply names record {record_id}, which is not newer than those known before"
        self._pairs.lost(intent, reason, now, self._sent(lane, record_id))

    def _sent(self, lane: LaneLike, record_id: int = 0) -> Named:
        return Named(record_id, self._wall() - (self._clock() - lane.sent_at))

    def _repeated(self, lane: LaneLike, intent: Intent, record_id: int, status: int, now: float) -> None:
        """A known id came again.  A reply does not name its request, so this is the only sign of a lane out of step."""
        self.stats.count(VerdictKind.CREATED, now - lane.sent_at)
        self.stats.heard(Reply(status))
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
