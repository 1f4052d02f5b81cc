"""Opens or creates the file of a journal, and decides whether it may be used.

    no file, or an empty one           created, 0600, in WAL mode
    not SQLite, or another database    refused and left as it is
    a newer format                     refused: this version cannot know what it means
    an older format                    refused, with the version that goes on with it
    another entity                     refused (exit 5): the same ids would mean other records
    another base URL or account        refused (exit 5): a stub's journal must never answer for the real host
    other columns of the source        refused (exit 6): the same seqs would mean other pairs
    damaged                            refused, with what may save it

Invariant: every connection from here is a journal of this identity with `synchronous=FULL`.  A crash during the
creation leaves an empty database, which counts as no file.  The caller holds the lock (`lock`) before a writer is
opened.
Not here: reading rows.  Source: sqlite.org/wal.html for what a read-only connection can do.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from .. import __version__
from ..entities import ORIGINAL
from ..errors import JOURNAL_LOST, JournalError, SourceError
from .bounds import check_meta, check_trees, columns_of
from .bulk import VARIABLES
from .lock import holder
from .network_fs import network_kind
from .private import keep_private
from .pruned import PRUNED
from .schema import APPLICATION_ID, CREATE, FORMAT, JournalIdentity
from .sqlite_errors import ELSEWHERE, EMPTY, GONE, NO_JOURNAL, damaged, journal_error

BEGUN_BY: Final = {1: "bulkwriter 0.1.0, before it kept a history"}
"""Formats whose journals do not name the version that began them."""
SQLITE_OLDEST: Final = (3, 32)  # upsert (3.24), 32,766 variables a statement (3.32); JSON functions are asked for
BUSY_S: Final = 10.0  # others only read, and hold a lock for the moment of a recovery at most
# temp_store and secure_delete: ids are no secret, and overwriting freed bytes costs updates 25%.  fullfsync: what macOS
# needs for a sync that reaches the disk.  The rest is the promise.
_WRITER: Final = (
    "PRAGMA synchronous = FULL", "PRAGMA fullfsync = ON", "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA temp_store = MEMORY", "PRAGMA secure_delete = OFF",
)  # fmt: skip


def check_place(path: Path) -> None:
    """Raise `JournalError` where no journal can be: the folder is missing, the path is no file, or it lies on a network
    file system, where a lock and a shared memory may not reach other machines.

    A file with two names that are no symlinks is refused as well.  Each name would have its own lock and -wal, so two
    writers would double records and could damage each other's rows.
    """
    try:
        is_there = path.exists()
        names = path.stat().st_nlink if is_there else 1
    except OSError as e:  # a folder that may not be entered, a name that is too long
        raise journal_error(e, path) from e
    if not path.parent.is_dir():
        raise JournalError(f"{path}: the folder does not exist", hint=f"create {path.parent}, or {ELSEWHERE}")
    if is_there and not path.is_file():
        raise JournalError(f"{path} is no file", hint=ELSEWHERE)
    if names > 1:
        raise JournalError(
            f"{path} has {names} names (hard links), so another process may be writing it by another one",
            hint="once no other run uses it, make a copy and rename that to this name: cp -p, then mv",
        )
    if kind := network_kind(path):
        raise JournalError(
            f"{path}: it lies on a network file system ({kind}), where two machines may write it at once",
            hint="name a file on a local disk with --journal; several machines: bulkwriter help machines",
        )
    if not os.access(path if is_there else path.parent, os.W_OK):
        raise JournalError(f"{path} cannot be written", hint=f"give write permission, or {ELSEWHERE}")


def refuse_emptied(path: Path) -> None:
    """Raise `JournalError` for a file of no bytes, or none at all, whose -wal holds something.

    No journal is ever like that: its first page is written before there is a -wal.  SQLite would delete the -wal.
    """
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size and not (path.exists() and path.stat().st_size):
        raise JournalError(
            f"{path} is {'empty' if path.exists() else 'gone'}, and its -wal is there", hint=GONE, code=JOURNAL_LOST
        )


def open_writer(path: Path | None, identity: JournalIdentity) -> sqlite3.Connection:
    """A connection that may write to the journal at `path` (None: in memory).  The journal is created if there is
    none.
    """
    _check_sqlite()
    if path is not None:
        refuse_emptied(path)
    if path is not None and not path.exists():
        # Made here for its mode; -wal and -shm get theirs from it.  Nobody has it open: we hold the lock, it is new.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    db = sqlite3.connect(":memory:" if path is None else path, timeout=BUSY_S, isolation_level=None)
    try:
        is_new = _is_empty(db)
        if not is_new:
            _check_format(db, path)
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal" and path is not None:
            raise JournalError(f"{path}: no WAL mode here", hint="put the journal on a local disk with --journal")
        for pragma in _WRITER:
            db.execute(pragma)
        if is_new:
            _create(db, path, identity)
        elif is_unused(db):
            _check_trees(db, path)
            _adopt(db, identity)
        else:
            check_identity(dict(db.execute("SELECT key, value FROM meta")), path, identity)
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, beside a live writer or after a crash, and never checkpoints."""
    _check_sqlite()
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro"
    try:
        refuse_emptied(path)
        if not path.is_file():
            raise JournalError(f"there is no journal at {path}", hint="`bulkwriter run SOURCE` makes SOURCE.journal")
        return _checked(uri, path)
    except OSError as e:
        raise journal_error(e, path) from e
    except sqlite3.Error as e:
        if getattr(e, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise journal_error(e, path) from e
    # The folder cannot be written, so SQLite cannot make its -shm.  With nothing in a -wal and no writer the file alone
    # is the journal, and only then may SQLite be told that it does not change.  (A writer that starts while we read is
    # another user's; what we then read is as of its last checkpoint.)
    wal = path.with_name(path.name + "-wal")
    if (wal.exists() and wal.stat().st_size) or holder(path) is not None:
        raise JournalError(
            f"{path} cannot be read in a folder without write permission while it has a -wal",
            hint="copy the journal and its -wal together to a folder of yours, and read it there",
        )
    try:
        return _checked(f"{uri}&immutable=1", path)
    except sqlite3.Error as e:
        raise journal_error(e, path) from e


def _checked(uri: str, path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        if _is_empty(db):
            raise JournalError(f"{path} is empty: no start has written to it yet, or it was emptied", hint=EMPTY)
        _check_format(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < SQLITE_OLDEST:
        raise JournalError(
            f"SQLite {sqlite3.sqlite_version} is too old for a journal",
            hint=f"use a Python with SQLite {'.'.join(map(str, SQLITE_OLDEST))} or newer",
        )
    db = sqlite3.connect(":memory:")
    try:
        if db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) < VARIABLES:
            raise JournalError("this SQLite allows too few variables", hint="use a Python with a standard SQLite")
        db.execute("SELECT json_group_array(1)")
    except sqlite3.Error as e:
        raise JournalError("this SQLite has no JSON functions", hint="use a Python with a standard SQLite") from e
    finally:
        db.close()


def _is_empty(db: sqlite3.Connection) -> bool:
    objects = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not objects and not _pragma(db, "application_id") and not _pragma(db, "user_version")


def _check_format(db: sqlite3.Connection, path: Path | None) -> None:
    version = _pragma(db, "user_version")
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise JournalError(f"{path} is no journal of bulkwriter, or is damaged", hint=NO_JOURNAL, code=JOURNAL_LOST)
    if version != FORMAT:
        begun_by = BEGUN_BY.get(version) or _version_of(db)
        raise JournalError(
            f"{path} has format {version}, begun by {begun_by}; this is bulkwriter {__version__}, which knows format "
            f"{FORMAT}",
            hint="finish it with the bulkwriter that began it, and begin the next source with this one",
        )


def _version_of(db: sqlite3.Connection) -> str:
    """The bulkwriter that made a journal of another format, as far as it tells."""
    try:
        row = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    except sqlite3.Error:
        row = None
    return f"bulkwriter {shown_version(row[0])}" if row else "another bulkwriter"


def shown_version(text: object) -> str:
    """A version as it may be shown: letters, digits, dots and plus signs."""
    return "".join(char for char in str(text)[:20] if char.isascii() and (char.isalnum() or char in ".+-"))


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _meta_of(identity: JournalIdentity) -> dict[str, str]:
    return {
        "base_url": identity.base_url,
        "account": identity.account,
        "columns": json.dumps(identity.columns),
        "entity": identity.entity,
        "version": __version__,
    }


def _create(db: sqlite3.Connection, path: Path | None, identity: JournalIdentity) -> None:
    meta = {**_meta_of(identity), "created_at": datetime.now(UTC).isoformat(timespec="seconds")}
    db.execute("BEGIN IMMEDIATE")
    for statement in CREATE:
        db.execute(statement)
    db.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", meta.items())
    db.execute("COMMIT")
    if path is not None:
        keep_private(path)  # an empty file of the user's may have had another mode


def is_unused(db: sqlite3.Connection) -> bool:
    """Whether no row was ever read into it.  A start that failed before its first row binds nothing."""
    is_pruned = db.execute("SELECT 1 FROM meta WHERE key = ?", (PRUNED,)).fetchone() is not None
    return not is_pruned and db.execute("SELECT 1 FROM pair LIMIT 1").fetchone() is None


def _check_trees(db: sqlite3.Connection, path: Path | None) -> None:
    """Raise `JournalError` where rows are not gone but misplaced: the root of an empty table lies where theirs was."""
    try:
        check_trees(db)
    except ValueError as e:
        raise damaged(path, str(e)) from e


def _adopt(db: sqlite3.Connection, identity: JournalIdentity) -> None:
    """Give a journal without rows to another host, account, entity or pair of columns."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM meta WHERE key <> 'created_at'")
    db.execute("DELETE FROM history")
    db.execute("DELETE FROM step")
    db.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", _meta_of(identity).items())
    db.execute("COMMIT")


def identity_of(meta: Mapping[str, str], path: Path | str | None) -> JournalIdentity:
    """What a journal with this meta belongs to.  Raises `JournalError` if it does not tell."""
    try:
        check_meta(meta)
    except ValueError as e:
        raise damaged(path, str(e)) from e
    return JournalIdentity(meta["base_url"], meta["account"], columns_of(meta["columns"]), meta.get("entity", ORIGINAL))


def check_identity(meta: Mapping[str, str], path: Path | str | None, wanted: JournalIdentity) -> None:
    """Raise `JournalError` or `SourceError` if a journal with this meta must not be used for `wanted`."""
    require_same(identity_of(meta, path), wanted, str(path), made="made", hints=OTHER_FILE)


class IdentityHints(NamedTuple):
    """What to do where the server or account, the kind of records, or the columns are others."""

    place: str
    entity: str
    columns: str


OTHER_FILE: Final = IdentityHints(
    "name that --base-url and --account again; a run elsewhere needs another file with --journal, and --after-loss "
    "where another run may just have written the same pairs there",
    "the command that began it goes on with it; for other records name another file with --journal",
    "name the same --lesson-column and --member-column again, or another file with --journal",
)


def require_same(
    found: JournalIdentity, wanted: JournalIdentity, shown: str, *, made: str, hints: IdentityHints
) -> None:
    """Raise `JournalError` or `SourceError` if what belongs to `found` must not be used for `wanted`.

    `made`: how it came of its columns, in a word.
    """
    if (found.base_url, found.account) != (wanted.base_url, wanted.account):
        raise JournalError(f"{shown} belongs to {found.place}, not to {wanted.place}", hint=hints.place)
    if found.entity != wanted.entity:
        raise JournalError(f"{shown} is of {found.entity} records, not of {wanted.entity}", hint=hints.entity)
    if not found.has_columns(wanted.columns):
        names = ", ".join(found.columns), ", ".join(wanted.columns)
        raise SourceError(f"{shown} was {made} from the columns {names[0]}, not {names[1]}", hint=hints.columns)
