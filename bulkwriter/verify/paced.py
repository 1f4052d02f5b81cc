"""Requests beside a run (lists, reads, deletes) that share one pause and one in-flight limit: throttles obeyed.

A throttle is surely not applied, so the request waits, with everyone else, as long as the server asks or `adaptive`
decides, and is sent again; its caller never sees it.  A 503 with Retry-After slows everyone down too, but is given to
the caller, since it may have been applied.  A wait longer than the settings allow is a `TryLater`, and so are reads
that were throttled for `give_up_after_s` with no other reply between; deletes wait on, as creates do: a limit of a day
may be spent.  What a reply means otherwise is the caller's business.

Invariant: nothing is sent before `paused_until`, and never more at once than the limit.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio

from ..adaptive import SharedBackoff
from ..core.classify import judge_call
from ..core.stops import at_long_wait
from ..errors import TryLater
from ..events import Event, Throttled
from ..listing.lister import Request
from ..model import CallKind, CallVerdict, Fault, Reply
from ..net.calls import LANES
from ..settings import Settings
from .stop_signal import Halt


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
        self._throttled_since: float | None = None  # reads, with no other reply to one between
        self.throttled = 0

    async def __call__(self, data: bytes) -> Reply:
        """Send when it is allowed, again after throttles.  Raises `TryLater` for a wait that is too long."""
        while await self._turn():
            sent_at = self._clock()
            reply, verdict = await self._exchange(data, sent_at)
            if verdict.is_slow_down:
                self._throttle(verdict, sent_at)
            is_throttled = verdict.kind is CallKind.THROTTLED
            if data.startswith(b"GET "):
                self._note_read(sent_at, is_throttled=is_throttled)
            if not is_throttled:
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

    async def _exchange(self, data: bytes, sent_at: float) -> tuple[Reply, CallVerdict]:
        """Send once.  The control is told how it ended, but for a reply that asks to slow down."""
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
            verdict = judge_call(reply, self._wall())
            if reply.fault:
                self._control.note_error(now, sent_at)
            elif not verdict.is_slow_down:
                self._control.on_good(now, sent_at, now - sent_at)
        return reply, verdict

    def _note_read(self, sent_at: float, *, is_throttled: bool) -> None:
        """Give up where nothing is answered but throttles: no limit that is known lasts so long for reads."""
        if not is_throttled:
            self._throttled_since = None
            return
        since = self._throttled_since = sent_at if self._throttled_since is None else self._throttled_since
        throttled_s = self._clock() - since
        if throttled_s > self._settings.give_up_after_s:
            raise TryLater(
                f"every list call was throttled for {throttled_s:,.0f} s", hint="the same command later goes on"
            )

    def _throttle(self, verdict: CallVerdict, sent_at: float) -> None:
        now, stated_s = self._clock(), verdict.retry_after_s
        until = self._control.on_throttle(now, sent_at, stated_s)
        self.throttled += 1
        self._tell(Throttled(max(0.0, until - now), stated_s, self._control.in_flight_limit))
        error = at_long_wait(stated_s, self._settings, self._wall() if stated_s else 0.0)
        if error:
            raise error
