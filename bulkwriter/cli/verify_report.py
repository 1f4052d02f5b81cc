"""What `verify` found and repaired, as facts for `--json`, as lines for people, and as a CSV of all of it.

The counts are those at the end: after a repair, what is doubled still.  Until everything was listed and looked at
again nothing is claimed: `is_complete` is false, and all counts are zero.  It is false as well where the run has rows
that could not be checked: in doubt, not written yet, or not even read.

Exit codes: 4 where the token may not see some pairs, else 3 where pairs are in doubt, else 1 where something is missing
or doubled, or not all was checked, else 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..entities import Entity
from ..errors import Exit
from . import describe
from .export import csv_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ..postgres.address import Address
    from ..verify.repair import Repair
    from ..verify.verify import Findings

EXAMPLES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found, and repaired."""

    journal: Path | Address | None
    source: str | None
    elapsed_s: float
    entity: Entity
    findings: Findings | None = None
    list_calls: int = 0
    repair: Repair | None = None

    @property
    def doubled(self) -> dict[tuple[int, int], list[int]]:
        """Pairs that are doubled still, with their record ids."""
        if self.repair:
            return self.repair.left
        return self.findings.doubled_ids if self.findings else {}

    @property
    def exit_code(self) -> int:
        facts = self.facts()
        if facts["not_shown"]:
            return Exit.CONFIGURATION
        if facts["in_doubt"]:
            return Exit.DOUBTS
        is_good = facts["is_complete"] and not (facts["missing"] or facts["doubled"])
        return Exit.OK if is_good or not self.findings else Exit.INCOMPLETE

    @property
    def is_whole(self) -> bool:
        """Whether every row of the run, or of the source that was given, could be checked."""
        found = self.findings
        if not found or found.in_doubt:
            return False
        return bool(self.source) or not (found.pending or found.failed or found.not_read is None or found.not_read)

    def facts(self) -> dict[str, Any]:
        found = self.findings
        return {
            "missing": found.missing if found else 0,
            "doubled": len(self.doubled) + found.doubled_more if found else 0,
            "not_shown": len(found.not_shown) if found else 0,
            "unlisted": found.unlisted if found else 0,
            "strangers": found.strangers if found else 0,
            "checked": found.checked if found else 0,
            "in_doubt": found.in_doubt if found else 0,
            "pending": found.pending if found else 0,
            "failed": found.failed if found else 0,
            "not_read": found.not_read if found else None,
            "repaired": self.repair.deleted if self.repair else 0,
            "is_complete": self.is_whole,
            "list_calls": self.list_calls,
            "missing_examples": list(islice(found.missing_pairs(), EXAMPLES)) if found else [],
            "doubled_examples": [{"pair": p, "ids": ids} for p, ids in islice(self.doubled.items(), EXAMPLES)],
            "journal": str(self.journal) if self.journal else None,
            "source": self.source,
            "elapsed_s": round(self.elapsed_s, 3),
        }

    def lines(self, next_step: str) -> list[str]:
        facts = self.facts()
        if not self.findings:
            return ["Nothing was verified"]
        is_bad = facts["missing"] or facts["doubled"] or facts["not_shown"]
        good = "Every pair checked is there exactly once" if facts["checked"] else "There was no pair to check"
        rest = "" if facts["is_complete"] else ", and not every row of the run could be checked"
        lines = [("Not every pair is there exactly once" if is_bad else good) + rest, ""]
        meanings = {**MEANING, "strangers": f"records of these {self.entity.words[0]}s for other pairs"}
        rows = [(name, facts[name], meaning) for name, meaning in meanings.items() if facts[name] or name in ALWAYS]
        width = max(len(describe.number(count)) for _, count, _ in rows)
        lines += [f"  {describe.state(name):<9}  {count:>{width},}  {text}" for name, count, text in rows]
        if facts["not_read"] is None and not self.source:
            lines.append("  not read   the rest of the source: how many rows it has is not known")
        lines += [f"  missing    {self.entity.describe(pair)}" for pair in facts["missing_examples"]]
        for example in facts["doubled_examples"]:
            ids = ", ".join(map(str, example["ids"]))
            lines.append(f"  doubled    {self.entity.describe(example['pair'])}: ids {ids}")
        if max(facts["missing"], facts["doubled"]) > EXAMPLES:
            lines.append(f"  the first {EXAMPLES} of each are shown; --output FILE.csv lists all")
        return [*lines, *([f"  next       {next_step}"] if next_step else [])]


ALWAYS = ("checked", "missing", "doubled", "strangers")
MEANING = {
    "checked": "pairs that must be there exactly once",
    "missing": "of them, no record is there",
    "not_shown": "of them, there or not: this token sees no record of one of their ids, or all were deleted",
    "unlisted": "of them, found by their record ids alone: this token's lists hide them",
    "doubled": "pairs with more than one record",
    "strangers": "records for other pairs",
    "in_doubt": "pairs in doubt: the next start of the run looks them up",
    "pending": "pairs not written yet",
    "failed": "pairs whose attempts are used up: the next start tries them again",
    "not_read": "rows of the source, or about so many, that no start has read",
    "repaired": "records of doubled pairs deleted now",
}


def problem_lines(columns: tuple[str, str], report: VerifyReport) -> Iterator[str]:
    """All missing and doubled pairs as CSV, ids first."""

    def rows() -> Iterator[list[object]]:
        yield [*columns, "problem", "record_ids"]
        if report.findings:
            for pair in report.findings.missing_pairs():
                yield [*pair, "missing", ""]
        for pair, ids in report.doubled.items():
            yield [*pair, "doubled", " ".join(map(str, ids))]

    return csv_rows(rows())
