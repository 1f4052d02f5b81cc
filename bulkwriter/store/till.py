"""What one process has reserved and not yet used, where it can be read after the process was killed.

A file of four doubles, mapped into memory and locked for as long as its process lives.  The kernel keeps what was
written when the process is killed, and lets go of the lock; so the next process knows who is dead, reads what was left,
and gives it back to the ledger.  A kill then wastes nothing; a power cut wastes one block, because after another boot
the file is not believed.

    doubles     minute in which writes are booked, how many of them are left, and the same for reads
    file name   LEDGER-<account>-<boot>-<random>.till

Whoever spends writes the smaller number before it sends, and whoever gives back writes 0 before the ledger knows: if
it dies in between, the ledger counts too much, never too little.  The name of each file given back is noted in the same
transaction, so that a death after it does not give back twice.

Invariant: what a till says is left is booked in the ledger.  Not here: when to reserve (`engine.reserve`).
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

from .page import DOUBLE, digest, fill, flock, page_error, try_flock, unflock

KINDS = ("write", "read")
CELLS = 2 * len(KINDS)


class Left(NamedTuple):
    """What a dead process had left of one kind."""

    kind: str
    minute: int
    requests: int


class Till:
    """This process's own; `cells_of(kind)` are its minute and what is left."""

    def __init__(self, ledger: Path, account: str, boot: str) -> None:
        name = f"{stem(ledger, account)}{digest(boot)[:8]}-{secrets.token_hex(8)}.till"
        self.path = ledger.with_name(name)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            flock(self._fd, self.path)
            fill(self._fd, CELLS * DOUBLE)
            self._map = mmap.mmap(self._fd, CELLS * DOUBLE)
        except OSError as e:
            with contextlib.suppress(OSError):
                self.path.unlink()
            raise page_error(self.path, e) from e
        self._cells = memoryview(self._map).cast("d")

    def cells_of(self, kind: str) -> memoryview[float]:
        at = 2 * KINDS.index(kind)
        return self._cells[at : at + 2]

    def close(self) -> None:
        """Nothing is left: take the file away.  Harmless when repeated."""
        if self._fd >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def die(self) -> None:
        """Let go of the lock and leave the file, as a kill does; for simulation."""
        unflock(self._fd)  # closing is not enough: the map holds a descriptor of its own
        os.close(self._fd)
        self._fd = -1


class DeadTill:
    """The till of a process that is gone; nobody else reads it before `remove`."""

    def __init__(self, path: Path, fd: int, left: list[Left]) -> None:
        self.path = path
        self.left = left
        self._fd = fd

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._fd)


def dead_tills(ledger: Path, account: str, boot: str) -> Iterator[DeadTill]:
    """The tills of processes that are gone; those of other boots say that nothing is left."""
    for path in ledger.parent.glob(f"{stem(ledger, account)}*.till"):
        with contextlib.suppress(OSError):  # it is being taken away
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            if not try_flock(fd):
                os.close(fd)
                continue
            is_of_this_boot = boot != "" and f"-{digest(boot)[:8]}-" in path.name
            yield DeadTill(path, fd, read(fd) if is_of_this_boot else [])


def read(fd: int) -> list[Left]:
    """What a till says; nothing where it was not finished."""
    raw = os.pread(fd, CELLS * DOUBLE, 0)
    if len(raw) < CELLS * DOUBLE:
        return []
    cells = memoryview(raw).cast("d")
    if not all(map(math.isfinite, cells)):
        return []
    found = [Left(kind, int(cells[2 * i]), int(cells[2 * i + 1])) for i, kind in enumerate(KINDS)]
    return [left for left in found if left.requests > 0]


def stem(ledger: Path, account: str) -> str:
    return f"{ledger.name}-{digest(account)[:12]}-"
