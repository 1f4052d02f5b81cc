"""Starts the threads that wait for disks, pipes and databases, and brings an answer of one to its event loop.

They are daemons, since a hanging thread must not keep a process alive.

If the system has no room for one more thread, Python says `RuntimeError: can't start new thread`.  The caller then gets
a `UsageError` that names the limits instead.

Not here: what the threads do, and how they end.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .errors import UsageError

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

LIMITS: Final = "see the limits on processes and memory (ulimit -u, ulimit -v; pids.max of a container or service)"


def started(target: Callable[..., Any], *args: Any, name: str) -> threading.Thread:
    """Start a thread that runs `target(*args)`."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise UsageError(f"{error} ({name})", hint=LIMITS) from None
    return thread


def begun(call: Callable[[], T], *, name: str) -> tuple[threading.Thread, asyncio.Future[T]]:
    """A thread that makes one call, and the future of what comes of it."""
    import asyncio  # here, since a slip on the command line needs no loop

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    return started(answer, call, future, loop, name=name), future


def answer(call: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    """In a thread: make the call, and have the loop give the future what came of it."""
    from .guarded import guarded

    tell = carried_out(call, future)
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(guarded(tell, partial(fail, future)))


def carried_out(call: Callable[[], T], future: asyncio.Future[T]) -> Callable[[], None]:
    """Make the call; what this returns gives the future what came of that."""
    try:
        return partial(give, future, call())
    except BaseException as error:  # every waiting caller must hear of it
        return partial(fail, future, error)


def give(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
