"""How a file is to be read, where the file itself does not tell.  One object, since it is handed through many layers.

An option that the kind of file does not know is refused where the file is opened, with a `UsageError`.

Invariant: a value that no file could have is refused here.  Nothing here opens a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """`header_line`: the 1-based line that names the columns.  `sheet`: a tab's name, or its 1-based number from the
    left among those that are not hidden.  `hidden_rows`: whether rows that are hidden or filtered out count.  `query`:
    what a database is asked; without it, all rows of its only table.
    """

    header_line: int | None = None
    sheet: str | None = None
    hidden_rows: Literal["include", "skip"] | None = None
    query: str | None = None

    def __post_init__(self) -> None:
        if self.header_line is not None and self.header_line < 1:
            raise UsageError(f"header line {self.header_line} is not a line", hint="lines are counted from 1")
        if self.hidden_rows not in (None, "include", "skip"):
            raise UsageError(f"hidden rows {self.hidden_rows!r} is not include or skip")
        if self.query is not None and not self.query.strip():
            raise UsageError("the query must not be empty")
        if self.sheet is not None and not self.sheet.strip():
            raise UsageError("the name of a sheet must not be empty")
