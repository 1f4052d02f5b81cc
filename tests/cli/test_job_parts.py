"""Who is at work on a job, and its counts for somebody who knows that all rows were loaded."""

from __future__ import annotations

import json
from typing import Any

from bulkwriter.cli.job_parts import facts_of, writers
from bulkwriter.cli.status_ahead import held_now, lines
from bulkwriter.model import Counts
from bulkwriter.postgres.jobs import PartStanding, loaded_counts_of
from bulkwriter.postgres.lease import FREE
from bulkwriter.postgres.reading import run_note
from bulkwriter.store.starts import RUN


def part(name: str, holder: str = "", left_s: float = 20.0, counts: Counts | None = None) -> PartStanding:
    return PartStanding(name, 10, counts or Counts(), FREE._replace(holder=holder), left_s if holder else 0.0)


def test_writers_are_named_while_they_are_few() -> None:
    def told(*parts: PartStanding) -> str:
        return writers([facts_of(one) for one in parts])

    assert told(part("1"), part("2", "h pid 3 a", -1.0)) == "nobody"
    assert told(part("1", "h pid 3 a"), part("2", "i pid 4 b")) == "h pid 3, i pid 4"
    assert told(*(part(str(i), f"h pid {i} a") for i in range(9))) == "9 workers"


def test_rows_that_no_worker_has_come_to_are_pending_and_not_unread() -> None:
    counts, rows = loaded_counts_of([part("1"), part("2", counts=Counts(created=3, pending=1))])
    assert (counts.pairs, counts.created, counts.pending) == (20, 3, 17)
    assert (rows.total, rows.not_read) == (20, 0)


def test_what_holds_back_one_part_is_not_told_of_several() -> None:
    def noted(kind: str) -> dict[str, str]:
        return {RUN: json.dumps({"at": 1.0, "held_kind": kind, "held_by": kind, "believes": "no limit", "quota": []})}

    two = [part("1", "h pid 1 a"), part("2", "h pid 2 a")]

    def told(*kinds: str) -> dict[str, Any]:
        return held_now(json.loads(run_note(two[: len(kinds)], [noted(kind) for kind in kinds])))

    assert (told("rate")["held_by"], told("rate")["believes"]) == ("rate", "no limit")
    assert told("rate", "quota") == {}
    same = told("quota", "quota")
    assert (same["held_by"], same["believes"], same["holds_until_s"]) == ("quota", "", None)
    shown = "\n".join(lines({**same, "rate_per_s": None, "end": None, "quotas": [], "trouble": ""}))
    assert "held back" in shown
    assert "believes" not in shown
