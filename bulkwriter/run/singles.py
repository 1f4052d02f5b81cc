"""Single writes: one pair from a service, through the same journal, lanes and limits as the pairs of a source.

An error that keeps the writer from sending (`health`) ends no write.  The pair waits and goes on later.  Each caller
waits only as long as the settings say.  Only a journal that fails, a bug, and the end of the writer end all writes.

A pair is first looked up in the journal by its ids.  A settled pair is answered from there.  A pair on its way is
waited for.  A pair that an earlier start left unsent is sent.  Simultaneous calls for the same pair become one.  The
rows of single writes have seqs from `SINGLE_SEQ` on.

The order of the steps avoids three races:

- A row is claimed inside the journal's own thread, so that a stream that meets the same row does not send it as well.
- A future is made before the row is read a last time, so that an outcome that is committed meanwhile is not missed.
- A source and single writes share one set of pairs.  The side that adds a pair to the set makes its row.  A single
  write adds the pair in the same step in which it hands the row to the journal.  So a `duplicate` of the source is
  never durable before the row that it repeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from ..core.dedupe import PairSet
from ..errors import BulkwriterError, JournalError, bug_of_ours, ends_writer
from ..guarded import guarded
from ..model import SETTLED, Intent, Outcome, State
from ..rows import intent_detail
from ..shielded import own_task
from ..store.schema import ExportRow
from .delivery import stored_outcome
from .existing_records import KnownRecords
from .health import Health
from .intake import INTENT, PENDING
from .intents import Intents
from .ports import Store

LOOK_AGAIN_S: Final = 0.02
"""A pair that the source has taken gets its row within about one commit.  Until then the journal is asked again."""


class Singles:
    """Writes single pairs.  `stop` receives an error that is not of one pair alone."""

    def __init__(
        self,
        intents: Intents,
        store: Store,
        *,
        known: KnownRecords,
        health: Health,
        next_seq: int,
        again: frozenset[int],
        stop: Callable[[BulkwriterError], None],
    ) -> None:
        self._intents = intents
        self._waiters = intents.deliveries.waiters
        self._store = store
        self._known = known
        self._health = health
        self._next_seq = next_seq
        self._again = again
        self._stop = stop
        self._writing: dict[tuple[int, int], asyncio.Task[Outcome]] = {}
        self._made = PairSet()
        """Pairs of the rows that this process made."""
        self._taken = PairSet()
        """Pairs of the current source, and of all single rows.  Each source has its own set."""
        self.closed: BulkwriterError | None = None
        """The error after which nothing more is written."""

    def share(self) -> PairSet:
        """A source begins.  Return the set in which it notes the pairs of its rows."""
        self._taken = PairSet(self._made)
        return self._taken

    def unshare(self) -> None:
        """The source was left.  Pairs that it noted without making their rows are free again."""
        self._taken = PairSet()

    async def write(self, pair: tuple[int, int]) -> Outcome:
        """Write `pair`, or wait for a write of it that is under way.  A cancel of the caller does not end the write."""
        if self.closed:
            raise self.closed
        task = self._writing.get(pair)
        if task is None:
            task = self._writing[pair] = own_task(self._write(pair))
            task.add_done_callback(guarded(partial(self._ended, pair), self._crashed))
        call: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        task.add_done_callback(guarded(partial(self._answer, call), self._crashed))
        self._health.waits(call, pair)
        try:
            return await call
        finally:
            self._health.waits_no_more(call)

    def _answer(self, call: asyncio.Future[Outcome], task: asyncio.Task[Outcome]) -> None:
        """A write has ended.  Pass its end on to a caller who still waits."""
        if call.done():
            return
        error = self.closed if task.cancelled() else task.exception()
        if error:
            call.set_exception(error)
        else:
            call.set_result(task.result())

    async def aclose(self, error: BulkwriterError) -> None:
        """Write nothing more.  Callers who still wait get `error`, unless they were answered just before.

        Raises the `JournalError` of a write that ends in it.  Its caller gets `error`, so nobody else would hear that
        the disk failed.
        """
        self.closed = self.closed or error
        await asyncio.sleep(0)  # callers with an answer take it now; a cancel would come first
        self._waiters.fail(self.closed)
        tasks = list(self._writing.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for failure in [task.exception() for task in tasks if not task.cancelled()]:
            if isinstance(failure, JournalError):
                raise failure

    def _ended(self, pair: tuple[int, int], task: asyncio.Task[Outcome]) -> None:
        """A write has ended.  All its callers may have gone, so an error that ends the run is told here."""
        del self._writing[pair]
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, Exception) and failure is not self.closed and ends_writer(failure):
            self._crashed(failure)

    def _crashed(self, error: Exception) -> None:
        self._stop(bug_of_ours(error))

    async def _write(self, pair: tuple[int, int]) -> Outcome:
        while True:
            taken = self._taken
            row = await self._find(pair)
            there: dict[tuple[int, int], int] | None = {}
            if row is None or row.state in self._again:
                if refusal := self._health.refusal:
                    raise refusal
                there = await self._there(pair)
            if there is None:
                continue
            if row is not None:
                is_again = row.state in self._again
                outcome = await (self._write_again(row, pair, there) if is_again else self._outcome(row))
            elif self._claim(pair, taken):
                outcome = await self._write_new(pair, there)
            else:
                outcome = None
                await anyio.sleep(LOOK_AGAIN_S)
            if outcome is not None:
                return outcome

    async def _there(self, pair: tuple[int, int]) -> dict[tuple[int, int], int] | None:
        """Look whether the pair exists.  None: nobody could tell, but the writer is well again."""
        try:
            return await self._known.find([pair])
        except BulkwriterError as error:
            if ends_writer(error):
                raise
            self._stop(error)
            await self._health.unsuspended()
            return None

    async def _find(self, pair: tuple[int, int]) -> ExportRow | None:
        return await self._store.run(lambda journal: journal.find(pair))

    def _claim(self, pair: tuple[int, int], taken: PairSet) -> bool:
        """Whether we make the pair's row.  `taken` is the set from before the journal was asked."""
        if self._taken is not taken or pair in taken:
            return False
        self._made.add(pair)
        self._taken.add(pair)
        return True

    async def _write_again(
        self, row: ExportRow, pair: tuple[int, int], there: dict[tuple[int, int], int]
    ) -> Outcome | None:
        attempts = 0 if row.state is State.FAILED else row.attempts
        intent = Intent(row.seq, pair, attempts, row.line, self._known.floor())
        found = [(intent, int(row.state), there[pair])] if pair in there else []
        await self._intents.commit_again([] if found else [intent], [] if found else [int(row.state)], found)
        return await self._settled(row.seq)  # by another caller, who claimed it

    async def _write_new(self, pair: tuple[int, int], there: dict[tuple[int, int], int]) -> Outcome | None:
        floor = self._known.floor()
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        intent = Intent(seq, pair, 0, None, floor)
        future = self._waiters.future(seq)
        if pair in there:
            await self._intents.commit_new([(seq, *pair, None, PENDING, None)], [], [(intent, PENDING, there[pair])])
        else:
            await self._intents.commit_new([(seq, *pair, None, INTENT, intent_detail(floor))], [intent], [])
        return await future

    async def _outcome(self, row: ExportRow) -> Outcome | None:
        if row.state in SETTLED or row.state is State.FAILED:
            return stored_outcome(row)
        return await self._settled(row.seq)

    async def _settled(self, seq: int) -> Outcome | None:
        """The outcome of the row; None if it was given back unsent, so that we may claim it."""
        future = self._waiters.future(seq)
        now: ExportRow | None = await self._store.run(lambda journal: journal.row(seq))
        if now is not None and (now.state in SETTLED or now.state is State.FAILED):
            self._waiters.forget(seq)
            return stored_outcome(now)
        if now is not None and now.state is State.PENDING:
            self._waiters.forget(seq)
            return None
        return await future
