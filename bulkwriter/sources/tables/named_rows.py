"""The rows of a sheet below the row that names its columns.

The header is the first row with any value, or the first from `--header-line N` on.  If it does not have the wanted
names, a row of the next `LOOKED_AT` may; the hint then names it.  Rows that were read meanwhile are kept.

Invariant: each row comes once, in order.  Not here: the file (`xlsx_table`, `spool_table`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import SourceError
from ..header import LOOKED_AT
from .rows import IsHeader, TableHeader, TableRow

Pieces = Iterator[list[TableRow]]


def begin(
    pieces: Pieces, *, name: str, header_line: int | None, is_header: IsHeader | None
) -> tuple[TableHeader, Pieces]:
    """The header, and the rows below it.  `name` is for errors."""
    waiting: list[TableRow] = []
    for piece in pieces:
        waiting += [row for row in piece if row.line >= (header_line or 1)]
        if waiting and (waiting[-1].line - waiting[0].line >= LOOKED_AT or is_header is None):
            break
    if not waiting:
        if header_line is not None:
            raise SourceError(f"{name} has no row {header_line} to name the columns", hint="see to --header-line")
        raise SourceError(f"{name} is empty: no row names the columns")
    first, *rest = waiting
    hint = ""
    if is_header and not is_header(first.values):
        near = [row.line for row in rest[:LOOKED_AT] if is_header(row.values)]
        hint = f"row {near[0]} names the columns: give --header-line {near[0]}" if near else ""
    return TableHeader([value.strip() for value in first.values], first.line, hint), behind(rest, pieces)


def behind(first: list[TableRow], pieces: Pieces) -> Pieces:
    """`first`, then the others."""
    if first:
        yield first
    yield from pieces
