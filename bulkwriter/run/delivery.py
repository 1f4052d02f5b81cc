"""Delivers settled outcomes to the consumer of a stream, or to the caller of a single write.

`Deliveries` tells of a commit on behalf of the run.  It knows the one stream (`Delivery`) and the callers (`Waiters`).

Only settled outcomes are delivered, in the order in which they settled.  The stream's queue is bounded by
back-pressure: while it holds `most` outcomes, the intake takes no further rows.  Nothing is dropped.  A pair comes a
second time, with another outcome, only if the lane that answered for it was found to be out of step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Final

import anyio

from ..core.dedupe import IdSet
from ..core.doubts import Doubt, Doubts
from ..core.pairs import IN_DOUBT, PENDING
from ..core.reasons import ReasonCounter, place_of
from ..model import SETTLED, SINGLE_SEQ, Intent, Outcome, Pair, State
from ..rows import AppendRow, SettleRow
from ..store.schema import NOTHING_TOLD, ExportRow, read_detail, reason_of
from .run_loop import RunLoop
from .single import Single

INVALID = int(State.INVALID)
UNSETTLED: Final = frozenset({PENDING, IN_DOUBT})
WITH_REASON: Final = frozenset({int(State.REJECTED), int(State.FAILED)})
STATE_OF: Final = itemgetter(1)
SEQ_OF: Final = attrgetter("seq")
STATES: Final = tuple(State)
"""By number: `State(3)` takes five times as long."""


def stored_outcome(row: ExportRow) -> Outcome:
    """The public outcome of a stored row."""
    return Outcome(
        row.seq, row.pair, row.state, row.record_id, row.attempts, row.http_status, row.errors, row.message, row.line
    )


def make_outcome(row: SettleRow, pair: tuple[int, int] | None, line: int | None) -> Outcome:
    """The public outcome of a journal row."""
    seq, state, attempts, record_id, http_status, detail = row
    told = NOTHING_TOLD if detail is None else read_detail(detail)
    shown = Pair._make(pair) if pair else None
    return Outcome(
        seq, shown, STATES[state], record_id, attempts, http_status, told.errors, told.message, line
    )  # by place: with names it takes a tenth longer


def unsent(intent: Intent) -> Outcome:
    """The outcome of a pair that was not sent when the run ended."""
    return Outcome(intent.seq, Pair(*intent.pair), State.PENDING, attempts=intent.attempts, line=intent.line)


def in_doubt(doubt: Doubt) -> Outcome:
    """The outcome of a pair that may have been applied, for whoever waits no longer for a look."""
    intent = doubt.intent
    attempts, pair = intent.attempts, Pair(*intent.pair)
    return Outcome(intent.seq, pair, State.IN_DOUBT, attempts=attempts, message=doubt.reason, line=intent.line)


class Delivery:
    """The outcomes of one stream that its consumer has not taken yet.  Outcomes of single writes do not count.

    When the stream began, the journal held the rows before seq `stored`.  Such a row may settle before the intake reads
    it; it is then told once, when it settles.  With `is_other` those rows are of earlier sources, and only the intake
    finds out which of them this source has; such a row is told when the intake reads it, and no other is told at all.
    """

    def __init__(self, most: int, again: frozenset[int], *, stored: int, is_other: bool = False) -> None:
        self._most = most
        self._again = again
        self._stored = stored
        self._is_other = is_other
        self._told = IdSet()
        self._ours = IdSet()  # stored rows that this source has
        self._early: dict[int, Outcome] = {}  # of stored rows that this source may have
        self._queue: deque[Outcome] = deque()
        self._some = anyio.Event()
        self._room = anyio.Event()
        self.is_ended = False
        self.error: Exception | None = None
        """The exception with which the stream ends."""

    def put(self, outcome: Outcome) -> None:
        if outcome.seq < SINGLE_SEQ:
            if outcome.seq < self._stored:
                if self._is_other and outcome.seq not in self._ours:
                    self._early[outcome.seq] = outcome
                    return
                self._told.add(outcome.seq)
            self._queue.append(outcome)
            self._some.set()

    def put_stored(self, row: ExportRow) -> None:
        """This source has a stored row: deliver its outcome, if this start does not try the pair again."""
        if self._is_other:
            self._ours.add(row.seq)
        early = self._early.pop(row.seq, None)
        if row.state in SETTLED and row.state not in self._again:
            if row.seq not in self._told:
                self.put(stored_outcome(row))
        elif early and early.state is not row.state:  # it has settled since the row was read
            self.put(early)

    def fail(self, error: Exception) -> None:
        """The caller's iterable raised, or the source ends with an error of ours.  The first one counts."""
        self.error = self.error or error

    def end(self) -> None:
        """No more outcomes will come; the consumer gets the rest."""
        self.is_ended = True
        self._some.set()

    @property
    def is_full(self) -> bool:
        """Whether the consumer has to catch up."""
        return len(self._queue) >= self._most

    async def room(self) -> None:
        """Wait until the consumer has caught up."""
        while self.is_full:
            self._room = anyio.Event()
            await self._room.wait()

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """Outcomes as they settle, until `end`."""
        while True:
            while self._queue:
                yield self._queue.popleft()
                if len(self._queue) < self._most:
                    self._room.set()
            if self.is_ended:
                return
            self._some = anyio.Event()
            await self._some.wait()


class Waiters:
    """Single pairs that wait for the outcome of a row, by its seq."""

    def __init__(self) -> None:
        self._singles: dict[int, Single] = {}
        self._returned: list[tuple[Single, Intent]] = []

    def __len__(self) -> int:
        return len(self._singles)

    def __contains__(self, seq: int) -> bool:
        return seq in self._singles

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._singles))

    def wait(self, single: Single) -> None:
        """Its row is under way."""
        self._singles[single.seq] = single

    def wait_all(self, singles: Sequence[Single]) -> None:
        """The rows of all these are under way."""
        self._singles.update(zip(map(SEQ_OF, singles), singles, strict=True))

    def take(self, seq: int) -> Single | None:
        """The single that waits for this row, which is settled now."""
        return self._singles.pop(seq, None)

    def answer(self, seq: int, outcome: Outcome) -> None:
        self._singles.pop(seq).answer(outcome)

    def returned(self, intent: Intent) -> None:
        """The row is `pending` again, and nobody else will send it."""
        if single := self._singles.pop(intent.seq, None):
            self._returned.append((single, intent))

    def take_returned(self) -> list[tuple[Single, Intent]]:
        """The pairs whose rows were returned since the last call."""
        if not self._returned:
            return []
        taken, self._returned = self._returned, []
        return taken

    def clear(self) -> None:
        """Nobody waits any more."""
        self._singles.clear()


class Deliveries:
    """Tells of outcomes in one run: to the stream and to the callers of single writes."""

    def __init__(self, run: RunLoop) -> None:
        self._run = run
        self.waiters = Waiters()
        self.reasons = ReasonCounter()
        """The reasons of the pairs and rows that this process found rejected, failed or invalid."""
        self.stream: Delivery | None = None

    def open(self, stream: Delivery | None) -> None:
        """A source begins.  Its outcomes go to `stream`, if there is one."""
        self.stream = stream

    def close(self) -> None:
        """The source has ended; its outcomes go nowhere any more."""
        self.stream = None

    def deliver(self, intents: list[Intent], rows: list[SettleRow]) -> None:
        """Deliver the settled rows of a commit.  Rows that are only in doubt, or `pending` again, are not settled.

        A row may be `pending` again although the run goes on: a stream was left while the row was ready.  The caller of
        a single write is told that too, since nobody else would send the row.
        """
        if not WITH_REASON.isdisjoint(map(STATE_OF, rows)):
            for intent, row in zip(intents, rows, strict=True):
                if row[1] in WITH_REASON:
                    self._note_reason(row[0], row[1], row[5], intent.line, intent.pair)
        waiters, stream = self.waiters, self.stream
        if not waiters and stream is None:
            return
        for intent, row in zip(intents, rows, strict=True):
            if row[1] in UNSETTLED:
                if row[1] == PENDING and not self._run.is_stopping:
                    waiters.returned(intent)
                continue
            single = waiters.take(row[0])
            if single or stream:
                outcome = make_outcome(row, intent.pair, intent.line)
                if single:
                    single.answer(outcome)
                if stream:
                    stream.put(outcome)

    def tell_doubts(self, doubts: Doubts) -> None:
        """No look will settle these doubts in this process.  Callers who wait for one of them are told `in_doubt`."""
        for seq in self.waiters:
            if (doubt := doubts.get(seq)) and not doubt.is_refused:
                self.waiters.answer(seq, in_doubt(doubt))

    def deliver_row(self, row: AppendRow) -> None:
        """Deliver a row that was settled when it was made: it is no pair, or repeats another row."""
        seq, first, second, line, state, detail = row
        if state == INVALID:
            self._note_reason(seq, state, detail, line, None)
        if self.stream:
            pair = None if first is None or second is None else (first, second)
            self.stream.put(make_outcome((seq, state, 0, None, None, detail), pair, line))

    def _note_reason(
        self, seq: int, state: int, detail: str | None, line: int | None, pair: tuple[int, int] | None
    ) -> None:
        text, kind = reason_of(detail)
        self.reasons.add(State(state).word, text, kind=kind, place=lambda: place_of(line, pair), at=seq)
