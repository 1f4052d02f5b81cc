"""Turns what SQLite and the operating system say about a journal into `JournalError`, with a next step.

The table goes by SQLite's primary result code, the low byte of `sqlite_errorcode`.  No hint ever suggests a fresh
journal with `--existing skip`: that is the one way to write every pair twice.
Not here: what follows from an error.  A failed commit ends the run (`journal`).  Source: sqlite.org/rescode.html.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from ..errors import JournalError

AGAIN: Final = "then give the same command again; what was settled before is kept"
DAMAGED: Final = (
    "keep the file with its -wal; `sqlite3 FILE .recover` can save most of it.  A new journal is safe only with"
    " --existing check (the default), which looks up what is there before it writes"
)
GONE: Final = (
    "put it back together with its -wal; where it is lost, the same command makes a new one, which is safe only with "
    "--existing check (the default): that looks up what is there before it writes"
)
ELSEWHERE: Final = "name another file with --journal"

_FAULTS: Final[dict[int, tuple[str, str]]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", f"make room, {AGAIN}"),
    sqlite3.SQLITE_IOERR: ("the disk failed, is full, or a size limit was reached", f"see to the disk, {AGAIN}"),
    sqlite3.SQLITE_CORRUPT: ("the journal is damaged", DAMAGED),
    sqlite3.SQLITE_NOTADB: ("the file is no journal", ELSEWHERE),
    sqlite3.SQLITE_READONLY: ("the journal cannot be written", f"give write permission to it and its folder, {AGAIN}"),
    sqlite3.SQLITE_PERM: ("no permission", f"give write permission to it and its folder, {AGAIN}"),
    sqlite3.SQLITE_CANTOPEN: ("the journal cannot be opened", f"look at the permissions of it and its folder, {AGAIN}"),
    sqlite3.SQLITE_BUSY: ("another program keeps the journal locked", f"end it, such as a sqlite3 shell, {AGAIN}"),
    sqlite3.SQLITE_LOCKED: ("another program keeps the journal locked", f"end it, such as a sqlite3 shell, {AGAIN}"),
    sqlite3.SQLITE_PROTOCOL: ("the file system cannot lock", "put the journal on a local disk with --journal"),
    sqlite3.SQLITE_NOMEM: ("out of memory", AGAIN),
}


def journal_error(error: sqlite3.Error | OSError, path: Path | None) -> JournalError:
    """The `JournalError` for `error`, naming `path`; the original text stays in the message."""
    name = "journal in memory" if path is None else str(path)
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
        return JournalError(f"{name}: {reason}", hint=f"see to the folder of the journal, or {ELSEWHERE}")
    code = getattr(error, "sqlite_errorcode", 0)
    what, hint = _FAULTS.get(code & 0xFF, ("SQLite refused", ""))
    symbol = getattr(error, "sqlite_errorname", type(error).__name__)
    return JournalError(f"{name}: {what} ({symbol}: {error})", hint=hint)


def damaged(path: Path | None, what: str) -> JournalError:
    """The `JournalError` for a journal that SQLite can read and we cannot believe."""
    return JournalError(f"{path}: the journal is damaged ({what})", hint=DAMAGED)
