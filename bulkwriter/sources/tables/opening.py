"""Which table a path is: by its name, as for `open_source`.  Opens nothing itself; the first use of the table does.

A pipe is refused: a table may be read more than once.

Not here: what the bytes hold; that shows when the table is used.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from ...errors import SourceError, UsageError
from ..columns import Columns
from ..files import (
    LINE_BYTES,
    STDIN,
    FileStream,
    format_of,
    is_table,
    refuse_options,
    refuse_path,
    unreadable,
)
from ..jsonrows import JsonRows
from .csv_records import CsvTableRows
from .json_records import JsonTableRows
from .options import TableOptions
from .pairs import TablePairs
from .rows import IsHeader, Table
from .spool_table import SpoolTable
from .text_table import JsonTable, TextTable
from .xlsx_table import XlsxTable

XLSX: Final = (".xlsx", ".xlsm")
TELLING: Final = (".ods", ".sqlite", ".sqlite3", ".db", ".parquet", ".duckdb", ".ddb")
NOT_TOLD: Final = ["hidden rows are taken too: in this kind of file they cannot be told apart"]


def open_pairs(path: str, options: TableOptions, columns: Columns, line_bytes: int) -> TablePairs:
    """The pairs of a file that holds a table (`files.is_table`)."""
    return TablePairs(table_of(path, options, columns.is_in, line_bytes), columns, path)


def notes_of(path: str, options: TableOptions) -> list[str]:
    """What people should know of the choices that are made for this file, before it is read."""
    if not path.lower().endswith(XLSX):
        return [] if path.lower().endswith(TELLING) else NOT_TOLD
    with XlsxTable(path, options, None, LINE_BYTES) as table:
        table.look()
        return table.notes


def open_table(
    path: str | os.PathLike[str],
    options: TableOptions | None = None,
    *,
    is_header: IsHeader | None = None,
    line_bytes: int = LINE_BYTES,
) -> Table:
    """The rows of a file with all their columns, as the package says.  `line_bytes` bounds one row.

    Raises `SourceError` for what shows without reading: no such file, a pipe, a name that tells no format.
    """
    path, options = os.fspath(path), options or TableOptions()
    if path == "-":
        raise UsageError(f"{STDIN} is read once, and rows with all their columns may be read again", hint="name a file")
    refuse_path(path)
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise SourceError(f"{path} is no regular file", hint="copy it into one")
    except OSError as error:
        raise unreadable(path, error) from error
    if is_table(path):
        return table_of(path, options, is_header, line_bytes)
    refuse_options(path, {"--sheet": options.sheet, "--hidden-rows": options.hidden_rows, "--query": options.query})

    def text(parser: CsvTableRows | JsonTableRows) -> TextTable:
        is_unpacked = path.lower().endswith(".gz")
        return TextTable(FileStream(path, path), parser, name=path, line_bytes=line_bytes, is_unpacked=is_unpacked)

    if format_of(path) is not JsonRows:
        return text(CsvTableRows(path, line_bytes, options.header_line or 1, is_header))
    if options.header_line is not None:
        raise UsageError(f"{path} is JSON Lines, which has no header", hint="leave out --header-line")
    return JsonTable(lambda keys: text(JsonTableRows(path, line_bytes, keys)))


def table_of(path: str, options: TableOptions, is_header: IsHeader | None, line_bytes: int) -> Table:
    """The table of a file that is no lines of text."""
    if not path.lower().endswith(XLSX):
        return SpoolTable(path, options, is_header, line_bytes)
    refuse_options(path, {"--query": options.query})
    return XlsxTable(path, options, is_header, line_bytes)
