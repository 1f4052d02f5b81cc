"""Takes sources through an engine, one at a time, each from its first row to its last outcome, or until it is left.

A source may end, fail, be cancelled, or belong to a stream that nobody reads on.  In each case its ready pairs that
were not sent are `pending` again before another source may begin, and the source is closed.  A source must give the
same rows each time: the journal compares them.  Where no journal is kept another source may follow; its rows come after
those of the earlier ones.

Not here: when the run as a whole ends, and what its callers are told (`writer`).
"""

from __future__ import annotations

import asyncio
from typing import Final

from ..core.dedupe import PairSet
from ..core.left import RowTotal
from ..errors import BulkwriterError, UsageError
from ..model import SINGLE_SEQ, Rows, State
from ..settings import Settings
from ..shielded import to_its_end
from ..sources import Source
from .chunks import ChunkSize
from .delivery import Delivery, unsettled
from .engine import Engine
from .intake import FAILED, PENDING, Intake, IntakePlan
from .singles import Singles

CLOSING_S: Final = 0.1
"""When a consumer breaks off, the loop closes its stream in a turn or two.  The next source may begin sooner than
that.
"""


class SourceRun:
    """Takes one source after the other.  The caller awaits `begin()`, then `run`."""

    def __init__(self, engine: Engine, settings: Settings, singles: Singles, noted: Rows) -> None:
        self._engine = engine
        self._settings = settings
        self._singles = singles
        self._intake: Intake | None = None
        self.total = RowTotal(noted)
        """The rows of the current or last source; before the first one, as earlier starts noted them."""
        self._is_leaving = False
        self.is_free = asyncio.Event()
        """Set while no source is being taken."""
        self.is_free.set()

    async def begin(self) -> None:
        """Wait until the source before has been left.  From then until the end of `run` nobody else may begin."""
        if not self.is_free.is_set():
            await asyncio.sleep(CLOSING_S)
        while not self.is_free.is_set():
            if not self._is_leaving:
                raise UsageError("another stream or write_all of this writer is still running")
            await self.is_free.wait()
        self.is_free.clear()
        self._is_leaving = False

    def leave(self) -> None:
        """The source is about to be left.  That may take as long as a commit, so the next one may wait for it."""
        self._is_leaving = True

    async def run(self, source: Source, delivery: Delivery | None) -> None:
        """Take a source to its end.  An error stops the engine and is not raised here."""
        engine, taken = self._engine, self._singles.share()
        engine.intents.deliveries.open(delivery)
        engine.resolution.source_begins()
        try:
            with engine.run.ended_by_stop():
                self._intake = self._intake_of(source, taken)
                await self._intake.run(engine.ports.clock)
            engine.resolution.source_ends()
            await engine.finish()
        except BulkwriterError as error:
            engine.run.stop(error)
        except Exception as error:  # the caller's own, from the iterable
            if delivery is None:
                raise
            delivery.fail(error)
        finally:
            self._is_leaving = True
            engine.resolution.source_ends()
            self._singles.unshare()
            await to_its_end(self._leave(source, delivery))

    async def _leave(self, source: Source, delivery: Delivery | None) -> None:
        """Leave the source.  Whatever fails, it is closed, its stream ends, and another may begin."""
        try:
            await self._return_rest(delivery)
        except BulkwriterError as error:
            self._engine.run.stop(error)  # before the stream ends, or its consumer would not be told
            raise
        finally:
            if delivery:
                delivery.end()
            self.is_free.set()
            await source.aclose()

    async def _return_rest(self, delivery: Delivery | None) -> None:
        """Return the ready pairs of the source to `pending`, and tell the stream's consumer of every open pair."""
        engine = self._engine
        if engine.run.is_stopping:
            unsent = await engine.settle_down()
        else:
            # A pair that a single write waits for is sent all the same.
            waiters = engine.intents.deliveries.waiters
            unsent = await engine.return_unsent(lambda i: i.seq < SINGLE_SEQ and i.seq not in waiters)
        engine.intents.deliveries.close()
        if delivery:
            for intent in (*unsent, *(self._intake.unsent() if self._intake else ())):
                delivery.put(unsettled(intent, State.PENDING))
            for doubt in engine.pairs.doubts:
                delivery.put(unsettled(doubt.intent, State.IN_DOUBT))

    def _intake_of(self, source: Source, taken: PairSet) -> Intake:
        engine, settings, store = self._engine, self._settings, self._engine.ports.store
        plan = IntakePlan(
            stored=store.rows,
            first_seq=0 if settings.journal else store.rows,
            again=states_sent_again(settings),
            is_strict=settings.strict,
            left=settings.limit,
        )
        chunk = ChunkSize(most=settings.limits.chunk_rows, chunk_s=settings.limits.chunk_s)
        self.total = RowTotal(self.rows() if settings.journal else Rows(), first_seq=plan.first_seq)
        return Intake(
            source, plan, intents=engine.intents, known=engine.known, pairs=taken, chunk=chunk, total=self.total
        )

    def rows(self) -> Rows:
        """How many rows the source has, and how many of them the journal holds."""
        return self.total.rows(self._engine.ports.store.rows)

    @property
    def has_begun(self) -> bool:
        """Whether there was any source."""
        return self._intake is not None

    @property
    def has_read_all(self) -> bool:
        """Whether the last source was read to its end."""
        return self._intake is not None and self._intake.is_whole

    @property
    def has_used_limit(self) -> bool:
        """Whether the last source was left because this start may send no more."""
        return self._intake is not None and self._intake.is_used_up and not self._intake.is_whole


def states_sent_again(settings: Settings) -> frozenset[int]:
    """Stored states of pairs that this start sends again."""
    again = {PENDING, FAILED}
    return frozenset(again | {int(State.REJECTED)} if settings.retry_rejected else again)
