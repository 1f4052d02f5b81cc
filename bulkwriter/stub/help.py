"""Writes the text of `bulkwriter help stub`.

Keys, kinds and truth fields come from the dataclasses and tables themselves, defaults included, so that the text cannot
fall behind the code; only the introduction and the example are written here, and a test loads the example.
Not imported until somebody asks for it.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Mapping

from .faults import KINDS, FaultRule
from .limits import KINDS as LIMIT_KINDS
from .limits import LimitRule
from .people import People
from .scenario import Grid, Scenario
from .tokens import User
from .truth import FIELDS

WIDTH = 110

INTRO = """\
The stub is a local server that behaves like the Nexudus API, in memory and on loopback only:

    bulkwriter stub --scenario scenario.json

Without a scenario it knows the token "stub-token" (and user admin@example.com, password stub-password),
answers at once and never fails.  A scenario is a JSON or TOML file with the keys below.  All are optional; an
unknown key is an error.

Example: a server with 100 lessons × 1,000 members; half of these pairs exist.  It allows 50 creates a second with
bursts of 10, and answers in about 80 ms.  For 2% of the creates it makes the record, but the reply does not say so:

    {
      "seed": 7,
      "existing": {"lessons": 100, "members": 1000, "share": 0.5},
      "latency_s": 0.08, "latency_sigma": 0.3,
      "limits": [{"kind": "bucket", "count": 50, "window_s": 1, "burst": 10, "status": 409}],
      "faults": [{"kind": "rst_after", "share": 0.01},
                 {"kind": "500_after", "share": 0.01},
                 {"kind": "list_short", "share": 0.2}]
    }

A daily cap is one more limit: {"kind": "window", "count": 2500, "window_s": 86400}."""

PEOPLE = """\
With {"people": {}} there are made-up coworkers (/api/spaces/coworkers), courses, lessons (courselessons) and
enrolments (coursemembers, below /api/content).  All are listed and read, one by one and by ?id=[1,2]; enrolments
are created and deleted too.  Keys that begin with "drawn" count from the start or a reset on."""

FAULTS = """\
Each request of the operation `on` draws once; the shares of one operation may add up to at most 1.  A kind that
ends in _before does not apply the request.  A kind that ends in _after applies it, but the client cannot know."""

ADMIN = """\
    GET  /stub/truth      what happened, as JSON with the keys below
    GET  /stub/records    every record as NDJSON: Id, CourseLessonId, CourseMemberId
    GET  /stub/enrolments every enrolment as NDJSON: Id, CourseId, CoworkerId, Approved, Blocked
    POST /stub/scenario   use this whole scenario from now on; records, tokens and counts stay
    POST /stub/reset      start over, with the existing records only and all counts 0
These calls need no token.  They are never throttled and not counted."""

PYTEST = """\
    def test_enrols(bulkwriter_stub):
        bulkwriter_stub.set_scenario(faults={"rst_after": 0.1}, seed=7)
        my_service(base_url=bulkwriter_stub.base_url, token=bulkwriter_stub.token)
        assert bulkwriter_stub.truth()["doubles"] == 0

The fixture comes with the package; override bulkwriter_stub_scenario to start with a scenario.  In async code
write `async with await bulkwriter.stub.serve(scenario) as stub`, elsewhere `with bulkwriter.stub.StubThread(scenario)
as stub`."""


def text() -> str:
    """The whole help text."""
    parts = [
        INTRO,
        _titled("Scenario", _fields(Scenario)),
        _titled("existing, as a grid", _fields(Grid)),
        _titled("users", _fields(User)),
        _titled("people", PEOPLE, _fields(People)),
        _titled("Limits", _fields(LimitRule), _table(LIMIT_KINDS.items(), "kind ")),
        _titled(
            "Faults", FAULTS, _fields(FaultRule), _table(((name, _describe_kind(name)) for name in KINDS), "kind ")
        ),
        _titled("Admin calls", ADMIN, _table(FIELDS.items())),
        _titled("In tests", PYTEST),
    ]
    return "\n\n".join(parts) + "\n"


def _titled(title: str, *parts: str) -> str:
    return "\n".join((title.upper(), *parts))


def _fields(cls: type) -> str:
    rows = []
    for f in dataclasses.fields(cls):
        default = "" if f.default is dataclasses.MISSING else f" [{_shown(f.default)}]"
        rows.append((f.name, f.metadata["text"] + default))
    return _table(rows)


def _shown(default: object) -> str:
    if default is None:
        return "null"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Mapping):
        return ", ".join(f'"{key}"' for key in default)
    if isinstance(default, tuple):
        return (
            ", ".join(default) if all(isinstance(v, str) for v in default) and default else "one" if default else "none"
        )
    return f"{default:g}" if isinstance(default, float) and default < 1000 else str(default) or "empty"


def _describe_kind(kind: str) -> str:
    row = KINDS[kind]
    own = [f"on {row.on}"] if row.on != "create" else []
    own += [f"delay_s {row.delay_s:g}"] if row.delay_s else []
    return row.text + (f" [{', '.join(own)}]" if own else "")


def _table(rows: Iterable[tuple[str, str]], prefix: str = "") -> str:
    rows = list(rows)
    width = max(len(name) for name, _ in rows) + len(prefix)
    indent = " " * (width + 4)
    return "\n".join(
        textwrap.fill(
            f"  {prefix + name:<{width}}  {sentence}", WIDTH, subsequent_indent=indent, break_long_words=False
        )
        for name, sentence in rows
    )
