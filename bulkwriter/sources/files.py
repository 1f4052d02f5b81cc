"""Files, pipes and standard input as sources: finds the format of a path, opens it, and decompresses it.

Files are opened unbuffered, and in the reading thread (`threaded`), since to open a file may hang like a read.  A
thread that dies inside a *buffered* read of standard input would hold its lock, and the interpreter would abort at
exit.  An unbuffered read also returns what a pipe has, instead of waiting for a full block.

Invariants: every error of the operating system or of gzip ends here, as a `SourceError` that names the file.  Bytes of
a regular file are handed on only while it is still the file that was opened (`identity`), which costs 3 µs a read.

Not here: the contents of the bytes (`row_reader`).
"""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import re
import select
import stat
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from ..entities import Entity
from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import SourceError, UsageError, WrongName
from ..model import Batch
from ..shell import operand, quote
from ..wording import Worded
from .batches import Source
from .columns import Columns
from .csvrows import CsvRows
from .identity import Watch
from .jsonrows import JsonRows
from .kinds import GZIP, ZIP_BYTES, kind_of
from .row_reader import RowParser, RowReader, Stream
from .threaded import BlockingReader, ThreadSource

LINE_BYTES: Final = 65_536
FEWEST_LINE_BYTES: Final = 64
"""csvrows.py depends on this: a line of two ids and their delimiter (42 bytes) is never too long."""
FORMATS: Final[dict[str, type[CsvRows] | type[JsonRows]]] = {
    ".csv": CsvRows,
    ".tsv": CsvRows,
    ".jsonl": JsonRows,
    ".ndjson": JsonRows,
}
TABLES: Final = (
    ".xlsx", ".xlsm", ".sqlite", ".sqlite3", ".db", ".parquet", ".duckdb", ".ddb", ".ods", ".xls", ".xlsb",
)  # fmt: skip
"""Ends of the names of files that hold tables, which are no lines of text (`tables`)."""
DATABASES: Final = (".sqlite", ".sqlite3", ".db", ".parquet", ".duckdb", ".ddb")
ORDER: Final = "a run compares rows by their place: give them an order that stays, by a --query that ends with ORDER BY"
HEAD_BYTES: Final = ZIP_BYTES
COUNTED_BYTES: Final = 1 << 25
"""The lines of a file up to this size, some 2.5 million rows, are counted first, in 30 ms.  An estimate from the first
bytes gives up to a tenth too many rows, since ids grow longer.  For a larger file the share of the bytes must do.
"""
COUNT_BLOCK_BYTES: Final = 1 << 20
STDIN: Final = "standard input"
JSON_ARRAY: Final = re.compile(rb"\s*\[\s*\{")
NAMELESS: Final = ("/dev/", "/proc/")
"""Folders with names of descriptors: /dev/stdin, and /dev/fd/63 for a shell's <(...).  Such names tell no format."""


def open_source(
    path: str | os.PathLike[str],
    *,
    lesson_column: str | None = None,
    member_column: str | None = None,
    header_line: int | None = None,
    sheet: str | None = None,
    hidden_rows: Literal["include", "skip"] | None = None,
    query: str | None = None,
    line_bytes: int = LINE_BYTES,
    entity: Entity = COMPLETED_LESSONS,
) -> Source:
    """A source that reads the file `path`, or standard input for `-`.  `bulkwriter help sources` lists the formats.

    `entity` says what its rows are; `lesson_column` and `member_column` name the columns of a pair's first and second
    id.  `header_line`, 1-based, is the line of a CSV or of a sheet that names its columns; lines above it are skipped.
    `sheet` is the name of a worksheet, or its number from the left among the tabs that are not hidden; the default is
    the first worksheet that is not hidden.  A sheet with hidden or filtered rows needs `hidden_rows`.
    `query` is what a database is asked, with an order that stays; the default is its only table.

    Returns at once.  The first `read` opens the file, and raises `SourceError` if it cannot, or `UsageError` if an
    option does not suit the file.  Raises `UsageError` for impossible columns.  `line_bytes`, at least 64, bounds one
    record.
    """
    assert line_bytes >= FEWEST_LINE_BYTES
    path = os.fspath(path)
    fields = entity.fields
    columns = Columns(lesson_column or fields[0], member_column or fields[1], entity.words)
    name = STDIN if path == "-" else path
    options = {"header_line": header_line, "sheet": sheet, "hidden_rows": hidden_rows, "query": query}
    reader = pair_reader(path, columns, line_bytes=line_bytes, **options)
    given = {option: value for option, value in options.items() if value is not None}
    has_place = path != "-" and not path.startswith(NAMELESS)
    origin = json.dumps({"path": str(Path(path).absolute()), **given}) if has_place else ""
    return FileSource(reader, name, origin)


class FileSource(ThreadSource):
    """A source that tells how its rows can be read again: `origin` is JSON, or "" for standard input."""

    def __init__(self, reader: BlockingReader, name: str, origin: str) -> None:
        super().__init__(reader, name)
        self.origin = origin
        self.order_hint = ORDER if name.lower().endswith(DATABASES) else ""
        """What to say where a later reading gives other rows."""


def pair_reader(path: str, columns: Columns, *, line_bytes: int = LINE_BYTES, **options: Any) -> BlockingReader:
    """The pairs of a file, blocking, for one thread.  `options` are those of `open_source` that say how to read it."""
    name = STDIN if path == "-" else path
    header_line = options.get("header_line")
    if header_line is not None and header_line < 1:
        raise UsageError(f"header line {header_line} is not a line", hint="lines are counted from 1")
    if is_table(path):
        from .tables.opening import open_pairs
        from .tables.options import TableOptions

        return open_pairs(path, TableOptions(**options), columns, line_bytes)
    refuse_options(name, {f"--{key.replace('_', '-')}": options.get(key) for key in ("sheet", "hidden_rows", "query")})
    stream = FileStream(path, name)
    return make_reader(stream, path, columns=columns, line_bytes=line_bytes, header_line=header_line)


def make_reader(
    stream: Stream, path: str, *, columns: Columns, line_bytes: int, header_line: int | None = None
) -> RowReader[Batch]:
    """A reader of `stream` in the format that `path` tells, or else the first byte."""
    name = STDIN if path == "-" else path

    def parser_for(first: bytes) -> RowParser[Batch]:
        rows = format_of(path) or (JsonRows if first in (b"{", b"[") else CsvRows)
        if rows is CsvRows:
            return CsvRows(name, columns, line_bytes, header_line or 1)
        if header_line is not None:
            raise SourceError(f"{name} is JSON Lines, which has no header", hint="leave out --header-line")
        return JsonRows(name, columns, line_bytes)

    is_unpacked = path.lower().endswith(".gz")
    return RowReader(stream, parser_for, name=name, line_bytes=line_bytes, is_unpacked=is_unpacked)


def format_of(path: str) -> type[CsvRows] | type[JsonRows] | None:
    """The format that the name tells, or None."""
    return FORMATS.get(Path(path.lower().removesuffix(".gz")).suffix)


def is_table(path: str) -> bool:
    """Whether the name is that of a file that holds a table."""
    return path.lower().endswith(TABLES)


def notes_on(path: str, **options: Any) -> list[str]:
    """What people should know of the choices that reading `path` makes with these options of `open_source`.

    Blocking.  Raises `UsageError` and `SourceError` as a first `read` would, for what a workbook shows by then.
    """
    if not is_table(path):
        return []
    from .tables.opening import notes_of
    from .tables.options import TableOptions

    return notes_of(path, TableOptions(**options))


def refuse_options(name: str, options: Mapping[str, str | None]) -> None:
    """Raise `UsageError` if one of these is given, which the source `name` does not know."""
    for flag, value in options.items():
        if value is not None:
            raise UsageError(Worded(f"{flag} does not go with {name}"), hint=f"leave out {flag} (see: help sources)")


def refuse_path(path: str) -> None:
    """Raise the `SourceError` that shows without opening: nothing there, a directory, a file of no known format."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(mode):
        raise unreadable(path, IsADirectoryError())
    is_unknown = not is_table(path) and format_of(path) is None
    if stat.S_ISREG(mode) and not path.startswith(NAMELESS) and is_unknown:
        try:
            with Path(path).open("rb") as file:
                raise unknown_format(path, file.read(HEAD_BYTES))
        except OSError as error:
            raise unreadable(path, error) from error


def waits_for(path: str) -> str:
    """The thing that a read of `path` may wait for without end, in words, or ""."""
    with suppress(OSError):  # what is wrong with it shows when it is opened
        if path == "-":
            return f"{STDIN} is this terminal: waits for rows, Ctrl-D ends them" if os.isatty(0) else ""
        if stat.S_ISFIFO(Path(path).stat().st_mode):
            return f"{path} is a named pipe: waits until something writes to it"
    return ""


class FileStream:
    """The bytes of one file, decompressed; blocking.  `name` is for people."""

    def __init__(self, path: str, name: str, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self._path = path
        self._name = name
        self._sleep = sleep
        self._file: io.FileIO | None = None
        self._gzip: gzip.GzipFile | None = None
        self._compressed: io.BufferedReader | None = None
        self._start = 0
        self._size: int | None = None
        self._lines: int | None = None  # in all, of a file that is counted first
        self._lines_read = 0
        self._watch: Watch | None = None  # only of a regular file

    def read(self, size: int) -> bytes:
        try:
            if self._file is None:
                self._file = self._open()
            data = read_some(self._file, size) if self._gzip is None else self._gzip.read1(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.check(is_torn=False)
            raise SourceError(
                f"{self._name}: damaged or cut short (gzip: {error})", hint="make or copy the file again"
            ) from error
        except OSError as error:
            raise unreadable(self._name, error) from error
        self.check(is_torn=False)
        if self._lines:
            self._lines_read += data.count(b"\n")
        return data

    def check(self, *, is_torn: bool) -> None:
        if is_torn and self._watch is None and self._gzip is None:
            raise SourceError(
                f"{self._name} ended within a line: what writes to it may have died, and 3,2 may be the begin of 3,20",
                hint="this row is not sent, and those before it are kept: give the whole input again; if that was all, "
                "end its last line too, as (cat pairs.csv; echo) does",
            )
        try:
            if self._watch is not None:
                self._watch.check(is_torn=is_torn)
        except OSError as error:
            raise unreadable(self._name, error) from error

    def share(self) -> float | None:
        if self._file is None or self._size is None:
            return None
        if self._lines and self._file.tell() < self._start + self._size:
            return min(1.0, self._lines_read / self._lines)
        place = (self._compressed or self._file).tell() - self._start
        return min(1.0, place / self._size) if self._size else 1.0

    def close(self) -> None:
        if self._gzip is not None:
            self._gzip.close()
        if self._file is not None:
            self._file.close()

    def _open(self) -> io.FileIO:
        if self._path == "-" and sys.stdin is None:  # closed by the caller: descriptor 0 is another file by now
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        file = io.FileIO(0, closefd=False) if self._path == "-" else io.FileIO(self._path)
        try:
            self._begin(file)
        except BaseException:
            file.close()
            raise
        return file

    def _begin(self, file: io.FileIO) -> None:
        """Find out what an opened file is."""
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            self._start = file.tell()  # standard input may be a file that another read from
            self._size = status.st_size - self._start
            if self._path != "-" and not self._path.startswith(NAMELESS) and format_of(self._path) is None:
                raise unknown_format(self._name, file.read(HEAD_BYTES))
            path = None if self._path == "-" else self._path
            self._watch = Watch(file.fileno(), path, self._name, sleep=self._sleep)
        if self._path.lower().endswith(".gz"):
            # Buffered, since gzip's own parser of heads takes a short read for the end.
            self._compressed = io.BufferedReader(file)
            head = self._compressed.peek(HEAD_BYTES)
            if head and not GZIP.startswith(head[: len(GZIP)]):
                raise not_compressed(self._name, head)
            self._gzip = gzip.GzipFile(fileobj=self._compressed, mode="rb")
        elif self._size is not None and self._size <= COUNTED_BYTES:
            self._lines = count_lines(file.fileno(), self._start, self._size)


def count_lines(fd: int, start: int, size: int) -> int:
    """Count the line ends in `size` bytes from `start` on.  The position of the file stays as it was."""
    lines, at = 0, start
    while at < start + size and (block := os.pread(fd, min(COUNT_BLOCK_BYTES, start + size - at), at)):
        lines += block.count(b"\n")
        at += len(block)
    return lines


def read_some(file: io.FileIO, size: int) -> bytes:
    """Up to `size` bytes as soon as there are any."""
    while (data := file.read(size)) is None:  # another program may have set standard input to non-blocking
        select.select([file], [], [])
    return data


def unreadable(name: str, error: OSError) -> SourceError:
    match error:
        case FileNotFoundError():
            return SourceError(f"{name}: there is no such file", hint="check the path; - reads standard input")
        case IsADirectoryError():
            return SourceError(f"{name} is a directory", hint="name the file in it")
        case PermissionError():
            return SourceError(
                f"{name} may not be read by this user", hint=f"check its permissions: ls -l {quote(operand(name))}"
            )
        case _:
            reason = error.strerror or str(error)
            return SourceError(f"{name} cannot be read: {reason}", hint="the same command goes on when it can be read")


def unknown_format(name: str, head: bytes) -> WrongName:
    """A file whose name tells nothing; `head` is how it begins."""
    if kind := kind_of(head):
        return WrongName(f"{name} is {kind.what}", hint=kind.hint)
    if JSON_ARRAY.match(head):
        lines = quote(Path(name).stem + ".jsonl")
        return WrongName(
            f"{name} is a JSON array; a source has one object a line",
            hint=f"turn it into lines: jq -c '.[]' {quote(operand(name))} > {lines}, and name {lines}",
        )
    likely = ".jsonl" if head.lstrip()[:1] in (b"{", b"[") else ".tsv" if b"\t" in head else ".csv"
    ends = f"{', '.join(FORMATS)}, these with .gz, or {', '.join(TABLES)}"
    return WrongName(
        f"{name}: the name does not tell the format",
        hint=f"name it {quote(Path(name).stem + likely)}: it must end with {ends}",
    )


def not_compressed(name: str, head: bytes) -> WrongName:
    kind = kind_of(head)
    what = kind.what if kind else "not compressed (gzip)"
    return WrongName(
        f"{name} is {what}, although its name ends with .gz",
        hint=kind.hint if kind else f"take .gz from its name: mv {quote(operand(name))} {quote(operand(name[:-3]))}",
    )
