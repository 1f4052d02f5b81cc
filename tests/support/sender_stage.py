"""A sender with all around it made by hand: lanes that do nothing, a clock that stands, a host that notes."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from bulkwriter.adaptive import Controller
from bulkwriter.core.pairs import Pairs
from bulkwriter.core.retry import Breaker, RetryBudget
from bulkwriter.core.stats import Stats
from bulkwriter.errors import BulkwriterError
from bulkwriter.events import Event
from bulkwriter.model import Fault, Intent, Reply, State
from bulkwriter.quota.ceiling import Ceiling
from bulkwriter.run.parts import Parts
from bulkwriter.run.record_ids import RecordIds
from bulkwriter.run.sender import Sender
from bulkwriter.settings import Settings


class PlainControl:
    """The seam of the control, with nothing paced: what a test asks for goes at once, 4 at a time and then twice as
    many with each good reply; after a throttle nobody sends for a second, or for as long as is stated, and then two."""

    def __init__(self, in_flight: int) -> None:
        self._most = in_flight
        self.in_flight_limit = min(4, in_flight)
        self.paused_until = 0.0

    def next_send_at(self, now: float) -> float:
        return self.paused_until

    def on_sent(self, now: float) -> None: ...

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        if sent_at >= self.paused_until:
            self.in_flight_limit = min(self._most, self.in_flight_limit * 2)

    def note_error(self, now: float, sent_at: float) -> None: ...

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        self.in_flight_limit = 2
        self.paused_until = max(self.paused_until, now + (retry_after_s or 1.0))
        return self.paused_until

    def check(self) -> None: ...


class HandLane:
    """A lane whose replies a test gives."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.carried: Any = None
        self.history = array("q")
        self.is_open = True
        self.is_broken = False
        self.is_busy = False
        self.sent_at = self.replied_at = stage.now
        self.faults: list[Fault] = []

    def send(self, request: bytes, carried: object, now: float, deadline: float) -> bool:
        assert not self.is_busy
        if self.is_broken:
            self.is_open = False
            return False
        self.is_busy, self.carried, self.sent_at = True, carried, now
        self.stage.sent.append(self.carried.seq)
        return True

    def is_reusable(self, now: float) -> bool:
        return self.is_open and not self.is_busy

    def close(self) -> None:
        self.is_open = False

    def abort(self, fault: Fault) -> None:
        self.is_open = False
        self.faults.append(fault)

    def answer(self, reply: Reply, *, after_s: float = 0.1) -> None:
        """The reply to what the lane carries, as `net.lane.Lane` tells it."""
        self.stage.now += after_s
        self.is_busy, self.replied_at = False, self.stage.now
        if reply.fault:
            self.is_open = False
        self.stage.sender.replied(self, reply)
        if reply.fault:
            self.stage.sender.ended(self)


@dataclass
class Stage:
    """A sender, and what it asked of its host."""

    settings: Settings = field(default_factory=lambda: Settings(in_flight=8))
    now: float = 1_000.0
    lanes: list[HandLane] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)
    refreshes: int = 0
    stops: list[BulkwriterError] = field(default_factory=list)
    recalled: list[tuple[Intent, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    opens: bool = True
    """Whether lanes that are asked for open at once."""

    def __post_init__(self) -> None:
        rng, limits = random.Random(1), self.settings.limits
        self.pairs = Pairs(
            late_apply_s=60.0,
            list_lag_s=5.0,
            max_attempts=self.settings.max_attempts,
            most_rows=limits.outcome_rows,
            on_first_row=lambda: None,
        )
        self.parts = Parts(
            control=cast(Controller, PlainControl(self.settings.in_flight)),
            breaker=Breaker(limits.breaker_failures, cap_s=limits.probe_pause_s, rng=rng),
            ceiling=Ceiling(self.settings.rate) if self.settings.rate else None,
            stats=Stats(self.now),
            pairs=self.pairs,
            record_ids=RecordIds(),
            budget=RetryBudget(),
            quotas=None,
            create_role="CourseCompletedLesson-Create",
        )
        self.sender = Sender(self.settings, self.parts, host=self, clock=lambda: self.now)
        replies = self.sender.replies
        replies.parking, replies.tell, replies.wall = self, self.events.append, lambda: 1_764_000_000.0
        self.token()

    def token(self, *, is_refreshed: bool = False) -> None:
        self.sender.token_changed(lambda pair: b"", is_refreshed=is_refreshed)

    def give(self, *seqs: int, attempts: int = 0, floor: int | None = 5) -> None:
        """Pairs whose intents are durable."""
        self.sender.add(Intent(seq, (1, seq + 1), attempts, seq + 2, floor) for seq in seqs)

    def busy(self) -> list[HandLane]:
        return [lane for lane in self.lanes if lane.is_busy]

    def lane_of(self, seq: int) -> HandLane:
        return next(lane for lane in self.busy() if lane.carried.seq == seq)

    def ready(self) -> list[int]:
        return [intent.seq for intent in self.pairs.ready]

    def settled(self) -> dict[int, State]:
        """Outcomes that are known, whether or not committed."""
        return {row[0]: State(row[1]) for row in self.pairs._rows}

    def run_up(self, count: int) -> None:
        """Create `count` pairs, so that the canary is over and as many lanes are open as then go."""
        for seq in range(10_000, 10_000 + count):
            self.give(seq)
            self.lane_of(seq).answer(created(seq))
        self.sent.clear()

    # what the sender asks of its host

    def open_lanes(self, count: int) -> None:
        for _ in range(count):
            lane = HandLane(self)
            self.lanes.append(lane)
            if self.opens:
                self.sender.lane_opened(lane)

    def wake_at(self, at: float) -> None:
        self.wakes.append(at)

    def refresh_token(self) -> None:
        self.refreshes += 1

    def stop(self, error: BulkwriterError) -> None:
        self.stops.append(error)
        self.sender.is_stopped = True

    def crashed(self, error: BaseException) -> None:
        raise error

    # what it tells its parking

    def lost(self, intent: Intent, reason: str, now: float) -> None:
        self.pairs.lost(intent, reason, now)

    def refuse(self, intent: Intent, row: Any, verdict: Any, now: float) -> bool:
        return self.pairs.held(intent, row, verdict, now, can_look=False)

    def recall(self, told: Iterable[tuple[Intent, int]], now: float) -> None:
        told = list(told)
        self.recalled += told
        self.pairs.recalled(told, now, floor=None)


def created(record_id: int) -> Reply:
    return Reply(200, orjson.dumps({"WasSuccessful": True, "Value": {"Id": record_id}}))


def rejected(message: str = "does not exist") -> Reply:
    errors = [{"PropertyName": "CourseMemberId", "Message": message}]
    return Reply(400, orjson.dumps({"WasSuccessful": False, "Value": None, "Errors": errors}))
