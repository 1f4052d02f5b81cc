"""Files that appear together, whole or not at all: written beside their names, synced, then renamed one after another.

`Drafts` is a context.  Rows are written to drafts, which only their owner can read; `keep` gives them their names.
Whatever ends the block before that removes the drafts, and files that had these names stay as they were.  A crash
between two renames leaves the first new and the second old; so the one that others depend on is named last.

Not here: whether a file may be replaced (`export.check_output`).
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import UsageError
from ..store import private


class Draft:
    """One file in the making: CSV as spreadsheets open it, in UTF-8 with a byte order mark."""

    def __init__(self, target: Path) -> None:
        self.target = target.resolve()
        self.rows = 0
        self._path = self.target.with_name(f".{self.target.name}.{os.getpid()}.draft")
        self._path.unlink(missing_ok=True)  # of a process that died with this number, or a link laid by another user
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, private.FILE_MODE)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="", errors="backslashreplace")
        self._writer: Any = csv.writer(self._file, lineterminator="\n")

    def head(self, names: Sequence[str]) -> None:
        self._writer.writerow(names)

    def add(self, row: Sequence[str]) -> None:
        self._writer.writerow(row)
        self.rows += 1

    def finish(self) -> None:
        """All is written and on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def keep(self) -> None:
        """Give the file its name; without rows the name is left to nobody."""
        if self.rows:
            self._path.replace(self.target)
        else:
            self._path.unlink()
            self.target.unlink(missing_ok=True)

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


class Drafts:
    """Several drafts, by the order in which they are kept."""

    def __init__(self, *targets: Path) -> None:
        self._targets = targets
        self._drafts: list[Draft] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for draft in self._drafts:
            draft.discard()
        if isinstance(error, OSError):
            raise cannot_write(error) from None

    def open(self) -> list[Draft]:
        for target in self._targets:
            self._drafts.append(Draft(target))
        return self._drafts

    def keep(self) -> None:
        """All files, or none: nothing is renamed before all of them are on the disk."""
        for draft in self._drafts:
            draft.finish()
        for draft in self._drafts:
            draft.keep()
        self._drafts = []


def cannot_write(error: OSError) -> UsageError:
    return UsageError(f"the output cannot be written: {error.strerror or error}", hint="nothing was replaced")
