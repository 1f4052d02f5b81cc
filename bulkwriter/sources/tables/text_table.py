"""A table of CSV or JSON Lines: `RowReader` with a parser that keeps all columns.

Blocks, lines and line numbers are `row_reader`'s, so they are those of a run.  The format is told by the file's name.

Invariant: the header is known before the first row.  Not here: the text's meaning (`csv_records`, `json_records`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..row_reader import RowReader, Stream
from .csv_records import CsvTableRows
from .json_records import JsonTableRows
from .rows import Closing, TableHeader, TableRow


class TextTable(Closing):
    """The rows of one text."""

    def __init__(
        self, stream: Stream, parser: CsvTableRows | JsonTableRows, *, name: str, line_bytes: int, is_unpacked: bool
    ) -> None:
        self._parser = parser
        self._reader = RowReader(
            stream, lambda first: parser, name=name, line_bytes=line_bytes, is_unpacked=is_unpacked
        )
        self._first: list[TableRow] | None = None  # read while the header was looked for

    def header(self) -> TableHeader:
        if self._parser.header is None:
            self._first = self._reader.read()
        assert self._parser.header is not None, "rows come behind the header, and without one the end raises"
        return self._parser.header

    def pieces(self) -> Iterator[list[TableRow]]:
        self.header()
        if self._first is not None:
            yield self._first
        while (piece := self._reader.read()) is not None:
            yield piece

    def share(self) -> float | None:
        return self._reader.fraction()

    def check(self) -> None:
        self._reader.check()

    def close(self) -> None:
        self._reader.close()


class JsonTable(Closing):
    """JSON Lines, read twice: for its keys, then for its rows.  `make` gives a new reading, of these keys."""

    def __init__(self, make: Callable[[list[str] | None], TextTable]) -> None:
        self._make = make
        self._table: TextTable | None = None

    def header(self) -> TableHeader:
        return self._opened().header()

    def pieces(self) -> Iterator[list[TableRow]]:
        return self._opened().pieces()

    def share(self) -> float | None:
        return self._table.share() if self._table else 0.0

    def check(self) -> None:
        if self._table:
            self._table.check()

    def close(self) -> None:
        if self._table:
            self._table.close()

    def _opened(self) -> TextTable:
        if self._table is None:
            with self._make(None) as collecting:
                for _ in collecting.pieces():
                    raise AssertionError("a collecting reading has no rows")
                self._table = self._make(collecting.header().names)
        return self._table
