"""Reads a journal from outside: for `status`, `export` and `verify`, beside a live writer or after a crash.

It opens the file with `mode=ro`: it never checkpoints, repairs or changes the journal.  In a writable folder SQLite may
leave an empty -wal and a -shm beside it; they are harmless.  In a folder that is not writable, a journal that was
closed cleanly can be read all the same.  A journal with a -wal cannot; the error says which files to copy.

Invariants: the whole file must pass the checks of `bounds` before anything is answered.  Each answer is as of one
moment of a committed journal; two answers may be of two moments.
Not here: the state column, since a reader cannot keep it up to date.  `counts` scans the file, 6 s for 10^7 rows.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from ..entities import ORIGINAL
from ..model import SINGLE_SEQ, State
from .bounds import believed
from .history import read_all_steps
from .journal_rows import JournalRows
from .lock import Holder, holder
from .opening import check_identity, identity_of, is_unused, open_reader
from .schema import ExportRow, JournalIdentity
from .sqlite_errors import damaged
from .wal import last_written_at

STORED: Final = "id_a, id_b, state, attempts, record_id, http_status, detail"


class JournalReader(JournalRows):
    """A journal opened for reading; a context manager.  Raises `JournalError` if there is no journal of ours."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        self._db = open_reader(self.path)
        self._is_believed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def counts(self) -> dict[State, int]:
        """Rows by state as they are now, without empty states.  It checks the whole file."""
        return self.summary()[0]

    def summary(self) -> tuple[dict[State, int], int, dict[str, str]]:
        """Rows by state, the number of the source's rows, and table `meta`, all of one moment."""
        with super()._guard():
            try:
                self._db.execute("BEGIN")  # one moment for the whole scan
                states, _ = believed(self._db)
                meta: dict[str, str] = dict(self._db.execute("SELECT key, value FROM meta"))
            except ValueError as e:
                raise damaged(self.path, str(e)) from e
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        self._is_believed = True
        return states.counts(), states.rows, meta

    def identity(self) -> JournalIdentity:
        """What this journal belongs to.  Raises `JournalError` if it is too damaged to tell."""
        return identity_of(self.meta(), self.path)

    def require(self, *, base_url: str, account: str | None, columns: tuple[str, str], entity: str = ORIGINAL) -> None:
        """Raise what `Journal.open` would raise, `JournalError` or `SourceError`, if this journal is not of these."""
        with super()._guard():
            is_bound = not is_unused(self._db)
        if is_bound:
            check_identity(self.meta(), self.path, JournalIdentity.of(base_url, account, columns, entity))

    def find_rows(self, pair: tuple[int, int] | None, line: int | None, *, most: int) -> list[ExportRow]:
        """Up to `most` whole rows of this pair, or of this line of the source.  A pass over all rows: 1 s for 10^7."""
        if pair:
            return self._whole("id_a = ? AND id_b = ?", pair)[:most]
        return self._whole("line = ? AND seq < ?", (line, SINGLE_SEQ))[:most]

    def row_before(self, line: int) -> int | None:
        """The line on which the last record before this line begins."""
        with self._guard():
            query = "SELECT max(line) FROM pair WHERE line < ? AND seq < ?"
            found: int | None = self._db.execute(query, (line, SINGLE_SEQ)).fetchone()[0]
        return found

    def stored(self, first_seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Up to `limit` rows from `first_seq` on as they are stored: `STORED`, by seq."""
        with self._guard():
            query = f"SELECT {STORED} FROM pair WHERE seq >= ? AND seq < ? ORDER BY seq"  # noqa: S608 fixed names
            return self._db.execute(query, (first_seq, first_seq + limit)).fetchall()

    def all_steps(self) -> list[tuple[Any, ...]]:
        """The steps of all records as they are stored, in the order of writing."""
        with self._guard():
            return read_all_steps(self._db)

    @property
    def shown(self) -> str:
        """Its name for people."""
        return str(self.path)

    def writer(self) -> Holder | None:
        """Who writes this journal right now, or None."""
        return holder(self.path)

    def written_at(self) -> datetime.datetime:
        """When the journal was last written, in UTC: its file or its -wal, whichever is younger."""
        return datetime.datetime.fromtimestamp(last_written_at(self.path), datetime.UTC)

    def close(self) -> None:
        with suppress(sqlite3.Error):  # nothing was written
            self._db.close()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        if not self._is_believed:
            self.counts()
        with super()._guard():
            yield
