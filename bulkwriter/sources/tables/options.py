"""How a file is to be read, where the file itself does not tell.  One object, since it is handed through many layers.

An option that the kind of file does not know is refused where the file is opened, with a `UsageError`.

Invariant: a value that no file could have is refused here.  Nothing here opens a file.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """`header_line`: the 1-based line that names the columns."""

    header_line: int | None = None

    def __post_init__(self) -> None:
        if self.header_line is not None and self.header_line < 1:
            raise UsageError(f"header line {self.header_line} is not a line", hint="lines are counted from 1")
