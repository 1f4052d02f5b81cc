"""Finds the two columns with the ids: how names are compared, and the error if a column is missing.

Case, white space, underscores and hyphens do not count, so `Thing Id` and `thing_id` match `ThingId`.  But if a column
has exactly the wanted name, in any case, similar names do not match.

A wanted column that is missing or there twice is an error of the whole source, since no row could be right.  The error
shows the names found, so that a person sees a misspelling.  They are escaped and cut, since a binary file may hold
anything in place of a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import SourceError, UsageError
from ..model import column_key
from ..shell import operand, quote
from .batches import printable
from .ids import parse_id

SHOWN_NAMES: Final = 20
SHOWN_CHARS: Final = 40
EMAIL_NAMES: Final = ("Email", "EmailAddress", "Mail", "CoworkerEmail")
"""Usual names of a column with e-mails."""
NO_FILE: Final = "standard input"


@dataclass(frozen=True, slots=True)
class Columns:
    """The wanted columns' names, in the order of a pair's ids; `words` are what people call these."""

    first: str = COMPLETED_LESSONS.fields[0]
    second: str = COMPLETED_LESSONS.fields[1]
    words: tuple[str, str] = COMPLETED_LESSONS.words

    def __post_init__(self) -> None:
        if not normal(self.first) or not normal(self.second):
            raise UsageError("a column name must not be empty")
        if column_key(self.first) == column_key(self.second):
            both = " and ".join(self.words)
            raise UsageError(f"{both} column are both {self.first!r}", hint="name two different columns")

    def is_in(self, names: Sequence[str]) -> bool:
        """Whether both columns are among `names`."""
        return all(places(names, column) for column in (self.first, self.second))

    def find(self, names: Sequence[str], source: str, line: int, *, hint: str = "") -> tuple[int, int]:
        """The places of both columns in `names`; raises `SourceError` unless each is there once.

        `line` is that of the names, 0 where they stand in no line.  `hint` says where else the columns are, if that is
        known.
        """
        found = []
        for column in (self.first, self.second):
            at = places(names, column)
            if not at:
                raise self._missing(names, source, line, hint)
            if len(at) > 1:
                raise SourceError(
                    f"{place_of(source, line)}: the column {column} is there twice",
                    hint="rename the one that is not wanted: " + shown([names[place] for place in at]),
                    line=line or None,
                )
            found.append(at[0])
        return found[0], found[1]

    def _missing(self, names: Sequence[str], source: str, line: int, hint: str) -> SourceError:
        if not hint and len(names) > 1 and all(parse_id(name) is not None for name in names):
            return SourceError(
                f"{place_of(source, line)}: the first line holds numbers, not the names of columns",
                hint=f"put a line before it such as {self.first},{self.second}",
                line=line,
            )
        if not any(places(names, name) for name in (self.first, self.second)) and names_emails(names):
            table = "FILE" if source == NO_FILE else quote(operand(source))
            return SourceError(
                f"{place_of(source, line)}: it has e-mails and no ids; found: {shown(names)}",
                hint=hint or f"this looks the ids up: bulkwriter resolve {table}",
                line=line or None,
            )
        wanted = zip(self.words, (self.first, self.second), strict=True)
        missing = [(word, name) for word, name in wanted if not places(names, name)]
        flags = zip(("--lesson-column", "--member-column"), (self.first, self.second), strict=True)
        options = " and ".join(f"{flag} NAME" for flag, name in flags if not places(names, name))
        what = f"no column {' and no '.join(name for _, name in missing)}; found: {shown(names)}"
        return SourceError(
            f"{place_of(source, line)}: {what}",
            hint=hint or f"name the right one with {options}",
            line=line or None,
        )


def names_emails(names: Sequence[str]) -> bool:
    """Whether one of these columns is called as e-mails usually are."""
    return any(places(names, name) for name in EMAIL_NAMES)


def place_of(source: str, line: int) -> str:
    """The line of a source, in words; line 0 is none."""
    return f"{source}, line {line}" if line else source


def places(names: Sequence[str], wanted: str) -> list[int]:
    """The places of the wanted name in `names`: exact matches, or else similar names."""
    exact = [i for i, name in enumerate(names) if normal(name) == normal(wanted)]
    return exact or [i for i, name in enumerate(names) if column_key(name) == column_key(wanted)]


def normal(name: str) -> str:
    """A column's name without regard to case and white space around it."""
    return name.strip().casefold()


def shown(names: Sequence[str]) -> str:
    """The names for people: cut, and not too many."""
    cut = [printable(name.strip()[:SHOWN_CHARS]) or '""' for name in names[:SHOWN_NAMES]]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return (", ".join(cut) or "nothing") + more
