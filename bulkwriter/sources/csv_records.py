"""Reads one CSV record from physical lines: strictly by RFC 4180, bounded, and exact about where it ends.

The csv module parses.  This module counts the bytes that it is fed, so that a quote without an end costs at most
`line_bytes`, and not the rest of the file.  Only the structure decides where a record ends.  A NUL spoils its record
but does not move its end; otherwise a line inside a quoted field could pass for a row.

The result is one of
  - the fields, and the index after the record's last line;
  - a reason without fields, and where to go on: after the record if its end is known, else after its first line;
  - None: the record goes on beyond `lines`, so ask again with more of them (never when `is_last`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

UNENDED: Final = "a quoted field does not end"
NEVER_CLOSED: Final = "a quote is opened and never closed"
# The csv module's own words speak to programmers; the first match is what people read.
CSV_REASONS: Final = (
    ("new-line character", "a carriage return in the middle of a line"),
    ("expected after", "text behind a closing quote"),
    ("unexpected end of data", UNENDED),
    ("field larger than", "a field is too long"),
)


class CsvRecord(NamedTuple):
    """Fields, or a reason and no fields; `end` is the index of the line to go on with."""

    fields: list[str] | None
    reason: str
    end: int


class Feed:
    """Lines as text for the csv module, up to a number of bytes."""

    def __init__(self, lines: Sequence[bytes], at: int, room: int) -> None:
        self._lines = lines
        self._room = room + 1  # the last line's end does not count
        self.at = at
        self.is_over = False
        self.taint = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.at == len(self._lines):
            raise StopIteration
        line = self._lines[self.at]
        self._room -= len(line) + 1
        if self._room < 0:
            self.is_over = True
            raise StopIteration
        self.at += 1
        if b"\0" in line:
            self.taint = "holds a NUL byte"
        return readable(line) + "\n"


def readable(data: bytes) -> str:
    """Text in which bytes that are no UTF-8 (Excel's plain "CSV" is Latin-1 or alike) are kept as lone surrogates.

    Ids are ASCII, so such bytes are some other column's, or spoil an id visibly.
    """
    return data.decode("utf-8", "surrogateescape")


def parse(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Records of `lines`; the one way that CSV is parsed here."""
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def take_record(
    lines: Sequence[bytes], at: int, *, delimiter: str, line_bytes: int, is_last: bool, is_cut: bool = False
) -> CsvRecord | None:
    """The record that starts with `lines[at]`, as the module says.  Lines come without their line ends.

    `is_cut`: the text goes on after the last of them, but its next line is too long to be read.
    """
    if len(lines[at]) > line_bytes:
        return CsvRecord(None, too_long(line_bytes), at + 1)
    feed = Feed(lines, at, line_bytes)
    try:
        fields = next(parse(feed, delimiter))
    except csv.Error as error:
        if is_unended(error) and not feed.is_over and not is_last:
            return None
        is_whole = not (feed.is_over or is_cut)
        return CsvRecord(None, NEVER_CLOSED if is_unended(error) and is_whole else reason_of(error, line_bytes), at + 1)
    if feed.taint:
        return CsvRecord(None, feed.taint, feed.at)
    return CsvRecord(fields, "", feed.at)


def is_unended(error: csv.Error) -> bool:
    return "unexpected end of data" in str(error)


def reason_of(error: csv.Error, line_bytes: int) -> str:
    reason = next((ours for theirs, ours in CSV_REASONS if theirs in str(error)), str(error))
    return f"{reason} within {line_bytes} bytes" if reason == UNENDED else reason


def too_long(line_bytes: int) -> str:
    return f"longer than {line_bytes} bytes"


def has_long_line(block: bytes, line_bytes: int) -> bool:
    return len(block) > line_bytes and max(map(len, block.split(b"\n"))) > line_bytes
