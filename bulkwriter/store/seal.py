"""The seal of a large journal: a note of what its file was when a writer left it, so that the next one need not check
each row again.

    FILE.seal    one line of JSON
        version   of this format
        sha256    of FILE, without its -wal
        bytes     length of FILE
        openings  how many writers in a row have believed a seal

SQLite changes FILE at a checkpoint alone.  So the seal is made after each of them (`LiveSeal`), and at the close.
After a kill FILE is what was sealed, unless the kill came in or just after a checkpoint, and what came later is in the
-wal.  Then only the rows there are checked (`wal`); SQLite has check sums for the rest of it.

A file with the bytes of its seal is what the last writer left, to the last bit: a check of rows (`bounds`) never shows
so much.  What it cannot show is damage from the time when that writer had the file open.  So every `MOST_OPENINGS`-th
opening checks all rows, as each reading command does.  A seal that is missing, torn, of other bytes or of another
version only costs that check.  So it may be written at any moment, whatever happens to FILE meanwhile.  Whoever copies
a journal may leave it behind.

Cost at 10^6 rows of 31 bytes: 0.03 s of CPU, where the check takes 0.6 s.  Below `LEAST_ROWS` the check is not felt,
and no seal is made.

Invariant: to close any descriptor of FILE drops SQLite's locks on it (fcntl(2)).  So FILE is opened here only while
SQLite has it closed, or by `LiveSeal`, which outlives the connection.  The caller holds the journal's own lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import BulkwriterError
from ..threads import started
from .private import FILE_MODE
from .wal import SeqRanges, rows_in

VERSION: Final = 2
LEAST_ROWS: Final = 50_000
"""The check of so many rows takes 30 ms."""
MOST_BYTES: Final = 2 << 30
"""About 7 * 10^7 rows.  To read more would keep the end of a writer for seconds."""
MOST_LIVE_BYTES: Final = 32 << 20
"""About 10^6 rows.  To read it after each checkpoint, of 4 MB, costs up to 2 µs a row there, without the GIL."""
MOST_OPENINGS: Final = 20
LINE_BYTES: Final = 1_024
BYTES_MAX: Final = 1 << 48


class Seal(NamedTuple):
    """What the file of a journal was, and which rows its -wal may have changed since."""

    sha256: str
    file_bytes: int
    openings: int
    mtime_ns: int
    changed: SeqRanges


def read_seal(file: Path) -> Seal | None:
    """The seal of a journal whose file is as it was sealed, or None."""
    try:
        noted = json.loads(_path(file).read_bytes()[:LINE_BYTES])
        sha256, file_bytes, openings = (noted[key] for key in ("sha256", "bytes", "openings"))
        are_whole = all(type(number) is int and 0 <= number <= BYTES_MAX for number in (file_bytes, openings))
        if noted["version"] != VERSION or not are_whole or openings >= MOST_OPENINGS:
            return None
        found = file.stat()
        if found.st_size != file_bytes or _sha256(file) != sha256:
            return None
        return Seal(sha256, file_bytes, openings, found.st_mtime_ns, rows_in(file.with_name(file.name + "-wal")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_opening(file: Path, seal: Seal) -> None:
    """One more writer has believed this seal."""
    with contextlib.suppress(OSError):
        _write(file, seal.sha256, seal.file_bytes, seal.openings + 1)


def write_seal(file: Path, rows: int, openings: int) -> None:
    """Seal a journal that SQLite has closed without a -wal.  What fails is left: the next opening checks all rows."""
    with contextlib.suppress(OSError):
        _path(file).unlink(missing_ok=True)
        wal = file.with_name(file.name + "-wal")
        file_bytes = file.stat().st_size
        if rows >= LEAST_ROWS and file_bytes <= MOST_BYTES and not (wal.exists() and wal.stat().st_size):
            _write(file, _sha256(file), file_bytes, openings)


class LiveSeal:
    """Seals a file that SQLite has open whenever a checkpoint has changed it, in a thread.

    `sealed_ns`: when the file changed that has a seal now, or 0.
    """

    def __init__(self, file: Path, openings: int, sealed_ns: int) -> None:
        self._file, self._openings, self._sealed_ns = file, openings, sealed_ns
        self._fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """After a commit: seal the file if it has changed, unless that is under way."""
        now = os.fstat(self._fd)
        is_changed = now.st_mtime_ns != self._sealed_ns and now.st_size <= MOST_LIVE_BYTES
        if is_changed and not (self._thread and self._thread.is_alive()):
            self._sealed_ns = now.st_mtime_ns
            with contextlib.suppress(BulkwriterError):  # no room for a thread
                self._thread = started(self._seal, name="seal")

    def wait(self) -> None:
        """Until no seal is under way."""
        if self._thread:
            self._thread.join()

    def close(self) -> None:
        """SQLite has closed the file."""
        self.wait()
        os.close(self._fd)

    def _seal(self) -> None:
        with contextlib.suppress(OSError), open(self._fd, "rb", buffering=0, closefd=False) as opened:
            opened.seek(0)
            sha256 = _digest(opened)
            _write(self._file, sha256, opened.tell(), self._openings)


def _write(file: Path, sha256: str, file_bytes: int, openings: int) -> None:
    path = _path(file)
    path.unlink(missing_ok=True)
    line = json.dumps({"version": VERSION, "sha256": sha256, "bytes": file_bytes, "openings": openings})
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(fd, "wb") as out:
        out.write(f"{line}\n".encode())


def _sha256(file: Path) -> str:
    with file.open("rb", buffering=0) as opened:
        return _digest(opened)


def _digest(opened: io.FileIO) -> str:
    return hashlib.file_digest(opened, "sha256").hexdigest()


def _path(file: Path) -> Path:
    return file.with_name(file.name + ".seal")
