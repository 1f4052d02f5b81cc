"""The pairs that another run has claimed, read from its journal while that run writes it.

A claim is a row of the source whose pair that run has sent, or will send: `pending`, an intent, in doubt, or `created`.
Unlike `journal_reader` this does not check the file first, since it is asked again and again.

Invariant: reads only, and keeps nothing open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from ..model import SINGLE_SEQ, State
from .opening import open_reader
from .sqlite_errors import journal_error

ROWS: Final = 50_000
"""Rows a statement, some 50 ms."""
_TO_BE_SENT: Final = (State.PENDING, State.INTENT, State.IN_DOUBT)

Chunk = tuple[int, list[tuple[int, int] | None]]


def claims_from(path: Path, seq: int, *, has_created: bool) -> Iterator[Chunk]:
    """The claims among the rows from `seq` on, in chunks: the seq after a chunk, and its pairs.

    `has_created`: records that were created count as well.  Blocks: 1 ms, and a second for 10^6 rows.  Raises
    `JournalError`.
    """
    states = [int(state) for state in (*_TO_BE_SENT, *([State.CREATED] if has_created else []))]
    marks = ", ".join("?" * len(states))
    query = f"SELECT id_a, id_b FROM pair WHERE seq >= ? AND seq < ? AND state IN ({marks})"  # noqa: S608 marks only
    try:
        with closing(open_reader(path)) as db:
            (last,) = db.execute("SELECT max(seq) FROM pair WHERE seq < ?", (SINGLE_SEQ,)).fetchone()
            while last is not None and seq <= last:
                first, seq = seq, min(seq + ROWS, last + 1)
                yield seq, db.execute(query, (first, seq, *states)).fetchall()
    except sqlite3.Error as e:
        raise journal_error(e, path) from e
