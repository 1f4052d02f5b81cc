"""The side door under /stub/: what happened, what is there, and how to behave from now on.

    GET  /stub/truth      JSON, the keys of `truth.FIELDS`
    GET  /stub/records    NDJSON, one {"Id", "CourseLessonId", "CourseMemberId"} a record, by id
    POST /stub/scenario   a whole scenario as JSON, in place of the present one: keys left out have their defaults
    POST /stub/reset      start over with the present scenario: existing records, nothing else, all counts zero

It needs no token, meets no throttle and no fault, and is not counted: a test must be able to trust it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from ..errors import UsageError
from .replies import NO_SUCH_PATH, Answer, as_json
from .scenario import Scenario

if TYPE_CHECKING:
    from .request import Request
    from .server_core import Site

NDJSON = b"application/x-ndjson"


def answer_side(site: Site, request: Request) -> Answer:
    match request.head.method, request.head.path:
        case b"GET", b"/stub/truth":
            return as_json(200, site.told())
        case b"GET", b"/stub/records":
            lines = [b'{"Id":%d,"CourseLessonId":%d,"CourseMemberId":%d}\n' % row for row in site.api.records.rows()]
            return Answer(200, b"".join(lines), NDJSON)
        case b"POST", b"/stub/scenario":
            return _install(site, request.body)
        case b"POST", b"/stub/reset":
            site.reset()
            return as_json(200, {"reset": True})
        case _:
            return NO_SUCH_PATH


def _install(site: Site, body: bytes) -> Answer:
    try:
        site.install(Scenario.from_mapping(orjson.loads(body)))
    except orjson.JSONDecodeError as e:
        return as_json(400, {"error": f"not JSON: {e}"})
    except UsageError as e:
        return as_json(400, {"error": e.message, "hint": e.hint})
    return as_json(200, {"installed": True})
