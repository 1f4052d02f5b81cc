"""Keeps the file of `run --metrics-file` up to date while a run goes on, and writes it once more at the end.

A thread of its own writes the file every `EVERY_S`, so that a slow disk holds nothing up.  A disk that is full, gone or
hanging is no reason to end a run: it is told once, and the next time is another try.

Not here: the text and the way it gets to the disk (`observe.metrics_file`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Self

from ..observe.metrics_file import MetricsFile
from ..threads import started

EVERY_S: Final = 15.0
"""The usual time between two scrapes of node_exporter."""
LAST_S: Final = 2.0
"""The last write may take so long; then the run ends without it, and the thread is left behind."""


class MetricsKept:
    """A context manager around a run.  `warn` tells a person what is wrong with the disk; another thread calls it."""

    def __init__(self, file: MetricsFile, warn: Callable[[str], object], *, every_s: float = EVERY_S) -> None:
        self.file = file
        self._warn = warn
        self._every_s = every_s
        self._has_warned = False
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = started(self._keep, name="metrics")
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        if self._thread:
            self._thread.join(LAST_S)

    def _keep(self) -> None:
        while not self._is_over.wait(0):
            self._write()
            self._is_over.wait(self._every_s)
        self._write()

    def _write(self) -> None:
        try:
            self.file.write()
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                what = f"the metrics file {self.file.path} cannot be written: {error.strerror}"
                self._warn(f"{what}; nothing else depends on it")
