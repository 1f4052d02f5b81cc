"""Answers list calls over a table of records that link two ids: filters and paging -> positions -> the API's page.

What a kind of record is called, what its filters are and what else a record shows is a `Shape`.  Every shape knows
filters by its two ids and by its texts, and `from_`/`to_` ranges over CreatedOn and UpdatedOn (never different here:
nothing updates a record).  Records committed less than `list_lag_s` ago are not shown, nor counted.

Ids and times grow with the position, so the default order, its reverse, and time ranges are slices; text filters,
further conditions and other orders scan.  Pure: `now` is an argument.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .query import BadParameter, Query, Reads, matches, page_of_list, read_bound, read_id, read_text
from .records import Positions, Records
from .responses import EDITOR, ENTITY, Renderer

ID_ORDERS = ("id", "createdon", "updatedon")
Text = Callable[[int, int], str]
"""A text of a record, from its two ids."""


def nothing_more(position: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of record.  `texts` are by field; `text_filters` say by which parameter each of them is filtered.

    `more` gives further fields of the record at a position.
    """

    entity: str
    fields: tuple[str, str]
    id_filters: tuple[str, str]
    texts: Mapping[str, Text]
    text_filters: Mapping[str, str]
    more: Callable[[int], dict[str, Any]] = field(default=nothing_more)

    def reads(self) -> Reads:
        """How the parameters of its lists are read."""
        edges = (f"{edge}_{self.entity}_{name}" for edge in ("from", "to") for name in ("CreatedOn", "UpdatedOn"))
        return {
            **{name.lower(): read_id for name in self.id_filters},
            **{name.lower(): read_text for name in self.text_filters.values()},
            **{name.lower(): read_bound for name in edges},
        }


_LESSON = f"{ENTITY}_CourseLesson"
_COWORKER = f"{ENTITY}_CourseMember_Coworker"
COMPLETIONS = Shape(
    entity=ENTITY,
    fields=("CourseLessonId", "CourseMemberId"),
    id_filters=(_LESSON, f"{ENTITY}_CourseMember"),
    texts={
        "CourseLessonTitle": lambda lesson_id, member_id: f"Lesson {lesson_id}",
        "CourseMemberCoworkerFullName": lambda lesson_id, member_id: f"Member {member_id}",
        "CourseMemberCoworkerCompanyName": lambda lesson_id, member_id: f"Company {member_id % 100}",
        "CourseMemberCoworkerTeamNames": lambda lesson_id, member_id: f"Team {member_id % 10}",
    },
    text_filters={
        "CourseLessonTitle": f"{_LESSON}_Title",
        "CourseMemberCoworkerFullName": f"{_COWORKER}_FullName",
        "CourseMemberCoworkerCompanyName": f"{_COWORKER}_CompanyName",
        "CourseMemberCoworkerTeamNames": f"{_COWORKER}_TeamNames",
    },
)
"""Completed lessons.  Their names are made up; the same ids always have the same names."""


class Listing:
    """Lists over one table."""

    def __init__(self, records: Records, renderer: Renderer, *, offset_s: float, shape: Shape = COMPLETIONS) -> None:
        self._records, self._renderer, self._offset_s, self._shape = records, renderer, offset_s, shape

    def page(
        self, query: Query, *, before: float, is_exact: bool, keep: Callable[[int], bool] | None = None
    ) -> dict[str, Any]:
        """The envelope of one page over records committed at or before `before`, of those positions that `keep`."""
        found = self._select(query, before, is_exact)
        positions = self._ordered(found if keep is None else [p for p in found if keep(p)], query)
        first = (query.page - 1) * query.size
        shown = [self.record(p) for p in positions[first : first + query.size]]
        return page_of_list(query, len(positions), shown)

    def by_ids(self, ids: Sequence[int], *, before: float) -> list[dict[str, Any]]:
        """The records of some ids that are there, in the order asked for."""
        upto = self._records.committed_by(before)
        positions = (self._records.position(record_id) for record_id in ids)
        return [self.record(p) for p in positions if p is not None and p < upto]

    def record(self, position: int) -> dict[str, Any]:
        """One record as the API shows it."""
        records, shape = self._records, self._shape
        record_id = records.first_id + position
        stamp = self._renderer.stamp(records.times[position])
        first, second = records.firsts[position], records.seconds[position]
        return {
            "Id": record_id,
            shape.fields[0]: first,
            shape.fields[1]: second,
            **{name: text(first, second) for name, text in shape.texts.items()},
            **shape.more(position),
            "UniqueId": f"00000000-0000-4000-8000-{record_id & 0xFFFFFFFFFFFF:012x}",
            "CreatedOn": stamp,
            "UpdatedOn": stamp,
            "UpdatedBy": EDITOR,
            "IsNew": False,
            "SystemId": None,
        }

    def _select(self, query: Query, before: float, is_exact: bool) -> Positions:
        records, offset_s, shape = self._records, self._offset_s, self._shape
        positions = records.find(*(query.filters.get(name.lower()) for name in shape.id_filters))
        if isinstance(positions, array):  # slices of it, also backward ones, then copy nothing
            positions = memoryview(positions)
        stop = records.committed_by(before)
        if query.high != math.inf:  # a stamp shows whole seconds, so the last second counts whole
            stop = min(stop, bisect_left(records.times, query.high + 1 - offset_s))
        start = bisect_left(records.times, query.low - offset_s) if query.low != -math.inf else 0
        positions = positions[bisect_left(positions, start) : bisect_left(positions, stop)]
        for name, parameter in shape.text_filters.items():
            wanted = query.filters.get(parameter.lower())
            if wanted is not None:
                text = self._text(name)
                positions = [p for p in positions if matches(text(p), wanted, is_exact=is_exact)]
        return positions

    def _text(self, name: str) -> Callable[[int], str]:
        """What a position shows as this text."""
        firsts, seconds, text = self._records.firsts, self._records.seconds, self._shape.texts[name]
        return lambda position: text(firsts[position], seconds[position])

    def _ordered(self, positions: Positions, query: Query) -> Positions:
        order = query.order_by.lower()
        is_down = query.direction < 0
        if order in ID_ORDERS:
            return positions[::-1] if is_down else positions
        for name, column in zip(self._shape.fields, (self._records.firsts, self._records.seconds), strict=True):
            if order == name.lower():
                return sorted(positions, key=column.__getitem__, reverse=is_down)
        for name in self._shape.texts:
            if order == name.lower():
                return sorted(positions, key=self._text(name), reverse=is_down)
        raise BadParameter(f"orderBy: {query.order_by} is not a field")
