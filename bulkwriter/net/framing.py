"""Finds where one reply begins and ends: bytes in, at most one `Reply` for each request out.  No sockets here.

A reply is believed only when it is whole and no bytes follow it.  httptools (llhttp) does the parsing, and refuses
replies that RFC 9112 calls ambiguous: two lengths, a length beside chunks, bare line feeds.  This reader adds the rules
that llhttp leaves open:

- 1xx replies are skipped (RFC 9110, 15.2), as many as fit the head's bound.  101 is garbage: nobody asked to upgrade.
- Every byte after the end is found.  llhttp silently skips stray CR and LF between messages.  So a segment that ends in
  one is parsed in two steps: if a message is whole before its last byte, that byte follows its end.
- A body without length or chunks ends with the connection (RFC 9112, 6.3).  llhttp has no event for that; `end` is
  called instead.  TLS changes nothing: a cut is no more visible there than in plain TCP, and a cut JSON text is never
  valid JSON.
- Nothing is decoded, since 1 MB of gzip can be 1 GB: an encoded body is a fault, unless it starts like JSON after all.
- Head and body are bounded, the head with all 1xx before it.  Trailers are ignored.

Invariant: one Reply at most for each request, whatever the slicing; after a fault the reader is spent.

A reply takes one of two ways.  The first gives the result of the second:

    plain    a 200 or 201 in one segment that needs nothing from its head but a new Date: the parser makes no call a
             header, which halves what a reply of five headers costs
    slow     all others, the first of a connection, and all replies to calls: the head's bytes are kept and split once
             the parser took them

Who sees that a reply has the bytes of an earlier plain one (`text`), but for digits in its body, need not `feed` it:
between two replies the reader's state is always the same.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from ..model import Fault, Reply

NOTHING: Final = 0  # no byte of the final reply yet; 1xx replies may have passed
BEGUN: Final = 1
PLAIN: Final = 2  # whole, and 200 or 201
WHOLE: Final = 3  # whole, any other status
SHIFTED: Final = 4  # whole, with something behind it

END_OF_HEAD: Final = b"\r\n\r\n"
JSON_STARTS: Final = frozenset(b"{[")
LETTER_H: Final = b"H"[0]
TLS_ALERT: Final = b"\x15\x03"  # content type and major version of TLS's answer to bytes that are not TLS
SECONDS: Final = re.compile(rb"\d{1,10}")
KEEP_ALIVE_TIMEOUT: Final = re.compile(rb"(?i)\btimeout\s*=\s*(\d{1,9})")
DATE_LINE: Final = re.compile(rb"\r\n[Dd][Aa][Tt][Ee]:[ \t]*([^\r\n]*)\r\n")
AGE_LINE: Final = re.compile(rb"\r\n[Aa][Gg][Ee]:")
"""Written so, and not with (?i), they take a third of the time."""
PARSE_ERRORS: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade)

new_tuple = tuple.__new__
"""Makes a Reply without the named tuple's own __new__: 0.15 µs less."""


class Unbelievable(Exception):
    """Raised inside a parser callback to stop the parser; the reader holds the fault."""


class ReplyReader:
    """Reads the replies of one connection, one request after another.

    After a whole reply `keeps_open` says whether the server will take another request on this connection.
    `keep_alive_s` is how long the server keeps an idle one by its own words, or None.  A Reply of status 200 or 201 has
    no `retry_after`; unless `is_for_calls`, it has a `date`, with `age_s`, only where the Date differs from the last.

    `text` has the bytes of the last reply, if it was plain, with a body that no chunk frames, and `keeps_open`; else it
    is empty.  The Date of the last plain reply is kept beside the parser's state, since most replies have the same.
    """

    __slots__ = (
        "_body", "_body_bytes", "_date", "_date_at", "_feed", "_head", "_head_bytes", "_headers", "_is_for_calls",
        "_parser", "_passed", "_pieces", "_plain_bytes", "_stage", "_status", "keep_alive_s", "keeps_open", "on_body",
        "text",
    )  # fmt: skip

    def __init__(self, *, head_bytes: int, body_bytes: int, is_for_calls: bool = False) -> None:
        self._is_for_calls = is_for_calls
        self._head_bytes = head_bytes
        self._body_bytes = body_bytes
        self._plain_bytes = min(head_bytes, body_bytes)
        self._stage = NOTHING
        self._status = 0
        self._date, self._date_at = b"", -1  # the line of the last Date that a plain reply showed, and its place
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # the parser calls it
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self.keeps_open = False
        self.keep_alive_s: float | None = None
        self.text = b""
        self._reset()
        self._head: bytearray | None = bytearray()  # so that the first reply takes the slow way, for its Keep-Alive

    def feed(self, data: bytes) -> Reply | None:
        """Take bytes as received, at least one.  Returns the Reply once it is whole, or cannot be believed any more."""
        self.text = b""
        try:
            if data[-1] > 13:
                self._feed(data)
            else:
                self._feed_to_last(data)
        except PARSE_ERRORS as e:
            return self._broken(e, data)
        pieces = self._pieces
        if self._stage == PLAIN and self._head is None and len(pieces) == 1 and len(data) <= self._plain_bytes:
            body = pieces.pop()
            if body[0] in JSON_STARTS and data[0] == LETTER_H:
                self._stage = NOTHING
                if data.endswith(body):  # not so of a chunk
                    head = data[: -len(body)]
                    if self.keeps_open:
                        self.text = data
                    if self._date_at < 0 or not head.startswith(self._date, self._date_at):
                        return self._dated(body, head)
                return new_tuple(Reply, (self._status, body, None, None, None, "", 0.0))
            pieces.append(body)
        return self._feed_slowly(data)

    def end(self, *, is_clean: bool) -> Reply:
        """The connection ended before `feed` gave a Reply.  Returns the Reply that follows.  `is_clean`: by FIN, not
        reset.
        """
        if self._stage == NOTHING:
            return failed(Fault.LOST)
        headers = self._headers
        if is_clean and headers is not None and not headers.keys() & {b"content-length", b"transfer-encoding"}:
            self._status = self._parser.get_status_code()
            return self._whole(headers)
        return failed(Fault.CUT)

    def close(self) -> None:
        """Break the reference cycle of reader and parser, so that ended lanes need no garbage collection."""
        del self._parser, self._feed

    def _reset(self) -> None:
        self._stage = NOTHING
        self._passed = 0  # 1xx replies
        self._pieces.clear()
        self._body = bytearray()  # this and all below on the slow way only
        self._head = bytearray() if self._is_for_calls else None  # bytes up to the final head's end
        self._headers: dict[bytes, bytes] | None = None  # of the final head, once that is complete

    def _dated(self, body: bytes, head: bytes) -> Reply:
        """A plain reply whose head has another Date than the last, has it elsewhere, or has none."""
        found = DATE_LINE.search(head)
        if found is None:
            return Reply(self._status, body)
        self._date_at = found.start()
        if found[0] == self._date:
            return Reply(self._status, body)
        self._date = found[0]
        age_s = age_of(split_headers(head)) if AGE_LINE.search(head) else 0.0
        date = found[1].decode("latin-1").rstrip(" \t")
        return new_tuple(Reply, (self._status, body, None, date, None, "", age_s))

    def _feed_to_last(self, data: bytes) -> None:
        self._feed(data[:-1])
        if self._stage >= PLAIN:
            self._stage = SHIFTED
        self._feed(data[-1:])

    def _feed_slowly(self, data: bytes) -> Reply | None:
        if self._stage == SHIFTED:
            return failed(Fault.SHIFTED, "bytes behind the reply")
        if self._headers is None:
            if self._head is None:
                self._head = bytearray()
            self._head += data
            fault = self._read_head(self._head)
            if fault is not None:
                return failed(fault, "its head")
        self._gather()
        if len(self._body) > self._body_bytes:
            return failed(Fault.OVERSIZED, f"a body of more than {self._body_bytes} bytes")
        if self._stage < PLAIN:
            return None
        return failed(Fault.GARBLED) if self._headers is None else self._whole(self._headers)

    def _read_head(self, seen: bytearray) -> Fault | None:
        """Split the final head into `_headers` as soon as it is complete in `seen`."""
        start, end = 0, seen.find(END_OF_HEAD)
        for _ in range(self._passed):
            if end >= 0:
                start, end = end + 4, seen.find(END_OF_HEAD, end + 4)
        if (len(seen) if end < 0 else end + 4) > self._head_bytes:
            return Fault.OVERSIZED
        if end >= 0:
            if not seen.startswith(b"HTTP/", start):  # llhttp skips line ends before a reply
                return Fault.GARBLED
            self._headers = split_headers(bytes(seen[start:end]))
        return None

    def _gather(self) -> None:
        for piece in self._pieces:
            self._body += piece
        self._pieces.clear()

    def _whole(self, headers: dict[bytes, bytes]) -> Reply:
        self._gather()
        status, body = self._status, bytes(self._body)
        if found := KEEP_ALIVE_TIMEOUT.search(headers.get(b"keep-alive", b"")):
            self.keep_alive_s = float(found[1])
        self._reset()
        encoding = encoding_of(headers)
        if encoding and body and body[0] not in JSON_STARTS:
            return failed(Fault.ENCODED, repr(encoding[:100])[2:-1])
        retry_after = None if status in (200, 201) else headers.get(b"retry-after")
        date = headers.get(b"date")
        return Reply(
            status,
            body,
            retry_after=None if retry_after is None else retry_after.decode("latin-1"),
            date=None if date is None else date.decode("latin-1"),
            age_s=age_of(headers),
        )

    def _broken(self, error: Exception, data: bytes) -> Reply:
        if self._stage >= PLAIN:  # llhttp: "Data after `Connection: close`", or garbage where a reply would begin
            return failed(Fault.SHIFTED, "bytes behind the reply")
        if data.startswith(TLS_ALERT):
            return failed(Fault.GARBLED, "this port speaks TLS (is it an https address?)")
        return failed(Fault.GARBLED, str(error)[:100])

    # What the parser calls, besides `on_body`; the names are httptools'.

    def on_message_begin(self) -> None:
        self._stage = SHIFTED if self._stage else BEGUN

    def on_message_complete(self) -> None:
        if self._stage != BEGUN:
            return
        parser = self._parser
        status = self._status = parser.get_status_code()
        if status >= 200:
            self._stage = PLAIN if status <= 201 else WHOLE
            self.keeps_open = parser.should_keep_alive()
        elif status < 100 or status == 101:
            raise Unbelievable
        else:
            self._stage = NOTHING
            self._passed += 1
            self._head = self._head or bytearray()  # from here on the slow way


def split_headers(head: bytes) -> dict[bytes, bytes]:
    """Lower-case names and stripped values; repeated fields joined by commas (RFC 9110, 5.3), so that none is lost."""
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = value if name not in headers else headers[name] + b", " + value
    return headers


def encoding_of(headers: dict[bytes, bytes]) -> bytes:
    """The encoding of a body besides chunks, or nothing."""
    coding, transfer = headers.get(b"content-encoding", b""), headers.get(b"transfer-encoding", b"")
    if coding.lower() not in (b"", b"identity"):
        return coding
    return transfer if transfer.lower() not in (b"", b"chunked") else b""


def age_of(headers: dict[bytes, bytes]) -> float:
    """Seconds since the origin answered (RFC 9111, 5.1), by the highest number of any cache; 0 without a number."""
    ages = (age.strip() for age in headers.get(b"age", b"").split(b","))
    return float(max((int(age) for age in ages if SECONDS.fullmatch(age)), default=0))


def failed(fault: Fault, detail: str = "") -> Reply:
    """A reply that must not be believed."""
    return Reply(0, fault=fault, detail=detail)
