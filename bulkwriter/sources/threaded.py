"""A blocking reader as a source.  A daemon thread reads ahead, the loop takes batches, and a close waits for nothing.

A read may hang for ever: a pipe with a sleeping writer, a dead network file system, a terminal.  The process waits for
the threads of an executor when it exits.  So each source has its own daemon thread.  It is at most `BATCHES_AHEAD`
batches ahead, so memory is bounded, and a slow consumer slows the reading.

Rows that were read ahead may wait behind a quota for days.  So if the thread last examined the source more than
`CONFIRM_S` ago, it does so again before rows are handed out.  Rows of a changed source are not handed out.

Invariants: batches cross from the thread to the loop whole, in order, each once.  A cancelled `read` leaves them where
they are.  Only the thread touches the reader, and closes it when its read returns, if ever.

Speed: a hand-over costs about 50 µs, and two or three changes of the interpreter's lock (5 ms each at worst against a
busy loop).  So a batch is a block of some 5,000 rows, whatever size was asked for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from enum import Enum
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol

from ..errors import SourceError
from ..guarded import guarded
from ..model import Batch
from ..threads import started
from .batches import cut
from .identity import SourceChanged

BATCHES_AHEAD: Final = 2
CONFIRM_S: Final = 0.05
"""In a fast run many reads share one examination of the source; in a slow run each read has its own."""


class BlockingReader(Protocol):
    """The interface for the thread.  Two threads never call it at the same time."""

    def read(self) -> Batch | None: ...

    def fraction(self) -> float | None: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


class Command(Enum):
    """What the thread is asked to do."""

    READ = "read a batch"
    CHECK = "look whether the source is as it was"
    CLOSE = "close the reader and end"


class ReadResult(NamedTuple):
    """A result on its way to the loop: a batch, None at the end, or an error."""

    batch: Batch | Exception | None
    fraction: float | None


class ThreadSource:
    """A `Source` over a `BlockingReader`.  Nothing is opened before the first `read`."""

    def __init__(self, reader: BlockingReader, name: str, *, confirm_s: float = CONFIRM_S) -> None:
        self.name = name
        self._confirm_s = confirm_s
        self._reader = reader
        self._thread: threading.Thread | None = None
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._arrived: deque[ReadResult] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False
        self._rest: Batch | None = None  # of the batch being served, which had `_size` rows
        self._size = 1
        self._before: float | None = 0.0  # the fraction before that batch, and with it
        self._after: float | None = 0.0
        self._confirmed_at = 0.0  # when the thread last saw that the source is as it was
        self._changed: Exception | None = None

    async def read(self, max_rows: int) -> Batch | None:
        """See `Source.read`."""
        assert max_rows > 0
        if self._rest is None:
            result = await self._next_result()
            if not isinstance(result.batch, Batch):
                self._commands.put(Command.CLOSE)  # an end or an error stays, for later reads to see again
                if result.batch is not None:
                    raise result.batch
                self._before = self._after = result.fraction
                return None
            self._arrived.popleft()
            self._commands.put(Command.READ)
            self._rest, self._size = result.batch, len(result.batch.pairs)
            self._before, self._after = self._after, result.fraction
        await self._confirm()
        assert self._rest is not None
        batch, self._rest = cut(self._rest, max_rows)
        return batch

    def fraction(self) -> float | None:
        """See `Source.fraction`.  Inside a batch it goes by rows."""
        if self._before is None or self._after is None:
            return None
        unserved = len(self._rest.pairs) / self._size if self._rest is not None else 0.0
        return self._after - (self._after - self._before) * unserved

    async def aclose(self) -> None:
        """See `Source.aclose`."""
        self._is_closed = True
        self._rest = None
        self._arrived.clear()
        self._commands.put(Command.CLOSE)
        self._wake()

    async def _next_result(self) -> ReadResult:
        if self._thread is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            for _ in range(BATCHES_AHEAD):
                self._commands.put(Command.READ)
            self._thread = started(self._pump, loop, name="bulkwriter-source")
        while not self._arrived and not self._is_closed:
            await self._news()
        self._raise_if_over()
        return self._arrived[0]

    async def _confirm(self) -> None:
        """Raise if the source has changed up to a moment ago.  A source without a size is a pipe, which shows no
        change.
        """
        self._raise_if_over()
        asked_at = time.monotonic()
        if self._after is None or asked_at - self._confirmed_at <= self._confirm_s:
            return
        self._commands.put(Command.CHECK)
        while self._confirmed_at < asked_at and self._changed is None and not self._is_closed:
            await self._news()
        self._raise_if_over()

    def _raise_if_over(self) -> None:
        if self._is_closed:
            raise SourceError(f"{self.name} was closed while it was being read")
        if self._changed is not None:
            raise self._changed

    async def _news(self) -> None:
        """Wait until the thread has something to tell."""
        assert self._waiter is None, "one reader at a time"
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _arrive(self, result: ReadResult, at: float) -> None:
        if isinstance(result.batch, SourceChanged):
            self._changed = result.batch  # before the rows that were read ahead
        elif not isinstance(result.batch, Exception):
            self._confirmed_at = at
        if not self._is_closed:
            self._arrived.append(result)
            self._wake()

    def _confirmed(self, error: Exception | None, at: float) -> None:
        self._changed = self._changed or error
        self._confirmed_at = at
        self._wake()

    def _crashed(self, error: Exception) -> None:
        """A bug in one of these two.  The reading caller hears of it, whatever it waits for."""
        self._changed = self._changed or error
        self._arrived.append(ReadResult(error, None))
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: do what is asked until it is told to close."""
        is_over = False
        try:
            while (command := self._commands.get()) is not Command.CLOSE and not self._is_closed:
                at = time.monotonic()
                with suppress(RuntimeError):  # the loop may be closed: nobody waits then
                    if command is Command.CHECK:
                        loop.call_soon_threadsafe(guarded(self._confirmed, self._crashed), self._check(), at)
                    elif not is_over:
                        result = self._read()
                        is_over = not isinstance(result.batch, Batch)
                        loop.call_soon_threadsafe(guarded(self._arrive, self._crashed), result, at)
        finally:
            self._reader.close()

    def _read(self) -> ReadResult:
        try:
            return ReadResult(self._reader.read(), self._reader.fraction())
        except Exception as error:  # whatever it is, the taker must hear of it
            return ReadResult(error, None)

    def _check(self) -> Exception | None:
        try:
            self._reader.check()
        except Exception as error:  # as above
            return error
        return None
