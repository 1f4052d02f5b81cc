"""What a run left behind against what it was given: the source's pairs, the server's records, the journal's ids.

Three figures, each 0 where the promise was kept: pairs of the source that the server does not have, records beyond the
first of their pair, and records that the journal calls created although the server has another pair under that id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from bulkwriter import State
from bulkwriter.stub.thread import StubThread


class Comparison(NamedTuple):
    """How many pairs are missing and doubled on the server, and how many record ids of the journal are untrue."""

    missing: int
    doubled: int
    untrue_ids: int


def compare(wanted: Iterable[tuple[int, ...]], server: StubThread, journal: Path) -> Comparison:
    """Compare the pairs of a source with the server's records, and the journal's created rows with both."""
    return compared(wanted, server.records(), journal)


def compare_enrolments(wanted: Iterable[tuple[int, ...]], server: StubThread, journal: Path) -> Comparison:
    """The same for pairs of a course and a coworker."""
    return compared(wanted, [(row["Id"], row["CourseId"], row["CoworkerId"]) for row in server.enrolments()], journal)


def compared(wanted: Iterable[tuple[int, ...]], records: list[tuple[int, int, int]], journal: Path) -> Comparison:
    pair_of = {record_id: (first, second) for record_id, first, second in records}
    found = set(pair_of.values())
    rows = query(journal, "SELECT record_id, id_a, id_b FROM pair WHERE state = ?", State.CREATED)
    untrue = sum(pair_of.get(record_id) != pair for record_id, *ids in rows for pair in [tuple(ids)])
    return Comparison(len(set(wanted) - found), len(records) - len(found), untrue)


def pairs_in(source: Path) -> list[tuple[int, ...]]:
    """The pairs of a CSV whose first two columns are the ids."""
    return [tuple(map(int, line.split(",")[:2])) for line in source.read_text().splitlines()[1:]]


def query(path: Path, sql: str, *values: int) -> list[tuple[Any, ...]]:
    """Read an SQLite file without changing it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(sql, list(map(int, values))).fetchall()
