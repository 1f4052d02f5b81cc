"""The source's own rows for the rows of a journal, as `export` joins them: only from a source that is still the same.

The whole source is read twice.  The first reading compares every pair of the journal with the source, as the start of a
run does.  Only if all agree, the second one reads whole rows; a source that changes between or meanwhile ends the
export with exit 6, and no file is replaced.  Rows are joined by their place in the source, which both readings share.

Rows that were given one by one, or by a program, have no row in a source.  Not here: what is written (`export`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BulkwriterError, SourceError
from ..model import SINGLE_SEQ
from ..wording import typed

if TYPE_CHECKING:
    from ..sources.columns import Columns
    from ..sources.tables import Table
    from ..store.journal_reader import JournalReader
    from ..store.schema import ExportRow

KNOWN = ("header_line", "sheet", "hidden_rows", "query")
GONE = "its name is not in the journal"


class OwnRows:
    """The whole rows of one source; `names` are those of the columns besides the two ids.  Use it once."""

    def __init__(self, table: Table, columns: Columns, path: str) -> None:
        self._table = table
        header = table.header()
        self._at = columns.find(header.names, path, header.line, hint=header.hint)
        self._others = [at for at in range(len(header.names)) if at not in self._at]
        self._path = path
        self.names = [header.names[at] for at in self._others]

    def joined(self, rows: Iterable[ExportRow]) -> Iterator[tuple[ExportRow, list[str], list[str]]]:
        """Each row of the journal with the two ids as they stand in the source, and its other values.

        Both are empty for a row that is in no source.  Raises `SourceError` if the source is another one by now.
        """
        own = (row for piece in self._table.pieces() for row in piece)
        seq = -1
        values: list[str] = []
        with self._table:
            for row in rows:
                if row.seq >= SINGLE_SEQ:
                    yield row, [], []
                    continue
                while seq < row.seq:
                    values = self._next(own)
                    seq += 1
                yield row, [value_at(values, at) for at in self._at], [value_at(values, at) for at in self._others]

    def _next(self, own: Iterator[Any]) -> list[str]:
        row = next(own, None)
        if row is None:
            raise SourceError(f"{self._path} has changed: it ends before the rows of the journal do")
        return list(row.values)


def value_at(values: list[str], at: int) -> str:
    return values[at] if at < len(values) else ""


def own_rows(reader: JournalReader, columns: tuple[str, str], path: Path | None) -> OwnRows | str:
    """The rows of the source, or why there are none.  `path` is where the source lies now, if that was said."""
    from ..sources.columns import Columns
    from ..sources.tables import TableOptions, open_table

    noted = origin_of(reader.meta())
    source = str(path) if path else str(noted.get("path") or "")
    if not source:
        return GONE
    wanted = Columns(*columns)
    options = {name: noted[name] for name in KNOWN if name in noted}
    try:
        if changed := change_of(reader, source, wanted, options):
            return changed
        return OwnRows(open_table(source, TableOptions(**options), is_header=wanted.is_in), wanted, source)
    except BulkwriterError as error:
        return typed(error.message)


def origin_of(meta: dict[str, str]) -> dict[str, Any]:
    """What the journal notes of its source; a note of another form counts as none."""
    from ..store.starts import ORIGIN, noted_of

    noted = noted_of(meta, ORIGIN)
    texts = all(isinstance(noted.get(name, ""), str) for name in ("path", "sheet", "hidden_rows", "query"))
    return noted if texts and type(noted.get("header_line", 1)) is int else {}


def change_of(reader: JournalReader, source: str, columns: Columns, options: dict[str, Any]) -> str:
    """Read the whole source; how it differs from the journal's rows, or ""."""
    from ..sources.files import pair_reader, refuse_path

    refuse_path(source)
    pairs, seq = pair_reader(source, columns, **options), 0
    try:
        while batch := pairs.read():
            known = reader.read_pairs(seq, min(len(batch.pairs), SINGLE_SEQ - seq))
            for at, pair in enumerate(known):
                if batch.pairs[at] != pair:
                    return f"{source} has changed: line {batch.lines[at]} differs from the run in the journal"
            seq += len(known)
            if len(known) < len(batch.pairs):
                return ""  # rows that were added since, or not read yet
    finally:
        pairs.close()
    rest = reader.read_pairs(seq, 1)
    return f"{source} has changed: it ends before the rows of the journal do" if rest else ""
