"""What each reply does: to its pair, to the lane it came on, and to what is believed of the server.

A reply that proves a creation takes the short way, `created`; every other is classified by the table and goes through
`other`.  Where a pair goes is said by its verdict: an outcome, a doubt, or back to the head of the ready queue.  What
the reply says of the server goes to the control (throttles), the breaker (losses and doubts) and the rules for a stop.

Each lane remembers what it said of each pair since it opened, also of pairs that it sent back to the queue: should it
turn out to be out of step, all of that is in doubt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

from ..core import stops
from ..core.classify import classify
from ..errors import BulkwriterError, ConfigurationStop
from ..events import ConnectionTrouble, Event, LaneShifted, Recovered, Throttled
from ..model import SINGLE_SEQ, Fault, Intent, Reply, State, Verdict, VerdictKind
from ..rows import SettleRow, outcome_detail
from ..settings import Settings
from .lanes import NOTE, LaneLike, lane_history
from .parts import Parts

PENDING, CREATED = int(State.PENDING), int(State.CREATED)
REJECTED = int(State.REJECTED)


class Host(Protocol):
    """What replies ask of the engine.  Both return at once."""

    def refresh_token(self) -> None: ...
    def stop(self, error: BulkwriterError) -> None: ...


class Parking(Protocol):
    """Where pairs go that a look has to settle."""

    def lost(self, intent: Intent, reason: str, now: float) -> None: ...
    def refuse(self, intent: Intent, row: SettleRow, verdict: Verdict, now: float) -> bool: ...
    def recall(self, told: Iterable[tuple[Intent, int]], now: float) -> None: ...


class Replies:
    """Acts on replies.  Its attributes are what replies have shown."""

    def __init__(self, settings: Settings, parts: Parts, *, host: Host) -> None:
        self._settings = settings
        self._control, self._breaker = parts.control, parts.breaker
        self._stats, self._pairs, self._record_ids = parts.stats, parts.pairs, parts.record_ids
        self._quotas, self._create_role = parts.quotas, parts.create_role
        self._record, self._on_good = parts.stats.latency.record, parts.control.on_good  # once a pair: bound once
        self._host = host
        self._rejections = stops.Rejections(
            most_in_a_row=settings.max_same_rejections, most_share=settings.stop_rejected
        )
        self._throttles = stops.ThrottleStreak() if settings.on_quota == "stop" and not parts.quotas else None
        self._is_refreshed = False
        self.parking: Parking
        self.wall: Callable[[], float]
        self.tell: Callable[[Event], None]
        self.has_created = False
        self.token_since = math.inf
        """When the current token came; before that nothing is sent."""

    def created(self, lane: LaneLike, intent: Intent, record_id: int, status: int, now: float) -> None:
        sent_at = lane.sent_at
        latency_s = now - sent_at
        self._stats.created += 1
        self._record(latency_s)
        seq, pair, attempts, _, floor = intent
        if not self._record_ids.add(record_id, floor):
            # Nothing in a reply names its request, so an id seen before is the only sign that this lane is out of step.
            self.bad(lane, now, f"the reply repeats record id {record_id}")
            self.parking.lost(intent, f"the reply repeats record id {record_id}", now)
            self.strayed(lane, now)
            lane.abort(Fault.SHIFTED)
            return
        self.has_created = True
        self._is_refreshed = False
        self._pairs.answered(intent, (seq, CREATED, attempts + 1, record_id, status, None))
        lane.history.frombytes(NOTE(seq, *pair, attempts + 1 << 4 | CREATED))
        self._on_good(now, sent_at, latency_s)
        if self._breaker.bad:
            self._recover(now)
        if self._quotas and self._quotas.is_wary:
            self._quotas.good()

    def other(self, lane: LaneLike, intent: Intent, reply: Reply, now: float) -> None:
        verdict = classify(
            reply,
            has_created=self.has_created,
            is_current_token=lane.sent_at >= self.token_since,
            wall_s=self.wall() if reply.retry_after else 0.0,
        )
        self._stats.count(verdict.kind, now - lane.sent_at)
        match verdict.kind:
            case VerdictKind.REJECTED:
                self._rejected(lane, intent, verdict, reply.status, now)
            case VerdictKind.THROTTLED:
                self._again(lane, intent, now)
            case VerdictKind.UNSENT:
                self._again(lane, intent, now)
                self._good(lane, now) if reply.fault is None else self.bad(lane, now, verdict.message)
            case VerdictKind.UNAUTHORIZED:
                self._again(lane, intent, now)
                self._unauthorized(verdict)
                self._good(lane, now)
            case VerdictKind.STOP:
                self._again(lane, intent, now)
                self._good(lane, now)
                self._host.stop(ConfigurationStop(verdict.message, hint=stops.GO_ON))
            case _:
                self.parking.lost(intent, verdict.message, now)
                if not verdict.is_slow_down:
                    self.bad(lane, now, verdict.message, is_whole=reply.fault is None, is_busy=verdict.is_busy)
        if verdict.is_slow_down:
            self._throttled(lane, verdict, now)

    def _rejected(self, lane: LaneLike, intent: Intent, verdict: Verdict, status: int, now: float) -> None:
        attempts = intent.attempts + 1
        detail = outcome_detail(verdict.errors, verdict.message)
        is_refused = self.parking.refuse(intent, (intent.seq, REJECTED, attempts, None, status, detail), verdict, now)
        self._is_refreshed = False
        self._good(lane, now)
        lane.history.frombytes(NOTE(intent.seq, *intent.pair, attempts << 4 | REJECTED))
        if is_refused:
            created, is_single = self._stats.created, intent.seq >= SINGLE_SEQ
            self._stop_if(self._rejections.add(status, verdict, created=created, is_single=is_single))

    def _throttled(self, lane: LaneLike, verdict: Verdict, now: float) -> None:
        control, stated_s = self._control, verdict.retry_after_s
        self._recover(now)
        until = control.on_throttle(now, lane.sent_at, stated_s)
        if self._quotas and verdict.kind is VerdictKind.THROTTLED:
            self._quotas.throttled(now, lane.sent_at, stated_s)
        self.tell(Throttled(max(0.0, until - now), stated_s, control.in_flight_limit))
        self._stop_if(stops.at_long_wait(stated_s, self._settings, self.wall() if stated_s else 0.0))
        if self._throttles and verdict.kind is VerdictKind.THROTTLED:
            self._stop_if(self._throttles.add(now, self._stats.created))

    def _unauthorized(self, verdict: Verdict) -> None:
        if self._is_refreshed:
            self._host.stop(ConfigurationStop(verdict.message, hint=stops.no_role(self._create_role), code="token"))
        elif self.token_since < math.inf:
            self.token_since = math.inf
            self._host.refresh_token()

    def token_changed(self, now: float, *, is_refreshed: bool) -> None:
        """Requests carry another token from now on; `is_refreshed` when the server refused the one before."""
        self.token_since = now
        self._is_refreshed = is_refreshed

    def strayed(self, lane: LaneLike, now: float) -> None:
        """The lane answered out of step: nothing that it said since it opened is known any more."""
        recalled = lane_history(lane)
        if recalled:  # else there is the doubt of its last pair alone
            self.tell(LaneShifted(len(recalled)))
        self.parking.recall(recalled, now)

    def _again(self, lane: LaneLike, intent: Intent, now: float) -> None:
        """The pair was surely not applied, if this lane is in step."""
        self._pairs.back(intent, now)
        lane.history.frombytes(NOTE(intent.seq, *intent.pair, intent.attempts << 4 | PENDING))

    # what replies say of the server

    def _good(self, lane: LaneLike, now: float) -> None:
        self._control.on_good(now, lane.sent_at, now - lane.sent_at)
        self._recover(now)
        if self._quotas and self._quotas.is_wary:
            self._quotas.good()

    def _recover(self, now: float) -> None:
        gone_s = self._breaker.record_good(now)
        if gone_s:
            self.tell(Recovered(gone_s))

    def found(self, now: float, ended_at: float) -> None:
        """A look found the record of an attempt that had ended in doubt at `ended_at`: the server works, it seems."""
        gone_s = self._breaker.record_found(now, ended_at)
        if gone_s is not None:
            self.has_created = True
            if gone_s:
                self.tell(Recovered(gone_s))

    def bad(
        self, lane: LaneLike | None, now: float, reason: str, *, is_whole: bool = False, is_busy: bool = False
    ) -> None:
        """An exchange was lost or ended in doubt (in spite of a whole reply, which may say that the server is busy), or
        (without a lane) no connection could be made."""
        breaker = self._breaker
        if lane and is_whole and breaker.trust:
            self._control.on_good(now, lane.sent_at, now - lane.sent_at)
        elif lane and is_busy:
            if self._control.on_busy(now, lane.sent_at):
                self.tell(Throttled(max(0.0, self._control.paused_until - now), None, self._control.in_flight_limit))
        elif lane:
            self._control.note_error(now, lane.sent_at)
        if breaker.record_bad(now, reason, began_at=lane.sent_at if lane else None, is_unsent=lane is None):
            pause_s, gone_s = max(0.0, breaker.next_probe_at(now) - now), breaker.gone_s(now)
            self.tell(ConnectionTrouble(pause_s, reason, gone_s, max(0.0, self._settings.give_up_after_s - gone_s)))

    def _stop_if(self, error: BulkwriterError | None) -> None:
        if error:
            self._host.stop(error)
