"""Responses as bytes: the API's envelopes and the HTTP heads around them.

A `Response` is a status and a body, before it is known how it will travel.  `Renderer.render` makes a plain HTTP/1.1
reply of it; `effects` makes the broken ones.

A client must decide by HTTP status and `WasSuccessful` only: the envelope's own `Status` is sometimes another one
(older pages show 500 under HTTP 400), and with `status_in_rejections` it is another one here.

Heads and the created envelope change once a second, with `Date` and `UpdatedOn`, so they are kept for that second:
made for each create they would take 2 µs of its 20.
Pure: `now` is monotonic; the wall clock is `now` + an offset taken once, so that a stepped clock changes nothing.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
ENTITY = "CourseCompletedLesson"
EDITOR = "admin@example.com"


class Response(NamedTuple):
    """A reply's sense.  `extra` holds whole header lines, each ended by CRLF; an empty `content_type` is left out."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    extra: bytes = b""


def as_json(status: int, value: Any) -> Response:
    return Response(status, orjson.dumps(value))


def page_of(status: int) -> Response:
    """The HTML that gateways and firewalls put in the API's place."""
    phrase = phrase_of(status)
    return Response(
        status,
        f"<html><head><title>{status} {phrase}</title></head><body><h1>{phrase}</h1></body></html>".encode(),
        HTML,
    )


def phrase_of(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"


def envelope(message: str, value: Any, updated_on: str) -> dict[str, Any]:
    """The envelope around what a create or delete did."""
    return {
        "Status": 200, "Message": message, "Value": value, "OpenInDialog": False, "OpenInWindow": False,
        "RedirectURL": None, "JavaScript": None, "UpdatedOn": updated_on, "UpdatedBy": EDITOR, "Errors": None,
        "WasSuccessful": True,
    }  # fmt: skip


def refusal(*errors: tuple[str, str, Any]) -> dict[str, Any]:
    """The envelope of a refused record, from (property, message, attempted value) triples."""
    return {
        "Message": "; ".join(f"{name}: {message}" if name else message for name, message, _ in errors),
        "Value": None,
        "Errors": [
            {"AttemptedValue": tried, "Message": message, "PropertyName": name} for name, message, tried in errors
        ],
        "WasSuccessful": False,
    }


SERVER_ERROR = as_json(500, {"Message": "An error has occurred."})
UNAUTHORIZED = as_json(401, {"Message": "Authorization has been denied for this request."})
NOT_FOUND = as_json(404, "Not found")
NO_SUCH_PATH = as_json(404, {"Message": "No HTTP resource was found that matches the request URI."})
NO_SUCH_METHOD = as_json(405, {"Message": "The requested resource does not support this http method."})
UNSUCCESSFUL = as_json(200, refusal(("", "The record could not be saved.", None)) | {"Status": 200})


class Renderer:
    """Renders answers; `offset_s` + `now` is the server's wall clock, `skew_s` what its `Date` is wrong by."""

    def __init__(self, offset_s: float, skew_s: float) -> None:
        self._offset_s, self._skew_s = offset_s, skew_s
        self._second = -1
        self._heads: dict[tuple[int, bytes], bytes] = {}
        self._date = b""
        self._created = b""

    def render(self, response: Response, now: float, *, is_last: bool = False) -> bytes:
        """The whole reply; `is_last` adds `Connection: close`."""
        status, body, content_type, extra = response
        if int(now + self._offset_s) != self._second:
            self._turn(now)
        head = self._heads.get((status, content_type))
        if head is None:
            head = self._heads[status, content_type] = self.head(response, now)
        if is_last:
            extra += b"Connection: close\r\n"
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, extra, len(body), body)

    def head(self, response: Response, now: float, version: bytes = b"HTTP/1.1") -> bytes:
        """Status line, `Date` and `Content-Type`, without framing and without the empty line."""
        if int(now + self._offset_s) != self._second:
            self._turn(now)
        start = b"%b %d %b\r\nDate: %b\r\n" % (
            version,
            response.status,
            phrase_of(response.status).encode(),
            self._date,
        )
        return start + (b"Content-Type: %b\r\n" % response.content_type if response.content_type else b"")

    def created(self, record_id: int, now: float) -> Response:
        """The envelope of a record just made.  Does not make it."""
        if int(now + self._offset_s) != self._second:
            self._turn(now)
        return Response(200, self._created % record_id)

    def http_date(self, now: float) -> str:
        """`now` as the server's clock shows it in headers."""
        return formatdate(now + self._offset_s + self._skew_s, usegmt=True)

    def stamp(self, now: float) -> str:
        """`now` as records and envelopes show it."""
        return _stamp(int(now + self._offset_s))

    def _turn(self, now: float) -> None:
        self._second = int(now + self._offset_s)
        self._heads.clear()
        self._date = self.http_date(now).encode()
        filled = envelope(f"{ENTITY} was successfully created.", {"Id": 0}, self.stamp(now))
        before, after = orjson.dumps(filled).split(b'"Id":0', 1)
        self._created = b'%b"Id":%%d%b' % (before.replace(b"%", b"%%"), after.replace(b"%", b"%%"))


@functools.lru_cache(maxsize=256)
def _stamp(second: int) -> str:
    """Kept, because the records of a page were mostly made in few seconds: a page of 1,000 takes 1 ms less."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
