"""One account's part of the ledger inside a transaction, and its tables.  `quota.ledger` explains their meaning.

Rows are small and few: one for each minute and kind.  Counts change by additions and subtractions, so that processes
with the same account never overwrite each other.

Invariant: a count is never negative.  Not here: transactions, files, locks (`quota.ledger`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from .till import DeadTill, HeldUnits

APPLICATION_ID: Final = 0x62776C67  # "bwlg"
FORMAT: Final = 2
CREATE: Final = (
    """CREATE TABLE spent(account TEXT, boot TEXT, minute INTEGER, kind TEXT, count INTEGER NOT NULL,
        ended REAL NOT NULL, PRIMARY KEY(account, boot, minute, kind)) WITHOUT ROWID""",
    """CREATE TABLE learnt(account TEXT, kind TEXT, most INTEGER NOT NULL, until REAL NOT NULL, try_at REAL NOT NULL,
        tries INTEGER NOT NULL, stretch INTEGER NOT NULL, PRIMARY KEY(account, kind)) WITHOUT ROWID""",
    """CREATE TABLE held(till TEXT, kind TEXT, account TEXT NOT NULL, boot TEXT NOT NULL, minute INTEGER NOT NULL,
        booked INTEGER NOT NULL, mark INTEGER NOT NULL, PRIMARY KEY(till, kind)) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
ADD: Final = """INSERT INTO spent(account, boot, minute, kind, count, ended) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count, ended = excluded.ended"""
TAKE_BACK: Final = """UPDATE spent SET count = max(0, count - ?), ended = coalesce(?, ended)
    WHERE account = ? AND boot = ? AND minute = ? AND kind = ?"""

KINDS: Final = ("write", "read", "write-refused", "read-refused")
COUNT_MAX: Final = 10**12
TIME_MAX: Final = 1e12
"""Epoch seconds; and no boot lasts so many minutes."""
_IS_COUNT: Final = f"BETWEEN 0 AND {COUNT_MAX}"
_IS_TIME: Final = f"BETWEEN -{TIME_MAX:.0f} AND {TIME_MAX:.0f}"
BOUNDS: Final = {
    "spent": f"""typeof(account) = 'text' AND typeof(boot) = 'text' AND typeof(minute) = 'integer' AND minute {_IS_TIME}
        AND kind IN {KINDS} AND typeof(count) = 'integer' AND count {_IS_COUNT} AND ended {_IS_TIME}""",
    "learnt": f"""typeof(account) = 'text' AND kind IN {KINDS[:2]} AND typeof(most) = 'integer' AND most {_IS_COUNT}
        AND until {_IS_TIME} AND try_at {_IS_TIME} AND typeof(tries) = 'integer' AND tries {_IS_COUNT}
        AND typeof(stretch) = 'integer' AND stretch {_IS_COUNT}""",
    "held": f"""typeof(till) = 'text' AND kind IN {KINDS[:2]} AND typeof(account) = 'text' AND typeof(boot) = 'text'
        AND typeof(minute) = 'integer' AND minute {_IS_TIME} AND typeof(booked) = 'integer' AND booked {_IS_COUNT}
        AND typeof(mark) = 'integer' AND mark {_IS_COUNT}""",
}
"""SQL by table: what a row must be to be believed; text and blobs sort above every number, so a range shows them."""


class SpentRow(NamedTuple):
    """`requests` that ended in a minute of a boot; `ended` is that minute's end, in epoch seconds."""

    boot: str
    minute: int
    kind: str
    requests: int
    ended: float


LearntRow = tuple[int, float, float, int, int]
"""most, until, try_at, tries, stretch: see `quota.throttles.Learnt`."""


def check_believable(db: sqlite3.Connection) -> None:
    """Raise `ValueError` where SQLite, or the bounds of a row, show that the ledger is damaged: ms for its few rows."""
    found = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise ValueError(f"SQLite says: {' '.join(str(found and found[0]).split())[:200]}")
    for table, bounds in BOUNDS.items():
        if db.execute(f"SELECT 1 FROM {table} WHERE ({bounds}) IS NOT 1 LIMIT 1").fetchone():  # noqa: S608 our words
            raise ValueError(f"a row of table {table} is not as it was written")


class Book:
    """One account's pages of the ledger inside a transaction; only `Ledger.exchange` makes it."""

    def __init__(self, db: sqlite3.Connection, account: str, boot: str) -> None:
        self._db = db
        self._account = account
        self.boot = boot
        self.has_changed = True
        """Whether another process may have written since the last transaction of this one."""

    def rows(self) -> list[SpentRow]:
        """Everything this account has spent that was not forgotten."""
        found = self._db.execute(
            "SELECT boot, minute, kind, count, ended FROM spent WHERE account = ?", (self._account,)
        )
        return [SpentRow(*row) for row in found]

    def add(self, kind: str, minute: int, count: int, ended: float | None) -> None:
        """Count `count` more requests, or fewer, in a minute of this boot; `ended` is its end by today's best clock."""
        if count > 0:
            self._db.execute(ADD, (self._account, self.boot, minute, kind, count, ended))
        else:
            self._db.execute(TAKE_BACK, (-count, ended, self._account, self.boot, minute, kind))

    def hold(self, till: str, kind: str, held: tuple[int, int, int] | None) -> None:
        """Of what is booked in a minute of this boot so many units are a till's, which may use them up to a mark."""
        if held is None:
            self._db.execute("DELETE FROM held WHERE till = ? AND kind = ?", (till, kind))
        else:
            row = (till, kind, self._account, self.boot, *held)
            self._db.execute("REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def settle(self, dead: Sequence[DeadTill], *, is_there: Callable[[str], bool]) -> None:
        """Give back what these have left, each once; what is held by tills that are gone for good stays booked."""
        for till in dead:
            asked = "SELECT kind, boot, minute, booked, mark FROM held WHERE till = ? AND account = ?"
            for kind, boot, *row in self._db.execute(asked, (till.path.name, self._account)).fetchall():
                left = till.left(kind, HeldUnits(*row), is_same_boot=boot == self.boot != "")
                self._db.execute(TAKE_BACK, (max(0, left), None, self._account, boot, row[0], kind))
            self._db.execute("DELETE FROM held WHERE till = ?", (till.path.name,))
        names = [name for (name,) in self._db.execute("SELECT DISTINCT till FROM held")]
        gone = [(name,) for name in names if not is_there(name)]
        self._db.executemany("DELETE FROM held WHERE till = ?", gone)

    def forget_before(self, minute: int, ended: float | None) -> None:
        """Drop minutes of this boot before `minute`, and of others that ended before `ended`, if that is given.

        This concerns all accounts: an account that is never used again must not stay for ever.
        """
        self._db.execute("DELETE FROM spent WHERE boot = ? AND minute < ?", (self.boot, minute))
        if ended is not None:
            self._db.execute("DELETE FROM spent WHERE boot <> ? AND ended < ?", (self.boot, ended))

    def learnt(self) -> dict[str, LearntRow]:
        """What is learnt, by kind."""
        asked = "SELECT kind, most, until, try_at, tries, stretch FROM learnt WHERE account = ?"
        return {kind: row for kind, *row in self._db.execute(asked, (self._account,))}

    def learn(self, kind: str, row: LearntRow) -> None:
        """Keep what is learnt of a kind."""
        self._db.execute("REPLACE INTO learnt VALUES (?, ?, ?, ?, ?, ?, ?)", (self._account, kind, *row))
