"""`run --dry-run`: read the source and the journal, and say what a start would do; write nothing, connect nowhere.

The counts are those that a start would begin with (`source_counts`).  A journal of another host ends it with exit 5, a
changed source with exit 6, bad rows with exit 1 and their reasons.  No journal is made and none is changed.  The server
is not asked what exists.
"""

from __future__ import annotations

import contextlib

from ..model import Counts, Rows, Summary
from ..settings import Settings
from . import choose, describe, journals
from .ending import Ending
from .lifecycle import Invocation
from .source_counts import SourceCounts


async def dry_run(invocation: Invocation, source: str, settings: Settings) -> Ending:
    """Look, and answer with an `Ending` whose counts are those that a start would begin with."""
    path = settings.journal
    with contextlib.ExitStack() as stack:
        reader = None
        if path is not None and journals.is_there(path):
            from ..store.journal_reader import JournalReader

            reader = stack.enter_context(JournalReader(path))
            names = choose.columns_of(invocation.options)
            reader.require(base_url=settings.base_url, account=settings.account, columns=names)
        found = SourceCounts(source, settings)
        opened = choose.open_given(source, invocation.options, invocation.stderr, limits=settings.limits)
        await found.read(opened, reader)
        why = found.reasons(reader)
    counts = Counts.of(found.states)
    found.print_bad(invocation.stderr)
    rows = Rows(found.rows, True, found.rows)
    journal = str(path) if reader else None  # a start would make it
    summary = Summary(counts=counts, journal=journal, rows=rows, reasons=why, exit_code=found.exit_code)
    start = invocation.command_line.replace(" --dry-run", "")
    can_start = start != invocation.command_line and (counts.pending or counts.in_doubt)
    return Ending(
        summary=summary,
        title=title(counts, settings, is_resumed=reader is not None),
        next=((start_words(counts), start),) if can_start else (),
        is_look=True,
    )


def title(counts: Counts, settings: Settings, *, is_resumed: bool) -> str:
    sends = min(counts.pending, settings.limit or counts.pending)
    looks = f", and look up {describe.quantity(counts.in_doubt, 'doubt')} first" if counts.in_doubt else ""
    where = "go on from the journal and send" if is_resumed else "send"
    return f"Dry run: a start would {where} {describe.quantity(sends, 'pair')} to {settings.base_url}{looks}"


def start_words(counts: Counts) -> str:
    return "start it; it skips the invalid rows" if counts.invalid else "start it"
