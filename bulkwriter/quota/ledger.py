"""The ledger: what every account has spent and leased, shared by all processes.  A unit is durable before it is spent.

A ledger is anything that can carry out an `exchange` (`Ledger`).  This one is an SQLite file in the user's state folder
(`$XDG_STATE_HOME` or `~/.local/state`, then `bulkwriter/ledger`; `--ledger` names another), 0600, in rollback-journal
mode because several processes write it.  Anyone can read it; it has format 3:

    table `spent`    requests by account, machine, boot, client, kind and minute since that boot (kinds: write, read;
                     write-refused and read-refused are those among them that the server throttled).  `client` is empty
                     for requests that have ended.  Else they are units of that client's lease, in the minute in which
                     the last of them can end.  `ended` is the minute's end by the server's clock (epoch seconds), null
                     where that is unknown.  Near the beginning of a calendar day `minute` has parts
                     (`quota.forecast`).  `seen_at`: when another boot first saw it, by the clock of `seen_boot`
    table `learnt`   what a server showed of its own limit by throttling, see `quota.throttles`
    table `accounts` how far the clocks of an account's server lie apart, see `quota.clock`; and its short windows as
                     one value (`quota.short`), with the place whose clock its times are of, and when it was written

Of format 2 the counts are taken over: its rows of other boots as spent when they are first seen.  What processes had
booked and not used stays spent.

An account is its `--account` name, or else the base URL.  An exchange is one short transaction, and returns only when
that is on the disk.  A damaged ledger is refused when it is opened, by SQLite's checks and by the bounds of its rows.
So is an empty file beside the journal of a used ledger: it was emptied, and would count from 0.

Invariants: counts are never negative; a failed commit ends the ledger, and everything after it fails.
Not here: what may be spent (`quota.account`).
Source: sqlite.org/lockingv3.html; for the mode, sqlite.org/wal.html, "The WAL Reset Bug".
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from glob import escape
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import quote

from ..errors import LedgerError
from ..postgres.address import Address
from ..store.private import at_home, make_folder, state_folder
from ..store.schema import normal_url
from .account import Account
from .exchange import Answer, Ask, BootPlace, LedgerRows, ShortRow, SpentRow
from .short import unpacked
from .throttles import Learnt

BUSY_S: Final = 10.0  # others hold the lock for a commit; longer is somebody's sqlite3 shell
HINT: Final = "nothing is sent that is not counted first: mend that, or name another file with --ledger"
DAMAGE: Final = {0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}
"""Primary codes of SQLite that speak of what is in the file: a table that is not there is SQLITE_ERROR."""
DAMAGED: Final = (
    "what was spent is not known any more.  Move it and the files beside it whose names begin with its own to another "
    "place, or name another file with --ledger: both count from nothing, so wait a day first, or give a smaller --quota"
)
USED_UP: Final = """DELETE FROM spent
    WHERE account = ? AND machine = ? AND boot = ? AND client = ? AND kind = ? AND minute = ?"""

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


BOUNDS: Final = {
    "spent": f"""{_texts("account", "machine", "boot", "client", "seen_boot")} AND kind IN {KINDS}
        AND typeof(minute) IN ('integer', 'real') AND {_counts("count")} AND {_times("minute", "seen_at")}
        AND (ended IS NULL OR ended {_IS_TIME})""",
    "accounts": f"""{_texts("account", "machine", "boot", "short")} AND {_times("at")}
        AND spread_s BETWEEN 0 AND {TIME_MAX:.0f}""",
    "learnt": f"""{_texts("account")} AND kind IN {KINDS[:2]} AND {_counts("most", "tries", "stretch")}
        AND {_times("until", "try_at")}""",
}
"""SQL by table: what a row must be to be believed; text and blobs sort above every number, so a range shows them."""


class Ledger(Protocol):
    """Where an account's rows are kept.  The methods may block."""

    def exchange(self, ask: Ask) -> Answer:
        """Carry out `ask` in one transaction.  Returns when that is durable.  Raises `LedgerError`, then for ever."""

    def close(self) -> None:
        """Release it.  A repetition is harmless."""


class SqliteLedger:
    """An open ledger file, used for one account.  Its methods must be called in the thread that opened it."""

    def __init__(self, db: sqlite3.Connection, path: Path, name: str, account: Account, place: BootPlace) -> None:
        self.path = path
        self._db = db
        self._name, self._account, self._place = name, account, place
        self._version: int | None = None

    @classmethod
    def open(cls, path: Path, name: str, account: Account, place: BootPlace, *, synchronous: str = "FULL") -> Self:
        """Open or create the ledger of the account called `name`.  Raises `LedgerError` where it cannot be used."""
        with contextlib.ExitStack() as undo:
            try:
                make_folder(path.parent)
                make_private(path)
                db = undo.enter_context(contextlib.closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)))
                prepare(db, path, synchronous)
            except (sqlite3.Error, OSError, ValueError) as e:
                raise ledger_error(e, path) from e
            undo.pop_all()
        return cls(db, path, name, account, place)

    def exchange(self, ask: Ask) -> Answer:
        """See `Ledger`."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            is_stale = version != self._version or self._account.is_stale(ask)
            rows = rows_of(self._db, self._name) if is_stale else None
            answer, changes = self._account.exchange(ask, rows)
            self._keep(changes)
            self._db.execute("COMMIT")
            self._version = version
        except BaseException as e:
            self.close()  # which rolls back: nothing is half done, and nothing comes after it
            if isinstance(e, sqlite3.Error):
                raise ledger_error(e, self.path) from e
            raise
        return answer

    def close(self) -> None:
        self._db.close()

    def _keep(self, changes: LedgerRows) -> None:
        """Write down what changed."""
        db, name = self._db, self._name
        for row in changes.spent.values():
            if row.requests:
                db.execute("REPLACE INTO spent VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (name, *row.place, *row[1:]))
            else:
                db.execute(USED_UP, (name, *row.place, *row[1:4]))
        for kind, learnt in changes.learnt.items():
            db.execute("REPLACE INTO learnt VALUES (?, ?, ?, ?, ?, ?, ?)", (name, kind, *learnt))
        if short := changes.short:
            kept = name, changes.spread_s, *short.place, short.at, short.packed
            db.execute("REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?)", kept)
        if changes.forget:
            self._forget(*changes.forget)

    def _forget(self, minute: int, ended: float | None) -> None:
        """Drop old rows, of all accounts: one that is never used again must not stay for ever."""
        self._db.execute("DELETE FROM spent WHERE boot = ? AND minute < ?", (self._place.boot, minute))
        if ended is not None:
            self._db.execute("DELETE FROM spent WHERE boot <> ? AND ended < ?", (self._place.boot, ended))


def rows_of(db: sqlite3.Connection, name: str) -> LedgerRows:
    """All that is kept of an account."""
    found = [SpentRow(BootPlace(machine, boot), *row) for machine, boot, *row in db.execute(ROWS_SPENT, (name,))]
    spent = {row[:4]: row for row in found}
    learnt = {kind: Learnt(*row) for kind, *row in db.execute(ROWS_LEARNT, (name,))}
    kept = db.execute(ROW_ACCOUNT, (name,)).fetchone()
    if kept is None:
        return LedgerRows(spent=spent, learnt=learnt)
    spread_s, machine, boot, at, packed = kept
    return LedgerRows(spent, ShortRow(BootPlace(machine, boot), at, packed), learnt, spread_s)


def ledger_path(given: Path | Address | None) -> Path:
    """The ledger's file: the given one, or the one in the user's state folder.  Where the ledger is a database, it is
    the latter: what other ledgers have beside them is there.

    Raises `LedgerError` without a home folder.
    """
    try:
        path = at_home(given) if isinstance(given, Path) else state_folder() / "ledger"
    except RuntimeError as e:
        hint = "set HOME or XDG_STATE_HOME to an absolute path, or name a file with --ledger"
        raise LedgerError(f"the quota ledger has no place: {e}", hint=hint) from None
    return path.resolve()


def account_key(base_url: str, account: str | None) -> str:
    """The name under which an account's quotas are counted."""
    return account or normal_url(base_url)


def read_ledger(path: Path, name: str) -> LedgerRows:
    """What an account has spent, and what its server has shown, as of one moment; nothing if there is no ledger.

    For `plan` and `status`, beside processes at work: `mode=ro`, so nothing is created, repaired or changed.  A ledger
    that was being written when the power went needs a writer to repair it first; until then this is a `LedgerError`.
    """
    try:
        refuse_emptied(path)
        if not path.exists() or not path.stat().st_size:
            return LedgerRows()
        db = sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            db.execute("BEGIN")
            if not (version := format_of(db, path)):
                return LedgerRows()
            if version == OLDER:
                db.backup(copy := sqlite3.connect(":memory:"))
                db.close()
                take_over(db := copy)
            check_believable(db)
            return rows_of(db, name)
        finally:
            db.close()
    except (sqlite3.Error, OSError, ValueError) as e:
        raise ledger_error(e, path) from e


def refuse_emptied(path: Path) -> None:
    """Raise `LedgerError` for a file of no bytes beside what only a ledger in use has: it was emptied, it is not new.

    To be asked before it is opened.  A ledger never has no bytes, since it is made under another name.
    """
    if not path.exists() or path.stat().st_size:
        return
    beside = next((other for other in path.parent.glob(f"{escape(path.name)}-*")), None)
    if beside:
        raise LedgerError(
            f"quota ledger {path}: it was emptied (a used one left {beside.name} beside it)", hint=DAMAGED
        )


def make_private(path: Path) -> None:
    """Make an empty database that only its owner may read, unless there is one.

    It is made under another name, and with its first page, since an empty file counts as emptied.
    """
    if path.exists():  # or else closing it would drop the locks that another connection of this process holds
        return
    other = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.new")
    os.close(os.open(other, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(other, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = MEMORY")
            make_tables(db)
        path.hardlink_to(other)
    except FileExistsError:
        pass
    except OSError:
        # no hard links: of two processes that begin in the same moment the second one's stays, and what the first has
        # counted in its first milliseconds would be forgotten
        if not path.exists():
            other.rename(path)
    finally:
        other.unlink(missing_ok=True)


def prepare(db: sqlite3.Connection, path: Path, synchronous: str) -> None:
    """Bring a connection into our mode, make the tables in a new file, and take over an older format."""
    format_of(db, path)  # before anything of somebody else's file is changed
    db.execute("PRAGMA journal_mode = PERSIST")  # a rollback journal whose file stays: fewer changes to the folder
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA fullfsync = ON")
    db.execute("BEGIN IMMEDIATE")
    version = format_of(db, path)
    if version == OLDER:
        take_over(db)
    elif not version:
        make_tables(db)
    check_believable(db)
    db.execute("COMMIT")


def ledger_error(error: BaseException, path: Path) -> LedgerError:
    """What SQLite or the system says of the ledger, with a next step."""
    is_misuse = isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # text that is no UTF-8 has none
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
    elif isinstance(error, ValueError) or (code in DAMAGE and not is_misuse):
        return LedgerError(f"quota ledger {path}: it is damaged ({error})", hint=DAMAGED)
    else:
        reason = f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"
    return LedgerError(f"quota ledger {path}: {reason}", hint=HINT)


def make_tables(db: sqlite3.Connection) -> None:
    """In a new file."""
    for statement in (*CREATE, CREATE_LEARNT):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {FORMAT}")


def take_over(db: sqlite3.Connection) -> None:
    """Bring a ledger of the older format into ours, inside a transaction."""
    db.execute("ALTER TABLE spent RENAME TO older")
    for statement in CREATE:
        db.execute(statement)
    db.execute("INSERT INTO spent SELECT account, '', boot, '', kind, minute, count, NULL, '', 0.0 FROM older")
    db.execute("DROP TABLE older")
    db.execute("DROP TABLE held")
    db.execute(f"PRAGMA user_version = {FORMAT}")


def format_of(db: sqlite3.Connection, path: Path) -> int:
    """The format of this ledger; 0 for an empty database.  Raises `LedgerError` for anything else."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and (version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
        raise LedgerError(f"{path} is no ledger of bulkwriter", hint="name another file with --ledger")
    if ours and version not in (OLDER, FORMAT):
        raise LedgerError(
            f"{path} has format {version}; this version knows formats {OLDER} and {FORMAT}",
            hint="use the bulkwriter that wrote it, or name another file with --ledger",
        )
    return version if ours else 0


def check_believable(db: sqlite3.Connection) -> None:
    """Raise `ValueError` where SQLite, or the bounds of a row, show that the ledger is damaged: ms for its few rows."""
    found = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise ValueError(f"SQLite says: {' '.join(str(found and found[0]).split())[:200]}")
    for table, bounds in BOUNDS.items():
        if db.execute(f"SELECT 1 FROM {table} WHERE ({bounds}) IS NOT 1 LIMIT 1").fetchone():  # noqa: S608 our words
            raise ValueError(f"a row of table {table} is not as it was written")
        db.execute(f"SELECT DISTINCT account FROM {table}").fetchall()  # noqa: S608 raises where one is no UTF-8
    for (packed,) in db.execute("SELECT short FROM accounts"):
        unpacked(packed)
