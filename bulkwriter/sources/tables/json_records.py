"""JSON Lines text to whole rows: a column for each key, in the order in which keys first come.

The keys of later lines may be others, so a whole reading collects them (`keys`) before a second one gives the rows.
Numbers stay as they are written, of whatever size.  `null` is an empty text, and what is no text or number is JSON.  Of
a key that a line has twice, the last value is shown.

Invariant: a row for each line that is not blank, as in `jsonrows`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ...errors import SourceError
from ...model import BadRow
from ..csv_records import too_long
from ..ids import WHITE_BYTES
from ..row_faults import RowFault
from .rows import RowList, TableHeader

MOST_KEYS: Final = 1_000
"""Different keys in one file.  Where each line has its own keys, they are data and not names of columns."""


class JsonTableRows:
    """Rows of one JSON Lines text with these `keys`; without keys it collects them in `header`, and gives no rows."""

    def __init__(self, name: str, line_bytes: int, keys: list[str] | None) -> None:
        self._name = name
        self._line_bytes = line_bytes
        self._is_collecting = keys is None
        self._found: dict[str, int] = {key: at for at, key in enumerate(keys or ())}

    @property
    def header(self) -> TableHeader:
        """The keys so far; they stand in no line of their own."""
        return TableHeader(list(self._found), 0)

    def buffer(self) -> RowList:
        return RowList()

    def parse(self, block: bytes, rows: RowList, *, line: int, is_last: bool, is_cut: bool = False) -> int:
        lines = block.split(b"\n")
        lines.pop()
        for number, text in enumerate(lines, line):
            if text.strip(WHITE_BYTES):
                self._add(text, rows, number)
        return len(block)

    def too_long(self, head: bytes, line: int) -> BadRow:
        return RowFault.plain(too_long(self._line_bytes)).row(head[: self._line_bytes])

    def finish(self) -> None:
        """An empty text has no rows."""

    def _add(self, text: bytes, rows: RowList, line: int) -> None:
        found = self._object(text)
        if isinstance(found, str):
            if not self._is_collecting:
                rows.add_bad(RowFault.plain(found).row(text[: self._line_bytes]), line)
        elif self._is_collecting:
            self._collect(found, line)
        else:
            values = [""] * len(self._found)
            for key, value in found.items():
                if (at := self._found.get(key)) is not None:
                    values[at] = text_of(value)
            rows.add(line, values)

    def _collect(self, found: dict[str, Any], line: int) -> None:
        for key in found:
            self._found.setdefault(key, len(self._found))
        if len(self._found) > MOST_KEYS:
            raise SourceError(
                f"{self._name}, line {line}: more than {MOST_KEYS:,} different keys up to here",
                hint="keys are names of columns, the same in each line",
                line=line,
            )

    def _object(self, text: bytes) -> dict[str, Any] | str:
        """The object in one line, or why there is none."""
        if len(text) > self._line_bytes:
            return too_long(self._line_bytes)
        try:
            found = json.loads(text.decode("utf-8", "replace"), parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return "is not JSON"
        return found if isinstance(found, dict) else "is not a JSON object"


def text_of(value: object) -> str:
    """A value as people write it into a column."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
