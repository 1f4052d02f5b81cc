"""Whether a file is still the one that was opened: device, inode, size and time of change, by descriptor and by path.

The bytes of a read are believed if the file's identity *after* the read is the same as at its opening.  They then
belong to one version of the file.  A truncation, a rewrite, an addition, a rename over it and a removal all show.

A last line without its line end may be the first half of a row that a copy is about to finish (`11,4` of `11,42`).  It
is believed when the file has kept its identity for `SETTLE_S`: at once if the file is older than that, otherwise after
the rest of that time.

Three changes do not show: a write of the same size within one tick of the file system's clock (up to 4 ms; since Linux
6.13 none), a writer that pauses for longer than `SETTLE_S` in the middle of a row, and anything about a pipe.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import SourceError

SETTLE_S: Final = 2.0
"""Longer than a copy over a network pauses between two writes.  Only a new file without its last line end waits."""
AGAIN: Final = "what was sent is kept: give the same command again when nothing writes to the file any more"


class SourceChanged(SourceError):
    """The source is no longer the file that was opened, so none of its rows may be believed any more."""


class FileIdentity(NamedTuple):
    """What tells one version of a file from another."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def change_to(self, now: FileIdentity) -> str:
        """The change between the two, in words, or ""."""
        if self == now:
            return ""
        if (self.device, self.inode) != (now.device, now.inode):
            return "was replaced by another file"
        if now.size > self.size:
            return f"grew from {self.size:,} to {now.size:,} bytes"
        if now.size < self.size:
            return f"shrank from {self.size:,} to {now.size:,} bytes"
        return "was written to"


class Watch:
    """One open file, watched; blocking.  `path` is None where only the descriptor is known, `name` is for people."""

    def __init__(
        self,
        descriptor: int,
        path: str | None,
        name: str,
        *,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._descriptor = descriptor
        self._path = None if path is None else Path(path).absolute()  # a caller may change its working folder
        self._name = name
        self._wall = wall
        self._sleep = sleep
        self._opened = FileIdentity.of(os.fstat(descriptor))

    def check(self, *, is_torn: bool) -> None:
        """Raise `SourceChanged` if the file has changed.  `is_torn`: its last line may still grow.

        Waits for `SETTLE_S` at most, and only if it is torn.  Raises `OSError` if the file cannot be examined.
        """
        self._compare()
        if is_torn:
            age_s = self._wall() - self._opened.mtime_ns / 1e9
            wait_s = SETTLE_S - age_s if age_s > 0 else SETTLE_S  # a clock that differs tells nothing
            if wait_s > 0:
                self._sleep(wait_s)
                self._compare()

    def _compare(self) -> None:
        change = self._opened.change_to(FileIdentity.of(os.fstat(self._descriptor)))
        if not change and self._path is not None:
            try:
                change = self._opened.change_to(FileIdentity.of(self._path.stat()))
            except FileNotFoundError:
                change = "was removed or renamed"
        if change:
            more = "; rows may only be added at its end" if "grew" not in change else ", and its new rows are taken"
            raise SourceChanged(f"{self._name} {change} while it was read", hint=f"{AGAIN}{more}")
