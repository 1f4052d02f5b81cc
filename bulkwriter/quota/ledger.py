"""The ledger of every account's spending, shared by this machine's processes.  A unit is durable before it is spent.

One SQLite file in the user's state folder (`$XDG_STATE_HOME` or `~/.local/state`, then `bulkwriter/ledger`; `--ledger`
names another), 0600, in rollback-journal mode because several processes write it.  Anyone can read it:

    table `spent`    requests by account, boot, minute since that boot, and kind (write, read; write-refused and
                     read-refused are those among them that the server throttled); `ended` is the minute's end as epoch
                     seconds.  A request counts in the minute in which it ended; one on its way, and one that is only
                     reserved, in the minute of its latest possible end
    table `learnt`   what a server showed of its own limit by throttling, see `quota.throttles`
    table `held`     of what is booked, the units that a living process holds, and up to which mark it may use them
                     before it moves that in its own file (`quota.till`)

An account is its `--account` name, or else the base URL.  `exchange` is the only way to change the ledger.  It is one
transaction that gives back, books and reserves, and it returns only when that is on the disk.  So a request is sent
only from units that a commit has reserved.  After a kill the next process gives the unused units back.  After a power
cut it gives back all but 20 of a kind at most (`quota.till`).

The clock is the machine's own since boot, and nobody can set it.  Only rows of earlier boots are placed by the wall
clock, after a comparison with the server's `Date` before the first write.  A clock that was set during a reboot can
still do this:
- Rows are stamped with the wall clock of then, corrected by the server's `Date` once one was seen.  If that clock was
  wrong and the power went before the first reply of the first process, what it had sent until then (and a block of 20)
  is taken for older or younger than it is.
- If the server never sends a `Date`, rows of earlier boots are placed by our wall clock alone.  Set back, it makes us
  wait longer; set forward by up to a window, it lets us send up to what the window holds that much too early.
- Calendar days (`write:2500/day@00:00`) begin by the server's clock from the first reply on, before it by ours.  The
  first request of a run is a list call: one of those at most goes out on a day that has not begun.
Nothing worse can happen.  Spending before this boot never counts as younger than the boot, and no change of the clock
touches later spending.  A clock that is set while the machine runs does nothing at all once a reply was seen.

A damaged ledger is refused when it is opened, by SQLite's checks and by the bounds of its rows.  So is an empty file
beside the other files of a used ledger: it was emptied, and would count from 0.

Invariants: counts are never negative; a failed commit ends the ledger, and everything after it fails alike.
Not here: what may be spent (`quota.forecast`), which clock says what (`quota.account`).
Source: sqlite.org/lockingv3.html; for the mode, sqlite.org/wal.html, "The WAL Reset Bug".
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from glob import escape
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from ..errors import LedgerError, UsageError
from ..store.private import make_folder
from ..store.schema import normal_url
from .ledger_book import APPLICATION_ID, CREATE, FORMAT, Book, LearntRow, SpentRow, check_believable
from .till import dead_tills

T = TypeVar("T")

BUSY_S: Final = 10.0  # others hold the lock for a commit; longer is somebody's sqlite3 shell
HINT: Final = "nothing is sent that is not counted first: mend that, or name another file with --ledger"
DAMAGE: Final = {0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}
"""Primary codes of SQLite that speak of what is in the file: a table that is not there is SQLITE_ERROR."""
DAMAGED: Final = (
    "what was spent is not known any more.  Move it and the files beside it whose names begin with its own to another "
    "place, or name another file with --ledger: both count from nothing, so wait a day first, or give a smaller --quota"
)


def ledger_path(given: Path | None, env: dict[str, str] | os._Environ[str] = os.environ) -> Path:
    """The ledger's file: the given one, or the one in the user's state folder.

    Raises `LedgerError` without a home folder, and `UsageError` for a relative path of the home folder.
    """
    state = env.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path("~/.local/state")
    try:
        named = given or folder / "bulkwriter" / "ledger"
        path = named.expanduser()
    except RuntimeError as e:
        raise LedgerError(f"the quota ledger has no place: {e}", hint="name a file with --ledger") from None
    if named.parts[:1] and named.parts[0].startswith("~") and not path.is_absolute():
        raise UsageError(
            f"HOME is {env.get('HOME', '')!r}, which is no absolute path, so the quota ledger has no place of its own",
            hint="set HOME or XDG_STATE_HOME to an absolute path, or name a file with --ledger",
        )
    return path.resolve()


def account_key(base_url: str, account: str | None) -> str:
    """The name under which an account's quotas are counted."""
    return account or normal_url(base_url)


class Ledger:
    """An open ledger, used for one account.  Its methods block, and must be called in the thread that opened it."""

    def __init__(self, db: sqlite3.Connection, path: Path, *, account: str, boot: str) -> None:
        self.path = path
        self.account = account
        self.boot = boot
        self._db = db
        self._book = Book(db, account, boot)
        self._version: int | None = None
        self._broken: LedgerError | None = None

    @classmethod
    def open(cls, path: Path, *, account: str, boot: str, synchronous: str = "FULL") -> Ledger:
        """Open or create the ledger.  Raises `LedgerError` where it cannot be used."""
        try:
            make_folder(path.parent)
            make_private(path)
            db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        except (sqlite3.Error, OSError) as e:
            raise ledger_error(e, path) from e
        try:
            prepare(db, path, synchronous)
        except (sqlite3.Error, ValueError) as e:
            db.close()
            raise ledger_error(e, path) from e
        except BaseException:
            db.close()
            raise
        return cls(db, path, account=account, boot=boot)

    def exchange(self, step: Callable[[Book], T]) -> T:
        """Run `step` in one transaction and return its result when that is durable.

        Raises `LedgerError` if it cannot be made durable, and always from then on.
        """
        if self._broken:
            raise LedgerError(self._broken.message, hint=self._broken.hint)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            self._book.has_changed, self._version = version != self._version, version
            result = step(self._book)
            self._db.execute("COMMIT")
        except BaseException as e:
            self._broken = ledger_error(e, self.path) if isinstance(e, sqlite3.Error) else broken_off(e, self.path)
            self._roll_back()
            if isinstance(e, sqlite3.Error):
                raise self._broken from e
            raise
        return result

    def settle_tills(self) -> None:
        """Give back what dead processes of this account have left.  To be called before the first exchange."""
        dead = list(dead_tills(self.path, self.account))
        try:
            if dead:
                self.exchange(lambda book: book.settle(dead, is_there=lambda name: self.path.with_name(name).exists()))
                self._version = None  # counts in memory must be read again
            for till in dead:
                till.remove()
        finally:
            for till in dead:
                till.close()

    def close(self) -> None:
        """Release the file.  A repetition is harmless."""
        self._broken = self._broken or LedgerError("the ledger is closed")
        self._roll_back()
        self._db.close()

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # it is closed, or SQLite has rolled back by itself; either way nothing is half done


def read_ledger(path: Path, account: str, boot: str) -> tuple[list[SpentRow], dict[str, LearntRow]]:
    """The spending of an account and the knowledge of its server, as of one moment; nothing if there is no ledger.

    For `plan` and `status`, beside processes at work: `mode=ro`, so nothing is created, repaired or changed.  A ledger
    that was being written when the power went needs a writer to repair it first; until then this is a `LedgerError`.
    """
    try:
        refuse_emptied(path)
        if not path.exists() or not path.stat().st_size:
            return [], {}
        db = sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            db.execute("BEGIN")
            if check_ours(db, path):
                check_believable(db)
            book = Book(db, account, boot)
            return book.rows(), book.learnt()
        finally:
            db.close()
    except (sqlite3.Error, OSError, ValueError) as e:
        raise ledger_error(e, path) from e


def refuse_emptied(path: Path) -> None:
    """Raise `LedgerError` for a file of no bytes beside what only a ledger in use has: it was emptied, it is not new.

    To be asked before a page or a till is made.  A ledger never has no bytes, since it is made under another name.
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
        with contextlib.suppress(FileExistsError):
            link_or_rename(other, path)
    finally:
        other.unlink(missing_ok=True)


def link_or_rename(other: Path, path: Path) -> None:
    """Give a file its name unless there is one.  Raises `FileExistsError`.

    Where the file system has no hard links, two processes that begin in the same moment may each make one, and the
    second one stays: what the first has counted in its first milliseconds would be forgotten.
    """
    try:
        path.hardlink_to(other)
    except FileExistsError:
        raise
    except OSError:
        if not path.exists():
            other.rename(path)


def prepare(db: sqlite3.Connection, path: Path, synchronous: str) -> None:
    """Bring a connection into our mode, and make the tables in a new file."""
    check_ours(db, path)  # before anything of somebody else's file is changed
    db.execute("PRAGMA journal_mode = PERSIST")  # a rollback journal whose file stays: fewer changes to the folder
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA fullfsync = ON")
    db.execute("BEGIN IMMEDIATE")
    if check_ours(db, path):
        check_believable(db)
    else:
        make_tables(db)
    db.execute("COMMIT")


def make_tables(db: sqlite3.Connection) -> None:
    for statement in CREATE:
        db.execute(statement)


def check_ours(db: sqlite3.Connection, path: Path) -> bool:
    """Whether this is a ledger; False for an empty database.  Raises `LedgerError` for anything else."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and (version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
        raise LedgerError(f"{path} is no ledger of bulkwriter", hint="name another file with --ledger")
    if ours and version != FORMAT:
        raise LedgerError(
            f"{path} has format {version}; this version knows format {FORMAT}",
            hint="use the bulkwriter that wrote it, or name another file with --ledger",
        )
    return bool(ours)


def ledger_error(error: BaseException, path: Path) -> LedgerError:
    """What SQLite or the system says of the ledger, with a next step."""
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
    elif is_damage(error):
        return LedgerError(f"quota ledger {path}: it is damaged ({error})", hint=DAMAGED)
    else:
        reason = f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"
    return LedgerError(f"quota ledger {path}: {reason}", hint=HINT)


def is_damage(error: BaseException) -> bool:
    """Whether the ledger is not as it was written.  SQLite gives text that is no UTF-8 no code."""
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return False
    return isinstance(error, ValueError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def broken_off(error: BaseException, path: Path) -> LedgerError:
    return LedgerError(f"quota ledger {path}: writing was broken off ({type(error).__name__})", hint=HINT)
