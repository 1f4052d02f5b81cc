"""Turns errors of SQLite and of the operating system about a journal into `JournalError`, with a next step.

The table goes by SQLite's primary result code, the low byte of `sqlite_errorcode`.  An error that is neither in it nor
caused by a wrong call of ours is damage: a missing table or column, text that is no UTF-8, broken JSON.

No hint ever suggests a fresh journal with `--existing skip`, since that would write every pair twice.  While requests
are still on their way, a fresh journal is safe only with `--after-loss`: no list shows their records yet.

Not here: what follows from an error.  A failed commit ends the run (`journal`).  Source: sqlite.org/rescode.html.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from ..errors import JOURNAL_LOST, JournalError

AGAIN: Final = "then give the same command again; what was settled before is kept"
ANEW: Final = (
    "the command that began it, with --after-loss, makes a new one: it waits until what was on its way has been "
    "applied, and looks up what is there before it writes (--existing check, the default)"
)
DAMAGED: Final = (
    "move it and its -wal to another place, and keep them.  If there is a copy of both that was made together while no "
    f"run was at work, put that back, and add --after-loss to the command that began it.  Without a copy, {ANEW}"
)
EMPTY: Final = "`bulkwriter run SOURCE` goes on with it; add --after-loss if an earlier start had written to it"
GONE: Final = f"put it back beside its -wal; where it is lost, move the -wal to another place and keep it: then {ANEW}"
ELSEWHERE: Final = "name another file with --journal"
NO_JOURNAL: Final = f"if it never was one, name another file; if it was: {DAMAGED}"

_FAULTS: Final[dict[int, tuple[str, str]]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", f"make room, {AGAIN}"),
    sqlite3.SQLITE_IOERR: ("the disk failed, is full, or a size limit was reached", f"see to the disk, {AGAIN}"),
    sqlite3.SQLITE_CORRUPT: ("the journal is damaged", DAMAGED),
    sqlite3.SQLITE_NOTADB: ("the file is no journal, or is damaged", NO_JOURNAL),
    sqlite3.SQLITE_READONLY: ("the journal cannot be written", f"give write permission to it and its folder, {AGAIN}"),
    sqlite3.SQLITE_PERM: ("no permission", f"give write permission to it and its folder, {AGAIN}"),
    sqlite3.SQLITE_CANTOPEN: ("the journal cannot be opened", f"look at the permissions of it and its folder, {AGAIN}"),
    sqlite3.SQLITE_BUSY: ("another program keeps the journal locked", f"end it, such as a sqlite3 shell, {AGAIN}"),
    sqlite3.SQLITE_LOCKED: ("another program keeps the journal locked", f"end it, such as a sqlite3 shell, {AGAIN}"),
    sqlite3.SQLITE_PROTOCOL: ("the file system cannot lock", "put the journal on a local disk with --journal"),
    sqlite3.SQLITE_NOMEM: ("out of memory", AGAIN),
    sqlite3.SQLITE_INTERRUPT: ("SQLite was interrupted", AGAIN),
    sqlite3.SQLITE_MISUSE: ("SQLite refused", ""),
}
_DAMAGE: Final = ("the journal is damaged", DAMAGED)
_OF_THE_FILE: Final = {
    sqlite3.SQLITE_IOERR_SHORT_READ,
    getattr(sqlite3, "SQLITE_IOERR_DATA", 8_202),
    getattr(sqlite3, "SQLITE_IOERR_CORRUPTFS", 8_458),
}
"""Extended codes of SQLITE_IOERR about the contents of the file."""


def journal_error(error: sqlite3.Error | OSError, path: Path | None) -> JournalError:
    """The `JournalError` for `error`.  It names `path`, and its message keeps the original text."""
    name = "journal in memory" if path is None else str(path)
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
        return JournalError(f"{name}: {reason}", hint=f"see to the folder of the journal, or {ELSEWHERE}")
    number = getattr(error, "sqlite_errorcode", 0)
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        number = number or sqlite3.SQLITE_MISUSE
    what, hint = _DAMAGE if number in _OF_THE_FILE else _FAULTS.get(number & 0xFF, _DAMAGE)
    symbol = getattr(error, "sqlite_errorname", type(error).__name__)
    code = JOURNAL_LOST if hint in (DAMAGED, NO_JOURNAL) else ""
    return JournalError(f"{name}: {what} ({symbol}: {error})", hint=hint, code=code)


def damaged(path: Path | str | None, what: str) -> JournalError:
    """The `JournalError` for a journal that SQLite can read but that we cannot believe."""
    return JournalError(f"{path}: the journal is damaged ({what})", hint=DAMAGED, code=JOURNAL_LOST)
