"""Answers list calls: query string -> filters and paging -> positions -> the API's page.

Known parameters are `page`, `size`, `orderBy`, `dir`, the two id filters, four text filters, and `from_`/`to_` ranges
over CreatedOn and UpdatedOn (never different here: nothing updates a record).  Others are ignored, as servers do.  A
`size` above the scenario's maximum is capped without a word; `CurrentPageSize` tells.  Records committed less than
`list_lag_s` ago are not shown, nor counted.  A parameter that is no number or no date is a 400, so that a client's
mistake is seen.

Ids and times grow with the position, so the default order, its reverse, and time ranges are slices; text filters and
other orders scan.  Pure: `now` is an argument.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from .records import Positions, Records
from .responses import EDITOR, ENTITY, Renderer

DEFAULT_SIZE = 25
ID_ORDERS = ("id", "createdon", "updatedon")
_LESSON = f"{ENTITY}_CourseLesson"
_COWORKER = f"{ENTITY}_CourseMember_Coworker"


TEXTS: dict[str, Callable[[int, int], str]] = {
    "CourseLessonTitle": lambda lesson_id, member_id: f"Lesson {lesson_id}",
    "CourseMemberCoworkerFullName": lambda lesson_id, member_id: f"Member {member_id}",
    "CourseMemberCoworkerCompanyName": lambda lesson_id, member_id: f"Company {member_id % 100}",
    "CourseMemberCoworkerTeamNames": lambda lesson_id, member_id: f"Team {member_id % 10}",
}
"""The made-up names of a record's lesson and member; the same ids always have the same names."""


class BadParameter(Exception):
    """A list parameter has no sense; the message is for the client."""


@dataclass(slots=True)
class Query:
    """What a query string asks for.  `low` and `high` bound the commit second, in wall seconds."""

    page: int = 1
    size: int = DEFAULT_SIZE
    order_by: str = "Id"
    direction: int = 1
    lesson_id: int | None = None
    member_id: int | None = None
    texts: dict[str, str] = field(default_factory=dict)
    low: float = -math.inf
    high: float = math.inf


class Listing:
    """Lists over one table."""

    def __init__(self, records: Records, renderer: Renderer, *, offset_s: float) -> None:
        self._records, self._renderer, self._offset_s = records, renderer, offset_s

    def page(self, query: Query, *, before: float, is_exact: bool) -> dict[str, Any]:
        """The envelope of one page over records committed at or before `before`."""
        positions = self._ordered(self._select(query, before, is_exact), query)
        total, first = len(positions), (query.page - 1) * query.size
        records = [self.record(p) for p in positions[first : first + query.size]]
        pages = -(-total // query.size)
        return {
            "Records": records,
            "CurrentPageSize": query.size,
            "CurrentPage": query.page,
            "CurrentOrderField": query.order_by,
            "CurrentSortDirection": query.direction,
            "FirstItem": first + 1 if records else 0,
            "LastItem": first + len(records) if records else 0,
            "HasNextPage": query.page < pages,
            "HasPreviousPage": query.page > 1,
            "TotalItems": total,
            "TotalPages": pages,
        }

    def by_ids(self, ids: Sequence[int], *, before: float) -> list[dict[str, Any]]:
        """The records of some ids that are there, in the order asked for."""
        upto = self._records.committed_by(before)
        positions = (self._records.position(record_id) for record_id in ids)
        return [self.record(p) for p in positions if p is not None and p < upto]

    def record(self, position: int) -> dict[str, Any]:
        """One record as the API shows it."""
        records = self._records
        record_id = records.first_id + position
        stamp = self._renderer.stamp(records.times[position])
        lesson_id, member_id = records.lessons[position], records.members[position]
        return {
            "Id": record_id,
            "CourseLessonId": lesson_id,
            "CourseMemberId": member_id,
            **{name: text(lesson_id, member_id) for name, text in TEXTS.items()},
            "UniqueId": f"00000000-0000-4000-8000-{record_id & 0xFFFFFFFFFFFF:012x}",
            "CreatedOn": stamp,
            "UpdatedOn": stamp,
            "UpdatedBy": EDITOR,
            "IsNew": False,
            "SystemId": None,
        }

    def _select(self, query: Query, before: float, is_exact: bool) -> Positions:
        records, offset_s = self._records, self._offset_s
        positions = records.find(query.lesson_id, query.member_id)
        if isinstance(positions, array):  # slices of it, also backward ones, then copy nothing
            positions = memoryview(positions)
        stop = records.committed_by(before)
        if query.high != math.inf:  # a stamp shows whole seconds, so the last second counts whole
            stop = min(stop, bisect_left(records.times, query.high + 1 - offset_s))
        start = bisect_left(records.times, query.low - offset_s) if query.low != -math.inf else 0
        positions = positions[bisect_left(positions, start) : bisect_left(positions, stop)]
        for name, wanted in query.texts.items():
            text = self._text(name)
            positions = [p for p in positions if _matches(text(p), wanted, is_exact)]
        return positions

    def _text(self, name: str) -> Callable[[int], str]:
        """What a position shows as this text."""
        lessons, members, text = self._records.lessons, self._records.members, TEXTS[name]
        return lambda position: text(lessons[position], members[position])

    def _ordered(self, positions: Positions, query: Query) -> Positions:
        order = query.order_by.lower()
        is_down = query.direction < 0
        if order in ID_ORDERS:
            return positions[::-1] if is_down else positions
        columns = {"courselessonid": self._records.lessons, "coursememberid": self._records.members}
        if order in columns:
            return sorted(positions, key=columns[order].__getitem__, reverse=is_down)
        for name in TEXTS:
            if order == name.lower():
                return sorted(positions, key=self._text(name), reverse=is_down)
        raise BadParameter(f"orderBy: {query.order_by} is not a field")


def parse_query(raw: bytes, *, size_max: int, zone_offset_s: float) -> Query:
    """What a query string asks for, or `BadParameter`."""
    query = Query()
    for name, value in parse_qsl(raw.decode("ascii", "replace"), keep_blank_values=True):
        read = _PARAMETERS.get(name.lower())
        if read is not None:
            read(query, name, value.strip())
    query.size = min(query.size if query.size > 0 else DEFAULT_SIZE, size_max)
    query.low -= zone_offset_s
    query.high -= zone_offset_s
    return query


def parse_ids(raw: bytes) -> list[int] | None:
    """The ids of `?id=[1,2,3]`, or None where the query has none; `BadParameter` where they are not ids."""
    for name, value in parse_qsl(raw.decode("ascii", "replace")):
        if name.lower() == "id":
            inside = value.strip().removeprefix("[").removesuffix("]")
            return [_whole("id", part.strip()) for part in inside.split(",") if part.strip()]
    return None


def _whole(name: str, value: str) -> int:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 19:
        raise BadParameter(f"{name}: {value} is not a number")
    return int(value)


def _read_whole(attribute: str, low: int) -> Callable[[Query, str, str], None]:
    def read(query: Query, name: str, value: str) -> None:
        number = _whole(name, value)
        if number < low:
            raise BadParameter(f"{name}: {value} is less than {low}")
        setattr(query, attribute, number)

    return read


def _read_order(query: Query, name: str, value: str) -> None:
    query.order_by = value


def _read_direction(query: Query, name: str, value: str) -> None:
    if value not in ("1", "-1"):
        raise BadParameter(f"{name}: {value} is neither 1 nor -1")
    query.direction = int(value)


def _read_text(shown_as: str) -> Callable[[Query, str, str], None]:
    def read(query: Query, name: str, value: str) -> None:
        query.texts[shown_as] = value

    return read


def _read_bound(query: Query, name: str, value: str) -> None:
    try:
        when = datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadParameter(f"{name}: {value} is not like YYYY-MM-DDTHH:mm") from None
    if name.lower().startswith("from_"):
        query.low = max(query.low, when)
    else:
        query.high = min(query.high, when)


def _matches(text: str, wanted: str, is_exact: bool) -> bool:
    return text.lower() == wanted.lower() if is_exact else wanted.lower() in text.lower()


_PARAMETERS: dict[str, Callable[[Query, str, str], None]] = {
    "page": _read_whole("page", 1),
    "size": _read_whole("size", -(2**31)),
    "orderby": _read_order,
    "dir": _read_direction,
    _LESSON.lower(): _read_whole("lesson_id", -(2**63)),
    f"{ENTITY}_CourseMember".lower(): _read_whole("member_id", -(2**63)),
    f"{_LESSON}_Title".lower(): _read_text("CourseLessonTitle"),
    f"{_COWORKER}_FullName".lower(): _read_text("CourseMemberCoworkerFullName"),
    f"{_COWORKER}_CompanyName".lower(): _read_text("CourseMemberCoworkerCompanyName"),
    f"{_COWORKER}_TeamNames".lower(): _read_text("CourseMemberCoworkerTeamNames"),
    **{
        f"{edge}_{ENTITY}_{column}".lower(): _read_bound
        for edge in ("from", "to") for column in ("CreatedOn", "UpdatedOn")
    },
}  # fmt: skip
