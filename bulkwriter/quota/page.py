"""A page of numbers that the processes of one machine share, beside the ledger: the spending of the short windows.

It is a file of doubles in native order, mapped into memory.  It has an `flock`, and an event loop never waits for it.
After a kill the numbers of the process are still there.  After a power cut they may be lost, which does no harm: no
short window outlasts a boot, so a page of another boot is cleared.  There is one page for each account and set of
windows:

    cell 0      number of this boot, 52 bits of the SHA-256 of its id: another one and the page is cleared
    cell 1      when the last request that was booked here has surely ended (boot clock)
    cells 2...  `cells`, the caller's, see `quota.short_window`

If the account has another page already, a new one begins as if everything were spent until that page's cell 1.  So a
changed `--quota` does not start at 0.  (An old page that is used again is as it was left.)  A process with an orderly
end corrects cell 1 (`note_none`); otherwise a `run` after a `plan` with other quotas would wait for minutes.  Processes
that run *at the same time* with different quotas on one account do not see each other's short windows.  They share the
long ones.

Invariant: only the holder of the lock books; only the process that booked a request changes its number.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ..errors import LedgerError
from ..store.private import make_folder

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

HEAD: Final = 2
DOUBLE: Final = 8


class Page:
    """A page that is open; see `open`."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, size)
        self._bytes = memoryview(self._map)
        self._all = self._bytes.cast("d")
        self.cells = self._all[HEAD:]
        self._wrote = self._others = 0.0  # what this process wrote last into cell 1, and the latest that others did

    @classmethod
    def open(
        cls,
        ledger: Path,
        account: str,
        windows: str,
        *,
        cells: int,
        boot: str,
        clear: Callable[[memoryview[float], float], None],
    ) -> Page:
        """Open or make the page for these windows; `clear(cells, free_at)` makes the caller's cells empty.

        Blocks for as long as another process does this.  Raises `LedgerError` where there can be no such file.
        """
        stem = f"{ledger.name}-{digest(account)[:12]}-"  # as that of tills, `quota.till`
        path = ledger.with_name(f"{stem}{digest(windows)[:8]}.pace")
        size = (HEAD + cells) * DOUBLE
        try:
            make_folder(path.parent)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as e:
            raise page_error(path, e) from e
        try:
            flock(fd, path)
            is_new = os.fstat(fd).st_size != size
            if is_new:
                os.ftruncate(fd, 0)
                fill(fd, size)
            page = cls(fd, size)
            number = float(int(digest(boot)[:13], 16)) if boot else 1.0
            if is_new or page._all[0] != number:
                ended = last_end(path.parent.glob(stem + "*.pace"), number)
                page._all[1] = ended
                clear(page.cells, ended)
                page._all[0] = number
            page.unlock()
        except OSError as e:
            os.close(fd)
            raise page_error(path, e) from e
        except BaseException:
            os.close(fd)
            raise
        return page

    def try_lock(self) -> bool:
        """Take the lock if nobody has it."""
        return try_flock(self._fd)

    def unlock(self) -> None:
        unflock(self._fd)

    def note_end(self, at: float) -> None:
        """A request that is booked now has ended by `at`.  The caller holds the lock."""
        if self._all[1] != self._wrote:
            self._others = max(self._others, self._all[1])
        self._all[1] = self._wrote = max(self._others, at)  # theirs may have longer timeouts than ours

    def note_none(self, now: float) -> None:
        """No request of this process is on its way any more.  Nothing changes if others have booked since, or book
        now.
        """
        if self._all[1] == self._wrote > now and self.try_lock():
            if self._all[1] == self._wrote:
                self._all[1] = self._wrote = max(self._others, now)
            self.unlock()

    def close(self) -> None:
        """Release the file.  A repetition is harmless.  Views that others still hold keep the memory mapped."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class MemoryPage:
    """Cells of one process alone."""

    def __init__(self, cells: int) -> None:
        self.cells = memoryview(bytearray(cells * DOUBLE)).cast("d")

    def try_lock(self) -> bool:
        return True

    def unlock(self) -> None:
        """Nobody else is there."""

    def note_end(self, at: float) -> None:
        """Nobody comes after."""

    def note_none(self, now: float) -> None:
        """The same."""

    def close(self) -> None:
        """Nothing is open."""


def fill(fd: int, size: int) -> None:
    """Fill a new file with zeros.

    They are written, since a hole needs room on the disk at its first number.  If there is none, a write into mapped
    memory ends the process (SIGBUS).
    """
    if os.pwrite(fd, bytes(size), 0) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def flock(fd: int, path: Path) -> None:
    """Wait for the lock of an open file.  To close the file releases it."""
    if fcntl is None:  # pragma: no cover - Windows
        raise LedgerError("this system has no flock", hint="quotas need Linux, macOS or another Unix; or --quota none")
    fcntl.flock(fd, fcntl.LOCK_EX)


def try_flock(fd: int) -> bool:
    """Take the lock of an open file unless somebody has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unflock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_UN)


def last_end(pages: Iterable[Path], number: float) -> float:
    """When the last request in any of these pages of this boot has surely ended; 0 if there is none."""
    last = 0.0
    for path in pages:
        with path.open("rb") as file:
            head = file.read(HEAD * DOUBLE)
        if len(head) == HEAD * DOUBLE:
            words = memoryview(head).cast("d")
            if words[0] == number:
                last = max(last, words[1])
    return last


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def page_error(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"{path}: {os.strerror(error.errno or 0)}",
        hint="nothing is sent that is not counted first: name a ledger that can be written with --ledger",
    )
