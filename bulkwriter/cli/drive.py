"""Bring a source to its end through a writer: the only place of the command line that runs an event loop.

`drive` opens the writer and its source, shows progress, turns the first signal into a drain, and answers with an
`Ending` whatever happens: it raises nothing.  A signal before anything could be sent cancels the start.  What a
writer and a source are to us stands here as protocols, so that tests give fakes through the same door
(`Job.open_writer`, `Job.open_source`).

uvloop where it is installed, asyncio elsewhere; no loop policy is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..guarded import guarded
from ..model import Ended, Snapshot, Summary
from . import describe, progress
from .ending import Ending, empty_summary
from .signals import Signals
from .stderr import Voice

T = TypeVar("T")

LIVE_S = 0.2
"""Time between two drawings of a live display: smooth to the eye, under 1% of a core."""


class Writer(Protocol):
    """What a `BulkWriter` is to the command line."""

    async def write_all(self, source: Any) -> Summary: ...
    def snapshot(self) -> Snapshot: ...
    def drain(self, reason: str, *, ended: Ended | None = None) -> None: ...
    def summary(self) -> Summary: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One run: how to open its source, then its writer for that source, and how to show its progress."""

    open_source: Callable[[], Any]
    open_writer: Callable[[Any], AbstractAsyncContextManager[Any]]
    journal: str | None
    show: str  # "rich", "plain" or "none"


def run_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function on the fastest loop there is."""
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(main())


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class Drain:
    """Carries the first signal from its thread into the loop.

    Before a writer is there the start is cancelled: nothing was sent.  Later the writer drains, and tells so itself.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start: asyncio.Task[Any] | None = None
        self._main: asyncio.Task[Any] | None = None
        self._writer: Writer | None = None
        self._reason = ""
        self._exit_code = 0
        self.bug: Exception | None = None
        """What went wrong in draining; then the run was cancelled instead."""

    def request(self, number: signal.Signals) -> None:
        """Called from the signals' thread."""
        self._reason, self._exit_code = number.name, 128 + int(number)
        loop = self._loop
        if loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop closed just now: there is nothing left to drain
            loop.call_soon_threadsafe(guarded(self._act, self._crashed))

    def starting(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._main = asyncio.current_task()
        if self._reason:
            self._act()

    def started(self, writer: Writer) -> None:
        self._start, self._writer = None, writer

    def ended(self) -> None:
        self._writer = self._start = None

    def summary(self) -> Summary | None:
        """How the run stands if the process is left now, for a last word from another thread; None where nothing is
        there yet, or it is busy."""
        with contextlib.suppress(RuntimeError):  # a dict changed while it was read
            return self._writer.summary().abandoned() if self._writer else None
        return None

    def _crashed(self, error: Exception) -> None:
        self.bug = error
        if self._main is not None:
            self._main.cancel()

    def _act(self) -> None:
        if self._writer is not None:
            count = self._writer.snapshot().in_flight
            waiting = f"; waiting for {describe.quantity(count, 'request')} in flight" if count else ""
            self._writer.drain(
                f"{self._reason}, so nothing new is sent{waiting}; once more aborts at once",
                ended=Ended("signal", self._reason, self._exit_code),
            )
        elif self._start is not None:
            self._voice.say(f"stopping: {self._reason}, before anything was sent", event="stopping")
            self._start.cancel()


async def drive(job: Job, voice: Voice, drain: Drain, signals: Signals) -> Ending:
    """Run the job to its end.  Raises nothing: what went wrong is in the `Ending`."""
    summary = empty_summary(job.journal)
    error: BaseException | None = None
    writer: Writer | None = None
    try:
        drain.starting()
        async with contextlib.AsyncExitStack() as stack:
            source = job.open_source()
            stack.push_async_callback(source.aclose)
            writer = opened = await stack.enter_async_context(job.open_writer(source))
            drain.started(opened)
            tell_resume(opened.snapshot(), voice)
            async with showing(job.show, opened, voice):
                await opened.write_all(source)
    except asyncio.CancelledError as e:
        error = drain.bug or (None if signals.first else e)
    except BaseException as e:
        error = e
    finally:
        drain.ended()
    if writer is not None:
        summary = writer.summary()
    return Ending(summary=summary, error=error, signal_code=signals.exit_code)


def tell_resume(found: Snapshot, voice: Voice) -> None:
    """Say what an earlier start has left, if there was one."""
    counts = found.counts
    if counts.pairs:
        doubts = f", {counts.in_doubt:,} in doubt" if counts.in_doubt else ""
        unread = f", {describe.not_read(found.not_read, is_exact=found.is_total_exact)} not read yet"
        voice.say(
            f"resuming: {found.done:,} of {describe.quantity(counts.pairs, 'row')} read are done{doubts}"
            f"{unread if found.not_read else ''}",
            event="resuming",
        )


@contextlib.asynccontextmanager
async def showing(show: str, writer: Writer, voice: Voice) -> AsyncIterator[None]:
    """Progress of `writer` while the block runs."""
    if show == "none":
        yield
        return
    async with beside(show_progress(show, writer, voice)):
        yield


@contextlib.asynccontextmanager
async def beside(step: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `step` while the block runs."""
    task = asyncio.create_task(step, name="progress")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def show_progress(show: str, writer: Writer, voice: Voice) -> None:
    """Draw every `LIVE_S`, or say a line at growing intervals, until cancelled."""
    while True:
        if show == "rich":
            voice.show(writer.snapshot())
            await asyncio.sleep(LIVE_S)
            continue
        await asyncio.sleep(progress.pause_s(writer.snapshot().elapsed_s))
        now = writer.snapshot()
        voice.say(progress.plain_line(now), **progress.json_facts(now))
