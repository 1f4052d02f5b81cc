"""The checks that a journal must pass before any of its rows and meta is believed.  Every command makes them first.

SQLite is loosely typed, and a damaged page may hold anything after trouble with a disk, a copy or another program.  So
`believed` checks the whole file, as of one moment:

    SQLite's own check     trees, pages, order of rows (`quick_check`; of an index too if there is one)
    meta                   the keys of every journal are there, each as it was written
    rows                   contiguous, each within `ROW_IS_BELIEVABLE`

A writer makes them unless the file is bit by bit what a writer has left (`seal`).  Then it has the states from there,
and reads and checks the rows alone that the -wal may have changed.

Values that pass may still be wrong: a flipped bit in a valid id gives another valid id, and there are no checksums.
Values that do not pass are damage (exit 5), whichever command asks.  Cost a row, all without the GIL:

    SQLite's check    0.12 µs
    states            0.11 µs
    bounds            0.35 µs; 0.75 µs for a row that is not plain; so 10^7 rows take about 6 s in all

Not here: the contents of a row's `detail` (`schema.read_detail`, where it is read), and the run's notes in meta (where
they are read).  Source: sqlite.org/pragma.html, quick_check; sqlite.org/datatype3.html.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from pyroaring import BitMap64

from ..model import ID_MAX, SINGLE_SEQ, State
from .pruned import PRUNED, Pruned, pruned_of
from .seal import Seal
from .states import HOLE, SCAN_ROWS, StateColumn

ATTEMPTS_MAX: Final = 10**9
"""Far more than any number of starts can use."""
STATUS_MAX: Final = 999


def _whole(column: str, low: int, high: int = ID_MAX) -> str:
    """SQL: the column holds a whole number of this range.

    `| 0` turns any value into a whole number.  So a real, text or blob value differs from the result.  It costs a third
    of `typeof`.
    """
    return f"{column} BETWEEN {low} AND {high} AND ({column} | 0) = {column}"


def _none_or(column: str, low: int, high: int = ID_MAX) -> str:
    return f"({column} IS NULL OR {_whole(column, low, high)})"


_IDS: Final = f"{_whole('id_a', 1)} AND {_whole('id_b', 1)}"
_RECORD: Final = _whole("record_id", 1)
_MAY_HAVE_RECORD: Final = f"state <= {State.EXISTING} AND {_RECORD}"
ROW_IS_BELIEVABLE: Final = " AND ".join(
    (
        _whole("state", 0, max(State)),
        f"CASE WHEN state = {State.INVALID} THEN id_a IS NULL AND id_b IS NULL ELSE {_IDS} END",
        _none_or("line", 1),
        _whole("attempts", 0, ATTEMPTS_MAX),
        f"CASE WHEN state = {State.CREATED} THEN {_RECORD} ELSE record_id IS NULL OR ({_MAY_HAVE_RECORD}) END",
        _none_or("http_status", 0, STATUS_MAX),
        "(detail IS NULL OR (typeof(detail) = 'text' AND json_valid(detail) AND json_type(detail) = 'object'))",
    )
)
"""SQL: a row of `pair` can be believed."""
IS_PLAIN: Final = " AND ".join(
    (
        f"state = {State.CREATED} AND detail IS NULL AND http_status = 200 AND attempts = 1",
        *(f"{column} > 0" for column in ("id_a", "id_b", "record_id")),
        *(f"({column} | 0) = {column}" for column in ("id_a", "id_b", "record_id")),
        "(line IS NULL OR (line > 0 AND (line | 0) = line))",
    )
)
"""SQL: the same check for most rows, created at the first attempt, in half the time.

Single pairs have no line: without the clause for them each takes the long check.
"""
_IS_BELIEVABLE: Final = f"CASE WHEN {IS_PLAIN} THEN 1 ELSE {ROW_IS_BELIEVABLE} END"
_BELIEVABLE: Final = f"sum({_IS_BELIEVABLE})"
"""SQL: how many rows of a range can be believed."""
_SCAN: Final = f"SELECT group_concat(state, ''), {_BELIEVABLE} FROM pair WHERE seq >= ? AND seq < ?"  # noqa: S608 ours
_SCAN_PLACES: Final = (
    f"SELECT json_group_array(seq - ?), group_concat(state, ''), {_BELIEVABLE} FROM pair WHERE seq >= ? AND seq < ?"  # noqa: S608
)
_SCAN_CHANGED: Final = f"""SELECT json_group_array(seq), group_concat(state, ''), {_BELIEVABLE},
    json_group_array(record_id) FILTER (WHERE state = {State.CREATED})
    FROM (SELECT * FROM pair WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT {SCAN_ROWS})"""  # noqa: S608
_FIRST_BAD: Final = f"SELECT seq FROM pair WHERE seq >= ? AND seq < ? AND ({ROW_IS_BELIEVABLE}) IS NOT 1 LIMIT 1"  # noqa: S608
_FROM_DIGITS: Final = bytes(c - 48 if 48 <= c <= 57 else 255 for c in range(256))
_OF_EVERY_JOURNAL: Final = ("base_url", "account", "columns", "created_at")


def believed(db: sqlite3.Connection, seal: Seal | None = None) -> tuple[StateColumn, BitMap64 | None]:
    """Check the whole file, or what is not known by its seal.  Return the state of every row; and the record ids of
    created ones, where the seal tells.

    Raises a `ValueError` that says what cannot be believed, or `sqlite3.Error`.  The result is as of one moment only
    inside a transaction.
    """
    if seal is None:
        check_trees(db)
    meta = dict(db.execute("SELECT key, value FROM meta"))
    check_meta(meta)
    pruned = pruned_of(meta)
    return sealed(db, pruned, seal) if seal else (load_states(db, pruned), None)


def is_of(db: sqlite3.Connection, seal: Seal) -> bool:
    """Whether no rows were dropped since this seal was made: the -wal does not tell which."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (PRUNED,)).fetchone()
    return (row[0] if row else "") == seal.contents.pruned


def sealed(db: sqlite3.Connection, pruned: Pruned, seal: Seal) -> tuple[StateColumn, BitMap64 | None]:
    """What a seal tells, and the rows that may have changed since, which are checked."""
    states, ids = StateColumn(pruned), seal.contents.ids
    states.extend(0, seal.contents.source)
    states.extend(SINGLE_SEQ, seal.contents.singles)
    for first, last in seal.changed:
        while first <= last:
            found, digits, count, created = db.execute(_SCAN_CHANGED, (first, last)).fetchone()
            seqs, changed = orjson.loads(found), (digits or "").encode().translate(_FROM_DIGITS)
            if len(seqs) != len(changed):
                raise ValueError(f"rows from {first} on are of unknown state")
            require_believable(db, first, count or 0, len(seqs), end=last + 1)
            states.put(seqs, changed)
            if ids is not None:
                ids.update(orjson.loads(created or "[]"))
            first = seqs[-1] + 1 if len(seqs) == SCAN_ROWS else last + 1
    (rows,) = db.execute("SELECT count(*) FROM pair").fetchone()
    if rows != states.rows + states.next_single_seq - SINGLE_SEQ - pruned.rows:
        raise ValueError(f"{rows:,} rows are there, and others are missing")
    created = states.count(State.CREATED) - pruned.created
    if ids is not None and len(ids) != created:  # a row that was created is none, or has another id
        ids = None
    return states, ids


def check_trees(db: sqlite3.Connection) -> None:
    """Let SQLite check every page.  An index is compared with its table, since `find` trusts it."""
    has_index = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'index' AND tbl_name = 'pair'").fetchone()
    found = db.execute(f"PRAGMA {'integrity_check' if has_index else 'quick_check'}(1)").fetchone()
    if found is None or found[0] != "ok":
        raise ValueError(f"SQLite says: {' '.join(str(found and found[0]).split())[:200]}")


def check_meta(meta: Mapping[Any, Any]) -> None:
    """Raise `ValueError` unless all of it is text, and the keys of every journal are as they were written."""
    if not all(type(key) is str and type(value) is str for key, value in meta.items()):
        raise ValueError("table meta holds something else than text")
    missing = [key for key in _OF_EVERY_JOURNAL if key not in meta]
    if missing:
        raise ValueError(f"table meta: {missing[0]} is missing")
    columns_of(meta["columns"])
    try:
        datetime.fromisoformat(meta["created_at"])
    except ValueError:
        raise ValueError("table meta: created_at is no time") from None


def columns_of(text: str) -> tuple[str, str]:
    """The two columns' names from meta's `columns`, or `ValueError`."""
    try:
        columns = json.loads(text)
    except (ValueError, RecursionError):
        columns = None
    if not (isinstance(columns, list) and len(columns) == 2 and all(isinstance(name, str) for name in columns)):
        raise ValueError("table meta: columns are not two names")
    return columns[0], columns[1]


def load_states(db: sqlite3.Connection, pruned: Pruned) -> StateColumn:
    """Read the states of table `pair`.  Raises `ValueError` that says where rows are missing or cannot be believed.

    As many single rows are missing as were `pruned`, below the seq that it names.

    After `check_trees` the rows come in the order of their seqs, each once.  So no row is missing in a range that holds
    as many rows as it is long.
    """
    states = StateColumn(pruned)
    lowest, end = db.execute("SELECT (SELECT min(seq) FROM pair), (SELECT max(seq) FROM pair)").fetchone()
    if lowest not in (None, 0, SINGLE_SEQ) and not (pruned.rows and lowest > SINGLE_SEQ):
        raise ValueError(f"row {lowest} is the first one")
    source_end = db.execute("SELECT max(seq) FROM pair WHERE seq < ?", (SINGLE_SEQ,)).fetchone()[0]
    load_range(db, states, 0, -1 if source_end is None else source_end)
    load_pruned(db, states)
    load_range(db, states, pruned.before, -1 if end is None else end)
    return states


def load_range(db: sqlite3.Connection, states: StateColumn, start: int, last: int) -> None:
    """Read the states of the rows from `start` to `last`, without gaps."""
    for first in range(start, last + 1, SCAN_ROWS):
        digits, count = db.execute(_SCAN, (first, first + SCAN_ROWS)).fetchone()
        rows = min(SCAN_ROWS, last + 1 - first)
        if type(digits) is not str or len(digits) != rows:  # states have one digit
            raise ValueError(f"rows are missing from {first} on, or of unknown state")
        states.extend(first, digits.encode().translate(_FROM_DIGITS))
        require_believable(db, first, count, rows)


def load_pruned(db: sqlite3.Connection, states: StateColumn) -> None:
    """Read the states of the single rows from which some were dropped."""
    pruned, missing = states.pruned, 0
    for first in range(SINGLE_SEQ, pruned.before, SCAN_ROWS):
        end = min(first + SCAN_ROWS, pruned.before)
        places, digits, count = db.execute(_SCAN_PLACES, (first, first, end)).fetchone()
        there = orjson.loads(places)
        found = (digits or "").encode().translate(_FROM_DIGITS)
        if len(found) != len(there):
            raise ValueError(f"rows from {first} on are of unknown state")
        region = bytearray([HOLE]) * (end - first)
        for place, state in zip(there, found, strict=True):
            region[place] = state
        states.extend(first, bytes(region))
        require_believable(db, first, count or 0, len(there), end=end)
        missing += end - first - len(there)
    if missing != pruned.rows:
        raise ValueError(f"{missing:,} single rows are missing, and {pruned.rows:,} were pruned")


def require_believable(db: sqlite3.Connection, first: int, count: int, rows: int, *, end: int | None = None) -> None:
    """Raise `ValueError` that names the first row of a range that is not as it was written, unless all of them are."""
    if count != rows:
        bad = db.execute(_FIRST_BAD, (first, end or first + SCAN_ROWS)).fetchone()
        raise ValueError(f"row {bad[0] if bad else first} is not as it was written")
