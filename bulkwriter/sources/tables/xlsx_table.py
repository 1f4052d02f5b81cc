"""A worksheet of an .xlsx or .xlsm file as a `Table`.

The file stays open while its rows are read, and it is watched as a CSV is: a spreadsheet that saves it meanwhile ends
the reading.  Memory: the texts that cells share (`shared_texts`), a block of XML and its rows.

The sheet is read twice: it is looked through (`xlsx_look`), then its rows come.  So a run that must ask about hidden
rows, or end because of damage, does so before the first row is sent.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import SourceError, UsageError
from ..batches import printable
from ..columns import names_emails
from ..files import unreadable
from ..identity import Watch
from ..kinds import NAMED, ZIP
from .disguises import refuse_other_files
from .named_rows import begin
from .options import TableOptions
from .rows import Closing, IsHeader, TableHeader, TableRow
from .shared_texts import SharedTexts
from .sheet_choice import choose, other_sheets, titles
from .xlsx_look import Outline, look_at, read_outline
from .xlsx_rows import CarefulRows, CellRules, PlainRows
from .xlsx_workbook import XlsxWorkbook
from .xml_events import ByteReader, damages


@dataclass(frozen=True, slots=True)
class ChosenSheet:
    """A sheet that was chosen and looked through.  `others` names further ones, if the choice was not the user's."""

    workbook: XlsxWorkbook
    part: str
    name: str
    others: str
    is_plain: bool


class XlsxTable(Closing):
    """The rows of one sheet.  `path` is that of the file, for the errors too."""

    def __init__(self, path: str, options: TableOptions, is_header: IsHeader | None, row_chars: int) -> None:
        self._path = path
        self._options = options
        self._is_header = is_header
        self._row_chars = row_chars
        self._file: io.FileIO | None = None
        self._watch: Watch | None = None
        self._workbook: XlsxWorkbook | None = None
        self._texts: SharedTexts | None = None
        self._size = 0
        self._read = 0
        self._begun: tuple[TableHeader, Iterator[list[TableRow]]] | None = None
        self._outline = Outline()
        self.notes: list[str] = []
        """What people should know of the choices made, once the header is known."""

    def header(self) -> TableHeader:
        if self._begun is None:
            with damages(self._path):
                self._begun = self._begin(self._open())
        return self._begun[0]

    def look(self) -> None:
        """Choose the sheet and look through it; `notes` has what people should know.  In place of `header`."""
        with damages(self._path):
            self._open()

    def pieces(self) -> Iterator[list[TableRow]]:
        self.header()
        assert self._begun is not None
        with damages(self._path):
            yield from self._begun[1]

    def why_empty(self, line: int, column: int) -> str:
        """Why a cell without a value has none, or ""."""
        found = next((merged for merged in self._outline.merged if merged.hides(line, column)), None)
        return f"is inside the merged cells {found.text}, of which the first alone holds the value" if found else ""

    def share(self) -> float | None:
        return min(1.0, self._read / self._size) if self._size else 0.0

    def check(self) -> None:
        if self._watch is not None:
            try:
                self._watch.check(is_torn=False)
            except OSError as error:
                raise unreadable(self._path, error) from error

    def close(self) -> None:
        for opened in (self._texts, self._workbook, self._file):
            if opened is not None:
                opened.close()

    def _open(self) -> ChosenSheet:
        """Open the file, find the sheet and look through it."""
        self._file = file = io.FileIO(self._path)
        self._watch = Watch(file.fileno(), self._path, self._path)
        refuse_other_files(file, self._path, ZIP)
        workbook = self._workbook = XlsxWorkbook(file)
        if workbook.open_main().lower().endswith(".bin"):
            raise SourceError(f"{self._path} is a binary workbook (.xlsb)", hint=NAMED.format(".xlsb"))
        sheets = workbook.sheets()
        chosen = choose(sheets, self._options.sheet, self._path)
        title = printable(chosen.name)
        others = other_sheets(sheets, chosen)
        if others and self._options.sheet is None:
            self.notes.append(
                f"reads sheet {title!r}, the first of {titles([chosen, *others])}; --sheet NAME takes another"
            )
        with workbook.open(chosen.part) as stream:
            look = look_at(stream)
        if look.has_more:
            with workbook.open(chosen.part) as stream:
                self._outline = read_outline(stream)
        name = f"{self._path}, sheet {title!r}"
        self._see_to_hidden(name)
        self.check()
        is_told = self._options.sheet is not None
        return ChosenSheet(workbook, chosen.part, name, "" if is_told else titles(others), look.is_plain)

    def _begin(self, opened: ChosenSheet) -> tuple[TableHeader, Iterator[list[TableRow]]]:
        """Read the texts and the header; the header, and the rows below it."""
        workbook, part = opened.workbook, opened.part
        self._texts = texts = workbook.shared_texts()
        rules = CellRules(texts, workbook.date_styles(), workbook.is_1904, self._row_chars)
        self._size = workbook.size(part)
        rows = self._rows(workbook.open(part), rules, is_plain=opened.is_plain)
        header, rest = begin(rows, name=opened.name, header_line=self._options.header_line, is_header=self._is_header)
        if opened.others and not header.hint and not names_emails(header.names):  # else `resolve` is the hint
            header = header._replace(hint=f"if they are on another sheet: --sheet NAME, of {opened.others}")
        return header, rest

    def _see_to_hidden(self, name: str) -> None:
        """Ask about hidden rows, or say what becomes of them."""
        count, first = self._outline.hidden, self._outline.first_hidden
        if not count:
            return
        rows = f"{count:,} row is" if count == 1 else f"{count:,} rows are"
        hidden = f"{rows} hidden or filtered out, the first is row {first}"
        match self._options.hidden_rows:
            case None:
                raise UsageError(
                    f"{name}: {hidden}",
                    hint="give --hidden-rows include to take them too, or --hidden-rows skip to leave them out",
                )
            case "include":
                self.notes.append(f"{hidden}: taken too")
            case _:
                self.notes.append(f"{hidden}: left out")

    def _rows(self, stream: ByteReader, rules: CellRules, *, is_plain: bool) -> Iterator[list[TableRow]]:
        takes_hidden = self._options.hidden_rows != "skip"
        way = PlainRows if is_plain else CarefulRows
        for rows, size, _ in way(rules, takes_hidden=takes_hidden).read(stream):
            self._read += size
            self.check()
            if rows:
                yield rows
