"""What tests of the library share: settings for a stub, pairs, a loop of either kind, and a look at what is left.

`on_loop` runs a coroutine function on a loop of its own and then looks for what a closed writer must not leave: tasks,
threads, and (given the stub) connections.  `wholly` writes all pairs with a fresh writer and says what the stub's own
count is then: the end of every test that broke something on the way.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from bulkwriter import BulkWriter, Outcome, Settings, State, Summary
from bulkwriter.stub.thread import StubThread, fastest_loop
from tests.conftest import CANARY

T = TypeVar("T")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": fastest_loop(),
}
LEFT_S = 20.0
"""How long a thread or connection that was told to end may take for it."""


def settings_for(server: StubThread | str, journal: Path | None = None, **chosen: Any) -> Settings:
    """Settings with short waits for doubts; whatever is `chosen` wins."""
    url = server if isinstance(server, str) else server.base_url
    how: dict[str, Any] = {"token": CANARY, "late_apply_s": 0.2, "list_lag_s": 0.05, **chosen}
    return Settings(base_url=url, journal=journal, **how)


def some_pairs(count: int, *, first: int = 1) -> list[tuple[int, int]]:
    """Different pairs of 10 lessons."""
    return [(1 + i % 10, first + i // 10) for i in range(count)]


def on_loop(main: Callable[[], Awaitable[T]], *, loop: str = "uvloop", server: StubThread | None = None) -> T:
    """Run `main` to its end, and see that nothing of it is left."""

    before = set(threading.enumerate())  # a test of hanging disks may have left a journal's thread in this process

    async def whole() -> T:
        try:
            return await main()
        finally:
            await asyncio.sleep(0)
            assert not (left := [task.get_name() for task in tasks_here()]), left

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        result = runner.run(whole())
        soon(lambda: not [t for t in threading.enumerate() if t.name == "journal" and t not in before])
        if server:
            soon(lambda: not server.truth()["connections"])
    return result


def tasks_here() -> list[asyncio.Task[Any]]:
    """Every other task of this loop, also those that `asyncio.all_tasks` does not tell of."""
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    tasks = [there for there in gc.get_objects() if isinstance(there, asyncio.Task)]
    return [task for task in tasks if task.get_loop() is loop and not task.done() and task is not me]


def soon(is_so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + LEFT_S
    while not is_so():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


async def all_of(writer: BulkWriter, pairs: Any) -> list[Outcome]:
    """Every outcome of a stream."""
    return [outcome async for outcome in writer.stream(pairs)]


async def wholly(pairs: Any, settings: Settings) -> Summary:
    async with BulkWriter(settings) as writer:
        return await writer.write_all(pairs)


def states(journal: Path) -> dict[State, int]:
    """Rows of a journal by state; empty where there is none yet."""
    if not journal.exists():
        return {}
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'pair'").fetchone()[0]:
            return {}
        return {State(state): n for state, n in db.execute("SELECT state, count(*) FROM pair GROUP BY state")}
    finally:
        db.close()


def truth(server: StubThread) -> tuple[int, int]:
    """(different pairs on the server, records too many), by the stub's own count."""
    said = server.truth()
    return said["distinct_pairs"], said["doubles"]
