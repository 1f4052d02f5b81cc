"""A source as a start would find it, and the quotas it would meet: what dry run, plan and check have in common.

`survey` opens the source, and beside it the journal of an earlier start where there is one, and counts the rows.
`outlook_for` is what a forecast of their writes starts from.

Invariant: nothing is written, and nothing is sent but what `existing` lists.  Not here: what each of the three commands
says of it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..model import Reasons
from ..settings import Settings
from . import choose, journals, last_start
from .source_counts import SourceCounts

if TYPE_CHECKING:
    from ..listing.existing import Existing
    from .last_start import RunState
    from .lifecycle import Invocation
    from .outlook import Outlook


class Survey(NamedTuple):
    """What was found.  `run_state` is what the journal tells of an earlier start, None without a journal."""

    counts: SourceCounts
    reasons: Reasons
    run_state: RunState | None


async def survey(
    invocation: Invocation, source: str, settings: Settings, journal: Path | None, existing: Existing | None = None
) -> Survey:
    """Count every row in the state that a start would give it, with progress.

    Raises `SourceError` where the source cannot be read or is not the journal's, `JournalError` for a journal that
    cannot be read or is of another host.
    """
    from ..store.journal_reader import JournalReader

    options, counts, run_state = invocation.options, SourceCounts(source, settings), None
    with contextlib.ExitStack() as stack:
        reader = None
        if journal is not None and journals.is_there(journal):
            reader = stack.enter_context(JournalReader(journal))
            run_state = last_start.run_state_of(reader)  # first: it checks the whole file, which others then rely on
            columns = choose.columns_of(options)
            reader.require(base_url=settings.base_url, account=settings.account, columns=columns)
        opened = choose.open_given(source, options, invocation.stderr, limits=settings.limits)

        def line() -> str:
            return f"{counts.rows:,} rows read" + (f" · {existing.calls:,} list calls" if existing else "")

        async with invocation.showing(line):
            await counts.read(opened, reader, existing)
        return Survey(counts, counts.reasons(reader), run_state)


def outlook_for(settings: Settings, run_state: RunState | None = None) -> Outlook:
    """With what the ledger says now, and not before the time that the server asked to wait for."""
    from ..quota.build import windows_for
    from ..quota.ceiling import reached
    from ..quota.ledger import account_key
    from .outlook import Outlook

    outlook = Outlook.now(
        windows_for(settings),
        settings.ledger,
        account_key(settings.base_url, settings.account),
        rate_per_s=reached(settings.rate) if settings.rate else float("inf"),
    )
    if run_state and run_state.is_alive:
        outlook = outlook.beside_itself()
    if run_state and run_state.is_theirs and run_state.resume_at is not None:
        outlook = outlook.later(run_state.resume_at)
    return outlook
