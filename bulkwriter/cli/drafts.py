"""Files that appear together, whole or not at all: written beside their names, synced, then renamed one after another.

`Drafts` is a context.  Rows are written to drafts, which only their owner can read; `keep` gives them their names.
Whatever ends the block before that removes the drafts, and files that had these names stay as they were.  A crash
between two renames leaves the first new and the second old; so the one that others depend on is named last.

`replacing` is the same for one file of text.

Not here: whether a file may be replaced (`export.check_output`).
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from ..errors import OutputError
from ..store import private


@contextlib.contextmanager
def replacing(target: Path, *, errors: str = "strict", mode: int | None = None) -> Iterator[TextIO]:
    """A file that takes the place of `target` where the block ends well, and is then on the disk.

    Only its owner can read it, unless it is given a `mode`; a file system without modes stops nothing.
    """
    draft = draft_of(target)
    try:
        with os.fdopen(opened_anew(draft), "w", encoding="utf-8", newline="", errors=errors) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            with contextlib.suppress(OSError):
                draft.chmod(mode)
        draft.replace(target)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def draft_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.draft")


def opened_anew(draft: Path) -> int:
    """A descriptor of a new file of this name, its owner's alone."""
    draft.unlink(missing_ok=True)  # of a process that died with this number, or a link laid by another user
    return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, private.FILE_MODE)


class Draft:
    """One file in the making: CSV as spreadsheets open it, in UTF-8 with a byte order mark."""

    def __init__(self, target: Path) -> None:
        self.target = target.resolve()
        self.rows = 0
        self._path = draft_of(self.target)
        self._file = os.fdopen(
            opened_anew(self._path), "w", encoding="utf-8-sig", newline="", errors="backslashreplace"
        )
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


def cannot_write(error: OSError) -> OutputError:
    return OutputError(f"the output cannot be written: {error.strerror or error}", hint="nothing was replaced")
