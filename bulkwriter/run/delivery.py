"""Settled outcomes on their way to whoever asked: the consumer of a stream, or the caller of a single write.

Only settled outcomes are delivered, in the order in which they settled.  The stream's queue is bounded by
back-pressure, not by dropping: while it holds `most` outcomes the intake takes no further rows.  A pair may come again
with another outcome only if the lane that answered for it was found to be out of step.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

import anyio

from ..errors import BulkwriterError
from ..model import SETTLED, SINGLE_SEQ, Intent, Outcome, Pair, State
from ..rows import SettleRow
from ..store.schema import ExportRow, read_detail


def stored_outcome(row: ExportRow) -> Outcome:
    """The public outcome of a row that the journal holds."""
    return Outcome(
        row.seq, row.pair, row.state, row.record_id, row.attempts, row.http_status, row.errors, row.message, row.line
    )


def make_outcome(row: SettleRow, pair: tuple[int, int] | None, line: int | None) -> Outcome:
    """The public outcome of a journal row."""
    seq, state, attempts, record_id, http_status, detail = row
    told = read_detail(detail)
    return Outcome(
        seq=seq,
        pair=Pair(*pair) if pair else None,
        state=State(state),
        record_id=record_id,
        attempts=attempts,
        http_status=http_status,
        errors=told.errors,
        message=told.message,
        line=line,
    )


def outcome_of(intent: Intent, row: SettleRow) -> Outcome:
    return make_outcome(row, intent.pair, intent.line)


def unsettled(intent: Intent, state: State) -> Outcome:
    """What a stream's consumer is told of a pair that was not settled when the run ended."""
    return Outcome(intent.seq, Pair(*intent.pair), state, attempts=intent.attempts, line=intent.line)


class Delivery:
    """The outcomes of one stream that its consumer has not taken yet; those of single writes are not its business."""

    def __init__(self, most: int, again: frozenset[int]) -> None:
        self._most = most
        self._again = again
        self._queue: deque[Outcome] = deque()
        self._some = anyio.Event()
        self._room = anyio.Event()
        self.is_ended = False
        self.error: Exception | None = None
        """What the caller's iterable raised."""

    def put(self, outcome: Outcome) -> None:
        if outcome.seq < SINGLE_SEQ:
            self._queue.append(outcome)
            self._some.set()

    def put_stored(self, row: ExportRow) -> None:
        """Deliver what an earlier start settled, if this start leaves it alone."""
        if row.state in SETTLED and row.state not in self._again:
            self.put(stored_outcome(row))

    def end(self) -> None:
        """No more will come; the consumer gets what is left."""
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
    """Callers of single writes, by seq.  Each gets an outcome, or None where its row is anybody's to send again."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[Outcome | None]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def __contains__(self, seq: int) -> bool:
        return seq in self._futures

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._futures))

    def future(self, seq: int) -> asyncio.Future[Outcome | None]:
        """The future of the pair's outcome; several callers may wait for one."""
        if seq not in self._futures:
            self._futures[seq] = asyncio.get_running_loop().create_future()
        return self._futures[seq]

    def settle(self, intent: Intent, row: SettleRow) -> None:
        """Answer the callers who wait for this pair."""
        if row[0] in self._futures:
            self.answer(row[0], outcome_of(intent, row))

    def answer(self, seq: int, outcome: Outcome | None) -> None:
        """The same; None: its row is `pending` again, and nobody else will send it."""
        if (future := self._futures.pop(seq, None)) and not future.done():
            future.set_result(outcome)

    def forget(self, seq: int) -> None:
        """Nobody needs this outcome any more: the journal had it."""
        self._futures.pop(seq, None)

    def fail(self, error: BulkwriterError) -> None:
        """The run ends: nobody's outcome will come."""
        futures, self._futures = self._futures, {}
        for future in futures.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # a caller may have gone: then nobody retrieves it
