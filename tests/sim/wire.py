"""Between bytes and the model server: reads the requests that `net.api` makes, and writes replies as the API does.

A request's path tells the entity.  The model server knows none: it has pairs.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from bulkwriter.entities import Entity
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.entities.enrolments import APPROVED
from bulkwriter.model import Reply
from bulkwriter.net.api import NONCE

from .server import Answer, Pair, Record

ENTITIES = {entity.path: entity for entity in (COMPLETED_LESSONS, APPROVED)}
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

    entity: Entity
    token: str
    first: int | None
    second: int | None
    page: int
    size: int
    direction: int


def read_create(request: bytes) -> tuple[str, Pair]:
    """The token and the pair of a create, which must be one."""
    head, body = request.split(b"\r\n\r\n", 1)
    method, target, version = head.split(b"\r\n", 1)[0].decode().split(" ")
    assert (method, version) == ("POST", "HTTP/1.1"), head
    entity = ENTITIES[target]
    assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
    fields = orjson.loads(body)
    first, second = (fields.pop(name) for name in entity.fields)
    assert fields == dict(entity.constants)
    return token_of(head), (first, second)


def read_list(request: bytes) -> Ask:
    """A list call, which must be sorted by Id."""
    head = request.split(b"\r\n\r\n", 1)[0]
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    query = dict(parse_qsl(urlsplit(target).query, strict_parsing=True))
    assert method == "GET"
    assert query.pop("orderBy") == "Id"
    assert query.pop(NONCE)
    entity = ENTITIES[urlsplit(target).path]
    first, second = (query.pop(name, None) for name in entity.filter_names)
    ask = Ask(
        entity,
        token_of(head),
        int(first) if first else None,
        int(second) if second else None,
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
    rows = [{"Id": r.record_id, **dict(zip(ask.entity.fields, r.pair, strict=True))} for r in records]
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


def wire_of(reply: Reply) -> bytes:
    """A whole reply as it is on the wire."""
    lines = [f"HTTP/1.1 {reply.status} {reply.status}"]
    if reply.date is not None:
        lines.append(f"Date: {reply.date}")
    if reply.retry_after is not None:
        lines.append(f"Retry-After: {reply.retry_after}")
    if reply.status != 204:
        lines.append(f"Content-Length: {len(reply.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + reply.body
