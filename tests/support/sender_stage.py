"""A sender with all around it made by hand: lanes that do nothing, a clock that stands, a run loop that notes."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import orjson

from bulkwriter.adaptive import Controller
from bulkwriter.core.pairs import Pairs
from bulkwriter.core.record_log import RecordLog
from bulkwriter.core.retry import Breaker, Silence
from bulkwriter.core.rulings import Rulings
from bulkwriter.core.stats import Stats
from bulkwriter.core.suspension import Suspension
from bulkwriter.errors import BulkwriterError
from bulkwriter.events import Event
from bulkwriter.model import Fault, Intent, Reply, State
from bulkwriter.quota.ceiling import Ceiling
from bulkwriter.run.admission import Admission
from bulkwriter.run.record_ids import RecordIds
from bulkwriter.run.run_loop import RunLoop
from bulkwriter.run.sender import Sender
from bulkwriter.run.token import TokenRefresh
from bulkwriter.settings import Settings


class HandLane:
    """A lane whose replies a test gives."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.carried: Any = None
        self.history = array("q")
        self.is_open = True
        self.is_broken = False
        self.is_busy = self.is_fresh = False
        self.unread = self.text = b""
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

    def read(self, now: float) -> None:
        raise AssertionError("a test gives replies, not bytes")

    def take(self, now: float) -> Any:
        raise AssertionError("a test gives replies, not bytes")

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


class PlainControl:
    """The seam of the control, with nothing paced: what a test asks for goes at once, 4 at a time and then twice as
    many with each good reply; after a throttle nobody sends for a second, or for as long as is stated, and then two."""

    def __init__(self, in_flight: int) -> None:
        self._most = in_flight
        self.in_flight_limit = min(4, in_flight)
        self.paused_until = 0.0

    def next_send_at(self, now: float) -> float:
        return self.paused_until

    def room(self) -> int:
        return self._most

    def on_sent(self, now: float, count: int) -> None: ...

    def on_all_good(self, now: float, together: Mapping[float, int]) -> None:
        for at, count in together.items():
            for _ in range(count):
                self.on_good(now, at, now - at)

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        if sent_at >= self.paused_until:
            self.in_flight_limit = min(self._most, self.in_flight_limit * 2)

    def note_error(self, now: float, sent_at: float) -> None: ...

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        self.in_flight_limit = 2
        self.paused_until = max(self.paused_until, now + (retry_after_s or 1.0))
        return self.paused_until

    def check(self) -> None: ...


class HandRun:
    """A run loop whose step is made as soon as something moved, but not inside of itself."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._is_inside = self.is_due = False
        self.is_stopping = False
        self.source: object | None = object()
        self.is_held = False
        """Whether steps wait for `go_on`: all that moves belongs to one turn."""

    def soon(self) -> None:
        self.is_due = True
        if self._is_inside or self.is_held:
            return
        self._is_inside = True
        while self.is_due:
            self.is_due = False
            self._stage.step()
        self._is_inside = False

    def go_on(self) -> None:
        self.is_held = False
        if self.is_due:
            self.soon()

    def tell(self, event: Event) -> None:
        self._stage.events.append(event)

    def stop(self, error: BulkwriterError) -> None:
        self._stage.stops.append(error)
        self.is_stopping = True

    def end_source(self, error: BulkwriterError) -> None:
        self._stage.stops.append(error)
        self.source = None

    def crashed(self, error: BaseException) -> None:
        raise error


class HandBearer:
    """A token that a test gives."""

    def __init__(self) -> None:
        self.since, self.is_refreshed, self.refreshes = math.inf, False, 0
        self.encode: Callable[[tuple[int, int]], bytes] = lambda pair: b""

    def refused(self, *, is_stopped: bool = False) -> None:
        if self.since < math.inf:
            self.since = math.inf
            self.refreshes += not is_stopped


class NotedPairs(Pairs):
    """Pairs that keep what was recalled."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.told: list[tuple[Intent, int]] = []

    def recalled(self, told: Iterable[tuple[Intent, int]], now: float, *, floor: int | None) -> None:
        told = list(told)
        self.told += told
        super().recalled(told, now, floor=floor)


@dataclass
class Stage:
    """A sender, and what it did."""

    settings: Settings = field(default_factory=lambda: Settings(in_flight=8))
    now: float = 1_000.0
    lanes: list[HandLane] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)
    stops: list[BulkwriterError] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    opens: bool = True
    """Whether lanes that are asked for open at once."""

    def __post_init__(self) -> None:
        rng, limits, settings = random.Random(1), self.settings.limits, self.settings
        self.run, self.token_refresh = HandRun(self), HandBearer()
        self.pairs = NotedPairs(
            late_apply_s=60.0, list_lag_s=5.0, max_attempts=settings.max_attempts, most_rows=limits.outcome_rows
        )
        self.admission = Admission(
            Suspension(rng=rng),
            cast(Controller, PlainControl(settings.in_flight)),
            Breaker(limits.breaker_failures, cap_s=limits.probe_pause_s, rng=rng),
            Silence(limits.breaker_failures),
            Ceiling(settings.rate) if settings.rate else None,
            None,
            give_up_after_s=settings.give_up_after_s,
            clock=lambda: self.now,
        )
        self.record_ids, self.stats = RecordIds(), Stats(self.now)
        looker: Any = SimpleNamespace(forbidden="nothing is looked up here")
        self.sender = Sender(
            cast(RunLoop, self.run), self.pairs, self.admission, cast(TokenRefresh, self.token_refresh),
            Rulings(settings, has_quotas=False, create_role="R"), self.record_ids, self.stats, looker, RecordLog(),
            timeout_s=settings.timeout_s, clock=lambda: self.now, wall=lambda: 1_764_000_000.0,
        )  # fmt: skip
        self.token()

    def step(self) -> None:
        """What the engine makes of a step."""
        again_at, lanes = self.sender.advance()
        if again_at < math.inf:
            self.wakes.append(again_at)
        for _ in range(lanes):
            lane = HandLane(self)
            self.lanes.append(lane)
            if self.opens:
                self.sender.lane_opened(lane)

    def token(self, *, is_refreshed: bool = False) -> None:
        self.token_refresh.since, self.token_refresh.is_refreshed = self.now, is_refreshed
        self.run.soon()

    def give(self, *seqs: int, attempts: int = 0, floor: int | None = 0) -> None:
        """Pairs whose intents are durable."""
        self.pairs.added((Intent(seq, (1, seq + 1), attempts, seq + 2, floor) for seq in seqs), self.now)
        self.run.soon()

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


def created(record_id: int) -> Reply:
    return Reply(200, orjson.dumps({"WasSuccessful": True, "Value": {"Id": record_id}}))


def rejected(message: str = "does not exist") -> Reply:
    errors = [{"PropertyName": "CourseMemberId", "Message": message}]
    return Reply(400, orjson.dumps({"WasSuccessful": False, "Value": None, "Errors": errors}))
