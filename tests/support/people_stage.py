"""A stub with made-up people, a table about them, and what must come out of it by an oracle of its own.

The oracle looks into the stub's community directly, with loops and no lists: it shares no code with `resolve`.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bulkwriter.events import Event
from bulkwriter.listing.lister import Lister
from bulkwriter.model import Reply
from bulkwriter.resolve.cache import Cache, cache_path
from bulkwriter.resolve.fetch import Lists
from bulkwriter.resolve.matching import Resolved
from bulkwriter.resolve.resolver import MatchedRow, Resolver
from bulkwriter.resolve.spool import Spool
from bulkwriter.resolve.wishes import WishColumns
from bulkwriter.server_client import ServerClient
from bulkwriter.settings import Limits, Settings
from bulkwriter.stub import Scenario, StubServer, serve
from bulkwriter.stub.community import FIRST_COURSE, FIRST_COWORKER, FIRST_LESSON, Community

NAMES = ["Email", "Course", "Lesson", "Section", "Note"]
SMALL = {"coworkers": 300, "courses": 6, "lessons": 9, "enrolments": 500, "profiles": 0.1, "drifters": 2}


class Row(NamedTuple):
    """A row of the table, and what must come out: two ids, or a reason."""

    cells: list[str]
    expected: tuple[int, int] | str


@dataclass
class Came:
    """What came out of one start."""

    rows: list[MatchedRow]
    calls: int
    said: list[str]
    missing_enrolments: dict[tuple[int, int], list[int]]
    outcomes: list[tuple[int, int] | str] = field(init=False)

    def __post_init__(self) -> None:
        self.outcomes = [
            (o.lesson_id, o.member_id) if isinstance(o := row.outcome, Resolved) else o.reason.value
            for row in self.rows
        ]


def community_of(stub: StubServer) -> Community:
    people = stub._core.api.people
    assert people is not None
    return people.community


def table_of(community: Community, count: int, seed: int = 1) -> list[Row]:
    """Rows about enrolled people, with slips: unknown e-mails, others' lessons, people of no such course."""
    rng = random.Random(seed)
    enrolments = [*community.enrolments.rows()]
    first = FIRST_COWORKER + community.made_from.drifters  # drifters come and go, so nothing is expected of them
    courses = range(FIRST_COURSE, FIRST_COURSE + len(community.courses))
    rows = []
    for number in range(count):
        _, course_id, person = rng.choice([e for e in rng.sample(enrolments, 9) if e[2] >= first])
        email = community.coworkers[person - FIRST_COWORKER].email
        match rng.randrange(20):
            case 0:
                email = f"nobody{number}@example.com"
            case 1:
                course_id = rng.choice(courses)
            case 2:
                email = f"  {email.swapcase()} "
        lesson_course = rng.choice(courses) if rng.randrange(15) == 0 else course_id
        lesson = rng.choice([one for one in community.lessons if one.course_id == lesson_course])
        cells = [
            email,
            community.courses[course_id - FIRST_COURSE].title,
            lesson.title,
            lesson.section,
            f"note {number}",
        ]
        rows.append(Row(cells, expected(community, cells)))
    return rows


def expected(community: Community, cells: Sequence[str]) -> tuple[int, int] | str:
    email, course, lesson, section, _ = cells
    course_id = FIRST_COURSE + [one.title for one in community.courses].index(course)
    lessons = [(FIRST_LESSON + i, one) for i, one in enumerate(community.lessons) if one.title == lesson]
    here = [(i, one) for i, one in lessons if one.course_id == course_id]
    fitting = [(i, one) for i, one in here if one.section == section]
    if len(fitting) != 1:
        if fitting:
            return "lesson ambiguous"
        return "lesson not found" if here or not lessons else "lesson of another course"
    profiles = set(community.ids_of(email.strip()))
    if not profiles:
        return "person not found"
    enrolled = [
        i for i, its_course, person in community.enrolments.rows() if its_course == course_id and person in profiles
    ]
    if len(enrolled) != 1:
        return "person ambiguous" if enrolled else "not enrolled"
    if not fitting[0][1].is_active:
        return "lesson inactive"
    if enrolled[0] in community.blocked:
        return "enrolment blocked"
    return "enrolment not approved" if enrolled[0] in community.unapproved else (fitting[0][0], enrolled[0])


class Stopped(Exception):
    """The start was ended, as by a kill."""


@asynccontextmanager
async def serving(people: dict[str, Any] | None = None, **scenario: Any) -> AsyncIterator[StubServer]:
    raw = {"seed": 5, "people": {**SMALL, **(people or {})}, **scenario}
    async with await serve(Scenario.from_mapping(raw)) as stub:
        yield stub


async def resolve(
    stub: StubServer, rows: Sequence[Row], folder: Path, *, is_fresh: bool = False, body_bytes: int = 16 << 20,
    names: Sequence[str] = NAMES, mangle: Callable[[bytes], bytes] = bytes, stop_after: int | None = None,
    give_up_after_s: float = 20.0, token: str = "stub-token", **how: Any,
) -> Came:  # fmt: skip
    """One start over these rows.  What lists show is kept in `folder`.

    `mangle` changes requests on their way.  The start is cancelled after `stop_after` list calls (`Stopped`).
    """
    said: list[str] = []
    events: list[Event] = []
    settings = Settings(
        base_url=stub.base_url, token=token, quota=("none",), give_up_after_s=give_up_after_s,
        limits=Limits(list_body_bytes=body_bytes),
    )  # fmt: skip
    path = cache_path(settings, {"XDG_CACHE_HOME": str(folder)})
    with closing(Spool(folder)) as spool, Cache(path, time.time, is_fresh=is_fresh) as cache:
        for line, row in enumerate(rows, 2):
            spool.add(line, row.cells)
        async with ServerClient(settings, tell=events.append) as client:

            async def request(data: bytes) -> Reply:
                if lister.calls == stop_after:
                    raise Stopped
                return await client.request(mangle(data))

            lister = Lister(request, client.api, client.tokens, wall=time.time, most_age_s=5.0)
            lists = Lists(client.api, lister, cache, settings, tell=events.append, clocks=client.clocks)
            columns = WishColumns.find(names, "table", by_name=how.get("by_name", False))
            resolver = Resolver(lists, columns, spool, windows=(), tell=said.append, **how)
            await resolver.prepare()
        found = [row async for row in resolver.rows()]
        return Came(found, lists.calls, said, resolver.missing_enrolments)
