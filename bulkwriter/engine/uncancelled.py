"""Runs a step to its end whoever is cancelled meanwhile, and only then lets the cancellation go on.

A commit and what must follow it in memory are such a step: were they separated, intents could be durable that nobody
sends or returns.  anyio's shield keeps off anyio's cancellations but not asyncio's own (`task.cancel()`,
`asyncio.timeout`), which reach into the shield; so the step is a task of its own here, and its caller waits for it.

Invariant: when `to_its_end` is left, by whatever way, the step has ended.  A step that hangs hangs its caller: it must
have an end of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def to_its_end(step: Coroutine[Any, Any, T]) -> T:
    """What `step` returns or raises; a cancellation is raised after it, instead of its result."""
    task = asyncio.get_running_loop().create_task(step)
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
