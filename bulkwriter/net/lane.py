"""One connection with at most one request on it.  It knows exactly what was written and what came back.

A lane is an asyncio protocol directly on a connected transport: no request needs a task, timer or future.  It keeps the
bytes that come (`unread`) and tells its owner once (`arrived`).  The owner reads them, at once or, with those of
all other lanes, at the end of the event loop's turn.  A `BufferedLane` is the same with its own read buffer.

    send -> False                nothing was written, and nothing will be: the pair is unsent
    send -> True, then replied   exactly once a request: a whole reply, or a fault, which leaves the pair in doubt
    send -> True, then taken     the same, where the owner knows by the bytes that the reply is plain and whole
    strayed                      bytes that no request explains: replies may have been shifted since the lane opened,
                                 so everything in `history` is in doubt (replies do not name their request)
    ended                        exactly once, last: the connection is gone

Invariants: `is_busy` from a `send` that returned True until its `replied`.  No byte is written after `is_open` is
False.  Bytes that came are read before anything else happens to the lane: its end, an abort, an overdue request.  A
lane is never pipelined, follows no redirect and repeats nothing.  Its promises about the wire:

- An aborted request leaves the kernel at once: SO_LINGER(1, 0), set by the pool, turns the close into a reset, which
  drops the send queue.  Without it megabytes of a "lost" request still arrive.  An idle lane closes in good order.
- Write buffers may be full (`pause_writing`).  Bytes that were handed to the transport count as written all the same.
- A lane that has answered something listens for `linger_s` more before it closes, since a stray reply comes last.
- `sweep` keeps deadlines, idle limits and lingering.  The pool calls it for all lanes together.

An exception in a callback of the owner or of the lane cuts the lane and goes to `Owner.crashed`.  The event loop would
only log it, and the run would meet the same bug at the next reply.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from ..model import Fault, Reply
from .framing import ReplyReader, failed
from .idle import IdleLimit

LINGER_OFF: Final = struct.pack("ii", 0, 0)
QUICKACK: Final[int] = getattr(socket, "TCP_QUICKACK", 0)
"""Linux only.  It acknowledges received bytes at once, and lasts until about the next acknowledgement (tcp(7))."""
SHUTDOWN_S: Final = 1.0
"""An orderly close may take so long before the lane is cut: a TLS peer need not answer `close_notify`."""


class Owner(Protocol):
    """The owner of a lane.  All calls are synchronous, on the event loop."""

    def arrived(self, lane: Lane, /) -> None:
        """Bytes came on the lane.  Call `lane.read` now or at the end of this turn.  Must not raise."""

    def replied(self, lane: Lane, reply: Reply, /) -> None:
        """The reply to `lane.carried`, at `lane.replied_at`; `lane.send` is allowed if `lane.is_open`."""

    def strayed(self, lane: Lane, /) -> None:
        """The lane answered out of step: put everything that it settled in doubt.  The lane is already closed."""

    def ended(self, lane: Lane, /) -> None:
        """The lane is gone for good.  Called once, after everything else."""

    def crashed(self, error: Exception, /) -> None:
        """A callback of this owner raised, which is a bug.  End the run with it.  Must not raise."""


class Closable(Protocol):
    """Gives a connection back to its connector: aiohttp's Connection."""

    def close(self) -> None: ...


class Lane(asyncio.BaseProtocol):
    """See the module.  The owner may read attributes without an underscore, and fills `history`.

    `is_fresh`: nothing of the reply to `carried` has been read, and the connection has answered before.  Only then may
    the owner take `unread` for a whole reply (`take`).

    It has so many attributes because it stands for a connection and for its request.  As two objects, each request
    would pay for the second.
    """

    __slots__ = (
        "_arrived", "_clock", "_close_at", "_connection", "_deadline", "_forget", "_idle", "_linger_s", "_max_requests",
        "_owner", "_reader", "_socket", "_transport", "carried", "history", "is_busy", "is_fresh", "is_open",
        "replied_at", "requests", "sent_at", "unread",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        *,
        transport: asyncio.Transport,
        connection: Closable,
        reader: ReplyReader,
        idle: IdleLimit,
        max_requests: int,
        linger_s: float,
        forget: Callable[[Lane], None],
        clock: Callable[[], float],
    ) -> None:
        self._owner = owner
        self._arrived = owner.arrived  # once a reply: bound once
        self._clock = clock
        self._transport = transport
        self._socket: socket.socket | None = transport.get_extra_info("socket")
        self._connection = connection
        self._reader = reader
        self._idle = idle
        self._max_requests = max_requests
        self._linger_s = linger_s
        self._forget = forget
        self._deadline = 0.0
        self._close_at = 0.0
        self.carried: object = None
        self.history = array("q")
        self.unread = b""
        self.is_busy = self.is_fresh = False
        self.is_open = True
        self.requests = 0
        self.sent_at = self.replied_at = clock()

    def send(self, request: bytes, carried: object, now: float, deadline: float) -> bool:
        """Write one request.  False: nothing was or will be written, and `ended` will come or has come.

        The lane must not be busy.  `deadline` is on the clock of `now`.
        """
        assert not self.is_busy, "one request at a time"
        if self.unread:
            self.read(now)  # bytes that nobody asked for close the lane
        if not self.is_open or self._transport.is_closing():
            self.is_open = False
            return False
        self.is_busy = True
        self.is_fresh = self.requests > 0
        self.carried = carried
        self.sent_at = now
        self._deadline = deadline
        self.requests += 1
        self._transport.write(request)
        return True

    @property
    def text(self) -> bytes:
        """The bytes of the reply just read, if they came in one piece and would mean the same on every connection."""
        return self._reader.text

    def read(self, now: float) -> None:
        """Read what has come.  Calls `replied` for a whole reply, `strayed` for bytes that no request explains."""
        data, self.unread = self.unread, b""
        if not data:
            return  # read already, before the end or an abort
        try:
            if self.is_busy:
                reply = self._reader.feed(data)
                if reply is not None:
                    self._reply(reply, now)
                else:
                    self.is_fresh = False
                    self._acknowledge()
            else:
                self._stray()
        except Exception as e:
            self._break(e)

    def take(self, now: float) -> Any:
        """What came is a plain whole reply, after which the connection stays open.  Returns what the lane carried.

        Only for a fresh lane.  `replied` is not called.
        """
        carried = self.carried
        self.unread, self.carried = b"", None
        self.is_busy = self.is_fresh = False
        self.replied_at = now
        if self.requests == 2 or self.requests >= self._max_requests or self._idle.is_once:
            self._answered(now)
            if not self.is_open:
                self.close()
        return carried

    def is_reusable(self, now: float) -> bool:
        """Whether a request may be sent now, with little danger that the server is just closing the connection."""
        if not self.is_open or self.is_busy or self._transport.is_closing():
            return False
        limit_s, stated_s = self._idle.s, self._reader.keep_alive_s
        if stated_s is not None:  # a second less than the server says, for the way there
            limit_s = min(limit_s, max(stated_s - 1, stated_s / 2))
        return now - self.replied_at < limit_s

    def close(self) -> None:
        """Take no more requests.  A busy lane ends after its reply, an idle one after listening for a stray."""
        self.is_open = False
        if not self.is_busy and not self._close_at:
            self._close_at = self._clock() + self._linger_s
            if not self.requests:
                self.hang_up()

    def abort(self, fault: Fault) -> None:
        """Cut the connection now, by a reset.  An outstanding request gets its reply, or else one with `fault`, before
        this returns.
        """
        now = self._clock()
        self.read(now)
        self.is_open = False
        self._cut()
        if self.is_busy:
            self._reply(failed(fault), now)

    def hang_up(self) -> None:
        """Close an idle lane now, in good order: FIN instead of reset, and `close_notify` where there is TLS."""
        now = self._clock()
        self.read(now)
        self.is_open = False
        self._close_at = now + SHUTDOWN_S
        self._end_softly()
        self._connection.close()

    def sweep(self, now: float) -> None:
        """Abort an overdue request, close a lane that was idle for too long, or end a lingering one."""
        self.read(now)  # what has come is not overdue
        if self.is_busy:
            if now >= self._deadline:
                self.abort(Fault.SILENT)
        elif self.is_open:
            if not self.is_reusable(now):
                self.close()
        elif self._close_at and now >= self._close_at:
            if self._transport.is_closing():
                self._cut()
            else:
                self.hang_up()

    # What the event loop calls.

    def data_received(self, data: bytes) -> None:
        try:
            if self.unread:  # a second piece in the same turn; at most what the kernel held
                self.unread += data
            elif self.is_busy or not self._transport.is_closing():  # else it was cut, and this comes too late
                self.unread = data
                self._arrived(self)
        except Exception as e:
            self._break(e)

    def eof_received(self) -> None:
        now = self._clock()
        try:
            self.read(now)
            if self.is_busy:
                self._end_busy(now, is_clean=True)
            else:
                self._server_closed(now)
                self._end_softly()
        except Exception as e:
            self._break(e)

    def connection_lost(self, error: Exception | None) -> None:
        now = self._clock()
        try:
            self.read(now)
            if self.is_busy:
                self._end_busy(now, is_clean=False)
            else:
                self._server_closed(now)
            self._connection.close()
            self._reader.close()
        except Exception as e:
            self._break(e)
        try:
            self._forget(self)
            self._owner.ended(self)
        except Exception as e:
            self._owner.crashed(e)

    def _answered(self, now: float) -> None:
        self.is_busy = self.is_fresh = False
        self.replied_at = now
        if self.requests >= self._max_requests or self._idle.is_once:
            self.is_open = False
        elif self.requests == 2 and self.is_open:
            self._idle.answered_second()

    def _reply(self, reply: Reply, now: float) -> None:
        fault = reply.fault
        if fault is not None:
            self.is_open = False
            self._cut()
        elif not self._reader.keeps_open:
            self.is_open = False
        self._answered(now)
        try:
            self._owner.replied(self, reply)
            if fault is Fault.SHIFTED:
                self._owner.strayed(self)
        except Exception as e:
            self._crash(e)
        if not self.is_busy:
            self.carried = None
            if not self.is_open:
                self.close()

    def _stray(self) -> None:
        self.is_open = False
        self._cut()
        try:
            self._owner.strayed(self)
        except Exception as e:
            self._crash(e)

    def _crash(self, error: Exception) -> None:
        # Not through abort(): the owner that just raised is not asked again about a request that it may have sent.
        self.is_busy = self.is_fresh = self.is_open = False
        self._cut()
        self._owner.crashed(error)

    def _break(self, error: Exception) -> None:
        # A bug of the lane's own: the owner gets a reply all the same, or it would wait for one.
        self.is_open = False
        try:
            if self.is_busy:
                self._reply(failed(Fault.LOST), self._clock())
            else:
                self._cut()
        except Exception as e:
            self._owner.crashed(e)
        self._owner.crashed(error)

    def _end_busy(self, now: float, *, is_clean: bool) -> None:
        self.is_open = False
        reply = self._reader.end(is_clean=is_clean)
        if reply.fault is Fault.LOST and self.requests == 2:
            self._idle.lost_second(now)
        self._reply(reply, now)

    def _server_closed(self, now: float) -> None:
        if self.is_open and self.requests:
            self._idle.learn(now - self.replied_at, now)
        self.is_open = False

    def _acknowledge(self) -> None:
        # Part of a reply came.  A server that writes head and body apart (Python's http.server does), with Nagle's
        # algorithm on, keeps the body until the head is acknowledged, which the kernel puts off for 40 ms.
        if QUICKACK and self._socket is not None and not self._transport.is_closing():
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def _cut(self) -> None:
        # The connector is told at once: it waits for connections that it knows, and this one no more answers to it.
        self._transport.abort()
        self._connection.close()

    def _end_softly(self) -> None:
        # Never on a transport that closes: its file number may be another connection's by now.
        if self._socket is not None and not self._transport.is_closing():
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)


class BufferedLane(Lane, asyncio.BufferedProtocol):
    """A lane that gives the event loop a buffer to read into, for all connections but plain ones on uvloop.

    Without one the loop allocates and frees 256 KiB for each reply, half the cost of a request over TLS.  uvloop reads
    plain connections into one buffer for all; there a buffer would cost 1.7 µs a reply more.
    """

    __slots__ = ("_buffer",)

    def __init__(self, owner: Owner, *, buffer_bytes: int, **parts: Any) -> None:
        super().__init__(owner, **parts)
        self._buffer = memoryview(bytearray(buffer_bytes))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._buffer[:nbytes]))
