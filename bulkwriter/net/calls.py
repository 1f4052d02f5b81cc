"""Single requests and their replies, for everything but creates: lists, deletes, tokens.

A call takes one of a few lanes of its own, or opens one, sends its request, and waits.  Nothing is repeated here, not
even a GET or DELETE: each request on the wire is counted, and the caller decides.  A failure is a `Reply` with a fault,
even if no connection could be made.  Only a cancel is an exception, and it cuts the lane.

Replies do not name their request.  So a lane that answered out of step makes its earlier replies doubtful too.
`shifts` counts such lanes.  A caller may depend on several replies, or on a reply that something is absent.  It
compares `shifts` before and after, and asks again if it rose.

Invariant: a lane is in `_idle` or serves one call, never both.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from ..clocks import MACHINE, Clocks, Timer
from ..guarded import guarded
from ..model import Fault, Reply
from ..settings import Limits
from .connect_failures import ConnectFailure
from .framing import failed
from .lane import Lane, Owner

LANES: Final = 4
"""The most calls in flight.  Calls are few, and lists cost a server much work."""


class LaneSource(Protocol):
    """A maker of lanes: `net.pool.Pool`."""

    @property
    def limits(self) -> Limits: ...
    async def connect(self, owner: Owner, *, body_bytes: int, is_for_calls: bool) -> Lane: ...


class Calls:
    """Makes calls through `pool`, at most `LANES` at once.  Others wait for their turn.

    `requests` counts requests of which a byte was written, `shifts` the lanes that answered out of step.
    """

    def __init__(self, pool: LaneSource, clocks: Clocks = MACHINE) -> None:
        self._pool = pool
        self._clocks, self._clock = clocks, clocks.clock
        self._turns = asyncio.Semaphore(LANES)
        self._idle: list[Lane] = []
        self._waiting: dict[Lane, tuple[asyncio.Future[Reply], Timer]] = {}
        self._crash: Exception | None = None
        self._is_crash_told = False
        self.requests = 0
        self.shifts = 0

    async def request(self, data: bytes, *, deadline_s: float) -> Reply:
        """Send `data`, a whole request, and return the reply.

        `deadline_s` counts from the first byte written.  The wait for a turn and for the connection comes before that;
        the connection has its own limit.  Safe to cancel, but the request may have had its effect all the same.
        """
        async with self._turns:
            if self._crash is not None:
                self._is_crash_told = True
                raise self._crash
            try:
                body_bytes = self._pool.limits.list_body_bytes
                lane = self._take() or await self._pool.connect(self, body_bytes=body_bytes, is_for_calls=True)
            except ConnectFailure as e:
                return failed(e.fault, e.detail)
            now = self._clock()
            if not lane.send(data, None, now, now + deadline_s):
                return failed(Fault.UNSENT)
            self.requests += 1
            return await self._wait(lane, deadline_s)

    async def aclose(self) -> None:
        """Close idle lanes, and cut lanes with a waiting call.  The pool waits for their end."""
        for lane in [*self._idle]:
            lane.close()
        for lane in [*self._waiting]:
            lane.abort(Fault.CANCELLED)

    def check(self) -> None:
        """Raise a bug that came when nobody waited for a call, unless somebody has heard of it since."""
        if self._crash is not None and not self._is_crash_told:
            raise self._crash

    async def _wait(self, lane: Lane, deadline_s: float) -> Reply:
        # A timer of its own, since calls are few and nobody may be sweeping yet (signing in) or any more (undo).
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        silent = guarded(lane.abort, self.crashed)
        self._waiting[lane] = future, self._clocks.call_later(deadline_s, silent, Fault.SILENT)
        try:
            return await future
        except asyncio.CancelledError:
            if lane in self._waiting:
                lane.abort(Fault.CANCELLED)
            raise

    def _take(self) -> Lane | None:
        now = self._clock()
        while self._idle:
            lane = self._idle.pop()
            if lane.is_reusable(now):
                return lane
            lane.close()
        return None

    # What lanes call.

    def arrived(self, lane: Lane, /) -> None:
        lane.read(self._clock())

    def replied(self, lane: Lane, reply: Reply, /) -> None:
        future, timer = self._waiting.pop(lane)
        timer.cancel()  # here and not by the caller, since the lane may carry another call before that one wakes up
        if not future.done():
            future.set_result(reply)
        if lane.is_open:
            self._idle.append(lane)

    def strayed(self, lane: Lane, /) -> None:
        self.shifts += 1

    def ended(self, lane: Lane, /) -> None:
        if lane in self._idle:
            self._idle.remove(lane)

    def crashed(self, error: Exception, /) -> None:
        self._crash = error
        for future, timer in self._waiting.values():
            timer.cancel()
            if not future.done():
                future.set_exception(error)
                self._is_crash_told = True
        self._waiting.clear()
