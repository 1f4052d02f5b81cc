"""The ledger for asyncio: one daemon thread owns it, opens it, and carries out one exchange after the other.

Exchanges are few (one for a lease, which lasts two seconds or so), so they are not grouped.  `post` hands in a step and
returns a future at once.  The step happens even if nobody waits any more.  `close` waits for the steps, but only so
long: a hanging disk cannot keep the process alive.  Its leases then stay booked until their time is over.

With `inline=True` there is no thread and every step has happened when `post` returns: for virtual time.
Invariant: the ledger is touched by one thread only.  Not here: what an exchange does (`quota.account`).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..threads import answer, carried_out, started
from .ledger import Ledger

T = TypeVar("T")
Step = Callable[[Ledger], T]

CLOSE_S: Final = 5.0
"""A commit takes milliseconds; what is lost by leaving earlier is a lease that stays booked."""


def nothing() -> None:
    """No ledger waits for anything but its disk."""


class LedgerThread:
    """A ledger used from an event loop.  `opening` is called in the thread, before the first step; `interrupt` in the
    loop once the end is near, so that no step waits any longer for what is away.
    """

    def __init__(
        self, opening: Callable[[], Ledger], *, inline: bool = False, interrupt: Callable[[], None] = nothing
    ) -> None:
        self._opening, self._interrupt = opening, interrupt
        self._inline = inline
        self._ledger: Ledger | None = None
        self._steps: queue.SimpleQueue[tuple[Step[Any], asyncio.Future[Any] | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def post(self, step: Step[T]) -> asyncio.Future[T]:
        """Have `step` called with the ledger; the future has its result, or the `JournalError` that it ended with."""
        assert not self._is_closed, "closed"
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._inline:
            carried_out(lambda: step(self._open()), future)()
            return future
        if self._thread is None:
            self._thread = started(self._serve, loop, name="ledger")
        self._steps.put((step, future))
        return future

    def hurry(self) -> None:
        """No step is to wait any longer for a database that is away; the next ones try it once."""
        self._interrupt()

    async def close(self, *, within_s: float = CLOSE_S) -> None:
        """Carry out what was handed in, as far as that takes no longer than `within_s`, and close the ledger.

        Harmless when repeated.
        """
        if self._is_closed:
            return
        self.hurry()
        if self._thread is not None:
            done = self.post(lambda ledger: ledger.close())
            await asyncio.wait([done], timeout=within_s)
            if done.done():
                done.exception()  # where it could not be opened either, that was told before
            self._steps.put(None)
        elif self._ledger is not None:
            self._ledger.close()
        self._is_closed = True

    def _open(self) -> Ledger:
        if self._ledger is None:
            self._ledger = self._opening()
        return self._ledger

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while (handed_in := self._steps.get()) is not None:
            step, future = handed_in
            assert future is not None
            answer(lambda step=step: step(self._open()), future, loop)  # type: ignore[misc]
