"""The seal of a large journal: a note of what its file was when a writer left it, so that the next one need not read
and check each row again.

    FILE.seal    one line of JSON, filled up to `LINE_BYTES`; then the states of all rows, a byte each, and record ids
        version          of this format
        sha256, bytes    of FILE, without its -wal
        openings         how many writers in a row have believed a seal
        source, singles  how many rows there are of each
        ids              how many bytes the ids of created rows take, as a bitmap; null if they are not there
        pruned           meta `pruned`
        wal_bytes, wal   how much of the -wal the states are from, and its sha256
        rest             sha256 of what follows the line

SQLite changes FILE at a checkpoint alone.  So the seal is made after each of them (`LiveSeal`), and at the close.
After a kill FILE is what was sealed, unless the kill came in or just after a checkpoint, and what came later is in the
-wal.  Then only the rows there are read and checked (`wal`); SQLite has check sums for the rest of it.

A file with the bytes of its seal is what the last writer left, to the last bit: a check of rows (`bounds`) never shows
so much.  What it cannot show is damage from the time when that writer had the file open.  So every `MOST_OPENINGS`-th
opening checks all rows, as each reading command does.  A seal that is missing, torn, of other bytes or of another
version only costs that check.  So it may be written at any moment, whatever happens to FILE meanwhile.  Whoever copies
a journal may leave it behind.

Cost at 10^6 rows of 31 bytes: 0.05 s of CPU, where to read and check them takes 0.9 s.  Below `LEAST_ROWS` that is not
felt, and no seal is made.

Invariants: the states are those of FILE and of the first `wal_bytes` of the -wal.  What was committed since is in the
-wal too, since the next checkpoint changes FILE.  To close any descriptor of FILE drops SQLite's locks on it
(fcntl(2)).  So FILE is opened here only while SQLite has it closed, or by `LiveSeal`, which outlives the connection.
The caller holds the journal's own lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from pyroaring import BitMap64

from ..errors import BulkwriterError
from ..threads import started
from .private import FILE_MODE
from .wal import SeqRanges, frames_in, rows_in

VERSION: Final = 3
LEAST_ROWS: Final = 50_000
"""To read and check so many rows takes 45 ms."""
MOST_BYTES: Final = 2 << 30
"""About 7 * 10^7 rows.  To read more would keep the end of a writer for seconds."""
RESTS: Final = 50
"""To read a file at work took a moment; it is not read again for so many of them.  So that costs 2% of a processor."""
MOST_OPENINGS: Final = 20
LINE_BYTES: Final = 1_024
BYTES_MAX: Final = 1 << 48


class Contents(NamedTuple):
    """What a journal knows of its rows: their states, those of the source first; the text of meta `pruned`, or "";
    the ids of created rows, if they are known.
    """

    source: bytes
    singles: bytes
    pruned: str
    ids: BitMap64 | None


class Seal(NamedTuple):
    """What the file of a journal was, and which rows its -wal may have changed since."""

    contents: Contents
    openings: int
    mtime_ns: int
    changed: SeqRanges


def read_seal(file: Path) -> Seal | None:
    """The seal of a journal whose file is as it was sealed, or None."""
    try:
        raw = _path(file).read_bytes()
        noted, rest = json.loads(raw[:LINE_BYTES]), raw[LINE_BYTES:]
        file_bytes, openings, source, singles, ids, wal_bytes = (noted[key] for key in _NUMBERS)
        are_whole = all(map(_is_size, (file_bytes, openings, source, singles, ids or 0, wal_bytes)))
        if noted["version"] != VERSION or not are_whole or openings >= MOST_OPENINGS:
            return None
        found = file.stat()
        if found.st_size != file_bytes or _sha256(file) != noted["sha256"] or _sha256_of(rest) != noted["rest"]:
            return None
        at, frames = source + singles, frames_in(_wal(file))
        if len(rest) != at + (ids or 0) or _sha256_of(frames[:wal_bytes]) != noted["wal"]:
            return None
        bitmap = None if ids is None else BitMap64.deserialize(rest[at:])
        contents = Contents(rest[:source], rest[source:at], str(noted["pruned"]), bitmap)
        return Seal(contents, openings, found.st_mtime_ns, rows_in(frames))
    except (OSError, ValueError, KeyError, TypeError):
        return None


_NUMBERS: Final = ("bytes", "openings", "source", "singles", "ids", "wal_bytes")


def _is_size(number: object) -> bool:
    return type(number) is int and 0 <= number <= BYTES_MAX


def note_opening(file: Path, openings: int) -> None:
    """So many writers have believed this seal."""
    with contextlib.suppress(OSError, ValueError), _path(file).open("rb+", buffering=0) as opened:
        line = _line(json.loads(opened.read(LINE_BYTES)) | {"openings": openings})
        opened.seek(0)
        opened.write(line)


def write_seal(file: Path, contents: Contents, openings: int) -> None:
    """Seal a journal that SQLite has closed without a -wal.  What fails is left: the next opening checks all rows."""
    with contextlib.suppress(OSError):
        _path(file).unlink(missing_ok=True)
        file_bytes, wal = file.stat().st_size, _wal(file)
        rows = len(contents.source) + len(contents.singles)
        if rows >= LEAST_ROWS and file_bytes <= MOST_BYTES and not (wal.exists() and wal.stat().st_size):
            _write(file, _sha256(file), file_bytes, contents, openings, frames=b"")


class LiveSeal:
    """Seals a file that SQLite has open whenever a checkpoint has changed it.  A thread reads the file; after that the
    journal tells what its rows are.

    `sealed_ns`: when the file changed that has a seal now, or 0.
    """

    def __init__(self, file: Path, openings: int, sealed_ns: int) -> None:
        self._file, self._openings, self._sealed_ns = file, openings, sealed_ns
        self._fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._changed_ns = sealed_ns
        self._read: tuple[int, str, int] | None = None  # when the file changed that was read, its hash and length
        self._rests_until = 0.0

    def look(self) -> bool:
        """After a commit: whether the file has changed and was read since, so that it can be sealed."""
        now = os.fstat(self._fd)
        if now.st_mtime_ns == self._sealed_ns or now.st_size > MOST_BYTES or (self._thread and self._thread.is_alive()):
            return False
        if self._read and self._read[0] == now.st_mtime_ns:
            return True
        with contextlib.suppress(OSError, BulkwriterError):  # no room for a thread
            if now.st_mtime_ns != self._changed_ns:
                self._changed_ns = now.st_mtime_ns
                _path(self._file).unlink(missing_ok=True)
            if time.monotonic() >= self._rests_until:
                self._thread = started(self._read_file, now.st_mtime_ns, name="seal")
        return False

    def seal(self, contents: Contents) -> None:
        """After a `look` that was true.  `contents` are as of now."""
        if self._read:
            (self._sealed_ns, sha256, file_bytes), self._read = self._read, None
            with contextlib.suppress(OSError, ValueError):
                frames = frames_in(_wal(self._file))
                _write(self._file, sha256, file_bytes, contents, self._openings, frames=frames)

    def wait(self) -> None:
        """Until the file is not being read."""
        if self._thread:
            self._thread.join()

    def close(self) -> None:
        """SQLite has closed the file."""
        self.wait()
        os.close(self._fd)

    def _read_file(self, changed_ns: int) -> None:
        began_at = time.monotonic()
        with contextlib.suppress(OSError), open(self._fd, "rb", buffering=0, closefd=False) as opened:
            opened.seek(0)
            self._read = changed_ns, _digest(opened), opened.tell()
        now = time.monotonic()
        self._rests_until = now + RESTS * (now - began_at)


def _write(file: Path, sha256: str, file_bytes: int, contents: Contents, openings: int, *, frames: bytes) -> None:
    path = _path(file)
    path.unlink(missing_ok=True)
    ids = None if contents.ids is None else contents.ids.serialize()
    rest = b"".join((contents.source, contents.singles, ids or b""))
    ids_bytes = None if ids is None else len(ids)
    numbers = (file_bytes, openings, len(contents.source), len(contents.singles), ids_bytes, len(frames))
    noted = {"version": VERSION, "sha256": sha256, **dict(zip(_NUMBERS, numbers, strict=True))}
    line = _line({**noted, "pruned": contents.pruned, "wal": _sha256_of(frames), "rest": _sha256_of(rest)})
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(fd, "wb") as out:
        out.write(line + rest)


def _line(noted: dict[str, Any]) -> bytes:
    return json.dumps(noted).encode().ljust(LINE_BYTES - 1) + b"\n"


def _sha256(file: Path) -> str:
    with file.open("rb", buffering=0) as opened:
        return _digest(opened)


def _sha256_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _digest(opened: io.RawIOBase) -> str:
    return hashlib.file_digest(opened, "sha256").hexdigest()


def _wal(file: Path) -> Path:
    return file.with_name(file.name + "-wal")


def _path(file: Path) -> Path:
    return file.with_name(file.name + ".seal")
