"""Between bytes and the model server: reads the requests that `net.api` makes, and writes replies as the API does."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from bulkwriter.model import Reply
from bulkwriter.net.api import NONCE

from .server import Answer, Pair, Record

LESSON, MEMBER = "CourseCompletedLesson_CourseLesson", "CourseCompletedLesson_CourseMember"
ERRORS = [{"PropertyName": "CourseMemberId", "Message": "does not exist"}]
REFUSED = {"Status": 500, "Message": "CourseMemberId: does not exist", "Value": None, "Errors": ERRORS,
           "WasSuccessful": False}  # fmt: skip
DOUBLE: dict[str, object] = {
    "Message": "this lesson is completed already",
    "Value": None,
    "Errors": None,
    "WasSuccessful": False,
}


class Ask(NamedTuple):
    """A list call."""

    token: str
    lesson: int | None
    member: int | None
    page: int
    size: int
    direction: int


def read_create(request: bytes) -> tuple[str, Pair]:
    """The token and the pair of a create, which must be one."""
    head, body = request.split(b"\r\n\r\n", 1)
    assert head.startswith(b"POST /api/content/coursecompletedlessons HTTP/1.1\r\n"), head
    assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
    fields = orjson.loads(body)
    assert list(fields) == ["CourseLessonId", "CourseMemberId"]
    return token_of(head), (fields["CourseLessonId"], fields["CourseMemberId"])


def read_list(request: bytes) -> Ask:
    """A list call, which must be sorted by Id."""
    head = request.split(b"\r\n\r\n", 1)[0]
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    query = dict(parse_qsl(urlsplit(target).query, strict_parsing=True))
    assert method == "GET"
    assert query.pop("orderBy") == "Id"
    assert query.pop(NONCE)
    lesson, member = query.pop(LESSON, None), query.pop(MEMBER, None)
    ask = Ask(
        token_of(head),
        int(lesson) if lesson else None,
        int(member) if member else None,
        int(query.pop("page")),
        int(query.pop("size")),
        int(query.pop("dir")),
    )
    assert not query, query
    return ask


def token_of(head: bytes) -> str:
    return head.split(b"Authorization: Bearer ", 1)[1].split(b"\r\n", 1)[0].decode()


def create_reply(answer: Answer) -> Reply:
    """The reply to a create."""
    match answer.status:
        case 200:
            body = {"Status": 200, "Value": {"Id": answer.record_id}, "Errors": None, "WasSuccessful": True}
        case 400:
            body = REFUSED
        case 422:
            body = DOUBLE
        case 401:
            return Reply(401, b'{"Message":"Authorization has been denied for this request."}')
        case _:
            return Reply(answer.status, b"", retry_after=answer.retry_after)
    return Reply(answer.status, orjson.dumps(body))


def list_body(records: list[Record], *, ask: Ask, size: int, total: int) -> bytes:
    """The envelope of one page of `total` records."""
    first = (ask.page - 1) * size
    rows = [{"Id": r.record_id, "CourseLessonId": r.pair[0], "CourseMemberId": r.pair[1]} for r in records]
    return orjson.dumps(
        {
            "Records": rows,
            "CurrentPageSize": size,
            "CurrentPage": ask.page,
            "HasNextPage": first + size < total,
            "TotalItems": total,
            "TotalPages": -(-total // size),
        }
    )
