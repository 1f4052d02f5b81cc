"""Takes sources through an engine, one at a time, each from its first row to its last outcome, or until it is left.

A source may end, fail, be cancelled, or belong to a stream that nobody reads on.  In each case its ready pairs that
were not sent are `pending` again before another source may begin, and the source is closed.  A source must give the
same rows each time: the journal compares them.  Where no journal is kept another source may follow; its rows come after
those of the earlier ones.

An error ends the source, and this module keeps it for the caller (`error`).  The next source may begin all the same.

Not here: whom else an error ends (`run_loop`), and what callers are told (`writer`).
"""

from __future__ import annotations

import asyncio
import copy
from typing import Final

from ..core.left import RowTotal
from ..errors import BulkwriterError, SourceError, UsageError
from ..model import SINGLE_SEQ, Rows, State
from ..settings import Settings
from ..shielded import to_its_end
from ..sources import Source
from .chunks import ChunkSize
from .delivery import Delivery, in_doubt, unsent
from .engine import Engine
from .intake import Intake, IntakePlan
from .intents import states_sent_again
from .taken_source import TakenSource

CLOSING_S: Final = 0.1
"""When a consumer breaks off, the loop closes its stream in a turn or two.  The next source may begin sooner than
that.
"""


OWN_CODES: Final = frozenset({"doubts"})
"""Errors that are about this source alone, though their type is one of those that concern all callers."""


class SourceRun:
    """Takes one source after the other.  The caller awaits `begin()`, then `run`."""

    def __init__(self, engine: Engine, settings: Settings, noted: Rows) -> None:
        self._engine = engine
        self._settings = settings
        self._intake: Intake | None = None
        self._taken: TakenSource
        self.total = RowTotal(noted)
        """The rows of the current or last source; before the first one, as earlier starts noted them."""
        self._is_leaving = False
        self.error: BulkwriterError | None = None
        """The error that ended the current or last source."""
        self.is_free = asyncio.Event()
        """Set while no source is being taken."""
        self.is_free.set()

    async def begin(self) -> None:
        """Wait until the source before has been left.  From then until the end of `run` nobody else may begin.

        Raises `UsageError` if another source is being taken, and the `TryLater` of a spent quota or a long stated wait.
        """
        if not self.is_free.is_set():
            await asyncio.sleep(CLOSING_S)
        while not self.is_free.is_set():
            if not self._is_leaving:
                raise UsageError("another stream or write_all of this writer is still running")
            await self.is_free.wait()
        if self._engine.run.suspension.is_refusing and not self._engine.run.is_stopping:
            raise copy.copy(self._engine.run.suspension.error or AssertionError)
        self.is_free.clear()
        self._is_leaving = False

    def leave(self) -> None:
        """The source is about to be left.  That may take as long as a commit, so the next one may wait for it."""
        self._is_leaving = True

    async def run(self, source: Source, delivery: Delivery | None) -> BulkwriterError | None:
        """Take a source to its end.  An error of ours that ended it is returned and not raised."""
        engine, self.error = self._engine, None
        self._taken = ended = engine.run.take_source()
        engine.intents.deliveries.open(delivery)
        engine.resolution.source_begins()
        engine.sender.source_begins()
        try:
            with self._taken.until_ended():
                self._intake = self._intake_of(source)
                await self._intake.run(engine.ports.clock)
            engine.resolution.source_ends()
            await engine.finish(self._intake.has)
        except BulkwriterError as error:
            is_its_own = isinstance(error, SourceError) or error.code in OWN_CODES
            (engine.run.end_source if is_its_own else engine.run.stop)(error)
        except Exception as error:  # the caller's own, from the iterable
            if delivery is None:
                raise
            delivery.fail(error)
        finally:
            self._is_leaving = True
            engine.resolution.source_ends()
            await to_its_end(self._leave(source, delivery))
        return engine.run.error or ended.error

    async def _leave(self, source: Source, delivery: Delivery | None) -> None:
        """Leave the source.  Whatever fails, it is closed, its stream ends, and another may begin."""
        try:
            await self._return_rest(delivery)
        except BulkwriterError as error:
            self._engine.run.stop(error)  # before the stream ends, or its consumer would not be told
            raise
        finally:
            self.error = self._taken.error
            self._engine.run.source_left()
            if delivery:
                if why := self._engine.run.error or self.error:
                    delivery.fail(why)
                delivery.end()
            self.is_free.set()
            await source.aclose()

    async def _return_rest(self, delivery: Delivery | None) -> None:
        """Return the ready pairs of the source to `pending`, and tell the stream's consumer of every open pair."""
        engine = self._engine
        if engine.run.is_stopping:
            left = await engine.settle_down()
        elif self._taken.is_ended:
            left = await engine.settle_source(self._taken)
        else:
            # A pair that a single write waits for is sent all the same.
            waiters = engine.intents.deliveries.waiters
            left = await engine.return_unsent(lambda i: i.seq < SINGLE_SEQ and i.seq not in waiters)
        engine.intents.deliveries.close()
        if delivery:
            for intent in (*left, *(self._intake.unsent() if self._intake else ())):
                delivery.put(unsent(intent))
            for doubt in engine.pairs.doubts:
                delivery.put(in_doubt(doubt))

    def _intake_of(self, source: Source) -> Intake:
        if origin := getattr(source, "origin", ""):
            self._engine.intents.note_origin(origin)
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
        return Intake(source, plan, intents=engine.intents, known=engine.known, chunk=chunk, total=self.total)

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
        """Whether pairs of the last source are left because this start may send no more."""
        is_left = not self.has_read_all or bool(self._engine.ports.store.counts.get(State.PENDING))
        return self._intake is not None and self._intake.is_used_up and is_left
