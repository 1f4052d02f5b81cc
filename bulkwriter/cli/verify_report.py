"""What `verify` found and repaired, as facts for `--json`, as lines for people, and as a CSV of all of it.

The counts are those at the end: after a repair, what is doubled still.  Until everything was listed and looked at
again nothing is claimed: `is_complete` is false, and all counts are zero.

Exit codes: 3 where pairs are in doubt, else 1 where something is missing or doubled, else 0.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Exit
from . import describe
from .export import csv_rows

if TYPE_CHECKING:
    from ..verify.repair import Repair
    from ..verify.verify import Findings, Verification

EXAMPLES = 20


class VerifyReport:
    """What was found, and repaired."""

    def __init__(self, journal: Path | None, source: str | None) -> None:
        self._journal = journal
        self._source = source
        self._began_at = time.monotonic()
        self.findings: Findings | None = None
        self.verification: Verification | None = None
        self.repair: Repair | None = None
        self.next = ""

    @property
    def doubled(self) -> dict[tuple[int, int], list[int]]:
        """Pairs that are doubled still, with their record ids."""
        if self.repair:
            return self.repair.left
        return self.findings.doubled_ids if self.findings else {}

    @property
    def exit_code(self) -> int:
        facts = self.facts()
        if facts["in_doubt"]:
            return Exit.DOUBTS
        return Exit.INCOMPLETE if facts["missing"] or facts["doubled"] else Exit.OK

    def facts(self) -> dict[str, Any]:
        found = self.findings
        return {
            "missing": found.missing if found else 0,
            "doubled": len(self.doubled) + found.doubled_more if found else 0,
            "strangers": found.strangers if found else 0,
            "checked": found.checked if found else 0,
            "in_doubt": found.in_doubt if found else 0,
            "pending": found.pending if found else 0,
            "repaired": self.repair.deleted if self.repair else 0,
            "is_complete": found is not None,
            "list_calls": self.verification.calls if self.verification else 0,
            "missing_examples": list(islice(found.missing_pairs(), EXAMPLES)) if found else [],
            "doubled_examples": [{"pair": p, "ids": ids} for p, ids in islice(self.doubled.items(), EXAMPLES)],
            "journal": str(self._journal) if self._journal else None,
            "source": self._source,
            "elapsed_s": round(time.monotonic() - self._began_at, 3),
        }

    def lines(self, exit_code: int) -> list[str]:
        facts = self.facts()
        if not facts["is_complete"]:
            return ["Nothing was verified"]
        is_bad = facts["missing"] or facts["doubled"]
        lines = ["Not every pair is there exactly once" if is_bad else "Every pair checked is there exactly once", ""]
        rows = [(name, facts[name], meaning) for name, meaning in MEANING.items() if facts[name] or name in ALWAYS]
        width = max(len(describe.number(count)) for _, count, _ in rows)
        lines += [f"  {describe.state(name):<9}  {count:>{width},}  {text}" for name, count, text in rows]
        for lesson, member in facts["missing_examples"]:
            lines.append(f"  missing    lesson {lesson}, member {member}")
        for example in facts["doubled_examples"]:
            ids = ", ".join(map(str, example["ids"]))
            lines.append("  doubled    lesson {}, member {}: ids ".format(*example["pair"]) + ids)
        if max(facts["missing"], facts["doubled"]) > EXAMPLES:
            lines.append(f"  the first {EXAMPLES} of each are shown; --output FILE.csv lists all")
        return [*lines, *([f"  next       {self.next}"] if self.next and is_bad else [])]


ALWAYS = ("checked", "missing", "doubled", "strangers")
MEANING = {
    "checked": "pairs that must be there exactly once",
    "missing": "of them, no record is there",
    "doubled": "pairs with more than one record",
    "strangers": "records of these lessons for other pairs",
    "in_doubt": "pairs in doubt: the next start of the run looks them up",
    "pending": "pairs not written yet",
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
