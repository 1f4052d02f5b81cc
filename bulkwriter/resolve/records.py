"""The four lists that ids come from, and what is kept of their records.  Pure: a decoded record in, a value out.

| list        | address                    | role            | kept                                         |
| ----------- | -------------------------- | --------------- | -------------------------------------------- |
| courses     | /api/content/courses       | Course-List     | Id, Title                                    |
| lessons     | /api/content/courselessons | CourseLesson-…  | Id, Title, CourseId, SectionTitle, Active    |
| enrolments  | /api/content/coursemembers | CourseMember-…  | Id, CourseId, CoworkerId, name, its standing |
| people      | /api/spaces/coworkers      | Coworker-…      | Id, Email, FullName, Active                  |

A person's record also has calendar tokens, door keys and a bank account.  Nothing but these four fields leaves this
module, so nothing else can be cached, logged or written.

A record without its own id, or with ids in another form than whole numbers, is a `BadList`: a list that cannot be
read must not look like one that lacks somebody.  An enrolment whose person or course was deleted has no id there.  It
is nobody's, so it comes as None.  `Approved`, `Blocked` and `Active` count only where they are there and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..net.api import BadList, is_id, is_id_in_other_words

Fields = Mapping[str, Any]
TEXT_CHARS: Final = 1_000
"""Of a title or name; a longer one is cut, so that no server fills our memory with one."""


class ListedCourse(NamedTuple):
    id: int
    title: str


class ListedLesson(NamedTuple):
    id: int
    title: str
    course_id: int
    section: str
    is_active: bool


class ListedEnrolment(NamedTuple):
    """`standing` is empty, `blocked` or `not approved`."""

    id: int
    course_id: int
    coworker_id: int
    name: str
    standing: str


class ListedPerson(NamedTuple):
    """`email` is empty where a record does not show one."""

    id: int
    email: str
    name: str
    is_active: bool


Kept = ListedCourse | ListedLesson | ListedEnrolment | ListedPerson


@dataclass(frozen=True, slots=True)
class ListKind:
    """One list: `word` for people, `name` in roles, `path` below the base URL, and how many records to ask for."""

    word: str
    name: str
    path: str
    page_size: int
    read: Callable[[Fields], Kept | None]
    restore: Callable[..., Kept]

    @property
    def list_role(self) -> str:
        return f"{self.name}-List"

    @property
    def read_role(self) -> str:
        return f"{self.name}-Read"


def own_id(row: Fields) -> int:
    """The record's own id.  Raises `BadList`."""
    value = row.get("Id")
    if not is_id(value):
        raise BadList(f"a record's Id is no positive 64-bit integer: {value!r:.40}", is_list=True)
    assert isinstance(value, int)
    return value


def other_id(row: Fields, field: str) -> int | None:
    """The id of what a record belongs to; None where that is gone.  Raises `BadList`."""
    if field not in row:
        raise BadList(f"record {row['Id']} has no {field}", is_list=True)
    value = row[field]
    if is_id(value):
        assert isinstance(value, int)
        return value
    if is_id_in_other_words(value):
        raise BadList(f"record {row['Id']} has a {field} that is no integer: {value!r:.40}", is_list=True)
    return None


def text(row: Fields, field: str) -> str:
    value = row.get(field)
    return value[:TEXT_CHARS] if isinstance(value, str) else ""


def read_course(row: Fields) -> ListedCourse:
    return ListedCourse(own_id(row), text(row, "Title"))


def read_lesson(row: Fields) -> ListedLesson | None:
    lesson_id, course_id = own_id(row), other_id(row, "CourseId")
    if course_id is None:
        return None
    is_active = row.get("Active") is not False
    return ListedLesson(lesson_id, text(row, "Title"), course_id, text(row, "SectionTitle"), is_active)


def read_enrolment(row: Fields) -> ListedEnrolment | None:
    enrolment_id, course_id, coworker_id = own_id(row), other_id(row, "CourseId"), other_id(row, "CoworkerId")
    if course_id is None or coworker_id is None:
        return None
    standing = "blocked" if row.get("Blocked") is True else "not approved" if row.get("Approved") is False else ""
    return ListedEnrolment(enrolment_id, course_id, coworker_id, text(row, "CoworkerFullName"), standing)


def read_person(row: Fields) -> ListedPerson:
    return ListedPerson(own_id(row), text(row, "Email"), text(row, "FullName"), row.get("Active") is not False)


COURSES: Final = ListKind("courses", "Course", "/api/content/courses", 1_000, read_course, ListedCourse)
LESSONS: Final = ListKind("lessons", "CourseLesson", "/api/content/courselessons", 100, read_lesson, ListedLesson)
"""Lessons come with their contents (HTML), so a thousand of them can be larger than any bound."""
ENROLMENTS: Final = ListKind(
    "enrolments", "CourseMember", "/api/content/coursemembers", 1_000, read_enrolment, ListedEnrolment
)
PEOPLE: Final = ListKind("people", "Coworker", "/api/spaces/coworkers", 1_000, read_person, ListedPerson)
KINDS: Final = {kind.name: kind for kind in (COURSES, LESSONS, ENROLMENTS, PEOPLE)}

COURSE_OF_LESSON: Final = "CourseLesson_Course"
COURSE_OF_ENROLMENT: Final = "CourseMember_Course"
EMAIL_OF_PERSON: Final = "Coworker_Email"
