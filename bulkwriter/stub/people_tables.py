"""Lists over coworkers, courses and lessons: rows that no request changes, each shown by a function of its own.

A `PeopleTable` has the rows of one kind, whose ids follow one by one from `first_id`.  `show` makes a record of a row,
as a list or as a read shows it; `filters` are its parameters, each with how its value is read and what of a row it is
held against.  Text is compared without case, exactly or as a part, as the scenario says.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .community import FIRST_COURSE, FIRST_COWORKER, FIRST_LESSON, Community, Coworker, Lesson
from .listing import ID_ORDERS
from .people import People
from .query import BadParameter, Query, Reads, ReadValue, page_of_list, read_flag, read_id, read_text
from .responses import EDITOR

MADE_ON = "2025-01-10T08:00:00Z"
"""When all of these were made and last changed."""
SECRETS = {"CalendarToken": "made-up-calendar-token", "AccessPincode": "0000", "BankAccount": "XX00 0000 0000 0000"}
"""What real records of coworkers hold beside the rest, and what nobody may keep."""
Keep = Callable[[int], bool]


class Filter(NamedTuple):
    """A parameter that selects rows: how its value is read, and what it is compared with."""

    read: ReadValue
    value_of: Callable[[Any], Any]


class PeopleTable:
    """See the module."""

    def __init__(
        self,
        entity: str,
        first_id: int,
        rows: Sequence[Any],
        show: Callable[..., dict[str, Any]],
        filters: Mapping[str, Filter],
    ) -> None:
        self.entity, self.first_id = entity, first_id
        self._rows, self._show = rows, show
        self._filters = {f"{entity}_{name}".lower(): one for name, one in filters.items()}
        self._folded: dict[str, list[str]] = {}  # texts in lower case, by parameter, made when first asked for

    def reads(self) -> Reads:
        return {name: one.read for name, one in self._filters.items()}

    def page(self, query: Query, *, is_exact: bool, keep: Keep | None) -> dict[str, Any]:
        """The envelope of one page of those rows whose ids `keep`, None being all."""
        found: Sequence[int] = range(len(self._rows))
        for name, wanted in query.filters.items():
            found = self._filter(found, name, wanted, is_exact=is_exact)
        if keep is not None:
            found = [place for place in found if keep(self.first_id + place)]
        if query.order_by.lower() not in ID_ORDERS:
            found = sorted(found, key=self._key(query.order_by))
        if query.direction < 0:
            found = found[::-1]
        first = (query.page - 1) * query.size
        shown = [self.record(self.first_id + place, is_listed=True) for place in found[first : first + query.size]]
        return page_of_list(query, len(found), shown)

    def has(self, record_id: int) -> bool:
        return 0 <= record_id - self.first_id < len(self._rows)

    def record(self, record_id: int, *, is_listed: bool) -> dict[str, Any]:
        """A record that is there, as a list or a read shows it."""
        return {
            "Id": record_id,
            **self._show(self._rows[record_id - self.first_id], is_listed=is_listed),
            "UniqueId": f"00000000-0000-4000-8000-{record_id & 0xFFFFFFFFFFFF:012x}",
            "CreatedOn": MADE_ON,
            "UpdatedOn": MADE_ON,
            "UpdatedBy": EDITOR,
            "IsNew": False,
            "SystemId": None,
        }

    def _filter(self, places: Sequence[int], name: str, wanted: Any, *, is_exact: bool) -> list[int]:
        one = self._filters[name]
        if not isinstance(wanted, str):
            return [place for place in places if one.value_of(self._rows[place]) == wanted]
        texts = self._folded.get(name)
        if texts is None:
            texts = self._folded[name] = [one.value_of(row).lower() for row in self._rows]
        wanted = wanted.lower()
        if is_exact:
            return [place for place in places if texts[place] == wanted]
        return [place for place in places if wanted in texts[place]]

    def _key(self, field: str) -> Callable[[int], Any]:
        first = self.record(self.first_id, is_listed=False) if self._rows else {}
        names = {name.lower(): name for name in first}
        if field.lower() not in names:
            raise BadParameter(f"orderBy: {field} is not a field")
        name = names[field.lower()]
        return lambda place: self.record(self.first_id + place, is_listed=False)[name]


def tables_of(community: Community, people: People) -> dict[str, PeopleTable]:
    """The tables of a community by resource, as these knobs show them."""
    summary, contents = " " * people.record_bytes, "<p>" + "x" * max(0, people.lesson_bytes - 7) + "</p>"

    def show_coworker(row: Coworker, *, is_listed: bool) -> dict[str, Any]:
        shown = {
            "CoworkerType": 1,
            "FullName": row.full_name,
            "Email": row.email,
            "Active": row.is_active,
            "InvoicingBusinessId": row.location,
            "InvoicingBusinessName": f"Location {row.location}",
            "IsDefaultProfile": row.is_default,
            "ProfileSummary": summary,
            **SECRETS,
        }
        if is_listed and not people.email_in_lists:
            del shown["Email"]
        return shown

    def show_lesson(row: Lesson, *, is_listed: bool) -> dict[str, Any]:
        course = community.courses[row.course_id - FIRST_COURSE]
        return {
            "CourseId": row.course_id,
            "CourseTitle": course.title,
            "Title": row.title,
            "SectionTitle": row.section,
            "Active": row.is_active,
            "DisplayOrder": row.order,
            "LessonContents": contents if people.lesson_bytes else "",
        }

    return {
        "coworkers": PeopleTable(
            "Coworker", FIRST_COWORKER, community.coworkers, show_coworker,
            {
                "Email": Filter(read_text, lambda row: row.email),
                "FullName": Filter(read_text, lambda row: row.full_name),
                "Active": Filter(read_flag, lambda row: row.is_active),
                "InvoicingBusiness": Filter(read_id, lambda row: row.location),
            },
        ),
        "courses": PeopleTable(
            "Course", FIRST_COURSE, community.courses,
            lambda row, *, is_listed: {
                "Title": row.title, "BusinessId": row.location, "BusinessName": f"Location {row.location}",
            },
            {
                "Title": Filter(read_text, lambda row: row.title),
                "Business": Filter(read_id, lambda row: row.location),
            },
        ),
        "lessons": PeopleTable(
            "CourseLesson", FIRST_LESSON, community.lessons, show_lesson,
            {
                "Course": Filter(read_id, lambda row: row.course_id),
                "Title": Filter(read_text, lambda row: row.title),
                "SectionTitle": Filter(read_text, lambda row: row.section),
                "Active": Filter(read_flag, lambda row: row.is_active),
            },
        ),
    }  # fmt: skip
