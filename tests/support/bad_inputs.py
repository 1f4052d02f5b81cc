"""What comes from outside, as bytes that anybody may have made: row readers, replies, lists, `Retry-After`, heads.

Each target takes bytes and raises `AssertionError`, or whatever else escapes, when something is wrong with what our
code made of them; the errors that are our code's answer to bad input are its only other way out.  `SEEDS` are good
inputs to begin with.  `test_bad_inputs.py` feeds them from properties, `scripts/fuzz` from a coverage-guided fuzzer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from bulkwriter.amounts import RETRY_AFTER_MAX_S
from bulkwriter.core.classify import classify, created_id, parse_retry_after
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.errors import BulkwriterError, SourceError
from bulkwriter.model import ID_MAX, BadRow, Fault, Reply, VerdictKind
from bulkwriter.net.api import NOBODY, BadList, ListPage, load
from bulkwriter.net.api import Api as NetApi
from bulkwriter.net.framing import ReplyReader
from bulkwriter.net.signin import json_object, refusal
from bulkwriter.sources.columns import Columns
from bulkwriter.sources.files import make_reader

WALL_S: Final = 1_764_000_000.0
LINE_BYTES: Final = 200
HEAD_BYTES, BODY_BYTES = 2_000, 2_000
API: Final = NetApi("https://sim.test", COMPLETED_LESSONS)
Rows = list[tuple[int, tuple[int, int] | BadRow]]


class Pieces:
    """A stream that comes in pieces of `size`."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size

    def read(self, size: int) -> bytes:
        taken, self._data = self._data[: self._size], self._data[self._size :]
        return taken

    def share(self) -> float | None:
        return None

    def check(self, *, is_torn: bool) -> None:
        pass

    def close(self) -> None:
        pass


def rows_of(data: bytes, name: str, size: int) -> tuple[Rows, str]:
    """Every row, and the error that ended them."""
    reader = make_reader(
        Pieces(data, size), name, columns=Columns("CourseLessonId", "CourseMemberId"), line_bytes=LINE_BYTES
    )
    rows: Rows = []
    try:
        while batch := reader.read():
            for pair in batch.pairs:
                assert pair is None or all(0 < number <= ID_MAX for number in pair)
            for i, pair in enumerate(batch.pairs):
                rows.append((batch.lines[i], batch.bad[i] if pair is None else pair))
    except SourceError as error:
        return rows, error.message
    return rows, ""


def source(data: bytes, name: str) -> None:
    """However reads cut the bytes, the same rows and error come; an error may come before rows of its own block."""
    size = 1 + data[0] % 40 if data else 1
    (whole, error), (cut, cut_error) = rows_of(data[1:], name, 65_536), rows_of(data[1:], name, size)
    assert error == cut_error
    assert whole == (cut[: len(whole)] if error else cut), f"pieces of {size}"


def create_reply(data: bytes) -> None:
    status, body = int.from_bytes(data[:2]) % 700, data[2:]
    reply = Reply(status, body, retry_after=body[-20:].decode("latin-1") if status % 2 else None)
    for has_created in (False, True):
        verdict = classify(reply, has_created=has_created, is_current_token=True, wall_s=WALL_S)
        assert (verdict.kind is VerdictKind.CREATED) == (created_id(reply) > 0)
        assert verdict.kind is not VerdictKind.CREATED or 0 < verdict.record_id <= ID_MAX
        assert verdict.kind is not VerdictKind.CREATED or b'"WasSuccessful"' in body or b"\\u" in body
        assert verdict.kind is not VerdictKind.UNSENT
        assert len(verdict.message) < 20_000
        assert verdict.message.isprintable()


def list_reply(data: bytes) -> None:
    for parse in (API.parse_page, API.parse_records):
        try:
            found = parse(data)
        except BadList:
            continue
        records = found.records if isinstance(found, ListPage) else found
        for record_id, pair, *_ in records:
            assert 0 < record_id <= ID_MAX
            assert all(number == NOBODY or 0 < number <= ID_MAX for number in pair)
        said = load(data)
        assert records or (said == [] if parse == API.parse_records else said["Records"] == []), "nothing, unsaid"


def retry_after(data: bytes) -> None:
    value, _, date = data.decode("latin-1").partition("\n")
    wait_s = parse_retry_after(value, date or None, WALL_S)
    assert wait_s is None or (math.isfinite(wait_s) and 0 <= wait_s <= RETRY_AFTER_MAX_S)


def head(data: bytes) -> None:
    """A reply from the wire in pieces: bounded, and never a whole one after its end."""
    reader = ReplyReader(head_bytes=HEAD_BYTES, body_bytes=BODY_BYTES)
    size = 1 + data[0] % 40 if data else 1
    for start in range(1, len(data), size):
        reply = reader.feed(data[start : start + size])
        if reply is not None:
            break
    else:
        reply = reader.end(is_clean=True)
    assert reply is None or isinstance(reply, Reply)
    if reply is not None:
        assert len(reply.body) <= BODY_BYTES
        assert reply.fault is None or (isinstance(reply.fault, Fault) and not reply.body)


def token_reply(data: bytes) -> None:
    status, body = int.from_bytes(data[:2]) % 700, data[2:]
    assert isinstance(json_object(body), dict)
    said = refusal(Reply(status, body), secrets=("secret-of-mine",))
    assert isinstance(said, BulkwriterError)
    assert "secret-of-mine" not in f"{said} {said.hint}"


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "csv": lambda data: source(data, "a.csv"),
    "jsonl": lambda data: source(data, "a.jsonl"),
    "stdin": lambda data: source(data, "-"),
    "create-reply": create_reply,
    "list-reply": list_reply,
    "retry-after": retry_after,
    "head": head,
    "token-reply": token_reply,
}
CREATED: Final = b'{"Status":200,"Message":"ok","Value":{"Id":87},"Errors":null,"WasSuccessful":true}'
REFUSED: Final = b'{"Message":"no","Value":null,"Errors":[{"PropertyName":"A","Message":"b"}],"WasSuccessful":false}'
SEEDS: Final[dict[str, tuple[bytes, ...]]] = {
    "csv": (
        b"\x05CourseLessonId,CourseMemberId\n1,2\n3,4\n",
        b"1" + b"\xc9" * 220 + b"\0\n",
        b'\x01a;"CourseMemberId";courselessonid\r\n"x\ny";5;6\r\n',
    ),
    "jsonl": (b'\x07{"CourseLessonId":1,"CourseMemberId":2}\n{"CourseLessonId":"3","CourseMemberId":4}\n',),
    "stdin": (b"\x09CourseLessonId\tCourseMemberId\n1\t2\n", b'\x02[{"CourseLessonId":1}]\n'),
    "create-reply": (b"\x00\xc8" + CREATED, b"\x01\x90" + REFUSED, b"\x01\xad5", b"\x01\xf6<html>"),
    "list-reply": (
        b'{"Records":[],"CurrentPageSize":25,"CurrentPage":1,"HasNextPage":false,"TotalItems":0,"TotalPages":0}',
        b'[{"Id":5,"CourseLessonId":1,"CourseMemberId":2}]',
        b"[]",
    ),
    "retry-after": (b"120", b"Mon, 23 Nov 2026 10:00:03 GMT\nMon, 23 Nov 2026 10:00:00 GMT", b"1e9"),
    "head": (
        b"\x05HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\n{}",
        b"\x05HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"\x09HTTP/1.0 503 No\r\n\r\nbody",
    ),
    "token-reply": (b"\x00\xc8" + b'{"access_token":"t","expires_in":5}', b"\x01\x90" + b'{"error":"invalid_grant"}'),
}
