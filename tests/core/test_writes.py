"""How many writes are still to come: rows that exist, are invalid or duplicates need none, as far as that shows."""

from __future__ import annotations

import pytest

from bulkwriter.core.writes import unmet_of, writes_to_come
from bulkwriter.model import Counts

CASES: list[tuple[str, Counts, int | None, int, int]] = [
    ("nothing was read", Counts(), 6_000, 0, 6_000),
    ("the first half exists, and was met", Counts(existing=3_000, created=200), 2_800, 0, 2_800),
    ("every second row exists", Counts(existing=500, created=500), 5_000, 2_500, 2_500),
    ("the table has many records of others", Counts(existing=500, created=500), 5_000, 1_000_000, 2_500),
    ("existing rows come last: told too long, never too short", Counts(created=1_000), 1_000, 1_000, 1_000),
    ("a tenth is invalid, a tenth repeated", Counts(created=80, invalid=10, duplicates=10), 1_000, 0, 800),
    ("of unknown length", Counts(pending=5, created=3), None, 0, 5),
    ("doubts need a look and no write", Counts(pending=5, in_doubt=7), 0, 0, 5),
]


@pytest.mark.parametrize(("words", "counts", "not_read", "unmet", "writes"), CASES, ids=[case[0] for case in CASES])
def test_writes_to_come(words: str, counts: Counts, not_read: int | None, unmet: int, writes: int) -> None:
    assert writes_to_come(counts, not_read, unmet=unmet, is_alive=True) == writes


def test_the_next_start_tries_failed_pairs_again() -> None:
    counts = Counts(pending=5, failed=2)
    assert writes_to_come(counts, 10, unmet=0, is_alive=False) == 17
    assert writes_to_come(counts, 10, unmet=0, is_alive=True) == 15


def test_records_that_no_row_has_met() -> None:
    assert unmet_of(3_000, Counts(existing=500), 0) == 2_500
    assert unmet_of(3_000, Counts(existing=500, created=2_000), 1_500) == 1_000  # an earlier start made 1,500
    assert unmet_of(10, Counts(existing=500), 0) == 0
