"""Makes lanes and keeps them all: connections, deadlines, idle limits, closing.

The pool hands out lanes, and forgets none before it has ended.  Its callers decide which lane is busy.  So one pool
serves several owners (the engine's lanes, and those of `Calls`), and has no limit of its own.

`sweep` replaces timers.  One pass over the lanes a few times a second costs less than one timer a request: a timer
handle takes about 1 µs, a tenth of a request.  A deadline is as exact as the interval of the sweep.

Invariant: after `aclose` no lane is left, the connector knows of no connection, and every owner has had its `ended`.
A connection taken from the dialer must go back through its `Connection.close()`, or aiohttp's own close would wait.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from ..clocks import MACHINE, Clocks
from ..model import Fault
from ..settings import Limits
from .connect_failures import ConnectFailure
from .dial import dialer_for
from .framing import ReplyReader
from .idle import IdleLimit
from .lane import SHUTDOWN_S, BufferedLane, Lane, Owner

try:
    import resource
except ImportError:  # pragma: no cover - Windows
    resource = None  # type: ignore[assignment]

LINGER_RESET: Final = struct.pack("ii", 1, 0)
FILES_KEPT: Final = 64
"""Files that are left to journal, ledger, source and others.  If one of those cannot be opened, the run ends."""


class Pool:
    """Lanes to one host.  `timeout_s` is a request's deadline, also for the kernel (TCP_USER_TIMEOUT).

    It bounds the connection as well.  So a host that drops all packets is noticed as soon as a silent one.
    """

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: Path | None = None,
        proxy: str | None = None,
        limits: Limits | None = None,
        timeout_s: float = 90.0,
        clocks: Clocks = MACHINE,
    ) -> None:
        self.limits = limits = limits or Limits()
        connect_s = min(limits.connect_timeout_s, timeout_s)
        self._dialer = dialer_for(base_url, ca_file=ca_file, proxy=proxy, timeout_s=connect_s)
        self._timeout_s = timeout_s
        self._clocks = clocks
        self._idle = IdleLimit(limits.idle_s)
        self._lanes: set[Lane] = set()
        self._is_closed = False

    async def connect(self, owner: Owner, *, body_bytes: int, is_for_calls: bool = False) -> Lane:
        """Open a lane for `owner` that accepts reply bodies up to `body_bytes`.  For calls it reads the heads too.

        Raises ConnectFailure; nothing was sent then.  Safe to cancel.
        """
        if self._is_closed:
            raise ConnectFailure(Fault.UNSENT, "the pool is closed")
        connection = await self._dialer.dial()
        transport, first = connection.transport, connection.protocol
        if transport is None or first is None or transport.is_closing() or first.should_close or self._is_closed:
            # Its first protocol has bytes or an end already: the server closed, or spoke before it was asked.
            if transport is not None:
                transport.abort()
            connection.close()
            raise ConnectFailure(Fault.UNSENT, "the server closed, or spoke before it was asked")
        tune(transport, timeout_s=self._timeout_s)
        is_shared = has_shared_buffer(transport)
        make_lane = Lane if is_shared else partial(BufferedLane, buffer_bytes=buffer_bytes(body_bytes))
        lane = make_lane(
            owner,
            transport=transport,
            connection=connection,
            reader=ReplyReader(head_bytes=self.limits.head_bytes, body_bytes=body_bytes, is_for_calls=is_for_calls),
            idle=self._idle,
            max_requests=self.limits.lane_requests,
            linger_s=self.limits.linger_s,
            forget=self._lanes.discard,
            clock=self._clocks.clock,
        )
        transport.set_protocol(lane)
        self._lanes.add(lane)
        return lane

    def sweep(self, now: float) -> None:
        """Abort overdue requests, close lanes that were idle too long, end lingering ones.  Call it a few times a
        second.
        """
        self._idle.relax(now)
        for lane in tuple(self._lanes):
            lane.sweep(now)

    async def aclose(self) -> None:
        """Close all lanes: busy ones are cut (CANCELLED), the others listen once more, together, for a stray reply.

        Takes `linger_s`, and up to a second more if a TLS peer does not answer.  A cancel cuts the remaining lanes.
        """
        self._is_closed = True
        try:
            for lane in tuple(self._lanes):
                if lane.is_busy:
                    lane.abort(Fault.CANCELLED)
                else:
                    lane.close()
            if any(lane.requests for lane in self._lanes):
                await self._clocks.sleep(self.limits.linger_s)
            for lane in tuple(self._lanes):
                lane.hang_up()
            await self._wait_for_end()
        finally:
            for lane in tuple(self._lanes):
                lane.abort(Fault.CANCELLED)
            await self._wait_for_end()
            await self._dialer.aclose()

    async def _wait_for_end(self) -> None:
        # Polled, for at most a second, once a run: a future would have to be looked after by every lane.
        for _ in range(round(SHUTDOWN_S / 0.01)):
            await asyncio.sleep(0)
            if not self._lanes:
                return
            await asyncio.sleep(0.01)


def most_lanes() -> float:
    """How many connections this process may have, by its limit on open files."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else -1
    return math.inf if soft < 0 else max(1, soft - FILES_KEPT)


def has_shared_buffer(transport: asyncio.Transport) -> bool:
    """Whether the event loop reads this connection into a buffer that all connections share, as uvloop does."""
    return type(transport).__module__.startswith("uvloop") and transport.get_extra_info("sslcontext") is None


def buffer_bytes(body_bytes: int) -> int:
    """A lane's read buffer: 8 KiB for creates, of which there may be thousands; 64 KiB for lists."""
    return min(1 << 16, max(1 << 12, body_bytes >> 7))


def tune(transport: asyncio.Transport, *, timeout_s: float) -> None:
    """Set the options of a new connection that its lane relies on.

    TCP_USER_TIMEOUT (Linux): the kernel too gives up on unacknowledged bytes at the deadline, not after 15 minutes.
    """
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(timeout_s * 1000)))
