"""Starts tasks from anywhere in the event loop, also from its callbacks.

For each new task anyio asks which library is running.  Where `sniffio` is installed (trio, and many a client of a web
service, bring it) the answer is that of the current task, and a callback of the loop (a reply, a timer) has none:
`start_soon` raises `NoEventLoopError` there.  So what a callback starts is handed to a task that starts it, a turn of
the loop later; with or without sniffio, so that both are the same program.

Not here: what the tasks do, and what becomes of their errors (`engine`).  Source: anyio 4.16, `current_async_library`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from anyio.abc import TaskGroup


class Background:
    """Tasks of one group; made inside a task."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._waiting: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._some = asyncio.Event()
        tasks.start_soon(self._start_waiting)

    def start(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `step` in the group; returns at once."""
        if asyncio.current_task():
            self._tasks.start_soon(step)
        else:
            self._waiting.append(step)
            self._some.set()

    async def _start_waiting(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                self._tasks.start_soon(self._waiting.popleft())
