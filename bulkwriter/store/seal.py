"""The seal of a large journal: a note of what its file was when a writer closed it, so that the next one need not check
each row again.

    FILE.seal    one line of JSON, then the states of all rows, compressed (zlib)
        version   of this format
        sha256    of FILE, without a -wal
        bytes     length of FILE
        rows      rows of the source; `singles`: those given one by one
        pruned    see `pruned.Pruned`
        openings  how many writers in a row have believed a seal

A file with the bytes of its seal is what the last writer left, to the last bit: a check of rows (`bounds`) never shows
so much.  What it cannot show is damage from the time when that writer had the file open.  So every `MOST_OPENINGS`-th
opening checks all rows, as each reading command does.  A seal that is missing, torn, of other bytes or of another
version only costs that check.  Whoever copies a journal may leave it behind.

Cost at 10^6 rows of 31 bytes: 0.03 s of CPU to open and to close, where the check takes 0.6 s.  Below `LEAST_ROWS` the
check is not felt, and no seal is made.

Invariant: SQLite has the file closed when it is read here, since closing a second descriptor would drop SQLite's lock
(fcntl(2)).  The caller holds the journal's own lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from ..model import SINGLE_SEQ
from .private import FILE_MODE
from .pruned import Pruned
from .states import HOLE, StateColumn

VERSION: Final = 1
LEAST_ROWS: Final = 50_000
"""The check of so many rows takes 30 ms."""
MOST_BYTES: Final = 2 << 30
"""About 7 * 10^7 rows.  To read more would keep the end of a writer for seconds."""
MOST_OPENINGS: Final = 20
LINE_BYTES: Final = 1_024
ROWS_MAX: Final = 1 << 40


class Seal(NamedTuple):
    """What a journal was, and the state of each of its rows."""

    sha256: str
    file_bytes: int
    states: StateColumn
    openings: int


def read_seal(file: Path) -> Seal | None:
    """The seal of a journal that is as its last writer left it, or None."""
    try:
        seal = _parsed(_path(file).read_bytes())
        wal = file.with_name(file.name + "-wal")
        if seal is None or seal.openings >= MOST_OPENINGS or (wal.exists() and wal.stat().st_size):
            return None
        is_same = file.stat().st_size == seal.file_bytes and _sha256(file) == seal.sha256
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None
    return seal if is_same else None


def write_seal(file: Path, states: StateColumn, openings: int) -> None:
    """Seal a journal that SQLite has closed without a -wal.  What fails is left: the next opening checks all rows."""
    path = _path(file)
    size = states.rows + states.next_single_seq - SINGLE_SEQ
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        wal = file.with_name(file.name + "-wal")
        file_bytes = file.stat().st_size
        if size < LEAST_ROWS or file_bytes > MOST_BYTES or (wal.exists() and wal.stat().st_size):
            return
        source, singles = states.slice(0, states.rows), states.slice(SINGLE_SEQ, size - states.rows)
        line = json.dumps(
            {
                "version": VERSION, "sha256": _sha256(file), "bytes": file_bytes, "rows": len(source),
                "singles": len(singles), "openings": openings, "pruned": states.pruned,
            }
        )  # fmt: skip
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        with os.fdopen(fd, "wb") as out:
            out.write(f"{line}\n".encode() + zlib.compress(source + singles, 1))


def _parsed(raw: bytes) -> Seal | None:
    line, _, packed = raw.partition(b"\n")
    noted = json.loads(line[:LINE_BYTES])
    rows, singles, file_bytes, openings = (noted[key] for key in ("rows", "singles", "bytes", "openings"))
    are_whole = all(type(number) is int and 0 <= number <= ROWS_MAX for number in (rows, singles, file_bytes, openings))
    if noted["version"] != VERSION or not are_whole:
        return None
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(packed, rows + singles + 1)
    if len(unpacked) != rows + singles or not unpacking.eof:  # at its end the check sum is right, or zlib raises
        return None
    pruned = Pruned(*noted["pruned"])
    states = StateColumn(pruned)
    states.extend(0, unpacked[:rows])
    states.extend(SINGLE_SEQ, unpacked[rows:])
    if unpacked.count(HOLE) != pruned.rows or min(pruned[1:]) < 0:
        return None
    return Seal(noted["sha256"], file_bytes, states, openings)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _path(file: Path) -> Path:
    return file.with_name(file.name + ".seal")
