"""Tasks that end by their own rules, even if everything around them is cancelled.

Two things need this.  First, a commit and the changes in memory after it are one step.  Otherwise intents could be
durable that nobody sends or returns.  Second, a run ends in good order only with the help of its own tasks, such as the
one that commits outcomes: everybody who waits for a commit waits for that task.

Neither anyio's shield nor an ordinary task is enough.  When the main function of `asyncio.run` raises, every task in
`asyncio.all_tasks` is cancelled.  Servers and test runners do the same at their end.  A shield keeps off cancellations
of anyio, but not those of asyncio.  So our task is not in that list (`own_task`).  Its owner ends it, and callers in
the list wait for the owner.  `_unregister_task` is documented, for authors of tasks.

`to_its_end` waits for a step as long as it takes, `with_grace` for a limited time after a cancellation.

Invariant: when `to_its_end` is left, in any way, the step has ended.  A step that hangs also hangs its caller, so it
must have an end of its own.  Source: docs.python.org/3/library/asyncio-extending.html, "Task lifetime support".
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.tasks import _unregister_task
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


def own_task(step: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
    """Run `step` in a task that only its owner cancels.  The owner keeps it and waits for its end."""
    task = asyncio.get_running_loop().create_task(step, name=name)
    _unregister_task(task)
    return task


async def to_its_end(step: Coroutine[Any, Any, T]) -> T:
    """Run `step` to its end, and return or raise what it does.  A cancellation is raised after it, in place of its
    result.
    """
    task = own_task(step)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled and not task.cancelled() and task.exception() is None:
        raise cancelled
    return task.result()


async def with_grace(step: Coroutine[Any, Any, T], grace_s: float) -> T:
    """Run `step`.  A cancellation gives it `grace_s` more to come to its end, then cancels it, and is raised."""
    task = own_task(step)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        until = asyncio.get_running_loop().time() + grace_s
        with anyio.CancelScope(shield=True):
            while not task.done():
                if asyncio.get_running_loop().time() >= until:
                    task.cancel()
                with contextlib.suppress(asyncio.CancelledError):  # once more: the time is running already
                    await asyncio.wait([task], timeout=max(0.0, until - asyncio.get_running_loop().time()) or None)
        if not task.cancelled():
            task.exception()  # seen: the cancellation goes before it
        raise
    return task.result()
