"""`run --dry-run`: read the source and the journal, and say what a start would do; write nothing, connect nowhere.

Reads, validates and dedupes the whole source, compares it with an existing journal row by row as a real start does (a
journal of another host is exit 5, a changed source exit 6), and counts each row as that start would find it: what the
journal has settled stays so, what it would send, now or again, is `pending`, what it would look up first is
`in_doubt`. No journal is made and none is changed; what exists on the server is not asked for.  Rows that are no pair
end it with 1, with their reasons.  Memory: the same set of pairs as a run has.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from ..core.dedupe import PairSet
from ..core.reasons import ReasonCounter, place_of
from ..errors import Exit, SourceError
from ..model import Batch, Counts, Reasons, Rows, State, Summary
from ..settings import Settings
from . import choose, describe, journals
from .ending import Ending
from .lifecycle import Invocation
from .reasons import reasons_of
from .stderr import Stderr

if TYPE_CHECKING:
    from ..store.journal_reader import JournalReader

ROWS = 10_000
SHOWN_BAD = 5


@dataclasses.dataclass(slots=True)
class Tally:
    """What was found so far: states by seq, pairs seen, the first bad rows, and why all of them are bad."""

    seen: PairSet = dataclasses.field(default_factory=PairSet)
    states: Counter[State] = dataclasses.field(default_factory=Counter)
    bad: list[str] = dataclasses.field(default_factory=list)
    why_bad: ReasonCounter = dataclasses.field(default_factory=ReasonCounter)
    rows: int = 0

    @property
    def exit_code(self) -> Exit:
        """That of a look at the source: bad rows are worth a look before the first write."""
        return Exit.INCOMPLETE if self.states[State.INVALID] else Exit.OK

    def reasons(self, reader: JournalReader | None, *, retry_rejected: bool) -> Reasons:
        """Why rows are invalid, and why an earlier start saw pairs rejected that would not be sent again."""
        found = dict(self.why_bad.top())
        if reader and self.states[State.REJECTED] and not retry_rejected:
            found |= {state: why for state, why in reasons_of(reader).items() if state == State.REJECTED.word}
        return found


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
        tally = await count_all(invocation, source, settings, reader)
        why = tally.reasons(reader, retry_rejected=settings.retry_rejected)
    counts = Counts.of(tally.states)
    print_bad(invocation.stderr, tally)
    rows = Rows(tally.rows, True, tally.rows)
    summary = Summary(counts=counts, journal=str(path), rows=rows, reasons=why, exit_code=tally.exit_code)
    start = invocation.command_line.replace(" --dry-run", "")
    return Ending(
        summary=summary,
        title=title(counts, settings, is_resumed=reader is not None),
        next=((start_words(counts), start),)
        if start != invocation.command_line and (counts.pending or counts.in_doubt)
        else (),
        is_look=True,
    )


def title(counts: Counts, settings: Settings, *, is_resumed: bool) -> str:
    sends = min(counts.pending, settings.limit or counts.pending)
    looks = f", and look up {describe.quantity(counts.in_doubt, 'doubt')} first" if counts.in_doubt else ""
    where = "go on from the journal and send" if is_resumed else "send"
    return f"Dry run: a start would {where} {describe.quantity(sends, 'pair')} to {settings.base_url}{looks}"


def start_words(counts: Counts) -> str:
    return "start it; rows that are no pair are passed over" if counts.invalid else "start it"


async def count_all(invocation: Invocation, source: str, settings: Settings, reader: JournalReader | None) -> Tally:
    opened = choose.open_given(source, invocation.options, invocation.stderr, limits=settings.limits)
    tally = Tally()
    async with contextlib.aclosing(opened):
        while batch := await opened.read(ROWS):
            known = reader.read(tally.rows, len(batch.pairs)) if reader else []
            check_unchanged(source, batch, [(row[1], row[2]) for row in known])
            count_batch(tally, batch, [State(row[3]) for row in known], retry_rejected=settings.retry_rejected)
            note_bad(tally, batch, source, is_strict=settings.strict)
    check_whole(source, tally, reader)
    return tally


def check_whole(source: str, tally: Tally, reader: JournalReader | None) -> None:
    """Raise where the source ends before the run in the journal does."""
    left = reader.read(tally.rows, 1) if reader else []
    if left:
        raise SourceError(f"{source} has changed: it ends before line {left[0][5]} of the run in the journal")


def check_unchanged(source: str, batch: Batch, known: list[tuple[int | None, int | None]]) -> None:
    """Raise for the first row that differs from the journal's."""
    for place, then in enumerate(known):
        if (batch.pairs[place] or (None, None)) != then:
            line = batch.lines[place]
            raise SourceError(f"{source} has changed: line {line} differs from the run in the journal", line=line)


def count_batch(tally: Tally, batch: Batch, known: list[State], *, retry_rejected: bool) -> None:
    """Count each row in the state that a start would find or give it."""
    again = {State.FAILED, State.REJECTED} if retry_rejected else {State.FAILED}
    repeated = set(tally.seen.add_all(batch.pairs))
    tally.rows += len(batch.pairs)
    tally.states.update(State.PENDING if state in again else state for state in known)
    for place in range(len(known), len(batch.pairs)):
        if batch.pairs[place] is None:
            tally.states[State.INVALID] += 1
        else:
            tally.states[State.DUPLICATE if place in repeated else State.PENDING] += 1


def note_bad(tally: Tally, batch: Batch, source: str, *, is_strict: bool) -> None:
    for place, row in sorted(batch.bad.items()):
        text = f"{source}, line {batch.lines[place]}: {row.reason}"
        if is_strict:
            raise SourceError(
                text, line=batch.lines[place], hint="without --strict a bad row is counted and passed over"
            )
        line = batch.lines[place]
        tally.why_bad.add(State.INVALID.word, row.reason, kind=row.kind, place=partial(place_of, line, None))
        if len(tally.bad) < SHOWN_BAD:
            tally.bad.append(text)


def print_bad(stderr: Stderr, tally: Tally) -> None:
    """Print the first bad rows, and how many more there are."""
    for text in tally.bad:
        stderr.print(text, event="bad_row")
    if more := tally.states[State.INVALID] - len(tally.bad):
        stderr.print(f"…and {describe.number(more)} more", event="bad_rows", more=more)
