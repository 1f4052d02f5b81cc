"""A look through a sheet's XML before its first row: damage, hidden rows, merged cells, and whether it is plain.

A sheet is parsed once without callbacks (0.3 s for 100,000 rows), so damage is told before the first row is sent.  Only
if a word of it says that rows may be hidden or cells merged are its tags looked at too.  A sheet is *plain* if it is
UTF-8 without comments, CDATA, prefixes and instructions; `xlsx_rows` then has a faster way.

Invariant: what is not certain is not plain.  Names of rows and columns are here, since both ways need them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .xml_events import ByteReader, SpoiledXml, feed, local, make_parser

FIGURES: Final = "0123456789"
LAST_ROW: Final = 1_048_576
TRUE: Final = ("1", "true", "on")
MERGED: Final = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})")
MOST_MERGED: Final = 20_000
"""Merged ranges that are remembered to explain empty cells."""
KEPT_BYTES: Final = 16
"""The end of a block, in which a word may begin."""
DECLARED: Final = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)")
AS_UTF_8: Final = (b"utf-8", b"us-ascii", b"ascii")


class Merged(NamedTuple):
    """A merged range, 0-based columns and 1-based rows, both ends included."""

    first_column: int
    first_row: int
    last_column: int
    last_row: int
    text: str

    def hides(self, row: int, column: int) -> bool:
        """Whether the cell is in the range and is not the one that has the value."""
        is_inside = self.first_row <= row <= self.last_row and self.first_column <= column <= self.last_column
        return is_inside and (row, column) != (self.first_row, self.first_column)


class Outline(NamedTuple):
    """Rows with values that are hidden, the first of them (0: none), and merged ranges."""

    hidden: int = 0
    first_hidden: int = 0
    merged: tuple[Merged, ...] = ()


class SheetLook:
    """Reads a sheet's bytes for a parser, and looks at them on the way."""

    def __init__(self, stream: ByteReader) -> None:
        self._stream = stream
        self._tail = b""
        self._is_begun = False
        self._is_odd = self._has_rows = False
        self.has_more = False
        """Whether tags tell more than rows do."""

    @property
    def is_plain(self) -> bool:
        return self._has_rows and not self._is_odd

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        looked_at = self._tail + block
        behind = looked_at if self._is_begun else looked_at[4:]  # the declaration, perhaps behind a byte order mark
        is_utf_16 = b"\0" in block
        self._is_odd = self._is_odd or is_utf_16 or b"<!" in looked_at or b"<?" in behind
        if not self._is_begun and (found := DECLARED.search(block)):
            self._is_odd = self._is_odd or found[1].lower() not in AS_UTF_8
        self._has_rows = self._has_rows or b"<sheetData" in looked_at
        self.has_more = self.has_more or is_utf_16 or b"hidden" in looked_at or b"mergeCell" in looked_at
        self._is_begun, self._tail = True, looked_at[-KEPT_BYTES:]
        return block


def look_at(stream: ByteReader) -> SheetLook:
    """Go through a whole sheet."""
    look = SheetLook(stream)
    for _ in feed(look, make_parser()):
        pass
    return look


def read_outline(stream: ByteReader) -> Outline:
    """Go through the tags of a sheet for what its rows alone do not tell in time."""
    hidden = first_hidden = row = 0
    is_hidden = False
    merged: list[Merged] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal hidden, first_hidden, row, is_hidden
        match local(name):
            case "row":
                row = row_number(attributes.get("r"), row)
                is_hidden = attributes.get("hidden") in TRUE
            case "v" | "is" if is_hidden:
                hidden += 1
                first_hidden = first_hidden or row
                is_hidden = False  # counted
            case "mergeCell" if len(merged) < MOST_MERGED and (found := MERGED.fullmatch(attributes.get("ref", ""))):
                left, top, right, bottom = found.groups()
                merged.append(Merged(column_of(left), int(top), column_of(right), int(bottom), found[0]))

    for _ in feed(stream, make_parser(start)):
        pass
    return Outline(hidden, first_hidden, tuple(merged))


def column_of(letters: str) -> int:
    """The 0-based column that some letters name: A is 0, XFD 16,383."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def new_column(letters: str, known: dict[str, int]) -> int:
    """The 0-based column of these letters, which `known` remembers from now on."""
    if not (0 < len(letters) <= 3 and letters.isascii() and letters.isalpha()):
        raise SpoiledXml(f"a cell is in column {letters[:20]!r}")
    column = known[letters] = column_of(letters.upper())
    return column


def row_number(found: str | int | None, last: int) -> int:
    """The number of a row behind row `last`."""
    if found is None:
        return last + 1
    text = str(found)
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and last < int(text) <= LAST_ROW):
        raise SpoiledXml(f"row {text[:20]!r} comes behind row {last:,}")
    return int(text)
