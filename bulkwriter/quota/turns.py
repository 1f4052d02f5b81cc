"""Makes every call (list, read, delete, token) wait for its turn under the quotas.  Creates go through the sender.

It takes the place of `net.calls.Calls.request`, so that every request is counted.  A GET is a read, everything else a
write: the API's limits count like that.  A unit is taken only when a lane is free, because from then on the request
must end within the time that the ledger allows for it.  Replies tell the server's `Date`, and throttles are counted.

Invariant: a request on the wire has its units, and a waiting one holds nothing.  After `Quotas.halt` a call that would
have to wait is answered UNSENT.  Not here: what a throttle means for the caller.
"""

from __future__ import annotations

import math

import anyio

from ..clocks import Clocks
from ..core.classify import judge_call
from ..model import CallKind, Fault, Reply
from ..net.calls import LANES
from ..net.signin import RequestCall
from .gate import CONTENDED_S, Quotas
from .windows import READ, WRITE


class Turns:
    """Callable as a `RequestCall`."""

    def __init__(self, request: RequestCall, quotas: Quotas, clocks: Clocks) -> None:
        self._request = request
        self._quotas = quotas
        self._clocks = clocks
        self._lanes = anyio.Semaphore(LANES)

    async def __call__(self, data: bytes, *, deadline_s: float) -> Reply:
        """Wait for the quotas, send, and return what came back.  Raises `TryLater` where waiting is not wanted."""
        kind = READ if data.startswith(b"GET ") else WRITE
        if not await self._turn(kind):
            return Reply(0, fault=Fault.UNSENT, detail="stopping")
        sent_at = self._clocks.clock()
        try:
            reply = await self._request(data, deadline_s=deadline_s)
        finally:
            self._lanes.release()
            self._quotas.ended(kind)
        if reply.fault is None:
            self._heard(kind, reply, sent_at)
        else:
            self._quotas.heard_nothing()
        return reply

    async def _turn(self, kind: str) -> bool:
        """Take a lane and a unit of every window, or nothing."""
        quotas = self._quotas
        with quotas.waiting():
            while True:
                at = quotas.opens_at(now := self._clocks.clock(), kind, is_call=True)
                quotas.check_usable(kind)
                if at <= now:
                    await self._lanes.acquire()
                    if quotas.opens_at(now := self._clocks.clock(), kind, is_call=True) <= now and quotas.take(kind):
                        return True
                    self._lanes.release()
                    at = now + CONTENDED_S
                if quotas.is_halted:
                    return False
                with self._clocks.move_on_after(at - now if at < math.inf else None):
                    await quotas.changed()

    def _heard(self, kind: str, reply: Reply, sent_at: float) -> None:
        quotas = self._quotas
        quotas.saw(reply.date, took_s=self._clocks.clock() - sent_at, age_s=reply.age_s)
        verdict = judge_call(reply, quotas.exchanges.wall())
        if verdict.kind is CallKind.THROTTLED:
            quotas.throttled(self._clocks.clock(), sent_at, verdict.retry_after_s, kind)
        else:
            quotas.good(kind)
