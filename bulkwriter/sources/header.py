"""The line that names a CSV's columns: found, read with each delimiter, and judged.

The delimiter is the first of `,` `;` and tab by which both wanted columns are there, so a semicolon file of a European
spreadsheet needs no option, and a comma in some other column's name misleads nobody.  Without such a line no row could
be right, so every trouble here is a `SourceError` that says what was found instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ..errors import SourceError
from .batches import printable
from .columns import Columns, normal
from .ids import WHITE_BYTES
from .records import Record, take_record

DELIMITERS: Final = (",", ";", "\t")
SHOWN_BYTES: Final = 100
SAVE_AS_UTF8: Final = "save it as UTF-8 text, in a spreadsheet: 'CSV UTF-8'"


class Header(NamedTuple):
    """Normal names of all columns, the places of the two wanted, and what parts them."""

    names: list[str]
    lesson_at: int
    member_at: int
    delimiter: str


class Place(NamedTuple):
    """What an error about the header tells: the source's name and the header's 1-based line."""

    source: str
    line: int

    def error(self, reason: str, *, hint: str = "") -> SourceError:
        return SourceError(f"{self.source}, line {self.line}: {reason}", hint=hint, line=self.line)


def read_header(
    lines: Sequence[bytes], at: int, *, columns: Columns, place: Place, line_bytes: int, is_last: bool
) -> tuple[Header, int] | None:
    """The header that starts with `lines[at]` and the index behind it; None: ask again with more lines."""
    taken = {
        delimiter: take_record(lines, at, delimiter=delimiter, line_bytes=line_bytes, is_last=is_last)
        for delimiter in DELIMITERS
    }
    whole = {d: record for d, record in taken.items() if record is not None and record.fields is not None}
    for delimiter, record in whole.items():
        if columns.is_in(record.fields or ()):
            return make_header(record, delimiter, columns, place), record.end
    if None in taken.values():
        return None
    if not whole:
        raise unreadable(lines[at][:line_bytes], taken[","], place)  # no more is known of a long line read in pieces
    widest = max(whole.values(), key=lambda record: len(record.fields or ()))
    columns.find(widest.fields or (), place.source, place.line)
    raise AssertionError("columns are missing, so find() raises")


def make_header(record: Record, delimiter: str, columns: Columns, place: Place) -> Header:
    names = record.fields or []
    lesson_at, member_at = columns.find(names, place.source, place.line)
    return Header([normal(name) for name in names], lesson_at, member_at, delimiter)


def unreadable(line: bytes, record: Record | None, place: Place) -> SourceError:
    """Why there is no header in `line`."""
    if b"\0" in line:
        return place.error("the first line holds NUL bytes: this is no UTF-8 text", hint=SAVE_AS_UTF8)
    if b"\r" in line.rstrip(WHITE_BYTES):
        return place.error("lines end with a carriage return alone", hint="save it with line ends of Unix or Windows")
    reason = record.reason if record is not None else ""
    hint = SAVE_AS_UTF8 if "UTF-8" in reason else ""
    start = printable(line[:SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return place.error(f"the line that should name the columns cannot be read: {reason}: {start}", hint=hint)
