"""Drops old settled rows of single pairs from the journal, so that a service can live for years with one file.

    which      rows of single pairs that were given before a time, and are created, existing or rejected
    never      pending, failed and doubtful rows, and any row of a source, which is compared with its source

A row has no time.  The journal's history has the next seq of a single pair about once a minute, so it tells which rows
surely were there at a time.

A pair whose row is gone is as good as new if it is given again.  Lists show that it is on the server, if they are asked
(`existing="check"`).  So rows are dropped only after `list_lag_s` from when they were seen settled: every later start
lists their records.  This process keeps in mind that they are there, before their rows go.

Invariant: at no moment would a pair that was dropped be sent again.  Not here: what stays of the rows (`store.pruned`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..events import Note
from ..model import SINGLE_SEQ, State
from ..store.history import HistoryRow
from ..store.pruned import STATES

if TYPE_CHECKING:
    from ..store.journal import Journal
    from .engine import Engine

ROWS: Final = 2_000
"""Rows of one commit: about 10 ms, for which outcomes wait."""


async def prune(engine: Engine, older_than_s: float, *, is_retrying: Callable[[], bool]) -> int:
    """Drop the settled rows of single pairs that were given more than `older_than_s` ago, and return how many.

    `is_retrying`: whether a rejected pair may be about to be sent again; then rejected rows stay.
    """
    settings, store = engine.settings, engine.ports.store
    if settings.journal is None:
        raise UsageError("nothing is kept in a file, so there is nothing to prune", hint="it ends with the writer")
    if settings.existing == "skip":
        raise UsageError(
            'existing = "skip" and prune cannot go together: a pair that was pruned would be written again',
            hint='use existing="check", so that lists show what was written',
        )
    before = given_before(await store.run(lambda journal: journal.history()), engine.ports.wall() - older_than_s)
    seen = await store.run(lambda journal: journal.states_of(SINGLE_SEQ, before - SINGLE_SEQ))
    if seen.translate(None, bytes(STATES)) != seen:
        await engine.ports.clocks.sleep(settings.list_lag_s)
    count = 0
    for at in range(0, len(seen), ROWS):
        settled, first = seen[at : at + ROWS], SINGLE_SEQ + at
        if is_retrying():
            settled = settled.replace(bytes([State.REJECTED]), bytes([State.PENDING]))
        if settled.translate(None, bytes(STATES)) != settled:
            engine.known.remember(await store.run(listed(first)))
            count += await store.write(step(first, settled))
    if count:
        engine.run.tell(
            Note(f"pruned {count:,} settled single pairs that were given more than {older_than_s:,.0f} s ago")
        )
    return count


def step(first: int, settled: bytes) -> Callable[[Journal], int]:
    return lambda journal: journal.prune(first, settled)


def listed(first: int) -> Callable[[Journal], list[tuple[int, tuple[int, int]]]]:
    return lambda journal: journal.on_server(first, ROWS)


def given_before(rows: Sequence[HistoryRow], at: float) -> int:
    """The seq below which all single pairs were surely given before `at`, epoch seconds.

    A clock may have been wrong for a while: so no row of a later time may have had a lower next seq.
    """
    then = max((row.next_single_seq for row in rows if row.moment.at <= at), default=SINGLE_SEQ)
    later = min((row.next_single_seq for row in rows if row.moment.at > at), default=then)
    return min(then, later)
