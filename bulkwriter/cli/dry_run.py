"""`run --dry-run`: read the source and the journal, and say what a start would do; write nothing, connect nowhere.

The counts are those that a start would begin with (`survey`).  A journal of another host ends it with exit 5, a
changed source with exit 6, bad rows with exit 1 and their reasons.  No journal is made and none is changed.  The server
is not asked what exists.
"""

from __future__ import annotations

from pathlib import Path

from ..model import Counts, Rows, Summary
from ..settings import Settings
from . import describe
from .ending import Ending
from .lifecycle import Invocation
from .survey import survey


async def dry_run(invocation: Invocation, source: str, settings: Settings) -> Ending:
    """Look, and answer with an `Ending` whose counts are those that a start would begin with."""
    kept = settings.journal if isinstance(settings.journal, Path) else None
    found, why, run_state = await survey(invocation, source, settings, kept)
    counts = Counts.of(found.states)
    found.print_bad(invocation.stderr)
    rows = Rows(found.rows, True, found.rows)
    journal = str(settings.journal) if run_state else None  # a start would make it
    summary = Summary(counts=counts, journal=journal, rows=rows, reasons=why, exit_code=found.exit_code)
    start = invocation.command_line.replace(" --dry-run", "")
    can_start = start != invocation.command_line and (counts.pending or counts.in_doubt)
    return Ending(
        summary=summary,
        title=title(counts, settings, is_resumed=run_state is not None),
        next=((start_words(counts), start),) if can_start else (),
        is_look=True,
    )


def title(counts: Counts, settings: Settings, *, is_resumed: bool) -> str:
    sends = min(counts.pending, settings.limit or counts.pending)
    looks = f", and look up {describe.quantity(counts.in_doubt, 'doubt')} first" if counts.in_doubt else ""
    most = "at most " if sends and settings.existing == "check" else ""
    where = "go on from the journal and send" if is_resumed else "send"
    return f"Dry run: a start would {where} {most}{describe.quantity(sends, 'pair')} to {settings.base_url}{looks}"


def start_words(counts: Counts) -> str:
    return "start it; it skips the invalid rows" if counts.invalid else "start it"
