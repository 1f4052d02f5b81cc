"""Which columns hold the ids: names compared without regard to case and outer white space, and what is said when they
are not there.

A wanted column that is missing or there twice is an error of the whole source: no row could be right.  Names found are
shown so that a person sees the misspelling, escaped and cut since a binary file may call anything a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import SourceError, UsageError
from .batches import printable
from .ids import parse_id

LESSON_COLUMN: Final = "CourseLessonId"
MEMBER_COLUMN: Final = "CourseMemberId"
SHOWN_NAMES: Final = 20
SHOWN_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Columns:
    """The wanted columns' names."""

    lesson: str = LESSON_COLUMN
    member: str = MEMBER_COLUMN

    def __post_init__(self) -> None:
        if not normal(self.lesson) or not normal(self.member):
            raise UsageError("a column name must not be empty")
        if normal(self.lesson) == normal(self.member):
            raise UsageError(f"lesson and member column are both {self.lesson!r}", hint="name two different columns")

    def is_in(self, names: Sequence[str]) -> bool:
        """Whether both columns are among `names`."""
        return {normal(self.lesson), normal(self.member)} <= set(map(normal, names))

    def find(self, names: Sequence[str], source: str, line: int) -> tuple[int, int]:
        """The places of lesson and member in `names`; raises `SourceError` unless each is there once."""
        normals = [normal(name) for name in names]
        for column in (self.lesson, self.member):
            if normals.count(normal(column)) > 1:
                raise SourceError(f"{source}, line {line}: the column {column} is there twice", line=line)
        if not self.is_in(names):
            raise self._missing(names, source, line)
        return normals.index(normal(self.lesson)), normals.index(normal(self.member))

    def _missing(self, names: Sequence[str], source: str, line: int) -> SourceError:
        if len(names) > 1 and all(parse_id(name) is not None for name in names):
            return SourceError(
                f"{source}, line {line}: the first line holds numbers, not the names of columns",
                hint=f"put a line before it such as {self.lesson},{self.member}",
                line=line,
            )
        wanted = (("lesson", self.lesson), ("member", self.member))
        missing = [(option, name) for option, name in wanted if not has(names, name)]
        return SourceError(
            f"{source}, line {line}: no column {' and no '.join(name for _, name in missing)}; found: {shown(names)}",
            hint="name the right one with " + " and ".join(f"--{option}-column NAME" for option, _ in missing),
            line=line,
        )


def normal(name: str) -> str:
    """A column's name as it is compared."""
    return name.strip().casefold()


def has(names: Sequence[str], wanted: str) -> bool:
    return normal(wanted) in map(normal, names)


def shown(names: Sequence[str]) -> str:
    """The names for people: cut, and not too many."""
    cut = [printable(name.strip()[:SHOWN_CHARS]) or '""' for name in names[:SHOWN_NAMES]]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return (", ".join(cut) or "nothing") + more
