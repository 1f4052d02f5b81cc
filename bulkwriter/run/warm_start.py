"""Keeps what the control learnt of the server, for the next run of the account: at the end, and each `EVERY_S`.

In between only where the rate is another one than that kept last, by more than `SAME`.  The disk is
waited for by a thread of its own, and by the run no longer than `WAIT_S`: neither a full nor a hanging disk, nor a file
of nonsense, does anything to a run but that the next one searches anew.  An observer hears of it.

Invariant: at most one thread at a time, and a daemon, so that a process can always end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import anyio

from ..events import NotRemembered, Remembered
from ..guarded import guarded
from ..threads import started
from .warm_start_file import Found

if TYPE_CHECKING:
    from .engine import Engine

T = TypeVar("T")

EVERY_S: Final = 60.0
WAIT_S: Final = 2.0
SAME: Final = 0.01
SLOW: Final = "the disk takes too long"


class Kept(Protocol):
    """See `run.warm_start_file.LearntFile`; both block."""

    def read(self, wall: float) -> Found: ...
    def write(self, learnt: dict[str, float], wall: float) -> str: ...


class Remembering:
    """What one process reads of `kept` when it begins, and writes to it."""

    def __init__(self, kept: Kept, wall: Callable[[], float], *, wait_s: float = WAIT_S) -> None:
        self._kept, self._wall, self._wait_s = kept, wall, wait_s
        self._thread: threading.Thread | None = None
        self._rate = -1.0
        self.found: Found | None = None

    async def begin(self) -> None:
        """Read what is kept."""
        self.found = await self._beside(lambda: self._kept.read(self._wall()))

    def restore(self, engine: Engine) -> None:
        """Give the control what was found."""
        found = self.found
        if found is None or found.trouble:
            engine.tell(NotRemembered(found.trouble if found else SLOW))
        elif rate := engine.parts.control.restore(found.learnt, found.age_s):
            engine.tell(Remembered(rate, found.age_s))

    async def keep(self, engine: Engine) -> None:
        """Write for ever, when another rate was learnt."""
        while True:
            await anyio.sleep(EVERY_S)
            rate = engine.parts.control.learnt().get("rate_per_s", self._rate)
            if abs(rate - self._rate) > SAME * self._rate:
                await self.keep_now(engine)

    async def keep_now(self, engine: Engine) -> None:
        """Write what is learnt, if anything is."""
        learnt = engine.parts.control.learnt()
        if not learnt or (self._thread and self._thread.is_alive()):
            return
        trouble = await self._beside(lambda: self._kept.write(learnt, self._wall()))
        if trouble == "":
            self._rate = learnt["rate_per_s"]
        else:
            engine.tell(NotRemembered(trouble or SLOW))

    async def _beside(self, step: Callable[[], T]) -> T | None:
        """What `step` returns in a thread; None if that takes too long."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def give(result: T) -> None:
            if not done.done():
                done.set_result(result)

        def fail(error: BaseException) -> None:
            if not done.done():
                done.set_exception(error)

        def work() -> None:
            try:
                tell = partial(give, step())
            except BaseException as error:
                tell = partial(fail, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(guarded(tell, fail))

        self._thread = started(work, name="learnt")
        with anyio.move_on_after(self._wait_s):
            return await done
        return None
