"""Lanes to the model server: `net.lane.Lane` without bytes and sockets, with the same calls in the same order.

A reply is whatever arrives on the lane while it is busy, as on a real one: replies do not name their request.  So a
repeated reply answers the next request, or, on an idle lane, is bytes that nobody asked for.

    reply   is_busy False, replied_at, cut if a fault, owner.replied, owner.strayed if SHIFTED, close if done
    stray   is_open False, cut, owner.strayed
    cut     owner.ended in a later turn
    close   of an idle lane: listens for `linger_s` more, then owner.ended

`tests/net/test_lane_contract.py` holds the real lane and this one to the same behaviour.
"""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING, Any

from bulkwriter.model import Fault, Reply

if TYPE_CHECKING:
    from .pool import SimPool


class SimLane:
    """One connection."""

    def __init__(self, pool: SimPool, owner: Any, number: int) -> None:
        self._pool = pool
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self.deadline = 0.0
        self._close_at = 0.0
        self._is_cut = False
        self.number = number
        self.is_server_done = False  # the server has closed, and we have not been told yet
        self.is_shifted = False  # somebody else's reply has come or will
        self.request: Any = None
        self.carried: Any = None
        self.history = array("q")
        self.is_busy = False
        self.is_open = True
        self.requests = 0
        self.sent_at = self.replied_at = self._loop.time()

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"lane {self.number}"

    # what the engine calls

    def send(self, request: bytes, carried: object, now: float, deadline: float) -> bool:
        assert not self.is_busy, "one request at a time"
        if not self.is_open or self.is_server_done or self._is_cut:
            self.is_open = False
            return False
        self.is_busy = True
        self.carried = carried
        self.sent_at = now
        self.deadline = deadline
        self.requests += 1
        self._pool.sent(self, request)
        return True

    def is_reusable(self, now: float) -> bool:
        if not self.is_open or self.is_busy or self.is_server_done:
            return False
        return now - self.replied_at < self._pool.limits.idle_s

    def close(self) -> None:
        self.is_open = False
        if not self.is_busy and not self._close_at and not self._is_cut:
            self._close_at = self._loop.time() + self._pool.limits.linger_s
            if not self.requests:
                self.cut()

    def abort(self, fault: Fault) -> None:
        self.is_open = False
        self.cut()
        if self.is_busy:
            self._pool.lost(self)
            self._reply(Reply(0, fault=fault))

    def sweep(self, now: float) -> None:
        if self.is_busy:
            if now >= self.deadline:
                self.abort(Fault.SILENT)
        elif self.is_open:
            if not self.is_reusable(now):
                self.close()
        elif self._close_at and now >= self._close_at:
            self.cut()

    # what the server does

    def deliver(self, reply: Reply) -> None:
        """A reply arrives, asked for or not."""
        if self._is_cut or not self._pool.process.event(f"{self} hears {reply.fault or reply.status}"):
            return
        if self.is_busy:
            if reply.fault:
                self._pool.lost(self)
            self._reply(reply)
        else:
            self.is_open = False
            self.cut()
            self._call(self._owner.strayed, self)
        self._pool.process.event("heard")

    def server_closes(self) -> None:
        """The server closes the connection; a request that crosses this is lost unread."""
        if self._is_cut:
            return
        if self.is_busy:
            self.deliver(Reply(0, fault=Fault.LOST))
        else:
            self.is_server_done = True
            self._loop.call_later(self._pool.rng.uniform(0, 0.002), self.cut)

    def cut(self) -> None:
        """The connection is gone; the owner is told in a later turn."""
        if not self._is_cut:
            self._is_cut = True
            self._pool.lost(self)  # also what seemed answered, by a reply that was another's
            self._loop.call_soon(self._ended)

    # inside

    def _reply(self, reply: Reply) -> None:
        self.is_busy = False
        self.replied_at = self._loop.time()
        if reply.fault is not None:
            self.is_open = False
            self.cut()
        elif self.is_server_done or self.requests >= self._pool.limits.lane_requests:
            self.is_open = False
        self._pool.heard(self, reply)
        self._call(self._owner.replied, self, reply)
        if reply.fault is Fault.SHIFTED:
            self._call(self._owner.strayed, self)
        if not self.is_busy:
            self.carried = None
            if not self.is_open:
                self.close()

    def _ended(self) -> None:
        self.is_open = False
        self._pool.forget(self)
        if not self._pool.process.is_dead:
            self._call(self._owner.ended, self)

    def _call(self, callback: Any, *args: Any) -> None:
        try:
            callback(*args)
        except Exception as e:
            self._pool.process.note(f"owner raised {e!r}")
            self._pool.watch.failures.append(e)
            self.is_busy = self.is_open = False
            self.cut()
