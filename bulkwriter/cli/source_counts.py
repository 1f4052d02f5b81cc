"""The rows of a source, counted as a start would find them: for a dry run and a plan.

Reads, validates and dedupes a whole source and compares it with an existing journal, row by row, as a real start does.
Each row counts in one state: that of the journal where it is settled there, `pending` if a start would send it, now or
again, `in_doubt` if a start would look it up first, `invalid` if it holds no valid pair.

Memory: the same set of pairs as a run has.  Not here: writing anything, and the forecast (`outlook`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from ..core.dedupe import PairSet
from ..core.reasons import ReasonCounter, place_of
from ..errors import Exit, SourceError
from ..model import Batch, Reasons, State
from ..settings import Settings
from . import describe
from .reason_lines import reasons_of
from .stderr import Stderr

if TYPE_CHECKING:
    from ..listing.existing import Existing
    from ..sources import Source
    from ..store.journal_reader import JournalReader

ROWS = 10_000
SHOWN_BAD = 5
SENT_AGAIN = (State.PENDING, State.FAILED)


class SourceCounts:
    """What a source holds so far: its rows by the state that a start would find or give them, and its bad rows."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.rows = 0
        self.states: Counter[State] = Counter()
        self._name, self._settings = name, settings
        self._seen = PairSet()
        self._bad: list[str] = []  # the first of them
        self._why_bad = ReasonCounter()

    @property
    def exit_code(self) -> Exit:
        """That of a look at the source: bad rows are worth a look before the first write."""
        return Exit.INCOMPLETE if self.states[State.INVALID] else Exit.OK

    def reasons(self, reader: JournalReader | None) -> Reasons:
        """Why rows are invalid, and why an earlier start saw pairs rejected that would not be sent again."""
        found = dict(self._why_bad.top())
        if reader and self.states[State.REJECTED] and not self._settings.retry_rejected:
            found |= {state: why for state, why in reasons_of(reader).items() if state == State.REJECTED.word}
        return found

    async def read(self, source: Source, reader: JournalReader | None, existing: Existing | None = None) -> None:
        """Read all of it.  The journal behind `reader` has the first rows; `existing` tells what the server has.

        Raises `SourceError` where the source is not the one of that journal.
        """
        async with contextlib.aclosing(source):
            while batch := await source.read(ROWS):
                known = reader.read(self.rows, len(batch.pairs)) if reader else []
                hint = getattr(source, "order_hint", "")
                check_unchanged(self._name, batch, [(row[1], row[2]) for row in known], hint=hint)
                fresh = self._add(batch, [State(row[3]) for row in known])
                if existing:
                    again = [(row[1] or 0, row[2] or 0) for row in known if State(row[3]) in SENT_AGAIN]
                    found = len(await existing.find([*again, *fresh]))
                    self.states[State.PENDING] -= found
                    self.states[State.EXISTING] += found
        left = reader.read(self.rows, 1) if reader else []
        if left:
            line = left[0][5]
            raise SourceError(f"{self._name} has changed: it ends before line {line} of the run in the journal")

    def print_bad(self, stderr: Stderr) -> None:
        """Print the first bad rows, and how many more there are."""
        for text in self._bad:
            stderr.print(text, event="bad_row")
        if more := self.states[State.INVALID] - len(self._bad):
            stderr.print(f"…and {describe.number(more)} more", event="bad_rows", more=more)

    def _add(self, batch: Batch, known: list[State]) -> list[tuple[int, int]]:
        """Count the next rows, of which the journal has the first in the states `known`.  Returns the pairs of the
        others, each once."""
        again = {State.FAILED, State.REJECTED} if self._settings.retry_rejected else {State.FAILED}
        fresh = []
        repeated = set(self._seen.add_all(batch.pairs))
        self.rows += len(batch.pairs)
        self.states.update(State.PENDING if state in again else state for state in known)
        for place in range(len(known), len(batch.pairs)):
            pair = batch.pairs[place]
            if pair is None:
                self.states[State.INVALID] += 1
            elif place in repeated:
                self.states[State.DUPLICATE] += 1
            else:
                self.states[State.PENDING] += 1
                fresh.append(pair)
        self._note_bad(batch)
        return fresh

    def _note_bad(self, batch: Batch) -> None:
        for place, row in sorted(batch.bad.items()):
            line = batch.lines[place]
            text = f"{self._name}, line {line}: {row.reason}"
            if self._settings.strict:
                raise SourceError(text, line=line, hint="without --strict a bad row is counted and passed over")
            self._why_bad.add(State.INVALID.word, row.reason, kind=row.kind, place=partial(place_of, line, None))
            if len(self._bad) < SHOWN_BAD:
                self._bad.append(text)


def check_unchanged(source: str, batch: Batch, known: list[tuple[int | None, int | None]], *, hint: str = "") -> None:
    """Raise for the first row that differs from the journal's."""
    for place, then in enumerate(known):
        if (batch.pairs[place] or (None, None)) != then:
            line = batch.lines[place]
            raise SourceError(
                f"{source} has changed: line {line} differs from the run in the journal", line=line, hint=hint
            )
