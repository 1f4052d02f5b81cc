"""Clocks that a test moves on, so that no wait is sat out: the fixture `bulkwriter_clock`.

    await clock.advance(60)                        a minute passes, now
    outcomes = await clock.until(write_many(...))  time flies until this is done, as fast as nothing else is to be done

One clock serves a writer, with real sockets and a real journal, and the stub that it talks to, each in any event loop
and thread.  Left alone it goes as the machine's clock does.  To `advance` it goes on from timer to timer, in their
order.  It goes on only while nobody has anything to do:

    no timer is due, in any loop
    for `STILL_S` nobody has looked at the clock, as everybody does who sends, reads or applies a request
    no thread of a journal or a ledger is at work (`watch`)

So no request on its way meets a deadline that a slow machine alone would have kept it from meeting.  Where only
somebody is left who looks again and again (`idle`), the steps grow: 1 s, 2 s, 4 s, up to an hour.

Not moved: connecting, the function that gives a token, a ledger in PostgreSQL, and what the test itself waits for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import anyio

from ..clocks import MACHINE, Clocks

T = TypeVar("T")
Loop = asyncio.AbstractEventLoop

STILL_S: Final = 0.005
"""Real time without a look at the clock.  On loopback a request and its reply take a twentieth of it; a busy machine
that takes longer is noticed by the loops, which are asked as well."""
STRIDE_S: Final = 1.0
"""The first step where nobody waits for a time.  Whoever looks again and again does so up to four times a second."""
MOST_STRIDE_S: Final = 3_600.0
"""The longest step.  A day takes a second or two, and whoever looks again and again misses no more than this."""
ASK_S: Final = 1.0
"""The longest wait for a turn of a loop, which may be ending just then."""
WORK_S: Final = 10.0
"""The longest wait for a thread, which may belong to a writer that was never closed."""
MOST_S: Final = 7 * 86_400.0
"""How long `until` lets time fly."""


class SteeredTimer:
    """A step that is to come at `at`, in its loop."""

    __slots__ = ("_args", "_clocks", "_handle", "_step", "at", "is_idle", "loop")

    def __init__(self, clocks: SteeredClocks, at: float, step: Callable[..., object], args: Any, *, idle: bool) -> None:
        self._clocks, self.at, self._step, self._args, self.is_idle = clocks, at, step, args, idle
        self.loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        clocks.timers[self] = None
        self.arm()

    def arm(self) -> None:
        """In its loop: let the loop call it when the clock says `at`."""
        if self._handle:
            self._handle.cancel()
        if self in self._clocks.timers:
            self._handle = self.loop.call_later(max(0.0, self.at - self._clocks.shown()), self._fire)

    def cancel(self) -> None:
        self._clocks.timers.pop(self, None)
        if self._handle:
            self._handle.cancel()

    def _fire(self) -> None:
        if self.at > self._clocks.shown():  # a loop's clock may be coarser
            self.arm()
        elif self._clocks.timers.pop(self, self) is None:
            self._step(*self._args)


class SteeredClocks(Clocks):
    """See the module.  All methods may be called from any thread."""

    def __init__(self) -> None:
        super().__init__(
            clock=self._clock,
            boot=lambda: MACHINE.boot() + self._ahead,
            wall=lambda: MACHINE.wall() + self._ahead,
        )
        self._ahead = 0.0
        self._looks = 0
        self._busy: list[Callable[[], bool]] = []
        self.timers: dict[SteeredTimer, None] = {}
        """Those that are to come, in all loops."""

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass for all who use this clock.  It returns when they have nothing to do until more pass.

        They may have real work to do all the time; then `seconds` pass as they do on the wall.
        """
        assert seconds >= 0, "time does not go back"
        end = self.shown() + seconds
        steps = Steps(self)
        while True:
            await self._still(lambda: self.shown() >= end)
            if self.shown() >= end:
                break
            steps.one(end)
        await self._still(lambda: False)

    async def until(self, awaited: Awaitable[T], *, most_s: float = MOST_S) -> T:
        """Let time fly until `awaited` is done, and return its result.

        Raises `TimeoutError`, and cancels it, when it is not done after `most_s` seconds of this clock.
        """
        task = asyncio.ensure_future(awaited)
        end = self.shown() + most_s
        steps = Steps(self)
        try:
            while not task.done():
                await self._still(task.done)
                if task.done():
                    break
                if self.shown() >= end:
                    raise TimeoutError(f"not done after {most_s:,.0f} s of bulkwriter_clock")
                steps.one(end)
            return await task
        finally:
            task.cancel()

    # what bulkwriter calls

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds, idle=False)

    async def idle(self, seconds: float) -> None:
        await self._sleep(seconds, idle=True)

    @contextmanager
    def move_on_after(self, seconds: float | None) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            timer = None if seconds is None else self.call_later(seconds, scope.cancel)
            try:
                yield scope
            finally:
                if timer:
                    timer.cancel()

    def call_later(self, seconds: float, step: Callable[..., object], *args: Any, idle: bool = False) -> SteeredTimer:
        return SteeredTimer(self, self.shown() + seconds, step, args, idle=idle)

    async def wait(self, future: asyncio.Future[Any], until: float) -> bool:
        with self.move_on_after(max(0.0, until - self.shown())):
            await asyncio.wait([future])
        return future.done()

    def watch(self, is_busy: Callable[[], bool]) -> None:
        self._busy.append(is_busy)

    # the clock

    def shown(self) -> float:
        """What the clock says, for those who steer it: their look does not count."""
        return MACHINE.clock() + self._ahead

    def _clock(self) -> float:
        self._looks += 1
        return MACHINE.clock() + self._ahead

    async def _sleep(self, seconds: float, *, idle: bool) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, finish, over, idle=idle)
        try:
            await over
        finally:
            timer.cancel()

    # moving on

    def jump(self, to: float) -> None:
        """Let the clock say `to`, and end what is over by then."""
        self._ahead += max(0.0, to - self.shown())
        for timer in list(self.timers):
            try:
                timer.loop.call_soon_threadsafe(timer.arm)
            except RuntimeError:  # its loop is closed, and nobody waits there any more
                self.timers.pop(timer, None)

    async def _still(self, is_over: Callable[[], bool]) -> None:
        """Wait until nobody has anything to do, or until `is_over()`."""
        busy_s = 0.0
        while not is_over():
            looks = self._looks
            await asyncio.sleep(STILL_S)
            for loop in {timer.loop for timer in list(self.timers)}:
                await turned(loop)
            busy_s += STILL_S
            is_at_work = busy_s < WORK_S and any(is_busy() for is_busy in self._busy)
            if self._looks == looks and not is_at_work and not self._is_due():
                return

    def _is_due(self) -> bool:
        now = self.shown()
        return any(timer.at <= now and timer.loop.is_running() for timer in list(self.timers))


class Steps:
    """The steps by which a clock is moved on."""

    def __init__(self, clocks: SteeredClocks) -> None:
        self._clocks = clocks
        self._stride_s = STRIDE_S

    def one(self, end: float) -> None:
        """Go on to the next timer, or by a stride, but not beyond `end`."""
        now = self._clocks.shown()
        at = min((timer.at for timer in list(self._clocks.timers) if not timer.is_idle), default=math.inf)
        is_stride = now + self._stride_s < at
        self._clocks.jump(min(end, now + self._stride_s if is_stride else at))
        if is_stride:
            self._stride_s = min(2 * self._stride_s, MOST_STRIDE_S)


def finish(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


async def turned(loop: Loop) -> None:
    """Wait until a loop has made three turns: sockets that were ready are read by then, and their steps made."""
    if loop is asyncio.get_running_loop():
        await turns()
        return
    if not loop.is_running():
        return
    making = turns()
    try:
        made = asyncio.run_coroutine_threadsafe(making, loop)
    except RuntimeError:  # closed just now
        making.close()
        return
    await asyncio.wait([asyncio.wrap_future(made)], timeout=ASK_S)


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
