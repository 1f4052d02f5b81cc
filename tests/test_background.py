"""Tasks started from callbacks of the loop, where anyio looks for its library as it does beside sniffio."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from pathlib import Path

import anyio
import pytest

from bulkwriter.engine.background import Background
from tests.cli_process import stub
from tests.library import LOOPS, on_loop, settings_for, some_pairs, wholly


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

    async with anyio.create_task_group() as tasks:
        background = Background(tasks)

        def in_a_callback() -> None:
            try:
                anyio.CancelScope()  # as `start_soon` makes one
            except RuntimeError as error:  # anyio's NoEventLoopError; some older ones let sniffio's through
                refused.append(error)
            background.start(lambda: step("second"))
            background.start(lambda: step("third"))

        background.start(lambda: step("first"))
        asyncio.get_running_loop().call_soon(in_a_callback)
        with anyio.fail_after(30):
            await all_started.wait()
        tasks.cancel_scope.cancel()
    assert started == ["first", "second", "third"]
    assert refused  # else this stand-in shows nothing


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
