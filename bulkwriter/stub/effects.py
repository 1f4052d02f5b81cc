"""What a fault does to one exchange: one small function an effect.

An effect is given a `Scene`, whose `answer` is what the client should be told; the request has been applied already
where the kind of fault says so.  It either answers through the site, which counts the status and goes on, or ends the
exchange with status 0 and does to the connection what it must.  Which kind of fault has which effect is `enact`'s.
"""

from __future__ import annotations

import functools
import gzip
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .connection import CONTINUE
from .faults import FaultRule
from .replies import SERVER_ERROR, Answer, as_json, page_of

if TYPE_CHECKING:
    from .connection import Connection
    from .server_core import Exchange, Site

PIECES = 4_096
"""`slices` sends at most so many: a list of 1 MB in single bytes would take minutes."""


class Scene(NamedTuple):
    """A fault and whom it meets."""

    site: Site
    exchange: Exchange
    rule: FaultRule
    answer: Answer

    @property
    def connection(self) -> Connection:
        return self.exchange.connection

    def say(self, answer: Answer) -> None:
        """Answer plainly, in place of `self.answer`."""
        self.site.reply(self.exchange, answer)

    def send_framed(self, framing: bytes, body: bytes, *, version: bytes = b"HTTP/1.1") -> None:
        """Answer with the true head, but other framing."""
        self.send(self.head(framing, version=version) + body)

    def head(self, framing: bytes, *, version: bytes = b"HTTP/1.1") -> bytes:
        ending = b"Connection: close\r\n\r\n" if self.exchange.request.is_last else b"\r\n"
        head = self.exchange.api.replies.head(self.answer, time.monotonic(), version)
        return head + self.answer.extra + framing + ending

    def send(self, data: bytes) -> None:
        self.site.reply_bytes(self.exchange, data, self.answer.status)

    def leave(self, data: bytes = b"") -> None:
        """Send senseless bytes, or none, and close."""
        self.exchange.end(0)
        self.connection.send(data)
        self.connection.close()


Effect = Callable[[Scene], None]


# the connection goes away


def reset(scene: Scene) -> None:
    scene.exchange.end(0)
    scene.connection.reset()


def apply_late(scene: Scene) -> None:
    reset(scene)
    scene.site.later(scene.rule.wait_s, _apply, scene.exchange)


def _apply(exchange: Exchange) -> None:
    """Nobody is told the answer."""
    exchange.api.answer(exchange.request, time.monotonic())


def fall_silent(scene: Scene) -> None:
    scene.exchange.is_silent = True  # in flight until the client has had enough
    scene.connection.fall_silent()


def leave_after(data: bytes) -> Effect:
    return lambda scene: scene.leave(data)


# replies that are not whole, or not plain


def cut_body(scene: Scene) -> None:
    body = scene.answer.body
    scene.leave(scene.head(b"Content-Length: %d\r\n" % len(body)) + body[: len(body) // 2])


def misstate_length(scene: Scene) -> None:
    scene.send_framed(b"Content-Length: 12x\r\n", scene.answer.body)


def lengthen_head(scene: Scene) -> None:
    length = len(scene.answer.body)
    scene.send_framed(
        b"X-Padding: %b\r\nContent-Length: %d\r\n" % (b"x" * scene.rule.size_bytes, length), scene.answer.body
    )


def lengthen_body(scene: Scene) -> None:
    scene.say(scene.answer._replace(body=scene.answer.body + b" " * scene.rule.size_bytes))


def send_gzip(scene: Scene) -> None:
    _send_encoded(scene, gzip.compress(scene.answer.body))


def send_gzip_bomb(scene: Scene) -> None:
    _send_encoded(scene, _bomb())


def _send_encoded(scene: Scene, body: bytes) -> None:
    scene.say(scene.answer._replace(body=body, extra=scene.answer.extra + b"Content-Encoding: gzip\r\n"))


@functools.cache
def _bomb() -> bytes:
    """1 MB that unpacks to 1 GB: many small members behind each other, which RFC 1952 section 2.2 allows."""
    return gzip.compress(bytes(1 << 20)) * 1_024


def send_sliced(scene: Scene) -> None:
    data = _plain(scene)
    _send_slice(scene, data, 0, -(-len(data) // PIECES))


def _send_slice(scene: Scene, data: bytes, start: int, size: int) -> None:
    """One piece a turn of the loop."""
    if start + size >= len(data):
        scene.send(data[start:])
        return
    scene.connection.send(data[start : start + size])
    scene.site.loop.call_soon(_send_slice, scene, data, start + size, size)


def send_chunked(scene: Scene) -> None:
    body = scene.answer.body
    size = max(7, len(body) // 50)
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    scene.send_framed(b"Transfer-Encoding: chunked\r\n", framed + b"0\r\n\r\n")


def delimit_by_close(scene: Scene) -> None:
    data = scene.exchange.api.replies.head(scene.answer, time.monotonic(), b"HTTP/1.0") + b"\r\n" + scene.answer.body
    scene.exchange.request.is_last = True
    scene.send(data)


def continue_first(scene: Scene) -> None:
    scene.connection.send(CONTINUE)
    scene.say(scene.answer)


# more bytes than were asked for


def trail(scene: Scene) -> None:
    scene.send(_plain(scene) + b"\r\nHTTP/1.1 200 OK\r\n")


def repeat_later(scene: Scene) -> None:
    data = _plain(scene)
    scene.send(data)
    scene.site.later(scene.rule.wait_s, scene.connection.send, data)


def repeat_at_next(scene: Scene) -> None:
    data = _plain(scene)
    scene.connection.stray = (data, scene.rule.wait_s)
    scene.send(data)


def _plain(scene: Scene) -> bytes:
    replies, is_last = scene.exchange.api.replies, scene.exchange.request.is_last
    return replies.render(scene.answer, time.monotonic(), is_last=is_last)


# other words


def say(answer: Answer) -> Effect:
    return lambda scene: scene.say(answer)


def say_wait(scene: Scene) -> None:
    stated = (scene.rule.retry_after or "1").encode()
    scene.say(page_of(503)._replace(extra=b"Retry-After: %b\r\n" % stated))


def say_status(scene: Scene) -> None:
    rule = scene.rule
    match rule.body:
        case "json":
            answer = SERVER_ERROR._replace(status=rule.status)
        case "html":
            answer = page_of(rule.status)
        case _:
            answer = Answer(rule.status, b"", b"")
    extra = b"Retry-After: %b\r\n" % rule.retry_after.encode() if rule.retry_after else b""
    scene.say(answer._replace(extra=extra))


def slow(scene: Scene) -> None:
    scene.site.later(scene.rule.wait_s, scene.site.serve, scene.exchange)


def redirect(scene: Scene) -> None:
    scene.say(Answer(307, b"", b"", b"Location: %b\r\n" % scene.rule.location.encode()))


# lists


def list_with(change: Callable[[dict[str, Any]], None]) -> Effect:
    """A page with something wrong in it; anything but a page is answered as it is."""

    def effect(scene: Scene) -> None:
        page = orjson.loads(scene.answer.body) if scene.answer.status == 200 else None
        if isinstance(page, dict):
            change(page)
            scene.say(as_json(200, page))
        else:
            scene.say(scene.answer)

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
