"""A table of people, read once into a spool: its columns found, its rows kept with what is wrong with them.

A row that cannot be read, that has more fields than the header, or whose id is no longer what it was (a spreadsheet
rounds ids of 16 digits) gets a fault, and comes out with it.  It spoils nothing else.  Why a cell is empty is kept for
the rows that lack just that.

Blocking, for a thread of its own.  Not here: formats (`sources.tables`), and what a row asks for (`wishes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import BulkwriterError
from ..sources.tables import Flawed, Table, TableRow
from .spool import Spool
from .wishes import IDS, WishColumns, cut

TOO_MANY: str = "has more fields than the header, so a stray delimiter may have moved them"
IsOver = Callable[[], bool]


def columns_in(table: Table, name: str, *, chosen: Mapping[str, str | None], by_name: bool) -> WishColumns:
    """The columns of a table.  Raises `SourceError` and `UsageError`."""
    header = table.header()
    return WishColumns.find(header.names, name, chosen=chosen, by_name=by_name, hint=header.hint)


def fill(spool: Spool, table: Table, columns: WishColumns, *, is_over: IsOver) -> None:
    """Add every row of `table`.  Ends early once `is_over`.  Raises `SourceError` where the rest cannot be read."""
    ids = {columns.places[meaning] for meaning in IDS if meaning in columns.places}
    for piece in table.pieces():
        table.check()
        for row in piece:
            spool.add(row.line, row.values, fault_of(row, columns.names, ids), blank_of(row, table, columns))
        if is_over():
            return


def fault_of(row: TableRow, names: Sequence[str], ids: set[int]) -> str:
    """What is wrong with a row, or empty."""
    values = row.values
    if len(values) == 1 < len(names) and isinstance(values[0], Flawed):
        return values[0].why
    if len(values) > len(names) and any(map(str.strip, values[len(names) :])):
        return TOO_MANY
    for at in ids:
        if at < len(values) and isinstance(value := values[at], Flawed):
            return f"{names[at]} '{cut(value)}' {value.why}"
    return ""


def blank_of(row: TableRow, table: Table, columns: WishColumns) -> str:
    """Why cells that a row is judged by are empty, where the file tells: merged ones, a formula without a value."""
    values, found = row.values, []
    for at in sorted(columns.places.values()):
        value = values[at] if at < len(values) else ""
        if not value.strip():
            why = value.why if isinstance(value, Flawed) else table.why_empty(row.line, at)
            found += [f"{columns.names[at]} {why}"] if why else []
    return "; ".join(found)


def is_header(*, chosen: Mapping[str, str | None], by_name: bool) -> Callable[[Sequence[str]], bool]:
    """What tells whether some names are the ones that are looked for."""

    def judge(names: Sequence[str]) -> bool:
        try:
            WishColumns.find(names, "", chosen=chosen, by_name=by_name)
        except BulkwriterError:
            return False
        return True

    return judge
