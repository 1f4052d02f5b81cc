"""How many of its booked units this process has used, in a file that can be read after its death.

The file has six doubles, is mapped into memory, and stays locked while its process lives:

    doubles     the minute in which writes are booked, how many of them are used, the mark up to which they may be; and
                the same three for reads
    file name   LEDGER-<account>-<random>.till

When a process is killed, the kernel keeps the numbers and releases the lock.  So the next process knows that it is
dead, and gives its unused booked units (table `held`) back to the ledger.  A kill wastes nothing.

After a power cut the disk may have any state since the last `sync`, with too few units used.  The mark is moved and
synced before the first unit beyond it is used, so it is never too low.  Units beyond it are given back; the power cut
wastes those between the used ones and the mark.  A mark is synced here or committed with the ledger's row; the higher
one is true.

The transaction that gives units back also deletes them from `held`, so a later death does not give them back twice.

Invariant: used <= the higher one of the two marks.  Not here: when to draw or to give back (`quota.reserve`).
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..store.private import make_folder
from .page import DOUBLE, digest, fill, flock, page_error, try_flock, unflock

KINDS = ("write", "read")
CELLS_EACH = 3
CELLS = CELLS_EACH * len(KINDS)
datasync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class HeldUnits(NamedTuple):
    """The units of a till in the ledger: so many of a minute, which may be used up to a mark."""

    minute: int
    booked: int
    mark: int


class Till:
    """The till of this process.  `cells_of(kind)` are its minute, the used units, and the mark."""

    def __init__(self, ledger: Path, account: str) -> None:
        self.path = ledger.with_name(f"{stem(ledger, account)}{secrets.token_hex(8)}.till")
        self._fd = -1
        try:
            make_folder(self.path.parent)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            flock(self._fd, self.path)
            fill(self._fd, CELLS * DOUBLE)
            self._map = mmap.mmap(self._fd, CELLS * DOUBLE)
        except OSError as e:
            self.close()
            raise page_error(self.path, e) from e
        self._cells = memoryview(self._map).cast("d")

    @property
    def name(self) -> str:
        return self.path.name

    def cells_of(self, kind: str) -> memoryview[float]:
        at = CELLS_EACH * KINDS.index(kind)
        return self._cells[at : at + CELLS_EACH]

    def sync(self) -> None:
        """Make the cells durable.  Blocks; raises `LedgerError`."""
        try:
            datasync(self._fd)
        except OSError as e:
            raise page_error(self.path, e) from e

    def sync_name(self) -> None:
        """Make the file itself durable, so that it is found after a power cut.  Blocks; raises `LedgerError`."""
        try:
            os.fsync(self._fd)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as e:
            raise page_error(self.path, e) from e

    def close(self) -> None:
        """Nothing is left, so remove the file.  A repetition is harmless."""
        if self._fd >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def die(self) -> None:
        """Release the lock and leave the file, as a kill does; for simulation."""
        unflock(self._fd)  # closing is not enough: the map holds a descriptor of its own
        os.close(self._fd)
        self._fd = -1


class DeadTill:
    """The till of a process that is gone; nobody else reads it before `remove`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        raw = os.pread(fd, CELLS * DOUBLE, 0)
        self._cells = list(memoryview(raw).cast("d")) if len(raw) == CELLS * DOUBLE else [math.nan] * CELLS

    def left(self, kind: str, held: HeldUnits, *, is_same_boot: bool) -> int:
        """How many of the units held were surely not used."""
        at = CELLS_EACH * KINDS.index(kind)
        minute, used, mark = self._cells[at : at + CELLS_EACH]
        if minute < held.minute:  # it died before it had begun with them
            used, mark = 0.0, 0.0
        elif minute != held.minute or not (0 <= used < math.inf and 0 <= mark < math.inf):
            return 0  # nonsense
        return held.booked - int(used if is_same_boot else max(mark, held.mark))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the lock.  If the file was not removed, the next process may settle it."""
        os.close(self._fd)


def dead_tills(ledger: Path, account: str) -> Iterator[DeadTill]:
    """The tills of processes that are gone."""
    for path in ledger.parent.glob(f"{stem(ledger, account)}*.till"):
        with contextlib.suppress(OSError):  # it is being taken away
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            if not try_flock(fd):
                os.close(fd)
                continue
            yield DeadTill(path, fd)


def stem(ledger: Path, account: str) -> str:
    return f"{ledger.name}-{digest(account)[:12]}-"
