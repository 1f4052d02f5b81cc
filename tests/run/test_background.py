"""The run's own tasks: started from callbacks too (where anyio looks for its library as it does beside sniffio), out of
reach of who cancels everything, and never gone without a word."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from pathlib import Path

import anyio
import pytest

from bulkwriter.errors import BulkwriterError, UsageError
from bulkwriter.run.background import CUT, Background
from tests.support.cli_process import stub
from tests.support.library import LOOPS, on_loop, settings_for, some_pairs, wholly


class Sniffio:
    """What anyio uses of sniffio, with its rule for asyncio: there is a current task, or nothing is known."""

    class AsyncLibraryNotFoundError(RuntimeError):
        pass

    current_async_library_cvar: ContextVar[str | None] = ContextVar("library", default=None)

    @classmethod
    def current_async_library(cls) -> str:
        try:
            if asyncio.current_task():
                return "asyncio"
        except RuntimeError:
            pass
        raise cls.AsyncLibraryNotFoundError


@pytest.fixture(autouse=True)
def sniffio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyio._core._eventloop.sniffio", Sniffio)


async def test_a_callback_starts_tasks_as_a_task_does() -> None:
    started: list[str] = []
    all_started = asyncio.Event()
    refused: list[BaseException] = []

    async def step(name: str) -> None:
        started.append(name)
        if len(started) == 3:
            all_started.set()

    background = Background(Told())

    def in_a_callback() -> None:
        try:
            anyio.CancelScope()  # as an anyio task group makes one
        except RuntimeError as error:  # anyio's NoEventLoopError; some older ones let sniffio's through
            refused.append(error)
        background.start(step, "second")
        background.start(step, "third")

    background.start(step, "first")
    asyncio.get_running_loop().call_soon(in_a_callback)
    with anyio.fail_after(30):
        await all_started.wait()
    await background.aclose()
    assert started == ["first", "second", "third"]
    assert refused  # else this stand-in shows nothing


class Told:
    """Who is told of what went wrong."""

    def __init__(self) -> None:
        self.stopped: list[BulkwriterError] = []
        self.bugs: list[BaseException] = []

    def stop(self, error: BulkwriterError) -> None:
        self.stopped.append(error)

    def crashed(self, error: BaseException) -> None:
        self.bugs.append(error)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_cancel_of_everything_does_not_reach_the_tasks() -> None:
    told = Told()
    background = Background(told)
    step = background.start(for_ever)
    assert step.task not in asyncio.all_tasks()
    await background.aclose()
    assert step.task.done()
    assert not told.stopped


async def test_whatever_ends_a_task_before_its_time_is_told() -> None:
    async def fail(error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    told = Told()
    background = Background(told)
    mine, bug = UsageError("mine"), ValueError("a bug")
    for error in (mine, bug, asyncio.CancelledError()):
        background.start(fail, error)
    found = background.start(for_ever)
    await asyncio.sleep(0.01)
    found.task.cancel()
    await asyncio.wait([found.task])
    assert told.bugs == [bug]
    assert told.stopped[0] is mine
    assert [error.message for error in told.stopped[1:]] == [CUT, CUT]
    await background.aclose()


async def test_a_task_that_is_ended_may_do_what_must_follow_and_one_begun_late_ends_at_once() -> None:
    ended: list[str] = []

    async def step(name: str) -> None:
        try:
            await for_ever()
        finally:
            ended.append(name)

    told = Told()
    background = Background(told)
    background.start(step, "cancelled before it began").cancel()
    background.start(step, "running")
    await asyncio.sleep(0)
    await background.aclose()
    late = background.start(step, "late")
    await asyncio.wait([late.task])
    assert sorted(ended) == ["cancelled before it began", "late", "running"]
    assert not told.stopped
    assert not told.bugs


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_a_run_beside_sniffio(tmp_path: Path, loop: str) -> None:
    pairs = some_pairs(300)
    faults = [{"kind": kind, "share": 0.05} for kind in ("rst_before", "fin_after", "500_after")]
    with stub(faults=faults, limits=[{"kind": "bucket", "count": 300, "burst": 20}]) as server:
        settings = settings_for(server, tmp_path / "j", in_flight=8)
        summary = on_loop(lambda: wholly(pairs, settings), loop=loop, server=server)
        truth = server.truth()
    assert (summary.counts.created, truth["records"], truth["doubles"]) == (300, 300, 0)
