"""Every fault of the wire as a script for the fault server, with what the client must make of it.

`expected` are the outcomes that are right: a status, a Fault, or `NOT_SENT` (send said False, or no connection).  Where
a case has several, it is a race that neither side decides.  `applied` is what the server must have done.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bulkwriter.model import Fault

from .faultserver import Peer, Script

NOT_SENT: Final = "not sent"
Seen = int | Fault | str

HEAD_BYTES, BODY_BYTES = 4_096, 8_192
DEADLINE_S = 0.25
BODY = b'{"Value":{"Id":7},"WasSuccessful":true}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n" + BODY
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
    b"%x\r\n%b\r\n" % (len(BODY[i : i + 7]), BODY[i : i + 7]) for i in range(0, len(BODY), 7)
)
OLD = b"HTTP/1.0 200 OK\r\n\r\n" + BODY
BOMB = gzip.compress(b" " * (1 << 20))


def with_head(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b""))


@dataclass(frozen=True)
class Case:
    """One fault: the script after an eventual first good exchange, and what is right.

    `request_bytes` pads the request; `is_stray`: the owner must hear of bytes out of step (None: may); `pause_s`: the
    client waits so long before it sends.
    """

    name: str
    script: Script
    expected: frozenset[Seen]
    applied: int = 0
    request_bytes: int = 0
    is_stray: bool | None = False
    pause_s: float = 0.0
    only_warm: bool = False
    only_new: bool = False


def case(name: str, script: Script, *expected: Seen, **rest: object) -> Case:
    return Case(name, script, frozenset(expected), **rest)  # type: ignore[arg-type]


End = Callable[[Peer], None]


def fin(peer: Peer) -> None:
    peer.fin()
    peer.drain()


def close_notify(peer: Peer) -> None:
    peer.close_notify()
    peer.drain()


def reset(peer: Peer) -> None:
    peer.reset()


def unread(end: End) -> Script:
    def script(peer: Peer) -> None:
        peer.wait_readable()
        if end is fin:
            peer.fin()
            time.sleep(0.05)  # so that the client sees the FIN before the reset that unread bytes cause
        else:
            end(peer)

    return script


def mid_body(end: End) -> Script:
    def script(peer: Peer) -> None:
        peer.read(1_000)
        end(peer)

    return script


def after_request(end: End, *, is_applied: bool) -> Script:
    def script(peer: Peer) -> None:
        if peer.read_request() and is_applied:
            peer.apply()
        end(peer)

    return script


def answer(data: bytes, end: End = Peer.drain, *, slices: int = 0, after_s: float = 0.0) -> Script:
    """Apply the request, then answer in these bytes."""

    def script(peer: Peer) -> None:
        if not peer.read_request():
            return
        peer.apply()
        time.sleep(after_s)
        peer.send(data, slices=slices)
        end(peer)

    return script


def apply_late(peer: Peer) -> None:
    """The client hears nothing until its deadline; the server applies after that."""
    if peer.read_request():
        time.sleep(2 * DEADLINE_S)
        peer.apply()


def talk_first(peer: Peer, *, after_s: float = 0.06) -> None:
    """A reply that nobody asked for; then, should a request come all the same, its own."""
    time.sleep(after_s)  # so that it does not stand in one segment with the reply before
    peer.send(OK)
    answer(OK)(peer)


def twice(peer: Peer) -> None:
    answer(OK, lambda p: time.sleep(0.03))(peer)
    peer.send(OK)
    peer.drain()


def early_refusal(peer: Peer) -> None:
    peer.read(1_000)
    peer.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
    time.sleep(0.1)


def trailing_line_end(peer: Peer) -> None:
    answer(OK + b"\r\n")(peer)


ENDS: Final[list[tuple[str, End]]] = [("FIN", fin), ("close", close_notify), ("RST", reset)]
LOST, CUT, GARBLED, OVERSIZED = Fault.LOST, Fault.CUT, Fault.GARBLED, Fault.OVERSIZED
SHIFTED, ENCODED, SILENT = Fault.SHIFTED, Fault.ENCODED, Fault.SILENT

CASES: Final[list[Case]] = [
    *(case(f"{n} at once", end, LOST, NOT_SENT) for n, end in ENDS),
    *(case(f"{n} at once, seen in time", end, NOT_SENT, pause_s=0.1) for n, end in ENDS),
    *(case(f"{n} before reading", unread(end), LOST) for n, end in ENDS),
    *(case(f"{n} mid body", mid_body(end), LOST, request_bytes=1 << 18) for n, end in ENDS),
    *(case(f"{n} before applying", after_request(end, is_applied=False), LOST) for n, end in ENDS),
    *(case(f"{n} after applying", after_request(end, is_applied=True), LOST, applied=1) for n, end in ENDS),
    *(case(f"100, then {n}", answer(b"HTTP/1.1 100 C\r\n\r\n", end), LOST, applied=1) for n, end in ENDS),
    *(case(f"half a status line, then {n}", answer(b"HTTP/1.1 20", end), CUT, LOST, applied=1) for n, end in ENDS),
    *(case(f"a cut body, then {n}", answer(OK[:-5], end), CUT, LOST, applied=1) for n, end in ENDS),
    *(case(f"cut chunks, then {n}", answer(CHUNKS, end), CUT, LOST, applied=1) for n, end in ENDS),
    case("silence before applying", after_request(Peer.drain, is_applied=False), SILENT),
    case("silence after applying", after_request(Peer.drain, is_applied=True), SILENT, applied=1),
    case("applied after it was given up", apply_late, SILENT, applied=1),
    case("100, then silence", answer(b"HTTP/1.1 100 C\r\n\r\n"), SILENT, applied=1),
    case("half a reply, then silence", answer(OK[:-5]), SILENT, applied=1),
    case("too late", answer(OK, after_s=2 * DEADLINE_S), SILENT, applied=1),
    case("garbage", answer(b"\x00\xff\x01 what?\r\n"), GARBLED, applied=1),
    case("HTML without a head", answer(b"<html>Bad gateway</html>"), GARBLED, applied=1),
    case("101", answer(b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"), GARBLED, applied=1),
    case("bad Content-Length", answer(with_head(b"Content-Length: 3x") + b"{}"), GARBLED, applied=1),
    case("two lengths", answer(with_head(b"Content-Length: 2", b"Content-Length: 3") + b"{}"), GARBLED, applied=1),
    case("length and chunks", answer(CHUNKS.replace(b"\r\nT", b"\r\nContent-Length: 39\r\nT")), GARBLED, applied=1),
    case("a head too long", answer(with_head(b"X: " + b"x" * HEAD_BYTES, b"Content-Length: 0")), OVERSIZED, applied=1),
    case("a body too long", answer(with_head(b"Content-Length: 90000") + b"{" * 90_000), OVERSIZED, applied=1),
    case("chunks too long", answer(with_head(b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n" * 5_000), OVERSIZED,
         applied=1),
    case("a gzip bomb", answer(with_head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(BOMB)) + BOMB), ENCODED,
         applied=1),
    case("two replies in one", answer(OK + OK), SHIFTED, applied=1, is_stray=True),
    case("a line end too much", trailing_line_end, SHIFTED, applied=1, is_stray=True),
    case("a reply too many", twice, 200, SHIFTED, applied=1, is_stray=True),
    case("a stray before the request", talk_first, NOT_SENT, is_stray=True, pause_s=0.2, only_warm=True),
    case("a stray as the request goes", talk_first, NOT_SENT, 200, SHIFTED, applied=1, is_stray=True,
         pause_s=0.06),
    case("a server that speaks first", lambda p: talk_first(p, after_s=0), NOT_SENT, 200, SHIFTED, applied=1,
         is_stray=None, only_new=True),
    case("redirect", answer(b"HTTP/1.1 307 T\r\nLocation: %LOCATION%\r\nContent-Length: 0\r\n\r\n"), 307, applied=1),
    case("refused early", early_refusal, 413, request_bytes=1 << 18),
    case("in slices of one byte", answer(OK, slices=1), 200, applied=1),
    case("chunks in slices of one byte", answer(CHUNKS + b"0\r\n\r\n", slices=1), 200, applied=1),
    case("103 and 100 first", answer(b"HTTP/1.1 103 E\r\nX: y\r\n\r\nHTTP/1.1 100 C\r\n\r\n" + OK), 200, applied=1),
    case("HTTP/1.0", answer(OLD, close_notify), 200, applied=1),
    case("HTTP/1.0, then RST", answer(OLD, reset), CUT, LOST, applied=1),
    case("Connection: close", answer(OK.replace(b"\r\nC", b"\r\nConnection: close\r\nC", 1)), 200, applied=1),
    case("throttled", answer(b"HTTP/1.1 409 C\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"), 409, applied=1),
    case("good", answer(OK), 200, applied=1),
]  # fmt: skip
