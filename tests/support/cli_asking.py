"""What the end-to-end tests of `verify` and `undo` share: asking them here, and doing things on the stub behind a run.

`ask` calls a command in this process with `--json` and short waits; `create` and `call` are somebody else's requests,
made with a plain HTTP client, so that they share nothing with what is tested.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_process import Done, Here, url_of

WAITS = "--doubt-wait=0.4"
PATH = "/api/content/coursecompletedlessons"


def ask(
    here: Here, what: str, target: Path | str, server: StubThread | str, *args: str
) -> tuple[int, dict[str, Any], Done]:
    """Exit code, the object on stdout, and what else was said."""
    done = here(what, str(target), "--base-url", url_of(server), "--json", WAITS, *args)
    return done.code, said(done), done


def said(done: Done) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    assert facts["exit_code"] == done.code
    return facts


def journal_of(source: Path) -> Path:
    return Path(f"{source}.journal")


def call(server: StubThread, method: str, path: str = PATH, body: object = None) -> Any:
    """A request of somebody else's."""
    parts = urlsplit(server.base_url)
    headers = {"Authorization": f"Bearer {CANARY}", "Content-Type": "application/json"}
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port or 0)) as connection:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        reply = connection.getresponse()
        assert reply.status == 200
        return json.loads(reply.read())


def create(server: StubThread, lesson: int, member: int) -> int:
    record_id: int = call(server, "POST", body={"CourseLessonId": lesson, "CourseMemberId": member})["Value"]["Id"]
    return record_id


def pairs_on(server: StubThread) -> list[tuple[int, int]]:
    return sorted((lesson, member) for _, lesson, member in server.records())
