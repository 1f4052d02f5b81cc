"""The line that names a CSV's columns: found, read with each delimiter, and judged.

The delimiter is the first of `,` `;` tab and `|` with which both wanted columns are there.  So a semicolon file of a
European spreadsheet needs no option, and a comma in the name of another column does no harm.  A line `sep=;` above the
header, as spreadsheets write it, decides instead.

Without a header no row could be right, so all trouble here is a `SourceError` that says what was found.  A title or a
comment may stand above the header.  If a later line within the first `LOOKED_AT` would do, the hint names that line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..errors import SourceError
from ..model import column_key
from .batches import printable
from .columns import Columns
from .csv_records import CsvRecord, readable, take_record
from .ids import WHITE_BYTES
from .kinds import SAVE_AS_UTF8

DELIMITERS: Final = (",", ";", "\t", "|")
SEPARATOR: Final = re.compile(rb'"?sep=([,;\t|])"?[,;\t| ]*\r*', re.IGNORECASE)
SHOWN_BYTES: Final = 100
LOOKED_AT: Final = 20
"""Lines in which the header is looked for, to say where it is."""


class Header(NamedTuple):
    """The names of all columns in their compared form, the places of the two wanted ones, and the delimiter."""

    names: list[str]
    first_at: int
    second_at: int
    delimiter: str


class Place(NamedTuple):
    """What an error about the header tells: the source's name and the header's 1-based line."""

    source: str
    line: int

    def error(self, reason: str, *, hint: str = "") -> SourceError:
        return SourceError(f"{self.source}, line {self.line}: {reason}", hint=hint, line=self.line)


def separator_in(line: bytes) -> str | None:
    """The delimiter that a line such as `sep=;` names, or None."""
    found = SEPARATOR.fullmatch(line)
    return found[1].decode() if found else None


def names_columns(line: bytes, columns: Columns) -> bool:
    """Whether this line, alone, would do as a header."""
    text = readable(line).replace('"', "")
    return any(columns.is_in(text.split(delimiter)) for delimiter in DELIMITERS)


def read_header(
    lines: Sequence[bytes],
    at: int,
    *,
    columns: Columns,
    delimiters: Sequence[str],
    place: Place,
    line_bytes: int,
    is_last: bool,
) -> tuple[Header, int] | None:
    """The header that starts with `lines[at]` and the index behind it; None: ask again with more lines."""
    taken = {
        delimiter: take_record(lines, at, delimiter=delimiter, line_bytes=line_bytes, is_last=is_last)
        for delimiter in delimiters
    }
    whole = {d: record for d, record in taken.items() if record is not None and record.fields is not None}
    for delimiter, record in whole.items():
        if columns.is_in(names_in(record)):
            return make_header(record, delimiter, columns, place), record.end
    more = max(0, LOOKED_AT - place.line)
    looked_at = lines[at + 1 : at + 1 + more]
    is_seen = is_last or len(looked_at) == more
    if None in taken.values() or not is_seen:
        return None
    hint = later_hint(looked_at, columns, place.line + 1, line_bytes)
    if not whole:
        start = lines[at][:line_bytes]  # no more is known of a long line
        raise unreadable(start, taken[delimiters[0]], columns, place, hint)
    widest = max(whole.values(), key=lambda record: len(record.fields or ()))
    columns.find(names_in(widest), place.source, place.line, hint=hint or json_hint(lines[at]))
    raise AssertionError("columns are missing, so find() raises")


def names_in(record: CsvRecord) -> list[str]:
    """The fields of a record as names.  Bytes that are no UTF-8 are read as Western European letters."""
    return [
        name if name.isascii() or is_utf8(name) else name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
        for name in record.fields or ()
    ]


def is_utf8(text: str) -> bool:
    """Whether `readable` found nothing to keep as a surrogate."""
    return not any("\udc80" <= c <= "\udcff" for c in text)


def make_header(record: CsvRecord, delimiter: str, columns: Columns, place: Place) -> Header:
    names = names_in(record)
    first_at, second_at = columns.find(names, place.source, place.line)
    return Header([*map(column_key, names)], first_at, second_at, delimiter)


def later_hint(lines: Sequence[bytes], columns: Columns, line: int, line_bytes: int) -> str:
    """What to do if one of `lines`, of which the first is number `line`, names the columns."""
    for number, text in enumerate(lines, line):
        if len(text) > line_bytes:  # a longer one may come in pieces: say the same however it comes
            break
        if names_columns(text, columns):
            return f"line {number} names the columns: give --header-line {number}"
    return ""


def json_hint(line: bytes) -> str:
    return "it looks like JSON: let its name end with .jsonl" if line.lstrip(WHITE_BYTES)[:1] in (b"{", b"[") else ""


def unreadable(line: bytes, record: CsvRecord | None, columns: Columns, place: Place, hint: str = "") -> SourceError:
    """Why there is no header in `line`."""
    if b"\0" in line:
        return place.error("the first line holds NUL bytes: this is no UTF-8 text", hint=hint or SAVE_AS_UTF8)
    reason = record.reason if record is not None else ""
    start = printable(line[:SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return place.error(
        f"the line that should name the columns cannot be read: {reason}: {start}",
        hint=hint or f"it must be one line of names, such as {columns.first},{columns.second}",
    )
