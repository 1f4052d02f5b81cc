"""Lanes to the model server: those of `net.lane`, over a connection without a network.

So whatever a lane does with bytes, ends and aborts is done here as well.  The pool gives replies as bytes; a lane takes
them for the reply to the request that it carries, since replies do not name their request.  A repeated reply answers
the next request, or, on an idle lane, is bytes that nobody asked for.

A transport that is closed loses its request, and the lane is told so in a later turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bulkwriter.model import Intent, Reply
from bulkwriter.net.framing import ReplyReader
from bulkwriter.net.idle import IdleLimit
from bulkwriter.net.lane import Lane

if TYPE_CHECKING:
    from .pool import SimPool

HEAD_BYTES, BODY_BYTES = 2_048, 4_096
"""What a lane accepts."""


class SimTransport(asyncio.Transport):
    """The client's end of one connection.  It is also what a lane gives back to its connector."""

    def __init__(self, pool: SimPool) -> None:
        super().__init__()
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._is_closing = self.is_gone = False
        self.lane: Any = None

    def write(self, data: Any) -> None:
        self._pool.sent(self.lane, bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is sent or heard from now on."""
        self._is_closing = True
        self._end(None)

    def reset(self) -> None:
        """The server resets the connection, and the lane is told at once."""
        self._is_closing = True
        if not self.is_gone:
            self._gone()
            self._lost(ConnectionResetError())

    def closed_after(self, delay_s: float) -> None:
        """The server has closed the connection, which the kernel knows; the lane is told after a while."""
        self._is_closing = True
        self._loop.call_later(delay_s, self._end, None)

    def _end(self, error: Exception | None) -> None:
        if not self.is_gone:
            self._gone()
            self._loop.call_soon(self._lost, error)

    def _gone(self) -> None:
        self.is_gone = True
        self._pool.lost(self.lane)  # also what seemed answered, by a reply that was another's

    def _lost(self, error: Exception | None) -> None:
        if not self._pool.process.is_dead:
            self.lane.connection_lost(error)


class SimLane(Lane):
    """One connection.  Lanes hash by their number, so that sets of them have the same order in every run."""

    __slots__ = ("_pool", "behind", "deadline", "is_shifted", "number", "request", "transport")

    def __init__(self, pool: SimPool, owner: Any, number: int, idle: IdleLimit) -> None:
        self._pool = pool
        self.number = number
        self.deadline = 0.0
        self.is_shifted = False  # somebody else's reply has come or will
        self.request: Any = None
        self.behind: list[tuple[Reply, bytes]] | None = None  # replies that follow one whose second piece is to come
        self.transport = SimTransport(pool)
        self.transport.lane = self
        super().__init__(
            owner,
            transport=self.transport,
            connection=self.transport,
            reader=ReplyReader(head_bytes=HEAD_BYTES, body_bytes=BODY_BYTES),
            idle=idle,
            max_requests=pool.limits.lane_requests,
            linger_s=pool.limits.linger_s,
            forget=pool.forget,
            clock=asyncio.get_running_loop().time,
        )

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"lane {self.number}"

    @property
    def seq(self) -> int:
        """Of the pair that it carries."""
        assert isinstance(self.carried, Intent)
        return self.carried.seq

    def send(self, request: bytes, carried: object, now: float, deadline: float) -> bool:
        self.deadline = deadline
        return super().send(request, carried, now, deadline)

    def read(self, now: float) -> None:
        if self.unread:
            super().read(now)
            self._pool.process.event(f"{self} was read")

    def take(self, now: float) -> Any:
        carried = super().take(now)
        self._pool.process.event(f"{self} was read by its ends")
        return carried

    # what the server does

    def deliver(self, text: bytes, what: str) -> None:
        """Bytes arrive, asked for or not."""
        if not self.transport.is_gone and self._pool.process.event(f"{self} hears {what}"):
            self.data_received(text)

    def server_closes(self) -> None:
        """The server closes the connection; a request that crosses this is lost unread."""
        if not self.transport.is_gone:
            if self.is_busy:
                self.transport.reset()
            else:
                self.transport.closed_after(self._pool.rng.uniform(0, 0.002))
