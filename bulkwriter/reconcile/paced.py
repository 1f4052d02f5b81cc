"""Requests beside a run (lists, reads, deletes) that share one pause and one in-flight limit: throttles obeyed.

A throttle (409 without `Errors`, 429) is surely not applied, so the request waits, with everyone else, as long as the
server asks or `core.control` decides, and is sent again; its caller never sees it.  A 503 with Retry-After slows
everyone down too, but is given to the caller, since it may have been applied.  A wait longer than the settings allow
is a `TryLater`.  What a reply means otherwise is the caller's business.

Invariant: nothing is sent before `paused_until`, and never more at once than the limit.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio

from ..core.classify import classify
from ..core.control import SharedBackoff
from ..engine.stops import at_long_wait
from ..events import Event, Throttled
from ..model import Fault, Reply, Verdict, VerdictKind
from ..net.calls import LANES
from ..settings import Settings
from .halt import Halt
from .lister import Request

BUSY = frozenset({409, 429, 503})
"""Statuses that may ask everyone to slow down; only their bodies are looked at here."""


class PacedRequests:
    """Callable as a `Request`.  Once `halt` is set nothing waits any more: what would have to is answered UNSENT."""

    def __init__(
        self,
        request: Request,
        settings: Settings,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        tell: Callable[[Event], None],
        rng: random.Random,
        halt: Halt,
    ) -> None:
        self._request = request
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self._tell = tell
        self._halt = halt
        self._control = SharedBackoff(LANES, pause_cap_s=settings.limits.throttle_pause_s, rng=rng)
        self._in_flight = 0
        self._ended = anyio.Event()
        self.throttled = 0

    async def __call__(self, data: bytes) -> Reply:
        """Send when it is allowed, again after throttles.  Raises `TryLater` for a wait that is too long."""
        while await self._turn():
            sent_at = self._clock()
            reply = await self._exchange(data, sent_at)
            verdict = self._slow_down(reply)
            if verdict:
                self._throttle(verdict, sent_at)
            if verdict is None or verdict.kind is not VerdictKind.THROTTLED:
                return reply
        return Reply(0, fault=Fault.UNSENT, detail="stopping")

    async def _turn(self) -> bool:
        """Wait until one more may be sent; False when it is time to stop instead."""
        while True:
            wait_s = self._control.paused_until - self._clock()
            if wait_s > 0:
                if not await self._halt.pause(wait_s):
                    return False
            elif self._in_flight >= self._control.in_flight_limit:
                await self._ended.wait()
                if self._halt.is_set:
                    return False
            else:
                return True

    async def _exchange(self, data: bytes, sent_at: float) -> Reply:
        """Send once.  The control is told how it ended, but for what `_slow_down` finds."""
        self._control.on_sent(sent_at)
        self._in_flight += 1
        reply = Reply(0, fault=Fault.CANCELLED)
        try:
            reply = await self._request(data)
        finally:
            self._in_flight -= 1
            self._ended.set()
            self._ended = anyio.Event()
            now = self._clock()
            if reply.fault:
                self._control.note_error(now, sent_at)
            elif self._slow_down(reply) is None:
                self._control.on_good(now, sent_at, now - sent_at)
        return reply

    def _slow_down(self, reply: Reply) -> Verdict | None:
        """The verdict of a reply that asks everyone to slow down."""
        if reply.fault or reply.status not in BUSY:
            return None
        verdict = classify(reply, has_created=True, is_current_token=True, wall_s=self._wall())
        return verdict if verdict.is_slow_down else None

    def _throttle(self, verdict: Verdict, sent_at: float) -> None:
        now, stated_s = self._clock(), verdict.retry_after_s
        until = self._control.on_throttle(now, sent_at, stated_s)
        self.throttled += 1
        self._tell(Throttled(max(0.0, until - now), stated_s, self._control.in_flight_limit))
        error = at_long_wait(stated_s, self._settings, self._wall() if stated_s else 0.0)
        if error:
            raise error
