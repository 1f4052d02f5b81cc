"""The parts of a job for `status`: how far each is, and who holds it.

A part whose holder has not renewed its lease is told as left: another worker takes it over.  The clock of the database
decides here, which nothing else depends on.

Pure.  Not here: the counts of the whole job, which are those of its journal (`postgres.reading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ..model import iso
from ..postgres.lease import shown_holder
from . import describe

if TYPE_CHECKING:
    from ..postgres.jobs import PartStanding
    from ..store.journal_reader import JournalReader

MOST_NAMES: Final = 4
"""Workers that are named on one line."""
MOST_LINES: Final = 16
"""Parts that people are shown one by one; those of more are counted."""


def facts(reader: JournalReader) -> list[dict[str, Any]]:
    """Each part as `--json` has it."""
    from ..postgres.reading import JobReader

    assert isinstance(reader, JobReader)
    return [facts_of(part) for part in reader.parts]


def facts_of(part: PartStanding) -> dict[str, Any]:
    return {
        "part": part.name,
        "rows": max(part.rows, part.counts.pairs),
        "left": part.left,
        "holder": part.row.holder or None,
        "is_held": part.is_held,
        "lease_left_s": round(part.lease_left_s, 1) if part.is_held else None,
        "shipped_at": iso(part.shipped_at.timestamp()) if part.shipped_at else None,
    }


def lines(parts: Sequence[dict[str, Any]]) -> list[str]:
    """The same for people."""
    held = [part for part in parts if part["is_held"]]
    done = sum(not part["left"] for part in parts)
    about = f"{describe.quantity(len(parts), 'part')}: {done} done, {len(held)} with a worker, {len(parts) - done} left"
    found = ["", f"{'parts':<9}  {about}"]
    shown = parts if len(parts) <= MOST_LINES else held[:MOST_LINES]
    return [*found, *(f"{'':<9}  {line_of(part)}" for part in shown)]


def writers(parts: Sequence[dict[str, Any]]) -> str:
    """Who has parts of the job now: by name where they are few."""
    names = list(dict.fromkeys(shown_holder(part["holder"]) for part in parts if part["is_held"]))
    if not names:
        return "nobody"
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} workers"


def line_of(part: dict[str, Any]) -> str:
    words = f"{part['part']:>3}  {part['rows'] - part['left']:,} of {part['rows']:,} done"
    if part["is_held"]:
        return f"{words}, held by {shown_holder(part['holder'])}"
    if part["holder"] and part["left"]:
        return f"{words}, left by {shown_holder(part['holder'])} without a word"
    return words
