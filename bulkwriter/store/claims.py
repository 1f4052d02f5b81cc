"""The pairs that another writer has claimed, read from its journal while that writes it.

    claim       a row whose pair that writer may have sent: an intent, in doubt, or `created`
    may become  a row that can be a claim later: `pending`, or one that it may try again

A record that was created long ago is on the lists of who asks.  So a created row counts only if its record id is above
those that the lists showed.  To find a row by its pair takes a pass over the file, about 0.2 s for 10^6 rows.  So
`pairs_from` gives what is or may become a claim, each row once, and `claims_of` tells how the few that matter stand.
Unlike `journal_reader` this does not check the file first, since it is asked again and again.

Invariant: reads only, and keeps nothing open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from ..model import SINGLE_SEQ, State
from .opening import open_reader
from .sqlite_errors import journal_error

ROWS: Final = 50_000
"""Rows a statement, some 50 ms."""
_SETTLED: Final = f"{State.EXISTING:d}, {State.INVALID:d}, {State.DUPLICATE:d}"
_PAIRS: Final = f"""SELECT id_a, id_b FROM pair WHERE seq >= ? AND seq < ?
    AND CASE state WHEN {State.CREATED:d} THEN record_id > ? ELSE state NOT IN ({_SETTLED}) END"""  # noqa: S608 ours
_CLAIMS: Final = f"""SELECT id_a, id_b, state, record_id FROM pair
    WHERE (state IN ({State.INTENT:d}, {State.IN_DOUBT:d}) OR state = {State.CREATED:d} AND record_id > ?)
    AND (id_a, id_b) IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"""  # noqa: S608

ReadTo = tuple[int, int]
"""The next seq of a source, and that of a single pair: what is before them was read."""
START: Final[ReadTo] = (0, SINGLE_SEQ)


class ClaimedRow(NamedTuple):
    """How another writer's row of a pair stands, and its record id if it is `created`."""

    state: State
    record_id: int | None


def pairs_from(path: Path, place: ReadTo, *, above: int) -> Iterator[tuple[ReadTo, list[tuple[int, int]]]]:
    """The pairs of rows from `place` on that are claims or may become ones, in chunks: the place after it, its pairs.

    `above`: created rows count if their record ids are above it.  Blocks: 1 ms, and a second for 10^6 rows.  Raises
    `JournalError`.
    """
    source, single = place
    try:
        with closing(open_reader(path)) as db:
            (last,) = db.execute("SELECT max(seq) FROM pair WHERE seq < ?", (SINGLE_SEQ,)).fetchone()
            while last is not None and source <= last:
                first, source = source, min(source + ROWS, last + 1)
                yield (source, single), db.execute(_PAIRS, (first, source, above)).fetchall()
            (last,) = db.execute("SELECT max(seq) FROM pair WHERE seq >= ?", (SINGLE_SEQ,)).fetchone()
            while last is not None and single <= last:
                first, single = single, min(single + ROWS, last + 1)
                yield (source, single), db.execute(_PAIRS, (first, single, above)).fetchall()
    except sqlite3.Error as e:
        raise journal_error(e, path) from e


def claims_of(path: Path, pairs: Collection[tuple[int, int]], *, above: int) -> dict[tuple[int, int], ClaimedRow]:
    """Those of `pairs` that are claimed right now.  Blocks for a pass over the file.  Raises `JournalError`."""
    try:
        with closing(open_reader(path)) as db:
            rows = db.execute(_CLAIMS, (above, orjson.dumps(list(pairs)).decode())).fetchall()
    except sqlite3.Error as e:
        raise journal_error(e, path) from e
    return {(a, b): ClaimedRow(State(state), record_id) for a, b, state, record_id in rows}
