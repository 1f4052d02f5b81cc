"""The rows of one worksheet, from its XML (ECMA-376, part 1, 18.3), as they come.

    <row r="7" hidden="1"> <c r="B7" s="3" t="s"> <f>…</f> <v>12</v> </c> … </row>

Numbers of rows and cells may be left out; they then follow the one before.  `t` says what `v` is: n a number (the
default), s a shared text, str a formula's text, inlineStr a text in the cell, b a truth value, e an error, d a date.
Rows are kept up to `WIDEST` columns, and what stands further right is passed over, so a stray cell in XFD1048576 costs
nothing.

Two ways lead through a sheet, as through a CSV:

  plain     a regular expression finds the cells of a row, if it accounts for every tag of that row; 0.6 µs a cell
  careful   expat gives each tag to a callback: this way *defines* what a row is; 3 µs a cell

The plain way takes what is known to be well-formed UTF-8 without comments, CDATA, prefixes and document type: the
caller has looked at it before (`xlsx_look`).  Then a `<` always begins a tag, so what counts all of them overlooks
nothing.

Invariants: row numbers rise, and plain gives exactly the result of careful, or nothing; a property test compares them.
Not here: which row names the columns (`named_rows`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..csv_records import too_long
from ..row_faults import Flawed
from .cell_values import EXACT_CHARS, IS_DATE, IS_ERROR, IS_UNSAVED, date_text, number_text, unescaped
from .rows import TableRow
from .shared_texts import SharedTexts
from .xlsx_look import FIGURES, TRUE, new_column, row_number
from .xml_events import BLOCK_BYTES, ByteReader, SpoiledXml, feed, local, make_parser

WIDEST: Final = 1_000
"""Columns that are kept.  The widest tables of people have some hundred; a sheet may have 16,384."""
SHEET_DATA: Final = re.compile(rb"<sheetData(?:\s[^<>]*)?>")
SHEET_END: Final = b"</sheetData>"
ROW_END: Final = b"</row>"
ROW_START: Final = re.compile(r'\s*<row((?: [\w:.-]+="[^"<>&]*")*)>')
ROW_NUMBER: Final = re.compile(r'(?<= )r="([0-9]{1,7})"')
CELLS: Final = re.compile(
    r'<c r="([A-Z]{1,3})[0-9]{1,7}"(?: s="([0-9]+)")?(?: t="([sn])")?(?:/>|><v>([^<&\r\n]+)</v></c>)'
)


class CellRules(NamedTuple):
    """What the workbook says about its cells, and the most characters of a row."""

    texts: SharedTexts
    date_styles: frozenset[str]
    is_1904: bool
    row_chars: int


class BlockRows(NamedTuple):
    """The rows of a block of XML, its bytes, and the number of the last row in it, which may be empty."""

    rows: list[TableRow]
    size: int
    last: int


class OpenCell:
    """The cell that is being parsed: where it is, what it says of itself, and its text so far."""

    __slots__ = ("column", "data", "has_formula", "has_value", "kind", "size", "style")

    def __init__(self) -> None:
        self.begin(-1, {})

    def begin(self, column: int, attributes: dict[str, str]) -> None:
        self.column = column
        self.kind = attributes.get("t", "n")
        self.style = attributes.get("s", "")
        self.has_formula = self.has_value = False
        self.size = 0
        self.data = ""

    def add(self, more: str, most: int) -> None:
        """More of its text.  Behind `most` characters only their number is kept: its row is too long."""
        self.size += len(more)
        if self.size <= most:
            self.data += more

    def value(self, rules: CellRules, row: int) -> str:
        """Its value once it has ended."""
        data = self.data
        match self.kind:
            case "s" if not self.has_value:
                return ""
            case "s":
                if not (data.isascii() and data.isdigit() and len(data) <= EXACT_CHARS):
                    raise SpoiledXml(f"row {row:,} has a shared text {data[:20]!r}")
                return rules.texts[int(data)]
            case "n" if not data:
                return Flawed("", IS_UNSAVED) if self.has_formula else ""
            case "n" if self.style in rules.date_styles:
                return date_text(data, is_1904=rules.is_1904)
            case "n":
                return number_text(data.strip())
            case "str" | "inlineStr":
                return unescaped(data) if self.has_value or not self.has_formula else Flawed("", IS_UNSAVED)
            case "b":
                return ("TRUE" if data.strip() in TRUE else "FALSE") if data else ""
        return Flawed(data, IS_ERROR if self.kind == "e" else IS_DATE)


class CarefulRows:
    """The careful way through a sheet.  Row `last` came before."""

    def __init__(self, rules: CellRules, *, takes_hidden: bool, last: int = 0) -> None:
        self._rules = rules
        self._takes_hidden = takes_hidden
        self._columns: dict[str, int] = {}
        self._cell = OpenCell()
        self._values: list[str] = []
        self._done: list[TableRow] = []
        self._row = last
        self._chars = 0
        self._sounds = 0  # depth of rPh, which holds how a Japanese text is pronounced
        self._is_hidden = self._has_flaw = self._is_capturing = self._is_over = False

    def read(self, stream: ByteReader) -> Iterator[BlockRows]:
        """The rows of each block with any value in them."""
        parser = make_parser(self._start, self._end, self._text)
        for size in feed(stream, parser, lambda: self._is_over):
            done, self._done = self._done, []
            yield BlockRows(done, size, self._row)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        match local(name):
            case "c":
                reference = attributes.get("r")
                letters = "" if reference is None else reference.rstrip(FIGURES)
                if reference is None:
                    column = self._cell.column + 1
                else:
                    column = self._columns[letters] if letters in self._columns else new_column(letters, self._columns)
                self._cell.begin(column, attributes)
            case "v":
                self._cell.has_value = self._is_capturing = True
            case "t":
                self._cell.has_value = True
                self._is_capturing = not self._sounds
            case "f":
                self._cell.has_formula = True
            case "row":
                self._row = row_number(attributes.get("r"), self._row)
                self._is_hidden = attributes.get("hidden") in TRUE
                self._values, self._chars, self._has_flaw = [], 0, False
                self._cell.begin(-1, {})
            case "rPh":
                self._sounds += 1

    def _end(self, name: str) -> None:
        match local(name):
            case "c":
                cell = self._cell
                if (cell.size or cell.has_formula) and cell.column < WIDEST:
                    self._put(cell)
            case "v" | "t":
                self._is_capturing = False
            case "row":
                self._end_row()
            case "rPh":
                self._sounds -= 1
            case "sheetData":
                self._is_over = True

    def _text(self, more: str) -> None:
        if self._is_capturing:
            self._cell.add(more, self._rules.row_chars)

    def _put(self, cell: OpenCell) -> None:
        text = cell.value(self._rules, self._row)
        self._has_flaw = self._has_flaw or type(text) is not str
        self._chars += len(text) if cell.size <= self._rules.row_chars else cell.size
        values = self._values
        if cell.column >= len(values):
            values.extend([""] * (cell.column - len(values) + 1))
        values[cell.column] = text

    def _end_row(self) -> None:
        """Keep the row, if it has anything to tell: a formula without a value has."""
        values, most = self._values, self._rules.row_chars
        if not (self._has_flaw or any(map(str.strip, values))) or (self._is_hidden and not self._takes_hidden):
            return
        if self._chars > most:
            values = [Flawed(", ".join(values)[:most], too_long(most))]
        self._done.append(TableRow(self._row, values))


class PlainRows:
    """The plain way through a sheet that was found plain."""

    def __init__(self, rules: CellRules, *, takes_hidden: bool) -> None:
        self._rules = rules
        self._takes_hidden = takes_hidden
        self._columns: dict[str, int] = {}
        self._last = 0

    def read(self, stream: ByteReader) -> Iterator[BlockRows]:
        """As `CarefulRows`."""
        rest = b""
        is_begun = False
        while block := stream.read(BLOCK_BYTES):
            rest += block
            if not is_begun:
                found = SHEET_DATA.search(rest)
                if found is None:
                    yield BlockRows([], len(block), 0)
                    continue
                is_begun, rest = True, rest[found.end() :]
            end = rest.find(SHEET_END)
            whole, row_end, rest = (rest if end < 0 else rest[:end]).rpartition(ROW_END)
            yield BlockRows(self._rows((whole + row_end).decode()), len(block), self._last)
            if end >= 0:
                return

    def _rows(self, text: str) -> list[TableRow]:
        """The rows of some text that ends with the end of a row."""
        done: list[TableRow] = []
        unusual: list[str] = []
        for chunk in text.split("</row>")[:-1]:
            row = self._plain(chunk)
            if row is None:
                unusual.append(chunk)
                continue
            if unusual:
                done += self._careful(unusual)
                unusual = []
            self._last = row_number(row.line, self._last)
            if any(map(str.strip, row.values)):
                done.append(row)
        return done + self._careful(unusual) if unusual else done

    def _careful(self, chunks: list[str]) -> list[TableRow]:
        """The rows of chunks that each lack the end of a row."""
        done: list[TableRow] = []
        stream = io.BytesIO(f"<sheetData>{'</row>'.join(chunks)}</row></sheetData>".encode())
        careful = CarefulRows(self._rules, takes_hidden=self._takes_hidden, last=self._last)
        for piece in careful.read(stream):
            done += piece.rows
            self._last = piece.last
        return done

    def _plain(self, chunk: str) -> TableRow | None:
        """The row in a chunk, blank or not, or None if it wants the careful way."""
        begun = ROW_START.match(chunk)
        number = begun and ROW_NUMBER.search(begun[1])
        if not begun or not number or "hidden" in begun[1]:
            return None
        texts, date_styles, _, row_chars = self._rules
        columns, values, tags, chars = self._columns, list[str](), 0, 0
        for letters, style, kind, data in CELLS.findall(chunk, begun.end()):
            if not data:
                tags += 1
                continue
            tags += 4
            if not data.isascii() or style in date_styles:
                return None
            if kind == "s":
                if not data.isdigit() or len(data) > EXACT_CHARS:
                    return None
                text = texts[int(data)]
            else:
                text = data if len(data) <= EXACT_CHARS and data.isdigit() else number_text(data.strip())
                if type(text) is not str:
                    return None
            column = columns[letters] if letters in columns else new_column(letters, columns)
            if column >= WIDEST:
                continue
            chars += len(text)
            if column < len(values):
                return None
            if column > len(values):
                values.extend([""] * (column - len(values)))
            values.append(text)
        if chunk.count("<", begun.end()) != tags or chars > row_chars:
            return None
        return TableRow(int(number[1]), values)
