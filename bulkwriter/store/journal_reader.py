"""Reading a journal from outside: `status`, `export`, `verify`, beside a live writer, or after a crash.

`mode=ro`: it never checkpoints, repairs or changes the journal.  (Where the folder can be written SQLite may leave an
empty -wal and a -shm beside it; they are harmless.)  In a folder that cannot be written a journal that was closed
cleanly is read all the same; one with a -wal is not, with an error that says what to copy.

Invariants: nothing is answered before the whole file was found to be believable (`bounds`); each answer is as of one
moment of a committed journal, two answers may be of two moments.
Not here: the states column, which a reader cannot keep up to date: `counts` scans, 6 s for 10^7 rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ..model import State
from .bounds import believed
from .journal_rows import JournalRows
from .lock import Holder, holder
from .opening import check_identity, identity_of, is_unused, open_reader
from .schema import JournalIdentity
from .sqlite_errors import damaged


class JournalReader(JournalRows):
    """A journal opened for reading; a context manager.  Raises `JournalError` where there is none, or none of ours."""

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
        """Rows by state as they are now; states without rows left out.  Looks at the whole file."""
        return self.summary()[0]

    def summary(self) -> tuple[dict[State, int], int, dict[str, str]]:
        """Rows by state, how many of them are the source's, and table `meta`, all of one moment."""
        with super()._guard():
            try:
                self._db.execute("BEGIN")  # one moment for the whole scan
                states = believed(self._db)
                meta: dict[str, str] = dict(self._db.execute("SELECT key, value FROM meta"))
            except ValueError as e:
                raise damaged(self.path, str(e)) from e
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        self._is_believed = True
        return states.counts(), states.rows, meta

    def identity(self) -> JournalIdentity:
        """What this journal belongs to.  Raises `JournalError` where it is too damaged to say."""
        return identity_of(self.meta(), self.path)

    def require(self, *, base_url: str, account: str | None, columns: tuple[str, str]) -> None:
        """Raise what `Journal.open` would raise, `JournalError` or `SourceError`, if this journal is not of these."""
        with super()._guard():
            is_bound = not is_unused(self._db)
        if is_bound:
            check_identity(self.meta(), self.path, JournalIdentity.of(base_url, account, columns))

    def writer(self) -> Holder | None:
        """Who writes this journal right now, or None."""
        return holder(self.path)

    def close(self) -> None:
        with suppress(sqlite3.Error):  # nothing was written
            self._db.close()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        if not self._is_believed:
            self.counts()
        with super()._guard():
            yield
