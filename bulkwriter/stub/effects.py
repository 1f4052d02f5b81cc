"""What a fault does to one exchange: one small function an effect.

An effect gets a `FaultContext`.  Its `response` is the true one; the request has been applied already where the kind of
fault says so.  An effect has two ways.  Either it answers through the server core, which counts the status and goes on.
Or it ends the exchange with status 0 and breaks the connection.  `fault_runner` says which kind of fault has which
effect.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .connection import CONTINUE
from .faults import FaultRule
from .responses import SERVER_ERROR, Response, as_json, page_of

if TYPE_CHECKING:
    from .connection import Connection
    from .server_core import Exchange, ServerCore

PIECES = 4_096
"""`slices` sends at most so many: a list of 1 MB in single bytes would take minutes."""


class FaultContext(NamedTuple):
    """A fault, and the exchange that meets it."""

    core: ServerCore
    exchange: Exchange
    rule: FaultRule
    response: Response

    @property
    def connection(self) -> Connection:
        return self.exchange.connection

    def say(self, response: Response) -> None:
        """Answer plainly, in place of `self.response`."""
        self.core.reply(self.exchange, response)

    def send_framed(self, framing: bytes, body: bytes, *, version: bytes = b"HTTP/1.1") -> None:
        """Answer with the true head, but other framing."""
        self.send(self.head(framing, version=version) + body)

    def head(self, framing: bytes, *, version: bytes = b"HTTP/1.1") -> bytes:
        ending = b"Connection: close\r\n\r\n" if self.exchange.request.is_last else b"\r\n"
        head = self.exchange.api.renderer.head(self.response, self.core.now(), version)
        return head + self.response.extra + framing + ending

    def send(self, data: bytes) -> None:
        self.core.reply_bytes(self.exchange, data, self.response.status)

    def leave(self, data: bytes = b"") -> None:
        """Send senseless bytes, or none, and close."""
        self.exchange.end(0)
        self.connection.send(data)
        self.connection.close()


Effect = Callable[[FaultContext], None]


# the connection goes away


def reset(context: FaultContext) -> None:
    context.exchange.end(0)
    context.connection.reset()


def apply_late(context: FaultContext) -> None:
    reset(context)
    context.core.later(context.rule.wait_s, _apply, context)


def _apply(context: FaultContext) -> None:
    """Apply the request; its response goes nowhere."""
    exchange = context.exchange
    exchange.api.answer(exchange.request, context.core.now())


def fall_silent(context: FaultContext) -> None:
    context.exchange.is_silent = True  # in flight until the client has had enough
    context.connection.fall_silent()


def leave_after(data: bytes) -> Effect:
    return lambda context: context.leave(data)


# replies that are not whole, or not plain


def cut_body(context: FaultContext) -> None:
    body = context.response.body
    context.leave(context.head(b"Content-Length: %d\r\n" % len(body)) + body[: len(body) // 2])


def misstate_length(context: FaultContext) -> None:
    context.send_framed(b"Content-Length: 12x\r\n", context.response.body)


def lengthen_head(context: FaultContext) -> None:
    length = len(context.response.body)
    context.send_framed(
        b"X-Padding: %b\r\nContent-Length: %d\r\n" % (b"x" * context.rule.size_bytes, length), context.response.body
    )


def lengthen_body(context: FaultContext) -> None:
    context.say(context.response._replace(body=context.response.body + b" " * context.rule.size_bytes))


def send_gzip(context: FaultContext) -> None:
    _send_encoded(context, gzip.compress(context.response.body))


def send_gzip_bomb(context: FaultContext) -> None:
    _send_encoded(context, _bomb())


def _send_encoded(context: FaultContext, body: bytes) -> None:
    context.say(context.response._replace(body=body, extra=context.response.extra + b"Content-Encoding: gzip\r\n"))


@functools.cache
def _bomb() -> bytes:
    """1 MB that unpacks to 1 GB: many small members behind each other, which RFC 1952 section 2.2 allows."""
    return gzip.compress(bytes(1 << 20)) * 1_024


def send_sliced(context: FaultContext) -> None:
    data = _plain(context)
    _send_slice(context, data, 0, -(-len(data) // PIECES))


def _send_slice(context: FaultContext, data: bytes, start: int, size: int) -> None:
    """One piece a turn of the loop."""
    if start + size >= len(data):
        context.send(data[start:])
        return
    context.connection.send(data[start : start + size])
    asyncio.get_running_loop().call_soon(_send_slice, context, data, start + size, size)


def send_chunked(context: FaultContext) -> None:
    body = context.response.body
    size = max(7, len(body) // 50)
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    context.send_framed(b"Transfer-Encoding: chunked\r\n", framed + b"0\r\n\r\n")


def delimit_by_close(context: FaultContext) -> None:
    data = (
        context.exchange.api.renderer.head(context.response, context.core.now(), b"HTTP/1.0")
        + b"\r\n"
        + context.response.body
    )
    context.exchange.request.is_last = True
    context.send(data)


def continue_first(context: FaultContext) -> None:
    context.connection.send(CONTINUE)
    context.say(context.response)


# more bytes than were asked for


def trail(context: FaultContext) -> None:
    context.send(_plain(context) + b"\r\nHTTP/1.1 200 OK\r\n")


def repeat_later(context: FaultContext) -> None:
    data = _plain(context)
    context.send(data)
    context.core.later(context.rule.wait_s, context.connection.send, data)


def repeat_at_next(context: FaultContext) -> None:
    data = _plain(context)
    context.connection.stray = (data, context.rule.wait_s)
    context.send(data)


def _plain(context: FaultContext) -> bytes:
    renderer, is_last = context.exchange.api.renderer, context.exchange.request.is_last
    return renderer.render(context.response, context.core.now(), is_last=is_last)


# replies of another meaning


def say(response: Response) -> Effect:
    return lambda context: context.say(response)


def say_wait(context: FaultContext) -> None:
    stated = (context.rule.retry_after or "1").encode()
    context.say(page_of(503)._replace(extra=b"Retry-After: %b\r\n" % stated))


def say_status(context: FaultContext) -> None:
    rule = context.rule
    match rule.body:
        case "json":
            response = SERVER_ERROR._replace(status=rule.status)
        case "html":
            response = page_of(rule.status)
        case _:
            response = Response(rule.status, b"", b"")
    extra = b"Retry-After: %b\r\n" % rule.retry_after.encode() if rule.retry_after else b""
    context.say(response._replace(extra=extra))


def slow(context: FaultContext) -> None:
    context.core.later(context.rule.wait_s, context.core.serve, context.exchange)


def redirect(context: FaultContext) -> None:
    context.say(Response(307, b"", b"", b"Location: %b\r\n" % context.rule.location.encode()))


# lists


def list_with(change: Callable[[dict[str, Any]], None]) -> Effect:
    """A page with something wrong in it; anything but a page is answered as it is."""

    def effect(context: FaultContext) -> None:
        page = orjson.loads(context.response.body) if context.response.status == 200 else None
        if isinstance(page, dict):
            change(page)
            context.say(as_json(200, page))
        else:
            context.say(context.response)

    return effect


def empty(page: dict[str, Any]) -> None:
    page.update(Records=[], HasNextPage=False)


def shorten(page: dict[str, Any]) -> None:
    del page["Records"][1::3]


def miscount(page: dict[str, Any]) -> None:
    page["TotalItems"] += 1


def overlap(page: dict[str, Any]) -> None:
    if page["Records"]:
        page["Records"][-1] = page["Records"][0]
