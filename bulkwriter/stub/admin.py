"""The admin calls under /stub/: they show what happened and which records there are, and change the scenario.

    GET  /stub/truth      JSON, the keys of `truth.FIELDS`
    GET  /stub/records    NDJSON, one {"Id", "CourseLessonId", "CourseMemberId"} a record, by id
    GET  /stub/enrolments the same for enrolments: {"Id", "CourseId", "CoworkerId", "Approved", "Blocked"}
    POST /stub/scenario   a whole scenario as JSON, in place of the present one: keys left out have their defaults
    POST /stub/reset      start over with the present scenario: existing records, nothing else, all counts zero

An admin call needs no token, meets no throttle and no fault, and is not counted: a test must be able to trust it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from ..errors import UsageError
from .responses import NO_SUCH_PATH, Response, as_json
from .scenario import Scenario

if TYPE_CHECKING:
    from .request import Request
    from .server_core import ServerCore

NDJSON = b"application/x-ndjson"


def answer_admin(core: ServerCore, request: Request) -> Response:
    match request.head.method, request.head.path:
        case b"GET", b"/stub/truth":
            return as_json(200, core.describe())
        case b"GET", b"/stub/records":
            lines = [b'{"Id":%d,"CourseLessonId":%d,"CourseMemberId":%d}\n' % row for row in core.api.records.rows()]
            return Response(200, b"".join(lines), NDJSON)
        case b"GET", b"/stub/enrolments":
            rows = core.api.people.enrolments() if core.api.people else []
            return Response(200, b"".join(orjson.dumps(row) + b"\n" for row in rows), NDJSON)
        case b"POST", b"/stub/scenario":
            return _install(core, request.body)
        case b"POST", b"/stub/reset":
            core.reset()
            return as_json(200, {"reset": True})
        case _:
            return NO_SUCH_PATH


def _install(core: ServerCore, body: bytes) -> Response:
    try:
        core.install(Scenario.from_mapping(orjson.loads(body)))
    except orjson.JSONDecodeError as e:
        return as_json(400, {"error": f"not JSON: {e}"})
    except UsageError as e:
        return as_json(400, {"error": e.message, "hint": e.hint})
    return as_json(200, {"installed": True})
