"""The file of `--log-file PATH`: all that a command says, line by line, each with date, time and zone.

A thread of its own appends, so that a slow or hanging disk holds up neither the command nor its stderr.  One line is
one write at the file's end, so that several processes may share a file.  Before each line the path is looked at: where
the file was moved or removed (logrotate), the next line begins a new one.

A disk that is full, or a file that cannot be written, is told once and changes nothing else.  Each later line is
another try; the first that succeeds stands below one that says how many are missing.

The mode is 0600, since the lines name files and servers.  An e-mail is no part of a log, whoever said it, not even in
the name of a file, unless it is `--username`.  Secrets are struck out before a line comes here (`stderr`).

Invariant: `add` never waits, and `close` waits no longer than it is told.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import UsageError
from ..shell import E_MAIL, operand, quote
from ..threads import started

LINES_MAX: Final = 20_000
"""Lines that wait for a disk that hangs; later ones are counted as missing.  About 4 MB."""
MODE: Final = 0o600


class LogFile:
    """Appends lines to a file.  `warn` tells a person what is wrong with it; another thread calls it.

    `missing` makes the line that stands in the place of lines that could not be written, of their number and the
    reason.  The e-mail `own_name` may be written.  Raises `UsageError` for a path that can be no file.
    """

    def __init__(
        self, path: Path, *, warn: Callable[[str], object], missing: Callable[[int, str], str], own_name: str = ""
    ) -> None:
        if path.is_dir() or not path.parent.is_dir():
            raise UsageError(
                f"--log-file {quote(operand(path))} names {'a folder' if path.is_dir() else 'a file in no folder'}",
                hint="give the name of a file, in a folder that is there",
            )
        self._path = path.absolute()
        self._warn, self._missing, self._own_name = warn, missing, own_name
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._fd: int | None = None
        # Each number is counted by one thread, so that no count is lost.
        self._failed, self._told, self._why = 0, 0, ""  # ours: lines that could not be written; those told of
        self._overflown = 0  # theirs: lines that found no room in the queue
        self._is_torn = False  # the last line was written in part
        self._has_warned = False
        self._thread: threading.Thread = started(self._write_queued, name="log-file")

    def add(self, line: str) -> None:
        """Write it soon, without its line end."""
        if self._queue.qsize() < LINES_MAX:
            self._queue.put(E_MAIL.sub(lambda found: found[0] if found[0] == self._own_name else "(e-mail)", line))
        else:
            self._overflown += 1

    def close(self, timeout_s: float) -> None:
        """Write what is queued, but wait no longer than `timeout_s`."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _write_queued(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for `signals`' thread
        while (line := self._queue.get()) is not None:
            self._write(line)
        self._close()

    def _write(self, line: str) -> None:
        count = self._failed + self._overflown - self._told
        if count:
            line = f"{self._missing(count, self._why or 'the disk was too slow')}\n{line}"
        data = (("\n" if self._is_torn else "") + line + "\n").encode("utf-8", "backslashreplace")
        rest = data
        try:
            fd = self._opened()
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError as error:
            self._close()
            self._is_torn = self._is_torn if len(rest) == len(data) else True
            self._failed, self._why = self._failed + 1, error.strerror or str(error)
            if not self._has_warned:
                self._has_warned = True
                self._warn(f"the log file {self._path} cannot be written: {self._why}; everything else goes on")
        else:
            self._is_torn = self._has_warned = False
            self._told, self._why = self._told + count, ""

    def _opened(self) -> int:
        """The file that stands at the path now."""
        if self._fd is not None and not self._is_there(self._fd):
            self._close()
            self._is_torn = False
        if self._fd is None:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        return self._fd

    def _is_there(self, fd: int) -> bool:
        """Whether the path still names the file that is open."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self._path))  # noqa: PTH116  beside fstat
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None
