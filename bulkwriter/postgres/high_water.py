"""What this machine knows a database to have committed, so that it notices one that has less: a backup from before.

A database shows what it lost by its history (`session.Cluster`), unless its files were put back as they were, or the
row itself is gone: a job and an account that were made after the copy look new.  So each machine keeps the highest
numbers that it has seen committed, in a file of some bytes for each row:

    a part of a job        its token, and the number of the last group that was shipped
    a job                  1: it was loaded, or worked on, here
    an account's ledger    the number of its exchanges

A file is named by a digest of whose numbers they are, and says it in its second line: kind, server, account, job, part.
Where the database is, is not among them: a copy that is put back often has another address.  Numbers that are lower in
the database were lost there.  After a loss the database's numbers go on from above all that anybody can remember
(`ABOVE_ALL`), so that no machine sees the same loss again.

Files are never removed by us: 120 bytes for each part of each job.  A file that cannot be read or written is passed
over; then this machine notices less.  A machine that never wrote has none, and notices nothing.

Invariant: only what a commit has answered for is noted.  One that was killed has noted all of it, and one that lost its
power the last claim at least.
Not here: what is done about a loss (`lease`, `loading`, `ledger`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from ..store.private import FILE_MODE, make_folder, state_folder

ABOVE_ALL: Final = 10**12
"""A claim or an exchange every millisecond takes 31 years for as many."""


class HighWater:
    """The numbers of one row.  One thread uses it at a time."""

    def __init__(self, *whose: str) -> None:
        self._whose = whose
        self._file: int | None = None

    @property
    def numbers(self) -> tuple[int, int]:
        """The highest that are known; zeros where none are."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            first, second = self._path().read_bytes().split(b"\n", 1)[0].split()
            return int(first), int(second)
        return 0, 0

    def note(self, first: int, second: int = 0, *, is_durable: bool = False) -> None:
        """Keep these instead.  `is_durable`: also if the power goes, else if the process does."""
        with contextlib.suppress(OSError, RuntimeError):
            if self._file is None:
                path = self._path()
                make_folder(path.parent)
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
                os.pwrite(self._file, " ".join(self._whose).encode() + b"\n", len(line_of(0, 0)))
            os.pwrite(self._file, line_of(first, second), 0)
            if is_durable:
                os.fsync(self._file)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _path(self) -> Path:
        return state_folder() / "seen" / hashlib.sha256("\n".join(self._whose).encode()).hexdigest()[:32]


def of_job(base_url: str, account: str, job: str, part: str = "") -> HighWater:
    """That of a job, or of a part of it."""
    return HighWater("part" if part else "job", base_url, account, job, part)


def note_job(base_url: str, account: str, job: str) -> None:
    """Remember that there is such a job."""
    with contextlib.closing(of_job(base_url, account, job)) as seen:
        seen.note(1, is_durable=True)


def of_account(account: str) -> HighWater:
    """That of an account's ledger."""
    return HighWater("ledger", account)


def line_of(first: int, second: int) -> bytes:
    """Always as long: it is written over the line before, at once."""
    return b"%020d %020d\n" % (first, second)
