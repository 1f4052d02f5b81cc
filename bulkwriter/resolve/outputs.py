"""The two tables that come out: rows with ids, which are a SOURCE, and rows without, each with its reason.  Pure.

    resolved      CourseLessonId, CourseMemberId, the person's own columns, ResolvedBy
    unresolved    the person's own columns, CourseId and CoworkerId as far as they are known, then Line, RowReason,
                  Details, Candidates

A column of the person's own that has the name of one of ours gives way to it, but for CourseId and CoworkerId: there
an own value stays, and only an empty one is filled.  So a file of unresolved rows can be corrected and resolved again:
its ids count, and the columns with reasons are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..model import column_key
from .matching import Resolved, Unresolved

RESOLVED_BY: Final = "ResolvedBy"
KNOWN: Final = ("CourseId", "CoworkerId")
REASONS: Final = ("Line", "Reason", "Details", "Candidates")


class Outputs:
    """Makes rows of both tables for a table with these `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        keys = [column_key(name) for name in names]
        self._names = names
        ours = {column_key(name) for name in (*COMPLETED_LESSONS.fields, RESOLVED_BY)}
        self._own = [at for at, key in enumerate(keys) if key not in ours]
        reasons = {column_key(name) for name in REASONS}
        self._kept = [at for at, key in enumerate(keys) if key not in reasons]
        self._known = [(keys.index(column_key(name)) if column_key(name) in keys else None) for name in KNOWN]

    def resolved_names(self) -> list[str]:
        return [*COMPLETED_LESSONS.fields, *(self._names[at] for at in self._own), RESOLVED_BY]

    def resolved(self, cells: Sequence[str], outcome: Resolved) -> list[str]:
        own = [cells[at] if at < len(cells) else "" for at in self._own]
        return [str(outcome.lesson_id), str(outcome.member_id), *own, outcome.by]

    def unresolved_names(self) -> list[str]:
        added = [name for name, at in zip(KNOWN, self._known, strict=True) if at is None]
        return [*(self._names[at] for at in self._kept), *added, *REASONS]

    def unresolved(self, line: int, cells: Sequence[str], outcome: Unresolved) -> list[str]:
        filled = [*cells[: len(self._names)], *[""] * (len(self._names) - len(cells))]
        added = []
        for known, at in zip((outcome.course_id, outcome.coworker_id), self._known, strict=True):
            text = str(known) if known else ""
            if at is None:
                added.append(text)
            elif not filled[at].strip():
                filled[at] = text
        why = [str(line), outcome.reason.value, outcome.details, "; ".join(outcome.candidates)]
        return [*(filled[at] for at in self._kept), *added, *why]
