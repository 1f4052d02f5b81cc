"""A guard for callbacks of the event loop: an exception in one ends the run, instead of being a line in a log.

By default the loop reports an exception of a callback as a log line and goes on.  A task that waits for the effect of
the callback would wait for ever.  So each of our callbacks (`call_soon`, `call_later`, `call_at`,
`call_soon_threadsafe`, `add_done_callback`) is `guarded`, together with the reaction to an exception.  That is mostly
the run's `crashed`, which ends the run with exit code 70 and wakes all waiting callers.  Lanes are called by the loop
as protocols and guard themselves.

The loop calls our tasks as well.  So this module also tells whether a `CancelledError` in a task is its own.

Invariant, held by a test: no callback of the package reaches the loop without its guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


def guarded(step: Callable[..., Any], crashed: Callable[[Exception], Any]) -> Callable[..., None]:
    """A callback that runs `step`.  An exception goes to `crashed`, which must not raise."""

    def call(*args: Any) -> None:
        try:
            step(*args)
        except Exception as error:
            crashed(error)

    return call


def is_cancelled() -> bool:
    """Whether somebody cancelled the current task.  If not, a `CancelledError` comes from something that it waited
    for.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
