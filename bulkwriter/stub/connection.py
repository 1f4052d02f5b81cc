"""One client's connection: bytes come in, whole requests go to the server core, bytes go out.

Requests of one connection are served one at a time and answered in their order; what a client pipelines waits here.
Whatever a client sends, only its own connection can suffer: bytes that are not HTTP get a 400, a request that is too
long a 413, and both are closed after it.  What faults need (reset, silence, repeats) is a method each, so that
`effects` need not know transports.

A request whose head was seen before takes a short way past the parser, see `request`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, cast

import httptools

from .request import Head, Request

if TYPE_CHECKING:
    from .server_core import Exchange, ServerCore

REQUEST_BYTES = 4 << 20
"""A longer request, or more unparsed bytes, is refused: a pair takes about 300."""
PIPELINE = 1_000
"""Requests that may wait behind the one being served; a client that sends more is cut off."""
LINGER_NONE = struct.pack("ii", 1, 0)
BROKEN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TOO_LONG = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Socket(Protocol):
    """What a transport gives as its socket: the real one, or the loop's stand-in for it."""

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None: ...


class Connection(asyncio.Protocol):
    """See the module.  `exchange` is the request being served, if it takes time; `touched_at` is when one last began or
    ended."""

    __slots__ = (
        "_body",
        "_core",
        "_head",
        "_headers",
        "_is_between",
        "_is_deaf",
        "_is_running",
        "_parser",
        "_target",
        "_transport",
        "_unfinished_bytes",
        "_waiting",
        "exchange",
        "served",
        "stray",
        "touched_at",
    )  # fmt: skip

    def __init__(self, core: ServerCore) -> None:
        self._core = core
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._waiting: deque[Request | None] = deque()  # None: not HTTP
        self._headers: dict[bytes, bytes] = {}
        self._target = self._body = b""
        self._head: Head | None = None
        self._unfinished_bytes = 0
        self._is_deaf = self._is_running = False
        self._is_between = True  # no request is half read
        self.exchange: Exchange | None = None
        self.served = 0
        self.stray: tuple[bytes, float] | None = None
        self.touched_at = 0.0

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._core.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_deaf = True
        self._parser = None  # the parser holds our methods: this breaks the circle
        self._transport = None
        self._waiting.clear()
        self._core.left(self)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        core = self._core
        request = core.heads.recall(data) if self._is_between and core.early is None else None
        if request is None:
            self._parse(data)
        elif self.exchange is None and not self._waiting:
            core.begin(self, request)
        else:
            self._waiting.append(request)

    def _parse(self, data: bytes) -> None:
        before, is_start = len(self._waiting), self._is_between
        self._unfinished_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._waiting and self._waiting[-1]:
                self._waiting[-1].is_last = True
        except httptools.HttpParserError:
            self._waiting.append(None)
        else:
            if is_start and len(self._waiting) == before + 1 and (request := self._waiting[-1]):
                self._core.heads.learn(data, request)
        if self._unfinished_bytes > REQUEST_BYTES:
            self._refuse(TOO_LONG)
        elif len(self._waiting) > PIPELINE:
            self.reset()
        elif self._waiting and not self._is_running:
            self._run()

    # what the parser calls

    def on_message_begin(self) -> None:
        self._is_between = False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._is_deaf:
            return
        head = self._head = Head(self._parser.get_method(), self._target, self._headers)
        self._target, self._headers, self._body = b"", {}, b""
        if b"expect" in head.headers:
            self.send(CONTINUE)
        if self._core.early is not None:
            self._core.meet_early(self, head)

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        self._is_between = True
        head, self._head = self._head, None
        if head is None or self._is_deaf:
            return
        head.is_last = not self._parser.should_keep_alive()
        self._unfinished_bytes = 0
        self._waiting.append(Request(head, self._body))

    # what the server core and the faults call

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_idle(self) -> bool:
        return self.exchange is None and not self._is_deaf and self._is_between

    def send(self, data: bytes) -> None:
        """Write, unless the connection is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def finish(self, *, is_last: bool) -> None:
        """The exchange is over: close, or go on with the next request."""
        self.exchange = None
        if is_last:
            self.close()
        elif self._waiting and not self._is_running:
            self._run()

    def close(self) -> None:
        """Send what is buffered, then FIN."""
        self._is_deaf = True
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """RST at once; whatever is buffered is lost."""
        self._is_deaf = True
        if self._transport is not None:
            sock = cast("Socket | None", self._transport.get_extra_info("socket"))
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            self._transport.abort()

    def fall_silent(self) -> None:
        """Stay open, hear nothing, say nothing."""
        self._is_deaf = True
        self._waiting.clear()

    def _run(self) -> None:
        """Begin waiting requests until one takes time."""
        self._is_running = True
        try:
            while self._waiting and self.exchange is None and not self._is_deaf:
                request = self._waiting.popleft()
                if request is None:
                    self._refuse(BROKEN)
                else:
                    self._core.begin(self, request)
        finally:
            self._is_running = False

    def _refuse(self, reply: bytes) -> None:
        self._core.truth.bad_requests += 1
        self.send(reply)
        self.close()
