"""The clocks of one writer, and the ways to wait on them.  `Settings.clocks` names others, and a test gives those.

    clock    monotonic seconds, on which all waits, deadlines and pauses are counted
    boot     seconds since boot, on which quota windows are counted
    wall     epoch seconds, for people, for a `Retry-After` that is a date, and for calendar days

Whoever waits for a time asks `Clocks`, never the event loop by itself.  So a clock that a test moves on
(`stub.steered`) ends all waits that are over by it, in any event loop and in the stub:

    sleep, move_on_after, call_later    waits that something depends on: a quota, a backoff, a doubt, a deadline
    idle                                the pause of somebody who looks again and again whether something is to be done

Left to the event loop: pauses in which bytes or the disk are waited for, of a tenth of a second at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import anyio

from .store.boot import boot_clock


class Timer(Protocol):
    """A step that is to come."""

    def cancel(self) -> None: ...


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Clocks:
    """The clocks of this machine, or others in their place.  All durations are seconds."""

    clock: Callable[[], float] = time.monotonic
    boot: Callable[[], float] = boot_clock
    wall: Callable[[], float] = time.time

    async def sleep(self, seconds: float) -> None:
        """Wait.  Safe to cancel."""
        await anyio.sleep(seconds)

    async def idle(self, seconds: float) -> None:
        """As `sleep`, where nothing depends on the time: a longer pause would only be noticed later."""
        await anyio.sleep(seconds)

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[anyio.CancelScope]:
        """As `anyio.move_on_after`."""
        return anyio.move_on_after(seconds)

    def call_later(self, seconds: float, step: Callable[..., object], *args: Any, idle: bool = False) -> Timer:
        """Have the running loop call `step(*args)`, as `loop.call_later`.  `idle` is explained at `idle`."""
        return asyncio.get_running_loop().call_later(seconds, step, *args)

    async def wait(self, future: asyncio.Future[Any], until: float) -> bool:
        """Wait until the future is done, or until then on `clock`.  Whether it is done; it is not cancelled."""
        await asyncio.wait([future], timeout=max(0.0, until - self.clock()))
        return future.done()

    def watch(self, is_busy: Callable[[], bool]) -> None:
        """`is_busy` tells whether a thread is at work for somebody, who then waits for no clock."""


MACHINE: Final = Clocks()
"""The clocks of this machine."""
