"""One writer a journal: an advisory `flock` on FILE.lock, which also tells others who holds it.

Invariant: the holder of a `FileLock` is the only writer of FILE on this machine.  The kernel releases the lock when the
process ends, in any way.  Only a child that was forked from it and lives on keeps the lock.

The lock has its own file because to open and close the database by a second descriptor would drop SQLite's own lock
(fcntl(2): closing any descriptor of a file releases all its locks).  FILE.lock holds one line of JSON (pid, host,
since).  It is never removed, since two processes could then lock two files of one name.

A question for the holder takes a shared lock for microseconds.  So `acquire` tries again for a moment before it
believes that somebody else holds the lock.
Not here: locks between hosts.  A network file system without flock is refused.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import JournalError
from .sqlite_errors import journal_error

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

TRIES: Final = 10  # with pauses of 20 ms: longer than any question for the holder, too short for a person to notice
PAUSE_S: Final = 0.02
_UNSUPPORTED: Final = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Holder(NamedTuple):
    """Who holds a lock; `since` is UTC as ISO 8601.  All None: a process whose line is not there, or cannot be read.

    The line comes after the lock and goes before it.  On a full disk it never comes.
    """

    pid: int | None = None
    host: str | None = None
    since: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "another process, which has not said who it is"
        return f"pid {self.pid} on {self.host} since {self.since}"

    @property
    def hint(self) -> str:
        """What to do.  A process that is gone can hold it no more, but one that was forked from it can."""
        if self.pid and self.host == socket.gethostname():
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return f"pid {self.pid} is gone here: end what was forked from it, or is it in another container?"
            except (OSError, OverflowError):
                pass
        return "wait for it, or stop it; two writers would double records"


class FileLock:
    """A held lock; made by `acquire`."""

    __slots__ = ("_fd", "_pid")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()

    @classmethod
    def acquire(cls, file: Path) -> FileLock:
        """Hold the lock of `file`, or raise `JournalError` that says who does."""
        fd = _open(file, os.O_RDWR | os.O_CREAT)
        try:
            if not _flock(fd, file, is_exclusive=True, tries=TRIES):
                by = _read(fd)
                raise JournalError(f"{file} is held by {by}", hint=by.hint)
            # The line is a courtesy: on a full disk the lock holds all the same, and the database will say so.
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
                since = datetime.now(UTC).isoformat(timespec="seconds")
                line = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
                os.pwrite(fd, f"{line}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    def release(self) -> None:
        """Release the lock.  A repetition is harmless.

        It unlocks the file before it closes it: a process that was forked meanwhile has the same descriptor, and the
        lock is held until the last of them is closed (flock(2)).  Such a process itself releases nothing.
        """
        if self._fd < 0:
            return
        if os.getpid() == self._pid:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        self._fd = -1


def holder(file: Path) -> Holder | None:
    """Who holds the lock of `file` right now, or None.  The question does not disturb the holder."""
    try:
        fd = os.open(_lock_path(file), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise journal_error(e, _lock_path(file)) from e
    try:
        return None if _flock(fd, file, is_exclusive=False, tries=1) else _read(fd)
    finally:
        os.close(fd)


def try_flock(fd: int) -> bool:
    """Take the lock of an open file unless somebody has it.  To close the file releases it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_path(file: Path) -> Path:
    return file.with_name(file.name + ".lock")


def _open(file: Path, flags: int) -> int:
    path = _lock_path(file)
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as e:
        raise journal_error(e, path) from e


def _flock(fd: int, file: Path, *, is_exclusive: bool, tries: int) -> bool:
    if fcntl is None:  # pragma: no cover - Windows
        raise JournalError("this system has no flock", hint="a journal needs Linux, macOS or another Unix")
    mode = (fcntl.LOCK_EX if is_exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    for left in range(tries - 1, -1, -1):
        try:
            fcntl.flock(fd, mode)
        except BlockingIOError:
            if left:
                time.sleep(PAUSE_S)
        except OSError as e:
            if e.errno in _UNSUPPORTED:
                raise JournalError(
                    f"{file}: the file system cannot lock files ({os.strerror(e.errno)})",
                    hint="put the journal on a local disk with --journal",
                ) from e
            raise journal_error(e, file) from e
        else:
            return True
    return False


def _read(fd: int) -> Holder:
    try:
        said = json.loads(os.pread(fd, 4_096, 0))
        pid, since = int(said["pid"]), datetime.fromisoformat(said["since"])
        return Holder(pid, str(said["host"]), since.isoformat(timespec="seconds"))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Holder()
