"""The tasks that a run needs to go on and to end: started from anywhere in the event loop, also from its callbacks.

They are tasks of the engine's own (`uncancelled`): a cancel of everything at once ends the callers, and these go on
until the run has ended in good order.  `aclose` ends them, and so does nothing else.

Whatever ends a step before its time is told to the host, so that nobody waits for what it would have done: an error of
ours that stops the run, a bug, or a cancel or an interrupt from somewhere.  The host wakes all who wait.

Not here: what the tasks do.  No anyio task group: to start a task it asks which library is running, and beside
`sniffio` a callback of the loop has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import anyio

from ..errors import BulkwriterError, TryLater
from ..shielded import own_task

CUT: Final = "a task of the writer was cancelled or interrupted from outside"


class Host(Protocol):
    """Who is told of what went wrong."""

    def stop(self, error: BulkwriterError) -> None: ...
    def crashed(self, error: BaseException) -> None: ...


class Step:
    """One of the tasks; `cancel` ends it, whether it has begun or not, and lets it do what must follow."""

    __slots__ = ("_is_cancelled", "_scope", "task")

    def __init__(self) -> None:
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False
        self.task: asyncio.Task[None]

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._scope:
            self._scope.cancel()

    async def run(self, host: Host, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        with anyio.CancelScope() as self._scope:
            if self._is_cancelled:
                self._scope.cancel()
            try:
                await work(*args)
            except BulkwriterError as error:
                host.stop(error)
            except Exception as error:
                host.crashed(error)
            except BaseException:
                if not self._is_cancelled:
                    host.stop(TryLater(CUT, hint="the same pairs later go on; the journal has what was sent"))
                raise


class Background:
    """The tasks of one run."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._steps: dict[asyncio.Task[None], Step] = {}
        self._is_closing = False

    def start(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Step:
        """Run `work(*args)` beside; returns at once."""
        step = Step()
        task = step.task = own_task(step.run(self._host, work, args))
        self._steps[task] = step
        task.add_done_callback(self._ended)
        if self._is_closing:
            step.cancel()
        return step

    async def aclose(self) -> None:
        """End them all and wait for it."""
        self._is_closing = True
        while self._steps:
            for step in self._steps.values():
                step.cancel()
            await asyncio.wait(list(self._steps))

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._steps[task]
        if not task.cancelled():
            task.exception()  # told already; an interrupt went through the loop by itself
