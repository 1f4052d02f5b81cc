"""A guard around whatever the event loop calls by itself: an exception there ends the run instead of a line in a log.

The loop reports an exception of a callback to its exception handler, by default a log line, and goes on: whoever waited
for what the callback would have done waits for ever.  So each callback of ours (`call_soon`, `call_later`, `call_at`,
`call_soon_threadsafe`, `add_done_callback`) is `guarded`, with what then happens: mostly the engine's `crashed`, which
ends the run with exit code 70 and wakes all who wait.  Lanes, which the loop calls as protocols, guard themselves.

Beside it, since a task of ours is called by the loop as well: whether a `CancelledError` in it is its own.

Invariant, held by a test: no callback of the package reaches the loop without its guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


def guarded(step: Callable[..., Any], crashed: Callable[[Exception], Any]) -> Callable[..., None]:
    """`step` for the loop to call; what it raises goes to `crashed`, which must not raise."""

    def call(*args: Any) -> None:
        try:
            step(*args)
        except Exception as error:
            crashed(error)

    return call


def is_cancelled() -> bool:
    """Whether somebody cancelled the current task.  Else a `CancelledError` is that of something it waited for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
