"""The history of a run in its journal: `history`, about a row a minute, and `step`, for records with trouble.

Both are for people: nothing that is sent depends on them.  They are written in the journal's transactions, so a row of
`history` and the rows that it counts are durable together.  `store.schema` describes their columns.

A run of weeks has more minutes than a page can show.  So whenever there are `MOST_ROWS` rows, they are thinned: of the
rows before the last `RECENT` one is kept for each `SPACED`th part of the whole span.  The first and the last row of a
start stay, as long as there are not too many starts.  Every figure is a total so far (also the seconds in `held_s`), so
a row that is dropped takes no count with it.

Of the steps at most `MOST_STEPS` are kept.  Throttled attempts go first, then the oldest.

Invariants: at most `MOST_ROWS` rows and `MOST_STEPS` steps after each call.  A row that was not written like this is
passed over by its reader.
Not here: when a row is due, and what it tells (`run.history`).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from ..model import ID_MAX, Counts, State
from ..rows import RecordStep, StepRow

MOST_ROWS: Final = 2_000
RECENT: Final = 240
"""Rows that are never thinned: four hours, at a row a minute."""
SPACED: Final = 1_000
MOST_EDGES: Final = 400
"""First and last rows of starts that stay; a run that cron starts every hour has more of them in a week."""
MOST_STEPS: Final = 200_000
"""At about 40 bytes each 8 MB, however long a run is."""
DROPPED: Final = 20_000
"""Steps that are deleted at a time: to choose them costs a pass over all."""
WALL_MAX: Final = 253_402_300_799.0
LEFT_OUT: Final = "steps_left_out"
"""Key of `meta`."""

COUNTS: Final = ("created", "existing", "rejected", "failed", "in_doubt", "pending", "invalid", "duplicates")
COLUMNS: Final = (
    "start", "at", "server_at", *COUNTS, "next_seq", "next_single_seq", "attempts", "throttled", "in_flight",
    "in_flight_limit", "allowed_per_s", "held", "held_s", "spent", "steps", "causes", "ended",
)  # fmt: skip
_ADD: Final = f"INSERT INTO history({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 ours
STEP_COLUMNS: Final = "seq, at, step, status, word, record_id, state, took_s, wait_s"
_ADD_STEP: Final = f"INSERT INTO step({STEP_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608 ours
_READ: Final = f"SELECT {', '.join(COLUMNS)} FROM history"  # noqa: S608 ours


class Moment(NamedTuple):
    """What one process knows of a run at one moment.  Totals are of the whole run; see `store.schema` for each."""

    start: int
    at: float
    server_at: float | None
    attempts: int
    throttled: int
    in_flight: int
    in_flight_limit: int
    allowed_per_s: float | None
    held: str
    held_s: Mapping[str, float]
    spent: Mapping[str, int]
    steps: Mapping[str, int]
    causes: Mapping[str, int]
    ended: str | None = None


class HistoryRow(NamedTuple):
    """A moment together with the rows of the journal at that time."""

    moment: Moment
    counts: Counts
    next_seq: int
    next_single_seq: int


class StoredStep(NamedTuple):
    """A step of one record.  Times are epoch seconds; see `rows.StepRow`."""

    at: float
    step: RecordStep
    status: int | None
    word: str
    record_id: int | None
    state: State | None
    took_s: float | None
    wait_s: float | None


def add_row(
    db: sqlite3.Connection, moment: Moment, by_state: Mapping[State, int], next_seq: int, next_single_seq: int
) -> None:
    """Add a row, and thin all of them where they are too many."""
    counts = {**by_state, State.PENDING: by_state.get(State.PENDING, 0) + by_state.get(State.INTENT, 0)}
    counts.pop(State.INTENT, None)
    insert_row(db, HistoryRow(moment, Counts.of(counts), next_seq, next_single_seq))
    if db.execute("SELECT count(*) FROM history").fetchone()[0] >= MOST_ROWS:
        gone = thinned(db.execute("SELECT id, start, at FROM history ORDER BY id").fetchall())
        db.executemany("DELETE FROM history WHERE id = ?", ((row_id,) for row_id in gone))


def insert_row(db: sqlite3.Connection, row: HistoryRow) -> None:
    """Add a row as it is, whatever their number."""
    moment, counts = row.moment, row.counts
    db.execute(
        _ADD,
        (
            moment.start, moment.at, moment.server_at, *(getattr(counts, name) for name in COUNTS), row.next_seq,
            row.next_single_seq, *moment[3:9], _json(moment.held_s), *map(_json_or_none, moment[10:13]), moment.ended,
        ),
    )  # fmt: skip


def thinned(rows: Sequence[tuple[int, int, float]]) -> list[int]:
    """The ids of the rows (id, start, at) that go.  At least half of `MOST_ROWS` are left to write before the next
    time.
    """
    old = rows[: max(0, len(rows) - RECENT)]
    if len(old) < 2:
        return []
    starts = [row[1] for row in rows]
    edges = {i for i in range(len(old)) if i == 0 or starts[i] != starts[i - 1] or starts[i] != starts[i + 1]}
    if len(edges) > MOST_EDGES:
        edges = {0}
    times = [row[2] for row in rows]
    spacing, kept, gone = (max(times) - min(times)) / SPACED, -math.inf, []
    for i, (row_id, _, at) in enumerate(old):
        if i in edges or abs(at - kept) >= spacing:  # a clock that was set back begins anew
            kept = at
        else:
            gone.append(row_id)
    if (more := len(old) - len(gone) - SPACED - MOST_EDGES) > 0:  # a clock that was set back again and again
        gone_already = set(gone)
        gone += [row[0] for row in old[1:] if row[0] not in gone_already][:more]
    return gone


def add_steps(db: sqlite3.Connection, rows: Sequence[StepRow], left_out: int) -> None:
    """Add steps; `left_out` is how many were not kept by now, over all starts."""
    if rows:
        db.executemany(_ADD_STEP, rows)
    first, last = db.execute("SELECT min(id), max(id) FROM step").fetchone()
    if last is not None and last - first >= MOST_STEPS and count_steps(db) > MOST_STEPS:
        chosen = f"SELECT id FROM step ORDER BY step > {RecordStep.STOPPED:d}, id LIMIT {DROPPED}"  # noqa: S608 ours
        db.execute(f"DELETE FROM step WHERE id IN ({chosen})")  # noqa: S608 ours
        left_out += DROPPED
    db.execute("REPLACE INTO meta(key, value) VALUES (?, ?)", (LEFT_OUT, str(left_out)))


def count_steps(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM step").fetchone()[0])


def read_rows(db: sqlite3.Connection, *, last: int | None = None) -> list[HistoryRow]:
    """All rows, or the `last` so many, in the order of writing."""
    found = db.execute(f"{_READ} ORDER BY id DESC LIMIT ?", (-1 if last is None else last,)).fetchall()
    return [row for values in reversed(found) if (row := _row_of(values))]


def read_steps(db: sqlite3.Connection, seq: int) -> list[StoredStep]:
    """The steps of one record, in order.  A pass over the table: 20 ms where it is full."""
    rows = db.execute(
        "SELECT at, step, status, word, record_id, state, took_s, wait_s FROM step WHERE seq = ? ORDER BY id", (seq,)
    ).fetchall()
    return [step for row in rows if (step := _step_of(row))]


def insert_steps(db: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Add steps as they are, whatever their number."""
    db.executemany(_ADD_STEP, rows)


def read_all_steps(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """The steps of all records as they are stored, in the order of writing."""
    return db.execute(f"SELECT {STEP_COLUMNS} FROM step ORDER BY id").fetchall()  # noqa: S608 ours


def left_out_of(meta: Mapping[str, str]) -> int:
    """How many steps were not kept."""
    text = meta.get(LEFT_OUT, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _json(numbers: Mapping[str, float]) -> str:
    return orjson.dumps({key: round(value, 1) for key, value in numbers.items()}).decode()


def _json_or_none(numbers: Mapping[str, int]) -> str | None:
    return orjson.dumps(dict(numbers)).decode() if numbers else None


def _row_of(values: Sequence[Any]) -> HistoryRow | None:
    """A row, or None where it is not as one is written."""
    row = dict(zip(COLUMNS, values, strict=True))
    try:
        held_s, spent, steps, causes = (_numbers(row[key]) for key in ("held_s", "spent", "steps", "causes"))
    except ValueError:
        return None
    wholes = [row[key] for key in (*COUNTS, "start", "next_seq", "next_single_seq", "attempts", "throttled")]
    wholes += [row["in_flight"], row["in_flight_limit"]]
    texts = [row["held"], row["ended"] or ""]
    if not all(type(value) is int and 0 <= value <= ID_MAX for value in wholes):
        return None
    if not (is_time(row["at"]) and all(type(text) is str for text in texts)):
        return None
    rate = row["allowed_per_s"]
    moment = Moment(
        row["start"], row["at"], row["server_at"] if is_time(row["server_at"]) else None, row["attempts"],
        row["throttled"], row["in_flight"], row["in_flight_limit"], rate if is_time(rate) else None, row["held"],
        held_s, {key: int(value) for key, value in spent.items()}, {key: int(value) for key, value in steps.items()},
        {key: int(value) for key, value in causes.items()}, row["ended"] or None,
    )  # fmt: skip
    return HistoryRow(moment, Counts(*(row[key] for key in COUNTS)), row["next_seq"], row["next_single_seq"])


def _step_of(row: Sequence[Any]) -> StoredStep | None:
    at, step, status, word, record_id, state, took_s, wait_s = row
    numbers = (status, record_id, state)
    if not (is_time(at) and all(value is None or (type(value) is int and 0 <= value <= ID_MAX) for value in numbers)):
        return None
    if not (word is None or type(word) is str) or not all(
        value is None or is_time(value) for value in (took_s, wait_s)
    ):
        return None
    try:
        return StoredStep(
            at, RecordStep(step), status, word or "", record_id, None if state is None else State(state), took_s, wait_s
        )
    except ValueError:
        return None


def _numbers(text: Any) -> dict[str, float]:
    """The numbers of a column with JSON.  Raises `ValueError` where there is something else."""
    found = orjson.loads(text) if type(text) is str else {}
    if type(found) is not dict or (text is not None and type(text) is not str):
        raise ValueError("no object")
    if not all(type(value) in (int, float) and 0 <= value <= ID_MAX for value in found.values()):
        raise ValueError("no numbers")
    return found


def is_time(value: Any) -> bool:
    """Whether this can be epoch seconds, or a duration or rate."""
    return type(value) in (int, float) and 0 <= value <= WALL_MAX
