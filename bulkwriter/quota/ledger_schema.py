"""The tables of the ledger's file, format 3; what a row must be to be believed; how an older file is read.

    table `spent`    requests by account, machine, boot, client, kind and minute since that boot (kinds: write, read;
                     write-refused and read-refused are those among them that the server throttled).  `client` is empty
                     for requests that have ended.  Else they are units of that client's lease, in the minute in which
                     the last of them can end.  `ended` is the minute's end by the server's clock (epoch seconds), null
                     where that is unknown.  Near the beginning of a calendar day `minute` has parts
                     (`quota.forecast`).  `seen_at`: when another boot first saw it, by the clock of `seen_boot`
    table `learnt`   what a server showed of its own limit by throttling, see `quota.throttles`
    table `accounts` how far the clocks of an account's server lie apart, see `quota.clock`; and its short windows as
                     one value (`quota.short`), with the place whose clock its times are of, and when it was written

Of format 2, the counts are taken over when it is opened.  Its rows of other boots count as spent when they are first
seen.  What processes had booked and not used stays spent.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from ..errors import LedgerError
from .exchange import BootPlace
from .short import unpacked

APPLICATION_ID: Final = 0x62776C67  # "bwlg"
FORMAT: Final = 3
OLDER: Final = 2  # the only older format that is read
CREATE: Final = (
    """CREATE TABLE spent(account TEXT, machine TEXT, boot TEXT, client TEXT, kind TEXT, minute INTEGER,
        count INTEGER NOT NULL, ended REAL, seen_boot TEXT NOT NULL, seen_at REAL NOT NULL,
        PRIMARY KEY(account, machine, boot, client, kind, minute)) WITHOUT ROWID""",
    """CREATE TABLE accounts(account TEXT PRIMARY KEY, spread_s REAL NOT NULL, machine TEXT NOT NULL,
        boot TEXT NOT NULL, at REAL NOT NULL, short TEXT NOT NULL) WITHOUT ROWID""",
)
CREATE_LEARNT: Final = """CREATE TABLE learnt(account TEXT, kind TEXT, most INTEGER NOT NULL, until REAL NOT NULL,
    try_at REAL NOT NULL, tries INTEGER NOT NULL, stretch INTEGER NOT NULL, PRIMARY KEY(account, kind)) WITHOUT ROWID"""

ROWS_SPENT: Final = """SELECT machine, boot, client, kind, minute, count, ended, seen_boot, seen_at
    FROM spent WHERE account = ?"""
ROWS_SPENT_OLDER: Final = "SELECT '', boot, '', kind, minute, count, ended, '', 0.0 FROM spent WHERE account = ?"
ROWS_LEARNT: Final = "SELECT kind, most, until, try_at, tries, stretch FROM learnt WHERE account = ?"
ROW_ACCOUNT: Final = "SELECT spread_s, machine, boot, at, short FROM accounts WHERE account = ?"

KINDS: Final = ("write", "read", "write-refused", "read-refused")
TIME_MAX: Final = 1e12  # epoch seconds; and no boot lasts so many minutes
_IS_TIME: Final = f"BETWEEN -{TIME_MAX:.0f} AND {TIME_MAX:.0f}"


def _texts(*names: str) -> str:
    return " AND ".join(f"typeof({name}) = 'text'" for name in names)


def _counts(*names: str) -> str:
    return " AND ".join(f"typeof({name}) = 'integer' AND {name} BETWEEN 0 AND {10**12}" for name in names)


def _times(*names: str) -> str:
    return " AND ".join(f"{name} {_IS_TIME}" for name in names)


_LEARNT: Final = f"{_texts('account')} AND kind IN {KINDS[:2]} AND {_counts('most', 'tries', 'stretch')} AND " + _times(
    "until", "try_at"
)
BOUNDS: Final = {
    FORMAT: {
        "spent": f"""{_texts("account", "machine", "boot", "client", "seen_boot")} AND kind IN {KINDS}
            AND typeof(minute) IN ('integer', 'real') AND {_counts("count")} AND {_times("minute", "seen_at")}
            AND (ended IS NULL OR ended {_IS_TIME})""",
        "accounts": f"""{_texts("account", "machine", "boot", "short")} AND {_times("at")}
            AND spread_s BETWEEN 0 AND {TIME_MAX:.0f}""",
        "learnt": _LEARNT,
    },
    OLDER: {
        "spent": f"""{_texts("account", "boot")} AND typeof(minute) = 'integer' AND kind IN {KINDS}
            AND {_counts("count")} AND {_times("minute", "ended")}""",
        "learnt": _LEARNT,
    },
}
"""SQL by table: what a row must be to be believed; text and blobs sort above every number, so a range shows them."""


def make_tables(db: sqlite3.Connection) -> None:
    """In a new file."""
    for statement in (*CREATE, CREATE_LEARNT):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {FORMAT}")


def take_over(db: sqlite3.Connection, place: BootPlace) -> None:
    """Bring a ledger of the older format into ours, inside a transaction.  A boot's id tells its machine."""
    db.execute("ALTER TABLE spent RENAME TO older")
    for statement in CREATE:
        db.execute(statement)
    db.execute(
        """INSERT INTO spent SELECT account, CASE boot WHEN ? THEN ? ELSE '' END, boot, '', kind, minute, count, NULL,
            '', 0.0 FROM older""",
        (place.boot, place.machine),
    )
    db.execute("DROP TABLE older")
    db.execute("DROP TABLE held")
    db.execute(f"PRAGMA user_version = {FORMAT}")


def format_of(db: sqlite3.Connection, path: Path) -> int:
    """The format of this ledger; 0 for an empty database.  Raises `LedgerError` for anything else."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and (version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
        raise LedgerError(f"{path} is no ledger of bulkwriter", hint="name another file with --ledger")
    if ours and version not in BOUNDS:
        raise LedgerError(
            f"{path} has format {version}; this version knows formats {OLDER} and {FORMAT}",
            hint="use the bulkwriter that wrote it, or name another file with --ledger",
        )
    return version if ours else 0


def check_believable(db: sqlite3.Connection, version: int) -> None:
    """Raise `ValueError` where SQLite, or the bounds of a row, show that the ledger is damaged: ms for its few rows."""
    found = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise ValueError(f"SQLite says: {' '.join(str(found and found[0]).split())[:200]}")
    for table, bounds in BOUNDS[version].items():
        if db.execute(f"SELECT 1 FROM {table} WHERE ({bounds}) IS NOT 1 LIMIT 1").fetchone():  # noqa: S608 our words
            raise ValueError(f"a row of table {table} is not as it was written")
        db.execute(f"SELECT DISTINCT account FROM {table}").fetchall()  # noqa: S608 raises where one is no UTF-8
    if version == FORMAT:
        for (packed,) in db.execute("SELECT short FROM accounts"):
            unpacked(packed)
