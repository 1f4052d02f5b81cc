"""A table as a reader of pairs, for the thread of a source: whole rows become ids, or bad rows with their reasons.

Most pieces go by the column: two columns of plain digits are read at once, as in CSV.  Otherwise each row is looked at
by itself; that way defines what a row is.

Invariant: rows before an error are handed on before it is raised, and it is raised again whenever it is asked again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from ...errors import BulkwriterError
from ...model import Batch, column_key
from ..batches import RAW_CHARS, RowBuffer, printable
from ..columns import Columns
from ..ids import parse_column, parse_id
from ..row_faults import RowFault, no_id
from .rows import Table, TableRow

BATCH_ROWS: Final = 4_000
"""As many rows as a block of text has, so that a hand-over to the loop is worth its cost."""


class TablePairs:
    """The pairs of one table; blocking, for one thread (`threaded.BlockingReader`).  `name` is for errors."""

    def __init__(self, table: Table, columns: Columns, name: str) -> None:
        self._table = table
        self._columns = columns
        self._name = name
        self._pieces: Iterator[list[TableRow]] | None = None
        self._names: list[str] = []
        self._first_at = self._second_at = 0
        self._error: BulkwriterError | None = None
        self._is_ended = False

    def read(self) -> Batch | None:
        if self._error is not None:
            raise self._error
        rows = RowBuffer()
        try:
            pieces = self._pieces or self._begin()
            while len(rows) < BATCH_ROWS and not self._is_ended:
                piece = next(pieces, None)
                if piece is None:
                    self._is_ended = True
                else:
                    self._add(piece, rows)
        except BulkwriterError as error:
            self._error = error
            if not rows:
                raise
        return rows.batch() if rows else None

    def fraction(self) -> float | None:
        return 1.0 if self._is_ended else self._table.share()

    def check(self) -> None:
        self._table.check()

    def close(self) -> None:
        self._table.close()

    def _begin(self) -> Iterator[list[TableRow]]:
        header = self._table.header()
        self._first_at, self._second_at = self._columns.find(header.names, self._name, header.line, hint=header.hint)
        self._names = [*map(column_key, header.names)]
        self._pieces = self._table.pieces()
        return self._pieces

    def _add(self, piece: list[TableRow], rows: RowBuffer) -> None:
        pairs = self._plain_pairs(piece)
        if pairs is not None:
            if piece[-1].line - piece[0].line == len(piece) - 1:
                rows.add_all(pairs, piece[0].line)
            else:
                for pair, row in zip(pairs, piece, strict=True):
                    rows.add_all((pair,), row.line)
            return
        for row in piece:
            found = self._pair_of(row)
            if isinstance(found, RowFault):
                raw = raw_text(row.values)
                rows.add_bad(found.row(raw.encode("utf-8", "surrogateescape")), row.line)
            else:
                rows.add_all((found,), row.line)

    def _plain_pairs(self, piece: list[TableRow]) -> list[tuple[int, int]] | None:
        """The pairs of these rows, if each has two plain ids."""
        try:
            firsts = [values[self._first_at] for _, values in piece]
            seconds = [values[self._second_at] for _, values in piece]
        except IndexError:
            return None
        if {*map(type, firsts), *map(type, seconds)} != {str}:
            return None
        ids = parse_column(firsts), parse_column(seconds)
        return list(zip(*ids, strict=True)) if ids[0] and ids[1] else None  # type: ignore[arg-type]

    def _pair_of(self, row: TableRow) -> tuple[int, int] | RowFault:
        """The pair in one row, or why there is none."""
        if len(row.values) == 1 and len(self._names) > 1 and (why := getattr(row.values[0], "why", "")):
            return RowFault.plain(why)
        found = []
        for column, at in ((self._columns.first, self._first_at), (self._columns.second, self._second_at)):
            text = row.values[at] if at < len(row.values) else ""
            number = parse_id(text) if type(text) is str else None
            if number is None:
                if [*map(column_key, row.values)] == self._names:
                    return RowFault.plain("the header line again")
                why = "" if text.strip() else self._table.why_empty(row.line, at)
                return RowFault.plain(f"{column} {why}") if why else no_id(column, text)
            found.append(number)
        return found[0], found[1]


def raw_text(values: list[str]) -> str:
    """A row as people may see it: as CSV, cut."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([value[:RAW_CHARS] for value in values[:RAW_CHARS]])
    return printable(buffer.getvalue()[:RAW_CHARS])
