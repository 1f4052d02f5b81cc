"""The journal's statements for many rows.  Each is executed inside the journal's transaction.

    APPEND        new rows, in order of their seqs; one that is there already stays as it is
    MARK          another state and nothing else
    settle_rows   outcomes: state, attempts, record id, HTTP status, detail; or the state alone

Most groups of outcomes are creations at the first attempt with a plain 200.  A separate statement for them binds two
values a row instead of six: 1.0 µs a row instead of 1.4, the test for it included.
Not here: when rows may change, and the state column in memory (`journal`, `states`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from ..model import State
from ..rows import STATE_ALONE, SettleRow
from .bulk import Bulk

APPEND: Final = Bulk(
    "INSERT INTO pair(seq, id_a, id_b, line, state, detail)", width=6, tail="ON CONFLICT(seq) DO NOTHING"
)
_SETTLE: Final = Bulk(
    "INSERT INTO pair(seq, state, attempts, record_id, http_status, detail)",
    width=6,
    tail="ON CONFLICT(seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,"
    " record_id = excluded.record_id, http_status = excluded.http_status, detail = excluded.detail",
)
_CREATED: Final = Bulk(
    "INSERT INTO pair(seq, record_id, state)", width=2, fixed=("3",),
    tail="ON CONFLICT(seq) DO UPDATE SET state = 3, attempts = 1, record_id = excluded.record_id, http_status = 200,"
    " detail = NULL",
)  # fmt: skip
_PLAIN: Final = (int(State.CREATED), 1, 200, None)
"""State, attempts, HTTP status and detail of a plain creation."""
MARK: Final = Bulk(
    "INSERT INTO pair(seq, state)", width=2, tail="ON CONFLICT(seq) DO UPDATE SET state = excluded.state"
)


def settle_rows(db: sqlite3.Connection, rows: Sequence[SettleRow], columns: Sequence[tuple[Any, ...]]) -> None:
    """Give existing rows new outcomes, in order.  `columns` are the columns of `rows`; the caller needs them as
    well.
    """
    seqs, states, attempts, ids, statuses, details = columns
    if STATE_ALONE in attempts:
        for is_alone, some in groupby(rows, key=is_state_alone):
            part = list(some)
            if is_alone:
                MARK.execute(db, [row[:2] for row in part])
            else:
                _SETTLE.execute(db, part)
        return
    kept = (states, attempts, statuses, details)
    if all(column.count(value) == len(rows) for column, value in zip(kept, _PLAIN, strict=True)):
        _CREATED.execute(db, list(zip(seqs, ids, strict=True)))
    else:
        _SETTLE.execute(db, rows)


def is_state_alone(row: SettleRow) -> bool:
    return row[2] == STATE_ALONE
