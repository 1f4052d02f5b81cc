"""Tasks that end by their own rules, whoever is cancelled around them.

Two things want this.  A commit and what must follow it in memory are one step: were they separated, intents could be
durable that nobody sends or returns.  And a run ends in good order only with the help of its own tasks, such as the one
that commits outcomes: whoever waits for a commit waits for that one.

Neither anyio's shield nor a task of one's own is enough.  `asyncio.run`, whose main raised, cancels every task that
`asyncio.all_tasks` knows of, and so do servers and test runners at their end; a shield keeps off anyio's cancellations
and none of asyncio's.  So a task of ours is not in that list (`own_task`): its owner ends it, and a caller who is in
the list waits for that owner.  `_unregister_task` is documented, for authors of tasks.

Invariant: when `to_its_end` is left, by whatever way, the step has ended.  A step that hangs hangs its caller: it must
have an end of its own.  Source: docs.python.org/3/library/asyncio-extending.html, "Task lifetime support".
"""

from __future__ import annotations

import asyncio
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
    """What `step` returns or raises; a cancellation is raised after it, instead of its result."""
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
