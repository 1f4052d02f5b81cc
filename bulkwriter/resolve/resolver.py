"""From the rows of a table to their ids: which lists are needed, in which order, and then each row by itself.

    1. what the rows name: e-mails, courses, ids
    2. the list of courses; from here on the number of calls is known, and told with its time
    3. for each course that a row names, its lessons and its enrolments; or all enrolments at once, where the whole
       list has no more pages than there are courses
    4. lessons and enrolments that only their ids name, read by these
    5. people, by the cheapest way (`people`)
    6. each row is matched (`matching`)

Only lists and reads are sent.  Everything that comes is kept in the cache, so the same table again asks for nothing,
and a killed start goes on.  Rows are matched only when all lists are there: what failed is an error, and no row is
then called "not found".

Invariant: every row of the table comes out once, in its order, with two ids or with a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import anyio
import anyio.lowlevel

from ..amounts import duration, quantity
from ..errors import ConfigurationStop
from ..model import QuotaWindow
from ..net.calls import LANES
from .directory import CourseView, Directory
from .fetch import BatchRefused, Lists
from .matching import NAMES_NOTHING, Resolved, RowReason, Unknown, Unresolved, match
from .names import Names
from .normal import email_key
from .people import PeopleFinder, shows_emails
from .records import (
    COURSE_OF_ENROLMENT,
    COURSE_OF_LESSON,
    COURSES,
    ENROLMENTS,
    LESSONS,
    Kept,
    ListedCourse,
    ListedEnrolment,
    ListedLesson,
    ListKind,
)
from .spool import Spool
from .ways import costs, pages, seconds_for
from .wishes import Wish, WishColumns

FEW_COURSES: Final = 4
"""With fewer courses the whole list of enrolments is not thought of: it would cost a call to learn its length."""
BREATH_ROWS: Final = 1_000
"""Rows that are looked at in one step of the event loop, some 10 ms."""


class MatchedRow(NamedTuple):
    """A row of the table, and what became of it."""

    line: int
    cells: list[str]
    wish: Wish
    outcome: Resolved | Unresolved


class Resolver:
    """Resolves the rows in `spool`.  `tell` gets sentences for people."""

    def __init__(
        self,
        lists: Lists,
        columns: WishColumns,
        spool: Spool,
        *,
        windows: Sequence[QuotaWindow],
        tell: Callable[[str], None],
        by_name: bool = False,
        accepted: Collection[RowReason] = (),
    ) -> None:
        self._lists = lists
        self._columns = columns
        self._spool = spool
        self._windows = windows
        self._tell = tell
        self._by_name = by_name
        self._accepted = accepted
        self._directory = Directory()
        self.reasons: Counter[RowReason] = Counter()
        """Why rows could not be resolved, as far as `rows` has come."""
        self.resolved = 0
        self.missing_enrolments: dict[tuple[int, int], list[int]] = {}
        """(course id, coworker id) -> lines of the rows that lack this enrolment and nothing else."""

    async def prepare(self) -> None:
        """Read every list that the rows need.  Raises `ConfigurationStop` or `TryLater`."""
        names = Names()
        async for wish in self._wishes():
            names.add(wish)
        directory = self._directory = Directory(names.emails)
        directory.add_courses(c for c in await self._lists.whole(COURSES) if isinstance(c, ListedCourse))
        await self._read_alone(names.lessons_alone, names.enrolments_alone)
        courses = names.courses_in(directory)
        finder = PeopleFinder(self._lists, directory, self._tell)
        await self._tell_plan(names, courses, finder)
        await self._read_courses(courses)
        await self._read_alone(
            [i for i in names.lessons if directory.lesson_elsewhere(i) is None],
            [i for i in names.enrolments if directory.enrolment_elsewhere(i) is None],
        )
        await finder.find(self._unknown)

    async def rows(self) -> AsyncIterator[MatchedRow]:
        """Every row with what became of it, in the order of the table.  Needs `prepare`."""
        self.reasons.clear()
        self.missing_enrolments.clear()
        self.resolved = 0
        for count, (line, cells, fault, blank) in enumerate(self._spool, 1):
            wish = self._columns.wish(cells)
            outcome = Unresolved(RowReason.BAD_ROW, fault) if fault else self._match(wish)
            if blank and isinstance(outcome, Unresolved) and outcome.reason in NAMES_NOTHING and not outcome.details:
                outcome = outcome._replace(details=blank)
            assert not isinstance(outcome, Unknown), "everything was asked for"
            self._count(line, outcome)
            yield MatchedRow(line, cells, wish, outcome)
            if count % BREATH_ROWS == 0:
                await anyio.lowlevel.checkpoint()

    def left_s(self) -> float:
        """How long the calls take that are known to be needed, at least."""
        return self.seconds_of(self._lists.planned - self._lists.calls)

    def seconds_of(self, calls: int) -> float:
        return seconds_for(max(0, calls), self._windows, ("read", "any"))

    def _count(self, line: int, outcome: Resolved | Unresolved) -> None:
        if isinstance(outcome, Resolved):
            self.resolved += 1
            return
        self.reasons[outcome.reason] += 1
        if outcome.can_be_enrolled:
            self.missing_enrolments.setdefault((outcome.course_id, outcome.coworker_id), []).append(line)

    def _match(self, wish: Wish) -> Resolved | Unresolved | Unknown:
        return match(wish, self._directory, accepted=self._accepted, by_name=self._by_name)

    async def _wishes(self) -> AsyncIterator[Wish]:
        """What the rows ask for, but for those that cannot be read."""
        for count, (_, cells, fault, _) in enumerate(self._spool, 1):
            if not fault:
                yield self._columns.wish(cells)
            if count % BREATH_ROWS == 0:
                await anyio.lowlevel.checkpoint()

    async def _unknown(self) -> Collection[str]:
        """The e-mails that rows wait for, as they are written in the table, each once."""
        found: dict[str, str] = {}
        async for wish in self._wishes():
            if isinstance(outcome := self._match(wish), Unknown):
                found.setdefault(email_key(outcome.email), outcome.email)
        return found.values()

    async def _tell_plan(self, names: Names, courses: Sequence[int], finder: PeopleFinder) -> None:
        """What is to be listed, and how long that takes."""
        enrolments = len(courses)
        if len(courses) >= FEW_COURSES:
            table = (await self._lists.first(ENROLMENTS)).place
            enrolments = min(pages(table.total, table.page_size), enrolments + pages(table.total, table.page_size))
        calls = len(courses) + enrolments
        if names.emails and courses:
            sample = await finder.look()
            it = finder.situation(len(names.emails), sample)
            calls += min(costs(it).values(), default=it.everybody)
            shown = "" if shows_emails(sample) else ", whose list shows no e-mails"
            self._tell(f"the account has {sample.place.total:,} people{shown}")
        self._lists.expect(calls)
        seconds = self.seconds_of(calls)
        time = f", at least {duration(seconds)} under the quotas" if seconds >= 1 else ""
        emails, rows = quantity(len(names.emails), "e-mail"), quantity(len(self._spool), "row")
        named = f"{rows} with {emails} and {quantity(len(courses), 'known course')}"
        self._tell(f"{named}: about {quantity(calls, 'list call')}{time}")

    async def _read_courses(self, courses: Sequence[int]) -> None:
        """The lessons and enrolments of these courses."""
        lessons = await self._of_courses(LESSONS, COURSE_OF_LESSON, courses)
        enrolments = await self._of_courses(ENROLMENTS, COURSE_OF_ENROLMENT, courses)
        for course_id in courses:
            its_lessons = [row for row in lessons.get(course_id, ()) if isinstance(row, ListedLesson)]
            its_enrolments = [row for row in enrolments.get(course_id, ()) if isinstance(row, ListedEnrolment)]
            self._directory.add_view(course_id, CourseView(its_lessons, its_enrolments))

    async def _of_courses(self, kind: ListKind, field: str, courses: Sequence[int]) -> dict[int, list[Kept]]:
        """The records of these courses, by course: from a list of each, or from the whole list."""
        if kind is ENROLMENTS and len(courses) >= FEW_COURSES:
            place = (await self._lists.first(kind)).place
            if pages(place.total, place.page_size) <= len(courses):
                return by_course(await self._lists.whole(kind))
        found: dict[int, list[Kept]] = {}

        async def read(turn: Iterator[int]) -> None:
            for course_id in turn:
                found[course_id] = await self._lists.whole(kind, {field: str(course_id)})

        waiting = iter(courses)
        await read(islice(waiting, 1))
        if any(course_of(row) != course_id for course_id, rows in found.items() for row in rows):
            self._tell(f"the server does not select {kind.word} by course, so the whole list is read")
            return by_course(await self._lists.whole(kind))
        async with anyio.create_task_group() as group:
            for _ in range(LANES):
                group.start_soon(read, waiting)
        return {course_id: [r for r in rows if course_of(r) == course_id] for course_id, rows in found.items()}

    async def _read_alone(self, lessons: Collection[int], enrolments: Collection[int]) -> None:
        """Lessons and enrolments of which rows have the id, and no known course has them."""
        if lessons:
            found = await self._read_ids(LESSONS, lessons)
            self._directory.lessons_alone.update((r.id, r) for r in found if isinstance(r, ListedLesson))
        if enrolments:
            found = await self._read_ids(ENROLMENTS, enrolments)
            self._directory.enrolments_alone.update((r.id, r) for r in found if isinstance(r, ListedEnrolment))

    async def _read_ids(self, kind: ListKind, ids: Collection[int]) -> list[Kept]:
        try:
            return await self._lists.by_ids(kind, ids)
        except BatchRefused as refused:
            raise ConfigurationStop(
                f"{kind.word} of which only the id is known cannot be read: {refused.reason}",
                hint=f"give the user of this sign-in the role {kind.read_role}, or each row its course",
            ) from None


def course_of(row: Kept) -> int:
    assert isinstance(row, ListedLesson | ListedEnrolment)
    return row.course_id


def by_course(rows: Iterable[Kept]) -> dict[int, list[Kept]]:
    found: dict[int, list[Kept]] = {}
    for row in rows:
        found.setdefault(course_of(row), []).append(row)
    return found
