"""What a row of a person's table asks for, and the columns that say it.  Pure: names and cells in, a `Wish` out.

| meaning          | column names, without regard to case, spaces, `_` and `-`           |
| ---------------- | -------------------------------------------------------------------- |
| e-mail           | Email, EmailAddress, Mail, CoworkerEmail, MemberEmail                |
| full name        | FullName, CoworkerFullName, Name                                     |
| course title     | Course, CourseTitle, CourseName                                      |
| lesson title     | Lesson, LessonTitle, LessonName, CourseLessonTitle                   |
| section          | Section, SectionTitle                                                |
| ids where known  | CourseId, CoworkerId, CourseLessonId or LessonId, CourseMemberId     |

The first name of a line that is there wins.  Options name others.  A table needs one column that says who, and one
that says which lesson; a lesson's title also needs its course, which every row says for itself.

Full names are read only where that was asked for: two people may have one name.  An id that is no id spoils its row
with a reason; it is never taken for "not given".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..errors import SourceError, UsageError
from ..model import ID_MAX, column_key
from ..sources.columns import EMAIL_NAMES
from .normal import is_email

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "email": (*EMAIL_NAMES, "MemberEmail"),
    "name": ("FullName", "CoworkerFullName", "Name"),
    "course": ("Course", "CourseTitle", "CourseName"),
    "lesson": ("Lesson", "LessonTitle", "LessonName", "CourseLessonTitle"),
    "section": ("Section", "SectionTitle"),
    "course_id": ("CourseId",),
    "coworker_id": ("CoworkerId",),
    "lesson_id": ("CourseLessonId", "LessonId"),
    "member_id": ("CourseMemberId",),
}
MARKED: Final = re.compile(r"'(?=[=+\-@\t\r\n＝＋－＠])")
"""The apostrophe that our own tables have before what a spreadsheet would take for a formula (`cli.export`).  Without
it such a title is found again when a file of unresolved rows is resolved."""
IDS: Final = ("course_id", "coworker_id", "lesson_id", "member_id")
SHOWN_CHARS: Final = 40


class Wish(NamedTuple):
    """What one row says.  Texts are "" and ids 0 where it says nothing; `fault` is why its ids cannot be read."""

    email: str = ""
    name: str = ""
    course: str = ""
    lesson: str = ""
    section: str = ""
    course_id: int = 0
    coworker_id: int = 0
    lesson_id: int = 0
    member_id: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class WishColumns:
    """Where each meaning stands in a table: its place, from 0.  What is not there is not in `places`."""

    places: Mapping[str, int]
    names: tuple[str, ...]
    _texts: tuple[tuple[str, int], ...]
    _ids: tuple[tuple[str, int], ...]

    @classmethod
    def find(
        cls,
        names: Sequence[str],
        source: str,
        *,
        chosen: Mapping[str, str | None] | None = None,
        by_name: bool = False,
        hint: str = "",
    ) -> WishColumns:
        """The columns of a table with these names.

        `chosen` names columns by their meaning, as the options do.  Raises `UsageError` for a chosen column that is
        not there, `SourceError` if the table does not say who or which lesson, or says one of these twice; `hint` then
        says where else its columns are, if that is known.
        """
        keys = [column_key(name) for name in names]
        places: dict[str, int] = {}
        for meaning, usual in NAMES.items():
            given = (chosen or {}).get(meaning)
            at = place_of(keys, (given,) if given else usual, source)
            if given and at is None:
                raise UsageError(f"{source} has no column {given!r}", hint=f"its columns are {shown(names)}")
            if at is not None:
                places[meaning] = at
        if not by_name:
            places.pop("name", None)
        check(places, names, source, hint)
        texts = tuple((meaning, at) for meaning, at in places.items() if meaning not in IDS)
        ids = tuple((meaning, at) for meaning, at in places.items() if meaning in IDS)
        return cls(places, tuple(names), texts, ids)

    def wish(self, cells: Sequence[str]) -> Wish:
        """What a row with these cells asks for.  Missing cells are empty ones."""
        said: dict[str, Any] = {meaning: as_meant(cells[at]) for meaning, at in self._texts if at < len(cells)}
        if not self._ids:
            return Wish(**said)
        fault = ""
        for meaning, at in self._ids:
            if at < len(cells) and (value := cells[at].strip()):
                number = id_in(value)
                if number is None:
                    fault = fault or f"{self.names[at]} '{cut(value)}' is no id"
                said[meaning] = number or 0
        return Wish(**said, fault=fault)


def as_meant(cell: str) -> str:
    """The text of a cell, without the mark that we may have put before it."""
    text = cell.strip()
    return text[1:].strip() if MARKED.match(text) else text


def place_of(keys: Sequence[str], names: Sequence[str], source: str) -> int | None:
    """The place of the first of these names that is a column.  Raises `SourceError` if it is there twice."""
    for name in names:
        key = column_key(name)
        if (count := keys.count(key)) > 1:
            raise SourceError(f"{source}: the column {name} is there twice", hint="rename the one that is not wanted")
        if count:
            return keys.index(key)
    return None


def check(places: Mapping[str, int], names: Sequence[str], source: str, hint: str) -> None:
    """Refuse a table in which no row can be resolved."""
    found = f"; found: {shown(names)}"
    if not {"email", "name", "coworker_id", "member_id"} & places.keys():
        usual = "--email-column NAME names it; --by-name takes full names in its place"
        raise SourceError(f"{source}: no column with e-mails{found}", hint=hint or usual)
    if not {"lesson", "lesson_id"} & places.keys():
        raise SourceError(
            f"{source}: no column with lessons{found}", hint=hint or "--lesson-title-column NAME names it"
        )
    if "lesson_id" not in places and not {"course", "course_id"} & places.keys():
        raise SourceError(
            f"{source}: no column with courses, and a lesson's title alone does not say which lesson{found}",
            hint=hint or "--course-title-column NAME names it",
        )


def id_in(value: str) -> int | None:
    """The id in a cell, or None."""
    if not (value.isascii() and value.isdigit()) or len(value.lstrip("0")) > len(str(ID_MAX)):
        return None
    number = int(value)
    return number if 0 < number <= ID_MAX else None


def cut(value: str) -> str:
    return value if len(value) <= SHOWN_CHARS else f"{value[: SHOWN_CHARS - 1]}…"


def shown(names: Sequence[str]) -> str:
    """The names of columns, for people.  Without a header these are the first row's, so an e-mail is not shown."""
    said = ("(an e-mail)" if is_email(name) else cut(name) or '""' for name in names[:20])
    return ", ".join(said) + (" and more" if len(names) > 20 else "")
