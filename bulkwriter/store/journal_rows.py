"""Reads a journal; its writer and its readers share this code.

Rows come out by column: `SELECT json_group_array(id_a), json_group_array(id_b) …` and orjson cost 0.4–0.5 µs a row,
most of it without the GIL.  To fetch tuples would cost 0.8 µs for two columns and 1.35 µs for six, since sqlite3 takes
the GIL once a row.  So to read 10^7 pairs and compare them with their source takes 5 to 6 s; 3 of them leave the event
loop free.  All six columns take twice as long.

Invariant: nothing here changes the file.  Each chunk is a separate statement, so that no long read keeps SQLite from a
checkpoint.  A row that a writer changes between two chunks is seen as it is then.  `bounds` has checked the whole file
before.
Not here: opening (`opening`), rows by state without a scan (`states`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from ..model import SINGLE_SEQ, State
from ..rows import DELETED, StoredRow
from .bounds import check_meta
from .history import HistoryRow, StoredStep, read_rows, read_steps
from .schema import EXPORT_COLUMNS, ExportRow, export_row, reason_of
from .sqlite_errors import damaged, journal_error

SCAN_ROWS: Final = 10_000  # rows a statement: about 1 MB in memory, 10 ms
NEAR_ROWS: Final = 1_000  # before and after a row
NEAR_MOST: Final = 5
COUNT_UNDONE: Final = "SELECT count(*) FROM pair WHERE state = ? AND detail LIKE ?"
NEAR: Final = (
    "SELECT record_id, id_a, id_b FROM pair WHERE seq BETWEEN ? AND ? AND state = ? AND +{} = ? "
    "ORDER BY seq DESC LIMIT ?"
)
"""The plus keeps SQLite from an index of pairs, since one id may have millions of rows."""
_ROW: Final = ("seq", "id_a", "id_b", "state", "attempts", "line")


class RowReasons(NamedTuple):
    """The reason why `rows` rows are in a state; the first of them is `seq`.  `kind` is the text without values, or
    "".
    """

    state: State
    text: str
    kind: str
    rows: int
    seq: int


class JournalRows:
    """The reading half of a journal over one SQLite connection."""

    path: Path | None
    _db: sqlite3.Connection

    def read(self, first_seq: int, limit: int) -> list[StoredRow]:
        """Up to `limit` rows from `first_seq` on, by seq."""
        return list(zip(*self._columns(_ROW, "seq >= ? AND seq < ?", (first_seq, first_seq + limit)), strict=True))

    def created_near(self, doubts: Sequence[tuple[int, tuple[int, int]]]) -> list[list[tuple[int, tuple[int, int]]]]:
        """For each (seq, pair): record ids and pairs of a few created rows near it that share one of its ids.

        Takes some 0.2 ms each, whatever the number of rows.
        """
        near = []
        with self._guard():
            for seq, (first, second) in doubts:
                found: dict[int, tuple[int, int]] = {}
                for column, value in (("id_a", first), ("id_b", second)):
                    span = (seq - NEAR_ROWS, seq + NEAR_ROWS, State.CREATED, value, NEAR_MOST)
                    for record_id, *pair in self._db.execute(NEAR.format(column), span):
                        found[record_id] = (pair[0], pair[1])
                near.append(list(found.items()))
        return near

    def count_undone(self) -> int:
        """How many rows wait to be written again since an undo has deleted their records."""
        with self._guard():
            (count,) = self._db.execute(COUNT_UNDONE, (State.PENDING, f"%{DELETED}%")).fetchone()
        return int(count)

    def scan(self) -> Iterator[list[StoredRow]]:
        """All rows by seq, single ones last, in lists of at most `SCAN_ROWS`."""
        for first, end in self._ranges():
            yield self.read(first, end - first)

    def read_pairs(self, first_seq: int, limit: int) -> list[tuple[int, int] | None]:
        """The pairs of up to `limit` rows, None for an invalid one: equal to `Batch.pairs` of the same rows."""
        id_a, id_b = self._columns(("id_a", "id_b"), "seq >= ? AND seq < ?", (first_seq, first_seq + limit))
        pairs: list[tuple[int, int] | None] = list(zip(id_a, id_b, strict=True))
        if None in id_a:
            return [None if pair[0] is None else pair for pair in pairs]  # type: ignore[index]
        return pairs

    def whole(self, first_seq: int, limit: int) -> list[ExportRow]:
        """Up to `limit` whole rows from `first_seq` on, by seq."""
        return self._whole("seq >= ? AND seq < ?", (first_seq, first_seq + limit))

    def record_ids(self) -> Iterator[list[int]]:
        """The record ids of all created rows, in lists of at most `SCAN_ROWS`."""
        for first, end in self._ranges():
            (ids,) = self._columns(("record_id",), "seq >= ? AND seq < ? AND state = 3", (first, end))
            if ids:
                yield ids

    def export(self, states: Collection[State], first_seq: int = 0) -> Iterator[ExportRow]:
        """Whole rows in these states from `first_seq` on, by seq.  "In doubt" includes intents, as it does for
        people.
        """
        wanted = {*states, State.INTENT} if State.IN_DOUBT in states else set(states)
        where = f"seq >= ? AND seq < ? AND state IN ({','.join(str(int(s)) for s in wanted)})"
        for first, end in self._ranges(first_seq):
            yield from self._whole(where, (first, end))

    def reasons(self) -> Iterator[RowReasons]:
        """The reasons of rejected, failed and invalid rows.  Up to `SCAN_ROWS` rows with the same reason come as
        one.
        """
        where = f"seq >= ? AND seq < ? AND state IN ({State.REJECTED:d}, {State.FAILED:d}, {State.INVALID:d})"
        for first, end in self._ranges():
            seqs, states, details = self._columns(("seq", "state", "detail"), where, (first, end))
            rows = list(zip(states, details, strict=True))
            with self._guard():
                reasons = [(row, reason_of(row[1]), count) for row, count in Counter(rows).items()]
            at = 0
            for row, (text, kind), count in reasons:  # in the order in which they come first
                at = rows.index(row, at)
                yield RowReasons(State(row[0]), text, kind, count, seqs[at])

    def history(self, *, last: int | None = None) -> list[HistoryRow]:
        """The history of the run, or its `last` rows, oldest first."""
        with self._guard():
            return read_rows(self._db, last=last)

    def steps(self, seq: int) -> list[StoredStep]:
        """The steps of the record `seq`, where its way was no plain success."""
        with self._guard():
            return read_steps(self._db, seq)

    def meta(self) -> dict[str, str]:
        with self._guard():
            meta = dict(self._db.execute("SELECT key, value FROM meta"))
            check_meta(meta)
        return meta

    def meta_get(self, key: str) -> str | None:
        with self._guard():
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _whole(self, where: str, values: tuple[Any, ...]) -> list[ExportRow]:
        with self._guard():
            found = self._db.execute(f"SELECT {EXPORT_COLUMNS} FROM pair WHERE {where} ORDER BY seq", values).fetchall()  # noqa: S608 fixed names
            return list(map(export_row, found))

    def _ranges(self, first_seq: int = 0) -> Iterator[tuple[int, int]]:
        """Ranges of seqs.  Together they hold every row from `first_seq` on that exists when its range is reached."""
        for start, end in ((0, SINGLE_SEQ), (SINGLE_SEQ, 2**63 - 1)):
            first = max(start, first_seq)
            while (found := self._next_row(first, end)) is not None:  # rows may have been pruned before it
                yield found, found + SCAN_ROWS
                first = found + SCAN_ROWS

    def _next_row(self, first: int, end: int) -> int | None:
        with self._guard():
            found = self._db.execute("SELECT min(seq) FROM pair WHERE seq >= ? AND seq < ?", (first, end)).fetchone()
            return None if found[0] is None else int(found[0])

    def _columns(self, names: Sequence[str], where: str, values: tuple[Any, ...]) -> list[list[Any]]:
        arrays = ", ".join(f"json_group_array({name})" for name in names)
        with self._guard():
            row = self._db.execute(f"SELECT {arrays} FROM pair WHERE {where}", values).fetchone()  # noqa: S608 fixed names
            return [orjson.loads(text) for text in row]

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn SQLite's exceptions, and the `ValueError` of damaged values, into `JournalError`."""
        try:
            yield
        except sqlite3.Error as e:
            raise journal_error(e, self.path) from e
        except ValueError as e:
            raise damaged(self.path, str(e)) from e
