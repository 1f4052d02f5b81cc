"""The run loop: one step after whatever moved, a stop that reaches everybody, and the run's own tasks.

These are started from callbacks too (where anyio looks for its library as it does beside sniffio), out of reach of who
cancels everything, and never gone without a word.
"""

from __future__ import annotations

import asyncio
import math
from contextvars import ContextVar
from pathlib import Path

import anyio
import pytest

from bulkwriter.errors import ConfigurationStop, JournalError, TryLater, UsageError
from bulkwriter.events import Event, Stopping, Unwell
from bulkwriter.run.run_loop import CUT, RunLoop
from tests.support.cli_process import stub
from tests.support.library import LOOPS, on_loop, settings_for, some_pairs, wholly
from tests.support.run_loop import a_run_loop


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

    background = a_run([])

    def in_a_callback() -> None:
        try:
            anyio.CancelScope()  # as an anyio task group makes one
        except RuntimeError as error:  # anyio's NoEventLoopError; some older ones let sniffio's through
            refused.append(error)
        background.spawn(step, "second")
        background.spawn(step, "third")

    background.spawn(step, "first")
    asyncio.get_running_loop().call_soon(in_a_callback)
    with anyio.fail_after(30):
        await all_started.wait()
    await background.aclose()
    assert started == ["first", "second", "third"]
    assert refused  # else this stand-in shows nothing


def a_run(told: list[Event]) -> RunLoop:
    """One in which nothing has to be done again."""
    return a_run_loop(clock=asyncio.get_running_loop().time, tell=told.append)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_cancel_of_everything_does_not_reach_the_tasks() -> None:
    told: list[Event] = []
    background = a_run(told)
    step = background.spawn(for_ever)
    assert step.task not in asyncio.all_tasks()
    await background.aclose()
    assert step.task.done()
    assert not told


async def test_whatever_ends_a_task_before_its_time_is_told() -> None:
    async def fail(error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    async def end_of(error: BaseException | None) -> list[str]:
        told: list[Event] = []
        run = a_run(told)
        found = run.spawn(fail, error) if error else run.spawn(for_ever)
        await asyncio.sleep(0)
        if error is None:
            found.task.cancel()
        await asyncio.wait([found.task])
        await run.aclose()
        return [event.reason for event in told if isinstance(event, Stopping | Unwell)]

    assert await end_of(UsageError("mine")) == ["mine"]
    assert "a bug" in (await end_of(ValueError("a bug")))[0]
    assert await end_of(asyncio.CancelledError()) == [CUT]
    assert await end_of(None) == [CUT]


async def test_however_much_moves_in_a_turn_one_step_follows_and_then_all_who_wait_are_asked() -> None:
    steps: list[int] = []
    moved: list[int] = []

    def step() -> float:
        steps.append(len(moved))
        return math.inf

    run = a_run_loop(step, clock=asyncio.get_running_loop().time)
    waiting = asyncio.create_task(run.until(lambda: len(moved) >= 4))
    await asyncio.sleep(0)
    for _ in range(2):
        moved.append(1)
        run.soon()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (steps, waiting.done()) == ([2], False)
    moved += [1, 1]
    run.soon()
    await waiting
    assert steps == [2, 4]


async def test_a_step_is_made_again_when_it_wants_to_be_and_not_after_a_stop() -> None:
    clock = asyncio.get_running_loop().time
    begun = clock()
    at: list[float] = []

    def step() -> float:
        at.append(clock())
        return begun + 0.02 if len(at) == 1 else math.inf if len(at) == 2 else begun + 0.1

    run = a_run_loop(step, clock=clock)
    run.soon()
    await run.until(lambda: len(at) == 2)
    assert at[1] >= begun + 0.0199
    run.halt()
    await run.until(lambda: len(at) == 3)
    assert run._timer is not None
    run.halt()
    assert run.is_stopping


async def test_an_error_ends_what_it_concerns_and_the_first_counts_but_for_that_of_a_disk() -> None:
    told: list[Event] = []
    run = a_run(told)
    reached: list[object] = []

    async def take() -> None:
        source = run.take_source()
        with source.until_ended():
            await for_ever()
        reached.append(1)
        with source.until_ended():  # one that begins after it
            await for_ever()
        reached.append(source.error)
        run.source_left()

    first, disk = UsageError("first"), JournalError("the disk is full")
    for end, is_unwell in ((run.end_source, False), (run.stop, True)):
        taking = asyncio.create_task(take())
        await asyncio.sleep(0)
        for error in (first, UsageError("second")):
            end(error)
        assert run.is_ending
        await taking
        assert (run.error, run.is_stopping, run.is_ending) == (None, False, False)
        assert bool(run.suspension.error) == is_unwell
    assert reached == [1, first] * 2
    assert [event for event in told if isinstance(event, Stopping)] == [
        Stopping("first", is_error=True, is_source=True)
    ] * 2
    run.stop(first)
    run.stop(disk)
    run.stop(JournalError("again"))
    assert run.error is disk
    assert run.is_stopping
    assert run.take_source().is_ended


async def test_an_error_without_a_source_is_told_once_and_ends_nothing() -> None:
    told: list[Event] = []
    run = a_run(told)
    for _ in range(3):
        run.stop(ConfigurationStop("HTTP 403", hint="the role"))
    assert [(type(event), event.reason) for event in told if isinstance(event, Unwell)] == [(Unwell, "HTTP 403")]
    assert not run.is_stopping
    assert run.error is None


async def test_lasting_work_begins_anew_after_an_error_that_passes() -> None:
    begun = []

    async def work() -> None:
        begun.append(1)
        raise TryLater("later") if len(begun) < 3 else JournalError("the disk")

    run = a_run([])
    run.spawn(run.lasting, work)
    for count in (1, 2):
        await run.until(lambda: run.suspension.error is not None)
        assert (len(begun), run.is_stopping) == (count, False)
        run.suspension.end(is_proven=True)
        run.soon()
    await run.until(lambda: run.is_stopping)
    assert isinstance(run.error, JournalError)


async def test_a_bug_in_the_step_or_in_a_condition_ends_the_run_and_nobody_waits_for_ever() -> None:
    def broken() -> float:
        raise ValueError("a bug")

    run = a_run_loop(broken, clock=asyncio.get_running_loop().time)
    waiting = asyncio.create_task(run.until(lambda: run.is_stopping))
    await asyncio.sleep(0)
    run.soon()
    await waiting
    assert run.error is not None
    asked: list[int] = []

    def is_so() -> bool:
        asked.append(1)
        if len(asked) > 1:
            raise ValueError("another")
        return False

    async def ask() -> None:
        await run.until(is_so)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    run.soon()
    with pytest.raises(ValueError, match="another"):
        await asking


async def test_a_task_that_is_ended_may_do_what_must_follow_and_one_begun_late_ends_at_once() -> None:
    ended: list[str] = []

    async def step(name: str) -> None:
        try:
            await for_ever()
        finally:
            ended.append(name)

    told: list[Event] = []
    background = a_run(told)
    background.spawn(step, "cancelled before it began").cancel()
    background.spawn(step, "running")
    await asyncio.sleep(0)
    await background.aclose()
    late = background.spawn(step, "late")
    await asyncio.wait([late.task])
    assert sorted(ended) == ["cancelled before it began", "late", "running"]
    assert not told


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
