"""A lane on a transport that only records, with an owner that notes what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from bulkwriter.model import Reply
from bulkwriter.net.framing import ReplyReader
from bulkwriter.net.idle import IdleLimit
from bulkwriter.net.lane import BufferedLane, Lane

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """A transport without a network."""

    def __init__(self, sock: object = None) -> None:
        super().__init__({"socket": sock})
        self.written: list[bytes] = []
        self.log: list[str] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.log)

    def close(self) -> None:
        self.log.append("close")

    def abort(self) -> None:
        self.log.append("abort")


class Watcher:
    """An owner that notes what it hears; `then` runs inside `replied`.  It reads what comes at once, or `waits`."""

    def __init__(self) -> None:
        self.waits = False
        self.heard: list[Any] = []
        self.then: Callable[[Lane], object] = lambda lane: None

    def arrived(self, lane: Lane, /) -> None:
        if not self.waits:
            lane.read(monotonic())

    def replied(self, lane: Lane, reply: Reply, /) -> None:
        self.heard.append((lane.carried, reply.fault or reply.status))
        self.then(lane)

    def strayed(self, lane: Lane, /) -> None:
        self.heard.append("strayed")

    def ended(self, lane: Lane, /) -> None:
        self.heard.append("ended")

    def crashed(self, error: Exception, /) -> None:
        self.heard.append(error)


class Bench:
    """A lane with everything around it recorded."""

    def __init__(
        self, *, max_requests: int = 100, idle_s: float = 4.0, linger_s: float = 0.05, sock: object = None
    ) -> None:
        self.owner = Watcher()
        self.wire = Wire(sock)
        self.idle = IdleLimit(idle_s)
        self.forgotten: list[Lane] = []
        self.closed = 0
        self.lane = BufferedLane(
            self.owner,
            buffer_bytes=16,
            transport=self.wire,
            connection=self,
            reader=ReplyReader(head_bytes=4_096, body_bytes=4_096),
            idle=self.idle,
            max_requests=max_requests,
            linger_s=linger_s,
            clock=monotonic,
            forget=self.forgotten.append,
        )

    def close(self) -> None:
        """What aiohttp's Connection does."""
        self.closed += 1
        if not self.wire.log:
            self.wire.close()

    def send(self, carried: object = 1, *, timeout_s: float = 90.0) -> bool:
        now = monotonic()
        return self.lane.send(b"POST", carried, now, now + timeout_s)

    def receive(self, data: bytes) -> None:
        """Give the lane these bytes in as few pieces as its buffer allows."""
        while data:
            buffer = self.lane.get_buffer(-1)
            size = min(len(data), len(buffer))
            buffer[:size] = data[:size]
            self.lane.buffer_updated(size)
            data = data[size:]

    @property
    def heard(self) -> list[Any]:
        return self.owner.heard
