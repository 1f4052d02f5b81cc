"""Makes up a spreadsheet of people for a community, with what is right for each row.

A row is what an operator has: an e-mail, a full name, the titles of a course and a lesson, a date.  A `SheetRow`
says which lesson and which enrolment it means, or why it means none.  Tests and `bulkwriter demo --people` hold
against it what `bulkwriter resolve` makes of the same sheet.  Chance is an argument: the same seed makes the same rows.
"""

from __future__ import annotations

import csv
import io
import random
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from xml.sax.saxutils import escape

from .community import FIRST_COURSE, FIRST_COWORKER, FIRST_LESSON, Community

HEADER = ("Email", "Name", "Course", "Section", "Lesson", "Date")
FIRST_DAY = date(2024, 1, 8)
TRIES = 1_000
"""Draws for one row until it is a new one of its kind; then the community is too small for such a sheet."""


class SheetRow(NamedTuple):
    """A row, and what is right for it.  `why` is empty for a row that means one lesson and one enrolment, else
    "unknown", "ambiguous", "not enrolled", "other course" or "inactive": of the last two the ids are told too."""

    cells: tuple[str, ...]
    why: str
    lesson_id: int
    enrolment_id: int

    @property
    def pair(self) -> tuple[int, int]:
        return self.lesson_id, self.enrolment_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetPlan:
    """How many rows of which kind; all others mean one lesson and one enrolment."""

    total: int = 500
    unknown: int = 20
    ambiguous: int = 5
    not_enrolled: int = 10
    other_course: int = 3
    inactive: int = 2


def draw_sheet(plan: SheetPlan, community: Community, rng: random.Random) -> list[SheetRow]:
    """The rows of a sheet, in random order.  `ValueError`: the community has too few people for it."""
    drawer = _Drawer(community, rng)
    odd = plan.unknown + plan.ambiguous + plan.not_enrolled + plan.other_course + plan.inactive
    kinds: list[tuple[Callable[[], SheetRow | None], int]] = [
        (drawer.unknown, plan.unknown), (drawer.ambiguous, plan.ambiguous),
        (drawer.not_enrolled, plan.not_enrolled), (drawer.other_course, plan.other_course),
        (drawer.inactive, plan.inactive), (drawer.plain, plan.total - odd),
    ]  # fmt: skip
    rows = [row for draw, count in kinds for row in drawer.several(draw, count)]
    rng.shuffle(rows)
    return rows


def as_csv(rows: Iterable[SheetRow]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(row.cells for row in rows)
    return out.getvalue()


class _Drawer:
    def __init__(self, community: Community, rng: random.Random) -> None:
        self._community, self._rng = community, rng
        enrolments = community.enrolments
        self._profiles: dict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(community.coworkers):
            self._profiles[one.email.casefold()].append(FIRST_COWORKER + place)
        self._lessons: dict[tuple[int, bool], list[int]] = defaultdict(list)  # by course and by being active
        for place, lesson in enumerate(community.lessons):
            self._lessons[lesson.course_id, lesson.is_active].append(FIRST_LESSON + place)
        first_person = FIRST_COWORKER + community.made_from.drifters
        self._open = [
            row
            for row in enrolments.rows()
            if row[2] >= first_person
            and community.has_open_enrolment(row[0])
            and community.coworkers[row[2] - FIRST_COWORKER].is_active
        ]
        self._double = [
            (course_id, coworker_id) for _, course_id, coworker_id in self._open
            if len(self._enrolled(course_id, coworker_id)) > 1
        ]  # fmt: skip
        self._seen: set[tuple[str, int]] = set()

    def several(self, draw: Callable[[], SheetRow | None], count: int) -> Iterator[SheetRow]:
        for _ in range(count):
            for _ in range(TRIES):
                row = draw()
                if row is not None and (key := (row.cells[0].casefold(), row.lesson_id)) not in self._seen:
                    self._seen.add(key)
                    yield row
                    break
            else:
                raise ValueError(f"too few people for such a sheet: no row for {draw.__name__}")

    def plain(self) -> SheetRow | None:
        enrolment_id, course_id, coworker_id = self._rng.choice(self._open)
        lessons = self._lessons[course_id, True]
        if not lessons or len(self._enrolled(course_id, coworker_id)) > 1:
            return None
        return self._row(coworker_id, self._rng.choice(lessons), enrolment_id, "")

    def unknown(self) -> SheetRow | None:
        row = self.plain()
        if row is None:
            return None
        name, _, host = row.cells[0].partition("@")
        return row._replace(cells=(f"{name}.left@{host}", *row.cells[1:]), why="unknown", enrolment_id=0)

    def ambiguous(self) -> SheetRow | None:
        if not self._double:
            return None
        course_id, coworker_id = self._rng.choice(self._double)
        lessons = self._lessons[course_id, True]
        return self._row(coworker_id, self._rng.choice(lessons), 0, "ambiguous") if lessons else None

    def not_enrolled(self) -> SheetRow | None:
        _, _, coworker_id = self._rng.choice(self._open)
        course_id = FIRST_COURSE + self._rng.randrange(len(self._community.courses))
        lessons = self._lessons[course_id, True]
        if not lessons or self._enrolled(course_id, coworker_id):
            return None
        return self._row(coworker_id, self._rng.choice(lessons), 0, "not enrolled")

    def other_course(self) -> SheetRow | None:
        """The lesson's title is none of the course that the row names."""
        row = self.plain()
        if row is None:
            return None
        other_id = FIRST_LESSON + self._rng.randrange(len(self._community.lessons))
        other = self._community.lessons[other_id - FIRST_LESSON]
        course_id = self._community.lessons[row.lesson_id - FIRST_LESSON].course_id
        here = {one.title for one in self._community.lessons if one.course_id == course_id}
        if other.course_id == course_id or other.title in here:
            return None
        cells = (*row.cells[:3], "", other.title, row.cells[5])
        return SheetRow(cells, "other course", other_id, row.enrolment_id)

    def inactive(self) -> SheetRow | None:
        enrolment_id, course_id, coworker_id = self._rng.choice(self._open)
        lessons = self._lessons[course_id, False]
        if not lessons or len(self._enrolled(course_id, coworker_id)) > 1:
            return None
        return self._row(coworker_id, self._rng.choice(lessons), enrolment_id, "inactive")

    def _enrolled(self, course_id: int, coworker_id: int) -> Sequence[int]:
        """Whichever profiles of a person are enrolled in a course."""
        one = self._community.coworkers[coworker_id - FIRST_COWORKER]
        find = self._community.enrolments.find
        return [other for other in self._profiles[one.email.casefold()] if find(course_id, other)]

    def _row(self, coworker_id: int, lesson_id: int, enrolment_id: int, why: str) -> SheetRow:
        one = self._community.coworkers[coworker_id - FIRST_COWORKER]
        lesson = self._community.lessons[lesson_id - FIRST_LESSON]
        title = self._community.courses[lesson.course_id - FIRST_COURSE].title
        day = FIRST_DAY + timedelta(days=self._rng.randrange(700))
        cells = (one.email, one.full_name, title, lesson.section, lesson.title, day.isoformat())
        return SheetRow(cells, why, lesson_id, enrolment_id)


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{KIND}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>'
    '<sheet name="People" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{LINKS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
"""The smallest workbook that Excel opens, but for its one worksheet.  Source: ECMA-376, part 1."""


def as_xlsx(rows: Iterable[SheetRow]) -> bytes:
    """A workbook of one worksheet, all cells as text."""
    cells = "".join(_line(cells) for cells in (HEADER, *(row.cells for row in rows)))
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in {**PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            whole = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{text}'
            book.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), whole)
    return out.getvalue()


def _line(cells: Sequence[str]) -> str:
    return "<row>" + "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in cells) + "</row>"
