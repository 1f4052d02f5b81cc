"""A file of metrics for node_exporter's textfile collector: `run --metrics-file PATH`.

The collector reads every file that ends in `.prom` in its folder, at any moment.  So the file is written whole or not
at all: to a new file beside it, with another ending, which then takes its name.

The mode is 0644, whatever the umask says: node_exporter runs as another user, and the file holds counts, the names of
quotas and of the API's properties, but no id, no secret and no text of the server.

Not here: when it is written (`cli.metrics_kept`).  It blocks for as long as the disk does, so a thread does it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from ..events import Observer
from .text import text_of
from .totals import WriterSums

MODE: Final = 0o644


class MetricsFile:
    """The metrics of the writers that it is given to, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._totals = WriterSums()

    def for_writer(self) -> Observer:
        return self._totals.for_writer()

    def write(self) -> None:
        """Write the file anew.  Raises `OSError`; the file is then as it was."""
        text = text_of(self._totals.read(), dict(self._totals.events)).encode()
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()  # of a process that was killed and had our pid
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
                with contextlib.suppress(OSError):  # a file system without modes
                    os.fchmod(file.fileno(), MODE)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
