"""The notes of a journal's last start: the size of the source, when and why it ended, and until when to wait.

They are rows of `meta`, as JSON.  `source` holds `rows` (null if not known) and `is_exact`.  It is written together
with new rows, so that it is true after a kill; and again when the source was read to its end, and when a start ends.
`run` is written by `run.notes` during a run; its `resume_at` and `is_theirs` are read here.  `last_start` is written
twice, before anything is sent and at the end:

    began      when it began (epoch seconds)
    ended      when it ended, or null: it goes on, or it was killed, or could not write any more
    code       why, for programs: "done", "limit", "signal", "left", or the code of an error (`errors`)
    reason     why, in words; never a secret
    exit_code  the exit code of that end
    resume_at  when going on makes sense (epoch seconds), or null; `is_theirs` if the server has said so

`origin` says how the source's own rows are read again, for `export`: `path`, and the options that were given
(`sources.files.open_source`).  It is missing where the source was no file.

`undone` holds `at` (epoch seconds) and `deleted` (null until it ends) of the last undo, which is no start.

Invariant: no stored value is believed before its type and bounds were checked.  A wrong value counts as missing, as in
a journal of an older version.  Pure.  Not here: whether a process holds the journal (`lock`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..model import Ended, Rows

SOURCE: Final = "source"
ORIGIN: Final = "origin"
RUN: Final = "run"
LAST_START: Final = "last_start"
UNDONE: Final = "undone"
ROWS_MAX: Final = 1 << 40
"""The seqs of pairs that are given one by one begin here."""
WALL_MAX: Final = 253_402_300_799.0  # the end of the year 9999, which is as far as dates go
REASON_CHARS: Final = 2_000


class Start(NamedTuple):
    """A start as it was noted.  `ended` is None if no end was noted."""

    began_at: float | None
    ended_at: float | None = None
    ended: Ended | None = None


def began_text(wall: float) -> str:
    """The note for the begin of a start."""
    return json.dumps({"began": round(wall, 1), "ended": None})


def ended_text(began_at: float | None, wall: float, ended: Ended) -> str:
    """The note for the end of a start."""
    return json.dumps(
        {
            "began": None if began_at is None else round(began_at, 1),
            "ended": round(wall, 1),
            "code": ended.code,
            "reason": ended.reason[:REASON_CHARS],
            "exit_code": ended.exit_code,
            "resume_at": ended.resume_at,
            "is_theirs": ended.is_theirs,
        }
    )


def last_start(meta: Mapping[str, str]) -> Start | None:
    """The last start; None if the journal has no note of one."""
    noted = noted_of(meta, LAST_START)
    if not noted:
        return None
    began_at, ended_at, code = wall_of(noted, "began"), wall_of(noted, "ended"), noted.get("code")
    if ended_at is None or not isinstance(code, str):
        return Start(began_at)
    exit_code = number_of(noted, "exit_code", 255)
    ended = Ended(
        code,
        str(noted.get("reason") or "")[:REASON_CHARS],
        int(exit_code or 0),
        wall_of(noted, "resume_at"),
        noted.get("is_theirs") is True,
    )
    return Start(began_at, ended_at, ended)


class Undone(NamedTuple):
    """The last undo: when it began or ended, and how many records undos had deleted then since the last start (None if
    it noted no end).
    """

    at: float
    deleted: int | None


def undone_text(wall: float, deleted: int | None, meta: Mapping[str, str]) -> str:
    """The note of an undo, written before its first delete and at its end.  It names the start that it came after."""
    start = last_start(meta)
    return json.dumps({"at": round(wall, 1), "deleted": deleted, "after": start.began_at if start else None})


def undone(meta: Mapping[str, str]) -> Undone | None:
    """The last undo, unless it has deleted nothing, or a start came after it: then its pairs were written again.  No
    clock has to go right."""
    noted, start = noted_of(meta, UNDONE), last_start(meta)
    at, deleted = wall_of(noted, "at"), number_of(noted, "deleted", ROWS_MAX)
    if at is None or deleted == 0 or wall_of(noted, "after") != (start.began_at if start else None):
        return None
    return Undone(at, None if deleted is None else int(deleted))


def undone_unseen_s(meta: Mapping[str, str], wall: float, list_lag_s: float) -> float:
    """For how long lists may still show what the last undo has deleted: from its end, or from now if it was killed."""
    noted = noted_of(meta, UNDONE)
    at, deleted = wall_of(noted, "at"), number_of(noted, "deleted", ROWS_MAX)
    if at is None or deleted == 0:
        return 0.0
    return list_lag_s if deleted is None else min(list_lag_s, max(0.0, at + list_lag_s - wall))


def source_text(total: int | None, *, is_exact: bool) -> str:
    """The note of how many rows the source has."""
    return json.dumps({"rows": total, "is_exact": is_exact})


def source_rows(meta: Mapping[str, str], read: int) -> Rows:
    """How many rows the source has by the notes; the journal holds `read` of them.

    Journals of older versions have it in `run`.
    """
    noted = noted_of(meta, SOURCE) if SOURCE in meta else noted_of(meta, RUN)
    total = number_of(noted, "rows", ROWS_MAX)
    return Rows.known(None if total is None else int(total), is_exact=noted.get("is_exact") is True, read=read)


def waits_until(meta: Mapping[str, str], wall: float, *, is_alive: bool) -> tuple[float | None, bool]:
    """Until when (epoch seconds) to wait, and whether the server said so; (None, False) without a wait.

    If the last start noted no end, or has not ended, its last note while it ran counts.
    """
    start = None if is_alive else last_start(meta)
    if start and start.ended:
        at, is_theirs = start.ended.resume_at, start.ended.is_theirs
    else:
        noted = noted_of(meta, RUN)
        at, is_theirs = wall_of(noted, "resume_at"), noted.get("is_theirs") is True
    return (None, False) if at is None or at <= wall else (at, is_theirs)


def noted_of(meta: Mapping[str, str], key: str) -> dict[str, Any]:
    """The object that was noted under `key`, or an empty one."""
    try:
        noted = json.loads(meta.get(key, "null"))
    except (ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def number_of(noted: Mapping[str, Any], key: str, most: float) -> float | None:
    """A number from 0 to `most`, or None."""
    value = noted.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return None if math.isnan(value) else value


def wall_of(noted: Mapping[str, Any], key: str) -> float | None:
    return number_of(noted, key, WALL_MAX)
