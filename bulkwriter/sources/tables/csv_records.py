"""CSV text to whole rows.  The same records with the same line numbers as `csvrows` makes pairs of, by the same parser.

Bytes that are no UTF-8 are read as Western European letters, since people see these values.

Invariant: a piece of lines gives exactly what its records one by one give, or is read one by one.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence

from ...errors import SourceError
from ...model import BadRow
from ..csv_records import has_long_line, parse, readable, take_record, too_long
from ..csvrows import fault_of
from ..header import DELIMITERS, LOOKED_AT, names_in, separator_in
from ..ids import WHITE_BYTES
from ..row_faults import ESCAPED, RowFault
from .rows import PIECE_ROWS, IsHeader, RowList, TableHeader


class CsvTableRows:
    """Rows of one CSV text; `name` is the file's, for errors.  `header` is None until it was read."""

    def __init__(self, name: str, line_bytes: int, header_line: int, is_header: IsHeader | None) -> None:
        self.header: TableHeader | None = None
        self._name = name
        self._line_bytes = line_bytes
        self._header_line = header_line
        self._is_header = is_header
        self._delimiters: Sequence[str] = DELIMITERS
        self._is_cut = False

    def buffer(self) -> RowList:
        return RowList()

    def parse(self, block: bytes, rows: RowList, *, line: int, is_last: bool, is_cut: bool = False) -> int:
        """As `CsvRows.parse`."""
        self._is_cut = is_cut
        lines = block.split(b"\n")
        lines.pop()
        at = 0 if self.header else self._skip_header(lines, line, is_last=is_last)
        while self.header and at < len(lines):
            end = self._piece(lines, at, rows, line)
            if end == at:
                end = self._records(lines, at, rows, line=line, is_last=is_last)
                if end < min(at + PIECE_ROWS, len(lines)):  # the last record goes on behind the block
                    at = end
                    break
            at = end
        return sum(map(len, lines[:at])) + at

    def too_long(self, head: bytes, line: int) -> BadRow:
        if self.header is None:
            raise SourceError(f"{self._name}, line {line}: {too_long(self._line_bytes)}", line=line)
        return RowFault.plain(too_long(self._line_bytes)).row(head[: self._line_bytes])

    def finish(self) -> None:
        if self.header is None and self._header_line > 1:
            hint = "see to --header-line"
            raise SourceError(f"{self._name} has no line {self._header_line} to name the columns", hint=hint)
        if self.header is None:
            raise SourceError(f"{self._name} is empty: no line names the columns")

    def _skip_header(self, lines: Sequence[bytes], line: int, *, is_last: bool) -> int:
        """Find the header; the index of the first row, or of the line with which to go on looking."""
        for at, text in enumerate(lines):
            if not text.strip(WHITE_BYTES):
                continue
            if delimiter := separator_in(text):
                self._delimiters = (delimiter,)
            elif line + at >= self._header_line:
                return self._read_header(lines, at, line, is_last=is_last)
        return len(lines)

    def _read_header(self, lines: Sequence[bytes], at: int, line: int, *, is_last: bool) -> int:
        found: list[tuple[list[str], str, int]] = []
        for delimiter in self._delimiters:
            record = take_record(lines, at, delimiter=delimiter, line_bytes=self._line_bytes, is_last=is_last)
            if record is None:
                return at
            if record.fields is not None:
                found.append((names_in(record), delimiter, record.end))
        if not found:
            raise SourceError(
                f"{self._name}, line {line + at}: the line that should name the columns cannot be read",
                hint="it must be one line of names",
                line=line + at,
            )
        judge = self._is_header
        fits = next((names for names in found if judge and judge(names[0])), None)
        if fits is None and judge and not is_last and len(lines) - at < LOOKED_AT:
            return at  # a later line may be the header
        hint = "" if fits or not judge else later_hint(lines[at + 1 : LOOKED_AT], judge, line + at + 1)
        names, delimiter, end = fits or max(found, key=lambda names: len(names[0]))
        self._delimiters = (delimiter,)
        self.header = TableHeader([name.strip() for name in names], line + at, hint)
        return end

    def _piece(self, lines: Sequence[bytes], at: int, rows: RowList, line: int) -> int:
        """Add some lines of which each is a record; the index behind them, or `at` if they are not so simple."""
        piece = lines[at : at + PIECE_ROWS]
        joined = b"\n".join(piece)
        text = readable(joined)
        if b"\0" in joined or has_long_line(joined, self._line_bytes) or ESCAPED.search(text):
            return at
        try:
            records = list(parse(text.split("\n"), self._delimiters[0]))
        except csv.Error:
            return at
        if len(records) != len(piece):
            return at
        for number, values in enumerate(records, line + at):
            if any(map(str.strip, values)):
                rows.add(number, values)
        return at + len(piece)

    def _records(self, lines: Sequence[bytes], at: int, rows: RowList, *, line: int, is_last: bool) -> int:
        """Add the records that begin in some lines, one by one; the index behind the last whole one."""
        end = min(at + PIECE_ROWS, len(lines))
        while at < end:
            if not lines[at].strip(WHITE_BYTES):
                at += 1
                continue
            record = take_record(
                lines,
                at,
                delimiter=self._delimiters[0],
                line_bytes=self._line_bytes,
                is_last=is_last,
                is_cut=self._is_cut,
            )
            if record is None:
                return at
            if record.fields is None:
                raw = b"\n".join(lines[at : record.end])[: self._line_bytes]
                rows.add_bad(fault_of(record, line + at).row(raw), line + at)
            elif any(map(str.strip, record.fields)):
                rows.add(line + at, names_in(record))
            at = record.end
        return at


def later_hint(lines: Sequence[bytes], judge: IsHeader, line: int) -> str:
    """What to do if one of `lines`, of which the first is number `line`, has the wanted names."""
    for number, text in enumerate(lines, line):
        plain = readable(text).replace('"', "")
        if any(judge(plain.split(delimiter)) for delimiter in DELIMITERS):
            return f"line {number} names the columns: give --header-line {number}"
    return ""
