"""A blocking reader as a source: one daemon thread reads ahead, the loop takes batches, and closing waits for nothing.

A read may hang for ever: a pipe whose writer sleeps, a dead network file system, a terminal.  An executor's threads
are waited for when the process exits, so this is a daemon thread of the source's own.  It is at most `BATCHES_AHEAD`
batches ahead, so memory is bounded and a slow taker slows the reading.

Invariant: batches cross from the thread to the loop whole and in order, each once; a cancelled `read` leaves them where
they are.  The thread alone touches the reader, and closes it when its read returns, if ever.

Where the time goes: a hand-over costs about 50 µs, two or three changes of the interpreter's lock (5 ms each at worst
against a busy loop), which is why a batch is a block of some 5,000 rows whatever the taker asks for.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from ..errors import SourceError
from ..model import Batch
from .batches import cut

BATCHES_AHEAD: Final = 2


class BlockingReader(Protocol):
    """What the thread calls; none of it is called by two threads at once."""

    def read(self) -> Batch | None: ...

    def fraction(self) -> float | None: ...

    def close(self) -> None: ...


class Delivery(NamedTuple):
    """What crosses to the loop: a batch, None at the end, or what went wrong."""

    batch: Batch | Exception | None
    fraction: float | None


class ThreadSource:
    """A `Source` over a `BlockingReader`.  Nothing is opened before the first `read`."""

    def __init__(self, reader: BlockingReader, name: str) -> None:
        self.name = name
        self._reader = reader
        self._thread: threading.Thread | None = None
        self._free = threading.Semaphore(BATCHES_AHEAD)
        self._arrived: deque[Delivery] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_closed = False
        self._rest: Batch | None = None  # of the batch being served, which had `_size` rows
        self._size = 1
        self._before: float | None = 0.0  # the fraction before that batch, and with it
        self._after: float | None = 0.0

    async def read(self, max_rows: int) -> Batch | None:
        """See `Source.read`."""
        assert max_rows > 0
        if self._rest is None:
            delivery = await self._next_delivery()
            if isinstance(delivery.batch, Exception):
                raise delivery.batch
            if delivery.batch is None:
                self._before = self._after = delivery.fraction
                return None
            self._arrived.popleft()  # only now: an end or an error stays, for later reads to see again
            self._free.release()
            self._rest, self._size = delivery.batch, len(delivery.batch.pairs)
            self._before, self._after = self._after, delivery.fraction
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
        self._free.release()  # a thread that waits for room ends
        self._wake()

    async def _next_delivery(self) -> Delivery:
        assert self._waiter is None, "one reader at a time"
        loop = asyncio.get_running_loop()
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._pump, args=(loop,), name="bulkwriter-source", daemon=True)
            self._thread.start()
        while not self._arrived and not self._is_closed:
            self._waiter = loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._is_closed:
            raise SourceError(f"{self.name} was closed while it was being read")
        return self._arrived[0]

    def _arrive(self, delivery: Delivery) -> None:
        if not self._is_closed:
            self._arrived.append(delivery)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: read until the end, an error, or the closing."""
        try:
            while True:
                self._free.acquire()
                if self._is_closed:
                    return
                delivery = self._read()
                with suppress(RuntimeError):  # the loop may be closed: nobody waits then
                    loop.call_soon_threadsafe(self._arrive, delivery)
                if not isinstance(delivery.batch, Batch):
                    return
        finally:
            self._reader.close()

    def _read(self) -> Delivery:
        try:
            return Delivery(self._reader.read(), self._reader.fraction())
        except Exception as error:  # whatever it is, the taker must hear of it
            return Delivery(error, None)
