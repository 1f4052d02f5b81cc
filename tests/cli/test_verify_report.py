"""What `verify` claims: complete, and exit 0, only if every row of the run could be checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.verify import unread
from bulkwriter.cli.verify_report import VerifyReport
from bulkwriter.core.dedupe import PairSet
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.model import Rows
from bulkwriter.verify.verify import Findings

NOTHING_OPEN: dict[str, Any] = {"in_doubt": 0, "pending": 0, "failed": 0, "not_read": 0}


def report(source: str | None = None, *, missing: int = 0, not_shown: int = 0, **found: int | None) -> VerifyReport:
    findings = Findings(
        checked=7,
        strangers=0,
        unseen=PairSet((1, n) for n in range(1, 1 + missing + not_shown)),
        found=PairSet(),
        doubled_ids={},
        doubled_more=0,
        not_shown=PairSet((1, n) for n in range(1, 1 + not_shown)),
        **{**NOTHING_OPEN, **found},
    )
    return VerifyReport(Path("j"), source, 1.0, COMPLETED_LESSONS, findings)


@pytest.mark.parametrize(
    ("found", "source", "is_complete", "exit_code", "words"),
    [
        ({}, None, True, 0, ""),
        ({"pending": 3}, None, False, 1, "pairs not written yet"),
        ({"failed": 3}, None, False, 1, "pairs whose attempts are used up"),
        ({"not_read": 3}, None, False, 1, "that no start has read"),
        ({"not_read": None}, None, False, 1, "how many rows it has is not known"),
        ({"in_doubt": 3, "not_read": 3}, None, False, 3, "pairs in doubt"),
        ({"pending": 3, "not_read": None}, "p.csv", True, 0, ""),  # every row of the file was checked
        ({"missing": 2}, None, True, 1, "Not every pair is there exactly once"),
        ({"missing": 2, "not_shown": 1}, None, True, 4, "this token sees no record"),
    ],
)
def test_it_is_complete_if_every_row_was_checked(
    found: dict[str, Any], source: str | None, is_complete: bool, exit_code: int, words: str
) -> None:
    told = report(source, **found)
    text = "\n".join(told.lines("go on"))
    assert (told.facts()["is_complete"], told.exit_code) == (is_complete, exit_code)
    assert words in text
    assert ("and not every row of the run could be checked" in text) is not is_complete
    assert ("Every pair checked is there exactly once" in text) is ("missing" not in found)


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        (Rows(10, True, 10), 0),
        (Rows(10, True, 4), 6),
        (Rows(10, False, 4), 6),
        (Rows(10, False, 10), None),
        (Rows(None, False, 5), None),
        (Rows(), None),
    ],
)
def test_a_source_that_was_not_read_to_its_end_may_have_more(rows: Rows, left: int | None) -> None:
    assert unread(rows) == left
