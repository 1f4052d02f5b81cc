"""The rows of a table on disk while the lists are read, so that memory does not grow with the table.

A table is read once: a workbook takes seconds of CPU for each reading, and a file may change between two.  The rows
then lie in a file without a name (`tempfile.TemporaryFile`), which is gone with the process, however it ends: it
holds people's data.  It stands in the folder of the output, since the system's temporary folder may be memory.

Invariant: rows come back as they were given, in the same order, any number of times.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

import orjson

from ..errors import UsageError

BUFFER_BYTES: Final = 1 << 18


class SpooledRow(NamedTuple):
    """`fault` is why the row, or an id in it, cannot be read.  `blank` is why cells of it are empty, where the file
    tells.
    """

    line: int
    cells: list[str]
    fault: str
    blank: str


class Spool:
    """Rows: first all are added, then they are read."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=BUFFER_BYTES)  # noqa: SIM115 see close
        except OSError as error:
            raise UsageError(f"cannot write in {folder}: {error.strerror}", hint="--output names another") from None
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, line: int, cells: Sequence[str], fault: str = "", blank: str = "") -> None:
        row = [line, [str(cell) for cell in cells], fault, blank]
        try:
            data = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # half a surrogate pair, as JSON can have it
            data = json.dumps(row).encode() + b"\n"
        with trouble_told():
            self._file.write(data)
        self._rows += 1

    def __iter__(self) -> Iterator[SpooledRow]:
        with trouble_told():
            self._file.seek(0)  # which also writes what is still in memory
        for data in self._file:
            try:
                yield SpooledRow(*orjson.loads(data))
            except orjson.JSONDecodeError:
                yield SpooledRow(*json.loads(data))

    def close(self) -> None:
        with contextlib.suppress(OSError):  # where the disk is full it tries to write once more
            self._file.close()


@contextlib.contextmanager
def trouble_told() -> Iterator[None]:
    """A disk that does not take the rows is the user's to know."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"the rows cannot be kept: {error.strerror}", hint="make room on the disk") from None
