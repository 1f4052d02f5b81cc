"""CSV text to rows: three ways through a block, each exact, the fastest that fits.

  plain     every field of every line is digits: the block's shape is proved by one comparison (see ids.py)
  piece     up to 256 lines through the csv module, if each line is one record and each id is simple
  record    one record at a time, with a reason for every bad one: this way *defines* what a row is

Invariant: plain and piece give exactly the result of record, or nothing.  So a row never depends on its neighbours, on
block boundaries, or on the way that was taken.  A property test compares them.

Not here: reads, waits, and text kept between calls.  `parse` says how much it used; the rest comes again.

Where the time goes, µs a row: plain 0.25; piece 0.7 for two quoted columns, 1.1 for six (csv module 0.6); record 6.
Pieces of 256 lines are twice as fast as a whole block at once: their lists die young and stay in the cache.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from ..errors import SourceError
from ..model import BadRow, column_key
from .batches import RowBuffer, printable
from .columns import Columns
from .csv_records import NEVER_CLOSED, CsvRecord, has_long_line, parse, readable, take_record, too_long
from .header import DELIMITERS, Header, Place, read_header, separator_in, unreadable
from .ids import DIGITS, WHITE_BYTES, are_in_range, parse_column, parse_id, parse_list
from .row_faults import RowFault, no_id

PIECE_LINES: Final = 256
SHORTEST_PIECE: Final = 8


class CsvRows:
    """Rows of one CSV text; `name` is the source's, for its errors."""

    def __init__(self, name: str, columns: Columns, line_bytes: int, header_line: int = 1) -> None:
        self._name = name
        self._columns = columns
        self._line_bytes = line_bytes
        self._header_line = header_line
        self._delimiters: Sequence[str] = DELIMITERS
        self._header: Header | None = None
        self._is_cut = False

    def buffer(self) -> RowBuffer:
        return RowBuffer()

    def parse(self, block: bytes, rows: RowBuffer, *, line: int, is_last: bool, is_cut: bool = False) -> int:
        """Add the rows of `block`, whole lines of which the first is number `line`; how many bytes of it are used up.

        Fewer than all are used only if the last record goes on beyond the block, and never if `is_last`.  `is_cut`: the
        line after the block is too long to be read.
        """
        self._is_cut = is_cut
        if self._header is not None and (pairs := self._plain_pairs(block, self._header)) is not None:
            rows.add_all(pairs, line)
            return len(block)
        lines = block.split(b"\n")
        lines.pop()
        at = self._skip_header(lines, line, is_last=is_last)
        if self._header is not None:
            at = self._parse_lines(lines, at, self._header, rows, line=line, is_last=is_last)
        return sum(map(len, lines[:at])) + at

    def too_long(self, head: bytes, line: int) -> BadRow:
        """Add a bad row for a line of more than `line_bytes`; `head` is its beginning."""
        reason = too_long(self._line_bytes)
        if self._header is None:
            record = CsvRecord(None, reason, 0)
            raise unreadable(head[: self._line_bytes], record, self._columns, Place(self._name, line))
        return self._bad(RowFault.plain(reason), head)

    def finish(self) -> None:
        """The text has ended.  Raises `SourceError` if there was no header."""
        if self._header is None and self._header_line > 1:
            raise SourceError(
                f"{self._name} has no line {self._header_line} to name the columns", hint="see to --header-line"
            )
        if self._header is None:
            raise SourceError(
                f"{self._name} is empty: no line names the columns",
                hint=f"the first line must name them, such as {self._columns.first},{self._columns.second}",
            )

    def _skip_header(self, lines: Sequence[bytes], line: int, *, is_last: bool) -> int:
        """The index of the first row.  While there is no header yet: that of the line with which it begins."""
        if self._header is not None:
            return 0
        first = 0
        while True:
            at = next((i for i, text in enumerate(lines[first:], first) if text.strip(WHITE_BYTES)), len(lines))
            if at == len(lines):
                return at
            if delimiter := separator_in(lines[at]):
                self._delimiters = (delimiter,)
            elif line + at >= self._header_line:
                break
            first = at + 1
        found = read_header(
            lines,
            at,
            columns=self._columns,
            delimiters=self._delimiters,
            place=Place(self._name, line + at),
            line_bytes=self._line_bytes,
            is_last=is_last,
        )
        if found is None:
            return at
        self._header, at = found
        return at

    def _parse_lines(
        self, lines: Sequence[bytes], at: int, header: Header, rows: RowBuffer, *, line: int, is_last: bool
    ) -> int:
        """Add the rows from `lines[at]` on; the index of the first line that wants more behind it."""
        run = PIECE_LINES
        trouble = 0  # behind the last piece that would not do: on the way there `run` halves in on what is unusual
        while at < len(lines):
            if run < SHORTEST_PIECE:
                end = self._parse_record(lines, at, header, rows, line=line, is_last=is_last)
                if end is None:
                    return at
                at = end
                run *= 2
                continue
            piece = lines[at : at + run]
            pairs = self._piece_pairs(piece, header)
            if pairs is None:
                trouble = at + len(piece)
                run = len(piece) // 2 if len(piece) >= 2 * SHORTEST_PIECE else 1
                continue
            rows.add_all(pairs, line + at)
            at += len(piece)
            run = max((trouble - at) // 2, 1) if at < trouble else min(2 * run, PIECE_LINES)
        return at

    def _parse_record(
        self, lines: Sequence[bytes], at: int, header: Header, rows: RowBuffer, *, line: int, is_last: bool
    ) -> int | None:
        """Add the row of the record that starts with `lines[at]`, unless it is blank; the index behind it."""
        if not lines[at].strip(WHITE_BYTES):
            return at + 1
        record = take_record(
            lines, at, delimiter=header.delimiter, line_bytes=self._line_bytes, is_last=is_last, is_cut=self._is_cut
        )
        if record is None:
            return None
        if record.fields is None:
            found: tuple[int, int] | RowFault = fault_of(record, line + at)
        elif not any(map(str.strip, record.fields)):
            return record.end  # delimiters alone, as spreadsheets write below the last row
        else:
            found = pair_of(record.fields, header, self._columns)
        if isinstance(found, RowFault):
            rows.add_bad(self._bad(found, b"\n".join(lines[at : record.end])), line + at)
        else:
            rows.add_all((found,), line + at)
        return record.end

    def _bad(self, fault: RowFault, raw: bytes) -> BadRow:
        # A line's head is only as long as this when the whole line is not kept: cut all alike.
        return fault.row(raw[: self._line_bytes])

    def _plain_pairs(self, block: bytes, header: Header) -> list[tuple[int, int]] | None:
        """The pairs of a block in which every field is digits alone, perhaps with one space before it."""
        width = len(header.names)
        if width > 2 and has_long_line(block, self._line_bytes):  # two ids and what parts them are 42 bytes at most
            return None
        shape = block.translate(None, DIGITS)
        count = block.count(b"\n")
        delimiter = header.delimiter.encode()
        for between, end in ((delimiter, b"\n"), (delimiter, b"\r\n"), (delimiter + b" ", b"\n")):
            if shape == (between * (width - 1) + end) * count:
                break
        else:
            return None
        numbers = parse_list(block[: -len(end)].replace(end, b",").replace(delimiter, b","), count * width)
        if numbers is None:
            return None
        firsts, seconds = numbers[header.first_at :: width], numbers[header.second_at :: width]
        if not (are_in_range(firsts) and are_in_range(seconds)):
            return None
        return list(zip(firsts, seconds, strict=True))

    def _piece_pairs(self, lines: Sequence[bytes], header: Header) -> list[tuple[int, int]] | None:
        """The pairs of these lines, if each is a record of its own with two simple ids."""
        joined = b"\n".join(lines)
        if b"\0" in joined or has_long_line(joined, self._line_bytes):
            return None
        try:
            fields = list(parse(readable(joined).split("\n"), header.delimiter))
            if len(fields) != len(lines):
                return None
            if max(map(len, fields)) > len(header.names) and any(is_too_wide(row, header) for row in fields):
                return None
            firsts = parse_column(list(map(itemgetter(header.first_at), fields)))
            seconds = parse_column(list(map(itemgetter(header.second_at), fields)))
        except (csv.Error, IndexError):  # IndexError: too few fields, or a blank line
            return None
        return list(zip(firsts, seconds, strict=True)) if firsts and seconds else None


def is_too_wide(fields: Sequence[str], header: Header) -> bool:
    """Whether there is more than the header has names for; a delimiter at the line's end adds nothing."""
    return len(fields) > len(header.names) and any(map(str.strip, fields[len(header.names) :]))


def fault_of(record: CsvRecord, line: int) -> RowFault:
    """Why a record that begins in this line could not be read."""
    if record.reason == NEVER_CLOSED:
        return RowFault(NEVER_CLOSED, f"a quote opened in line {line} is never closed")
    return RowFault.plain(record.reason)


def pair_of(fields: Sequence[str], header: Header, columns: Columns) -> tuple[int, int] | RowFault:
    """The pair in one record's fields, or why there is none."""
    if is_too_wide(fields, header):
        why = f"a {printable(header.delimiter)} that wants quotes may have moved the ids"
        counts = f"has {len(fields)} fields and the header only {len(header.names)}"
        return RowFault(f"has more fields than the header: {why}", f"{counts}: {why}")
    found = []
    for column, at in ((columns.first, header.first_at), (columns.second, header.second_at)):
        if at >= len(fields):
            fields_there = f"only {len(fields)} field{'s' if len(fields) > 1 else ''}"
            return RowFault(f"has too few fields, none for {column}", f"has {fields_there}, none for {column}")
        number = parse_id(fields[at])
        if number is None:
            if [*map(column_key, fields)] == header.names:
                return RowFault.plain("the header line again")
            return no_id(column, fields[at])
        found.append(number)
    return found[0], found[1]
