"""Keeps the page of `run --report PATH` fresh while a run goes on, and makes it once more at the end.

A thread of its own reads the journal as any reader does, and replaces the page, whole or not at all.  The page asks the
browser to load it again as long as somebody writes the journal, so the last one does not.  A disk that is full, gone or
hanging is no reason to end a run: it is told once, and the next time is another try.  A journal of 10^7 rows takes
seconds to read; then the page is made less often, so that this takes 5% of a processor at most.

Not here: the page (`report`), its facts (`cli.report`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from ..errors import BulkwriterError
from ..threads import started
from ..wording import typed

FIRST_S: Final = 2.0
"""Then the run has begun, and its first rows are there."""
EVERY_S: Final = 60.0
SHARE: Final = 20.0
"""The next page is made after at least so many times what the last one took."""
LAST_S: Final = 5.0
"""The last page may take so long, or three times the one before; then the run ends without it."""


class ReportKept:
    """A context manager around a run; it is left after the journal was closed.

    `make` returns the page, given after how many seconds it is to be loaded again; `write` replaces the file.  `warn`
    tells a person what is wrong; another thread calls all three.
    """

    def __init__(
        self,
        path: Path,
        *,
        make: Callable[[int], str],
        write: Callable[[Path, str], None],
        warn: Callable[[str], object],
        first_s: float = FIRST_S,
        every_s: float = EVERY_S,
    ) -> None:
        self._path = path
        self._make, self._write, self._warn = make, write, warn
        self._first_s, self._every_s = first_s, every_s
        self._took_s = 0.0
        self._has_warned = False
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = started(self._keep, name="report")
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        if self._thread:
            self._thread.join(max(LAST_S, 3 * self._took_s))

    def _keep(self) -> None:
        pause_s = self._first_s
        while not self._is_over.wait(pause_s):
            self._renew()
            pause_s = max(self._every_s, SHARE * self._took_s)
        self._renew()

    def _renew(self) -> None:
        began_at = time.monotonic()
        try:
            self._write(self._path, self._make(round(self._every_s)))
        except (BulkwriterError, OSError) as error:
            self._tell(typed(error.message) if isinstance(error, BulkwriterError) else error.strerror or str(error))
        except Exception as error:  # a bug in a page must not hurt a run
            self._tell(f"a bug of ours, {type(error).__name__}")
        self._took_s = time.monotonic() - began_at

    def _tell(self, why: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"the report {self._path} is not up to date: {why}; nothing else depends on it")
