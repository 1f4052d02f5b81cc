"""Databases and older workbooks as a `Table`: a child process writes all rows to a temporary file, then they are read.

    .sqlite .sqlite3 .db       by the standard library
    .parquet .duckdb .ddb      by DuckDB: extra `duckdb`
    .ods .xls .xlsb            by python-calamine: extra `excel`

The child (`spool_child`) opens the file for reading only and has limits of its own, so a library that panics cannot
lose a run: nothing was sent yet.  The temporary file is 4 GB at most, has no name, and is gone with the process.  While
it is written the source must stay as it is; later it may change, since it is not read any more.  All rows are of one
moment.  The lines of a database are its rows, counted from 1; those of a sheet are the sheet's.

Invariant: no row is given before all rows were written.  Not here: what a number cell means (`cell_values`).
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import orjson

from ...errors import SourceError, UsageError
from ..csv_records import too_long
from ..files import unreadable
from ..identity import Watch
from ..kinds import ZIP
from ..row_faults import Flawed
from .cell_values import IS_BINARY, IS_DATE, float_text
from .disguises import OLE, refuse_other_files
from .named_rows import begin
from .options import TableOptions
from .rows import PIECE_ROWS, Closing, IsHeader, TableHeader, TableRow
from .xml_events import BLOCK_BYTES, damages

CHILD: Final = str(Path(__file__).with_name("spool_child.py"))
SQLITE: Final = b"SQLite format 3\0"
DUCKDB: Final = b"DUCK"
DUCKDB_AT: Final = 8
PARQUET: Final = b"PAR1"
MAGIC: Final = {".ods": ZIP, ".xlsb": ZIP, ".xls": OLE, ".parquet": PARQUET}
PACKED_BYTES: Final = 64 << 20
UNPACKED_BYTES: Final = 512 << 20
"""The library keeps a whole sheet in memory, in some 5 times the size of its XML."""
MODULES: Final = {
    "calamine": ("python_calamine", "excel"),
    "duckdb": ("duckdb", "duckdb"),
    "parquet": ("duckdb", "duckdb"),
}
HIDDEN_ROW: Final = (b'visibility="collapse"', b'visibility="filter"')
AS_XLSX: Final = "save it as .xlsx, in which hidden rows are told apart"


class SpoolTable(Closing):
    """The rows of one file of these kinds."""

    def __init__(self, path: str, options: TableOptions, is_header: IsHeader | None, row_chars: int) -> None:
        self._path = path
        self._suffix = Path(path.lower()).suffix
        self._options = options
        self._is_header = is_header
        self._row_chars = row_chars
        self._spool: IO[bytes] | None = None
        self._size = 0
        self._begun: tuple[TableHeader, Iterator[list[TableRow]]] | None = None

    def header(self) -> TableHeader:
        if self._begun is None:
            with damages(self._path):
                self._begun = self._begin()
        return self._begun[0]

    def pieces(self) -> Iterator[list[TableRow]]:
        self.header()
        assert self._begun is not None
        yield from self._begun[1]

    def share(self) -> float | None:
        return self._spool.tell() / self._size if self._spool and self._size else 0.0

    def check(self) -> None:
        """Nothing: the rows are in a file of ours."""

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()

    def _begin(self) -> tuple[TableHeader, Iterator[list[TableRow]]]:
        with io.FileIO(self._path) as file:
            watch = Watch(file.fileno(), self._path, self._path)
            kind = kind_of_table(file, self._path, self._suffix)
            self._refuse_options(kind, file)
            require_module(kind, self._suffix)
            self._spool = spool = tempfile.TemporaryFile()  # noqa: SIM115 closed by close
            status = spooled(kind, self._path, self._options, spool)
            watch.check(is_torn=False)
        self._size = spool.seek(0, io.SEEK_END)
        self._refuse_unended(spool, status)
        spool.seek(0)
        head = json.loads(spool.readline())
        pieces = self._rows(spool, head["line"])
        if head["names"] is not None:
            return TableHeader(head["names"], 0), pieces
        return begin(pieces, name=self._path, header_line=self._options.header_line, is_header=self._is_header)

    def _refuse_options(self, kind: str, file: io.FileIO) -> None:
        """Raise `UsageError` for options that this kind does not know, and for rows that may be hidden."""
        options = self._options
        refused = (
            {"--query": options.query}
            if kind == "calamine"
            else {
                "--sheet": options.sheet,
                "--hidden-rows": options.hidden_rows,
                "--header-line": options.header_line,
            }
        )
        for flag, value in refused.items():
            if value is not None:
                raise UsageError(f"{flag} does not go with {self._path}", hint=f"leave out {flag} (see: help sources)")
        if kind != "calamine":
            return
        if self._suffix != ".xls":
            refuse_large(file, self._path)
        elif file.seek(0, io.SEEK_END) > PACKED_BYTES:
            raise SourceError(f"{self._path} is larger than {PACKED_BYTES >> 20} MB", hint=AS_XLSX)
        if options.hidden_rows == "skip":
            raise UsageError(f"which rows of {self._path} are hidden cannot be told", hint=AS_XLSX)
        if options.hidden_rows is None and self._suffix == ".ods" and has_hidden_rows(file):
            hint = f"{AS_XLSX}; or give --hidden-rows include to take them too"
            raise UsageError(f"{self._path} has rows that are hidden or filtered out", hint=hint)

    def _refuse_unended(self, spool: IO[bytes], status: int) -> None:
        """Raise unless the last line says that all rows are there."""
        spool.seek(max(0, self._size - BLOCK_BYTES))
        lines = spool.read().rstrip(b"\n").rpartition(b"\n")
        try:
            last = json.loads(lines[2])
        except ValueError:
            last = None
        if isinstance(last, dict) and "error" in last:
            error = UsageError if last["is_usage"] else SourceError
            raise error(f"{self._path} {last['error']}", hint=last["hint"])
        if status or not isinstance(last, dict) or "rows" not in last:
            how = f"signal {-status}" if status < 0 else f"exit {status}"
            raise SourceError(
                f"{self._path} could not be read: the library that reads it broke off ({how})",
                hint="it may be damaged, or too large: save it as CSV or .xlsx",
            )

    def _rows(self, spool: IO[bytes], line: int) -> Iterator[list[TableRow]]:
        piece: list[TableRow] = []
        for number, text in enumerate(spool, line):
            found = orjson.loads(text) if text.startswith(b"[") and b"e+" not in text else json.loads(text)
            if isinstance(found, dict):
                break  # the end
            values = [*map(text_of, found)]
            if any(map(str.strip, values)) or any(type(value) is not str for value in values):
                if sum(map(len, values)) > self._row_chars:
                    values = [Flawed(", ".join(values)[: self._row_chars], too_long(self._row_chars))]
                piece.append(TableRow(number, values))
            if len(piece) == PIECE_ROWS:
                yield piece
                piece = []
        if piece:
            yield piece


def text_of(value: Any) -> str:
    """A value of the spool as a text."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return float_text(value)
        case {"date": text}:
            return Flawed(text, IS_DATE)
        case {"bytes": length}:
            return Flawed(f"{length} bytes", IS_BINARY)
    return str(value)


def kind_of_table(file: io.FileIO, path: str, suffix: str) -> str:
    """What reads the file, by its name and its first bytes; the position is the beginning again."""
    head = file.read(DUCKDB_AT + len(DUCKDB))
    file.seek(0)
    if suffix in MAGIC:
        refuse_other_files(file, path, MAGIC[suffix])
        return "parquet" if suffix == ".parquet" else "calamine"
    if head[DUCKDB_AT:] == DUCKDB:
        return "duckdb"
    refuse_other_files(file, path, SQLITE)
    return "sqlite"


def require_module(kind: str, suffix: str) -> None:
    """Raise `UsageError` that says how to install what reads this kind, unless it is there."""
    module, extra = MODULES.get(kind, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise UsageError(
            f"{suffix} needs the extra {extra!r}, which is not installed",
            hint=f"in the clone: uv tool install --reinstall '.[{extra}]', or pipx install --force '.[{extra}]', "
            f"or where it is a library: pip install '.[{extra}]'",
        )


def refuse_large(file: io.FileIO, path: str) -> None:
    """Raise `SourceError` for an archive that the library could not keep in memory."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(info.file_size for info in archive.infolist())
    except (ValueError, LookupError, OverflowError) as error:
        raise zipfile.BadZipFile(str(error)) from error
    if size > UNPACKED_BYTES:
        raise SourceError(f"{path} is larger than {UNPACKED_BYTES >> 20} MB when it is unpacked", hint=AS_XLSX)


def has_hidden_rows(file: io.FileIO) -> bool:
    """Whether an OpenDocument sheet has rows, or columns, that are not shown."""
    with zipfile.ZipFile(file) as archive:
        if "content.xml" not in archive.namelist():
            return False
        tail = b""
        with archive.open("content.xml") as stream:
            while block := stream.read(BLOCK_BYTES):
                if any(word in tail + block for word in HIDDEN_ROW):
                    return True
                tail = block[-32:]
    return False


def spooled(kind: str, path: str, options: TableOptions, spool: IO[bytes]) -> int:
    """Let the child write the rows; its exit status."""
    given = json.dumps({"query": options.query, "sheet": options.sheet})
    command = [sys.executable, CHILD, kind, str(Path(path).absolute()), given]
    try:
        return subprocess.run(  # noqa: S603 our own script
            command, stdin=subprocess.DEVNULL, stdout=spool, stderr=subprocess.DEVNULL, check=False
        ).returncode
    except OSError as error:
        raise unreadable(path, error) from error
