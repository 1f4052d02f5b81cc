"""The heart of a run: ready pairs meet free lanes, replies become outcomes.  Synchronous; it never waits.

`pump` sends while there is a ready pair, a free lane, and nothing that holds the run back; whatever may have changed
one of these calls it again.  `replied` is called by a lane for each reply: classify, record, give the lane back, pump.
No task, future or timer is made per pair.  What a reply does is in `replies`.

Lanes freed in one turn of the loop are sent on together at its end (`use_freed`), not each at its reply: requests that
go out one right after the other wake a near server once instead of once each, which was 1 to 4 µs of kernel time a
pair.  Nor do they go through the stock of idle lanes and `pump`, 1.5 µs a pair.

What holds the run back, in the order in which `opens_at` asks: a stop or drain, a full outcome buffer, a token being
refreshed, a pause after throttles, a server that is gone (one lane alone probes), the user's ceiling, the quotas.
Until the first `created` of a process one lane alone sends (canary), so that a wrong setting costs one request at a
time.

Where each pair is, `core.pairs` knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

from ..core import stops
from ..core.classify import created_id
from ..core.created import CreatedIds
from ..errors import BulkwriterError
from ..model import Fault, Intent, Reply
from ..quota.gate import CONTENDED_S
from ..settings import Settings
from .lanes import LaneLike, LaneStock
from .parts import Parts
from .replies import Replies


class Host(Protocol):
    """What the sender asks of the engine around it.  All return at once."""

    def open_lanes(self, count: int) -> None: ...
    def wake_at(self, at: float) -> None: ...
    def refresh_token(self) -> None: ...
    def stop(self, error: BulkwriterError) -> None: ...
    def crashed(self, error: BaseException) -> None: ...


class Sender:
    """Sends what is ready as far as the parts allow, and turns each reply into an outcome."""

    def __init__(self, settings: Settings, parts: Parts, *, host: Host, clock: Callable[[], float]) -> None:
        self._timeout_s = settings.timeout_s
        self._control, self._breaker, self._ceiling = parts.control, parts.breaker, parts.ceiling
        self._stats, self._pairs, self._quotas = parts.stats, parts.pairs, parts.quotas
        self._host = host
        self._clock = clock
        self.encode: Callable[[tuple[int, int]], bytes]
        self.lanes = LaneStock()
        self.replies = Replies(settings, parts, host=host)
        self.low_water = 1
        self.hungry: Callable[[], None] = lambda: None
        self.soon: Callable[[], object] = self.use_freed
        """Has `use_freed` called at the end of the loop's turn."""
        self._created_id = CreatedIds(created_id).read
        self._freed: list[LaneLike] = []
        self.is_stopped = False
        self._has_connected = False
        self._has_probe = False  # taken from the breaker, not sent yet: a lane is being opened for it

    # sending

    def add(self, intents: Iterable[Intent]) -> None:
        """Take pairs whose intents are durable, and send what may be sent."""
        self._pairs.added(intents, self._clock())
        self.pump()

    @property
    def has_ready(self) -> bool:
        return bool(self._pairs.ready)

    def limit(self) -> int:
        """How many requests may be in flight right now."""
        if self.replies.has_created and not self._breaker.is_open:
            return self._control.in_flight_limit
        return 1

    def opens_at(self, now: float) -> float:
        """When the next request may go: a time not after `now` means at once, infinity that an event will tell."""
        if self.is_stopped or self._pairs.is_full or self.replies.token_since == math.inf:
            return math.inf
        at = self._control.next_send_at(now)
        if self._breaker.is_open and not self._has_probe:
            at = max(at, self._breaker.next_probe_at(now))
        if self._ceiling and at <= now:
            at = self._ceiling.opens_at(now)
        if self._quotas and at <= now:
            at = self._quotas.opens_at(now)
        return at

    def pump(self) -> None:
        """Send while a pair is ready, a lane is free and nothing holds the run back."""
        ready, in_flight, now = self._pairs.ready, self._pairs.in_flight, self._clock()
        while ready and len(in_flight) < self.limit():
            at = self.opens_at(now)
            if at > now:
                if at < math.inf:
                    self._host.wake_at(at)
                break
            if self._breaker.is_open and not self._has_probe:
                self._has_probe = self._breaker.may_probe(now)
            lane = self.lanes.take(now)
            if lane is None:
                more = self.lanes.missing(min(self.limit(), len(in_flight) + len(ready)))
                if more:
                    self._host.open_lanes(more)
                break
            if not self._send(lane, now):
                break
        if len(ready) <= self.low_water:
            self.hungry()

    def _send(self, lane: LaneLike, now: float) -> bool:
        """Send the next ready pair on a free lane.  False if another process has the quota this very moment."""
        quotas = self._quotas
        if quotas and not quotas.take():
            self.lanes.give_back(lane, now)
            self._host.wake_at(now + CONTENDED_S)
            return False
        intent = self._pairs.next()
        if not lane.send(self.encode(intent.pair), intent, now, now + self._timeout_s):
            self._pairs.back(intent, now)
            if quotas:
                quotas.untake()
            return True
        self._has_probe = False
        self._stats.attempts += 1
        self._control.on_sent(now)
        if self._ceiling:
            self._ceiling.book(self._clock())  # which in a slow turn is later than `now`
        return True

    # lanes

    def lane_opened(self, lane: LaneLike) -> None:
        self._has_connected = True
        self.lanes.opened(lane)
        self.pump()

    def lane_failed(self, fault: Fault, detail: str) -> None:
        """A connection could not be made: no pair was harmed."""
        self.lanes.failed_to_open()
        self._has_probe = False
        error = stops.at_connect(fault, detail, has_connected=self._has_connected)
        if error:
            self._host.stop(error)
        else:
            self.replies.bad(None, self._clock(), f"{fault.value}: {detail}" if detail else fault.value)
        self.pump()

    def ended(self, lane: LaneLike) -> None:
        self.lanes.ended(lane)
        self.pump()

    def strayed(self, lane: LaneLike) -> None:
        self.replies.strayed(lane, self._clock())

    def crashed(self, error: Exception) -> None:
        self._host.crashed(error)

    def token_changed(self, encode: Callable[[tuple[int, int]], bytes], *, is_refreshed: bool) -> None:
        """Requests are made by `encode` from now on; `is_refreshed` when the server refused the token before."""
        self.encode = encode
        self.replies.token_changed(self._clock(), is_refreshed=is_refreshed)
        self.pump()

    def replied(self, lane: LaneLike, reply: Reply) -> None:
        """One request of `lane` was answered, or is known to be lost."""
        now, intent, quotas = lane.replied_at, lane.carried, self._quotas
        assert type(intent) is Intent
        if quotas:
            quotas.ended()
            if not quotas.is_told and reply.fault is None:
                quotas.saw(reply.date)
        record_id = self._created_id(reply)
        if record_id:
            self.replies.created(lane, intent, record_id, reply.status, now)
        else:
            self.replies.other(lane, intent, reply, now)
            if reply.fault is not None:
                self.pump()
                return
        self._freed.append(lane)
        if len(self._freed) == 1:
            self.soon()

    def use_freed(self) -> None:
        """Send on the lanes that were freed in this turn of the loop, as far as may be sent."""
        ready, in_flight, limit, clock = self._pairs.ready, self._pairs.in_flight, self.limit(), self._clock
        freed, self._freed = self._freed, []
        may_send = not self._breaker.is_open
        for lane in freed:
            now = clock()
            if may_send and ready and len(in_flight) < limit and lane.is_open and self.opens_at(now) <= now:
                self._send(lane, now)
            else:
                self.lanes.give_back(lane, now)
        self.pump()

    def check(self) -> None:
        """Invariants, for simulation."""
        self._pairs.check()
        self._control.check()
        self._breaker.check()
