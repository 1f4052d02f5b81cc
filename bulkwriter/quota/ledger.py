"""The ledger: what every account has spent and leased, shared by all processes.  A unit is durable before it is spent.

A ledger is anything that can carry out an `exchange` (`Ledger`).  This one is an SQLite file in the user's state folder
(`$XDG_STATE_HOME` or `~/.local/state`, then `bulkwriter/ledger`; `--ledger` names another), 0600, in rollback-journal
mode because several processes write it.  Anyone can read it; `quota.ledger_schema` says what is in it.

An account is its `--account` name, or else the base URL.  An exchange is one short transaction, and returns only when
that is on the disk.  Whoever dies, by a kill or with the power, loses what it had leased and nothing more.

A damaged ledger is refused when it is opened, by SQLite's checks and by the bounds of its rows.  So is an empty file
beside the journal of a used ledger: it was emptied, and would count from 0.

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
from .ledger_schema import (
    FORMAT,
    OLDER,
    ROW_ACCOUNT,
    ROWS_LEARNT,
    ROWS_SPENT,
    ROWS_SPENT_OLDER,
    check_believable,
    format_of,
    make_tables,
    take_over,
)
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
                prepare(db, path, place, synchronous)
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
        self._db.execute("DELETE FROM spent WHERE machine = ? AND boot = ? AND minute < ?", (*self._place, minute))
        if ended is not None:
            asked = "DELETE FROM spent WHERE NOT (machine = ? AND boot = ?) AND ended < ?"
            self._db.execute(asked, (*self._place, ended))


def rows_of(db: sqlite3.Connection, name: str, *, version: int = FORMAT) -> LedgerRows:
    """All that is kept of an account."""
    asked = ROWS_SPENT_OLDER if version == OLDER else ROWS_SPENT
    found = [SpentRow(BootPlace(machine, boot), *row) for machine, boot, *row in db.execute(asked, (name,))]
    spent = {row[:4]: row for row in found}
    learnt = {kind: Learnt(*row) for kind, *row in db.execute(ROWS_LEARNT, (name,))}
    kept = db.execute(ROW_ACCOUNT, (name,)).fetchone() if version == FORMAT else None
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
            version = format_of(db, path)
            if not version:
                return LedgerRows()
            check_believable(db, version)
            return rows_of(db, name, version=version)
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


def prepare(db: sqlite3.Connection, path: Path, place: BootPlace, synchronous: str) -> None:
    """Bring a connection into our mode, make the tables in a new file, and take over an older format."""
    format_of(db, path)  # before anything of somebody else's file is changed
    db.execute("PRAGMA journal_mode = PERSIST")  # a rollback journal whose file stays: fewer changes to the folder
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA fullfsync = ON")
    db.execute("BEGIN IMMEDIATE")
    version = format_of(db, path)
    if version:
        check_believable(db, version)
    else:
        make_tables(db)
    if version == OLDER:
        take_over(db, place)
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
