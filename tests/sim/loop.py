"""An asyncio event loop in virtual time: it never sleeps, jumps to the next timer, and one run is like another.

    a turn with something ready    costs `TURN_S`, so that time never stands still (a limiter that waits for "now" ends)
    nothing ready, timers set      the clock jumps to the first of them
    nothing ready, no timer        `Deadlock`: nobody will ever wake up
    past the budget                `Overrun`: the run does not end

Invariants: callbacks run in the order in which they became ready, timers in the order of their times; tasks hash by
their number, so that sets of them (anyio's) have the same order in every run; there are no sockets, signals or threads.

`kill` ends the loop as SIGKILL ends a process: the current turn is the last.  What was pending is then closed without
being run on; its `finally` blocks cannot wait, and whatever they touch outside must have been cut off before.

Source: `asyncio.BaseEventLoop` keeps its waiting in `_selector.select(timeout)` and its clock in `time()`; both are
replaced here, as trio's and `looptime`'s virtual clocks do.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from anyio._backends._asyncio import _task_states

T = TypeVar("T")

TURN_S: Final = 1e-6
CLOSINGS: Final = 20
"""A closed coroutine may wait again in a `finally`; so often is it closed once more."""


class Deadlock(AssertionError):
    """Every task waits, and no timer is set."""


class Overrun(AssertionError):
    """The run goes on for longer than it was given."""


class Killed(BaseException):
    """Raised out of `run` by `kill`."""


class CountedTask(asyncio.Task[T]):
    """A task that hashes by its number instead of its address."""

    def __init__(self, coro: Coroutine[Any, Any, T], number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop.  `time()` starts at `start_s`; a run may take `most_s` of virtual time and `most_turns` turns."""

    def __init__(self, *, start_s: float = 0.0, most_s: float = 100_000.0, most_turns: int = 2_000_000) -> None:
        super().__init__()
        self._now = start_s
        self._end = start_s + most_s
        self._turns_left = most_turns
        self._selector = self  # what BaseEventLoop asks to wait
        self._clock_resolution = 1e-9
        self._is_killed = False
        self.tasks_made = 0
        self._pending: dict[CountedTask[Any], None] = {}
        self.set_task_factory(self._new_task)
        self.set_exception_handler(self._failed)
        self.failures: list[str] = []
        """What nobody caught: exceptions in callbacks and in tasks that nobody awaits."""

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass instead of waiting for sockets."""
        if self._is_killed:
            raise Killed
        if timeout is None:
            raise Deadlock(f"nobody will wake up: {self.whereabouts()}")
        self._now += max(timeout, TURN_S)
        self._turns_left -= 1
        if self._now > self._end or self._turns_left < 0:
            raise Overrun(f"still running at {self._now:.3f} s: {self.whereabouts()}")
        return []

    def kill(self) -> None:
        """Let this turn be the last one."""
        self._is_killed = True

    def whereabouts(self) -> str:
        """Where each task waits."""
        return "; ".join(where(task.get_coro()) for task in self._pending)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end and close the loop.  Raises `Killed`, `Deadlock`, `Overrun`, or what `main` raises."""
        try:
            return self.run_until_complete(main)
        finally:
            self._abandon()
            self.close()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        raise AssertionError(f"no threads in virtual time: {func}")

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There is nobody to wake: everything happens in one thread."""

    def _new_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> CountedTask[Any]:
        self.tasks_made += 1
        task = CountedTask(coro, self.tasks_made, loop=loop, **options)
        self._pending[task] = None
        task.add_done_callback(self._ended)
        return task

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        if not self._is_killed:  # nobody closes the generators of a killed process
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]

    def _ended(self, task: Any) -> None:
        self._pending.pop(task, None)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self._is_killed:
            return  # who would have heard of it is dead
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _abandon(self) -> None:
        """Close what is left without running it on."""
        with warnings.catch_warnings(), running(self):
            warnings.simplefilter("ignore")  # coroutines that were never begun
            for _ in range(CLOSINGS):
                pending, self._pending = self._pending, {}  # what is closed may begin tasks on its way out
                for task in pending:
                    task._log_destroy_pending = False  # type: ignore[attr-defined] # it is meant
                    close(task.get_coro())
                    _task_states.pop(
                        task, None
                    )  # what anyio knows of a task refers to the task: it would stay for ever
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]


@contextmanager
def running(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """What is closed in this block finds its loop, or it would drop what it wants to run there."""
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


def where(coro: Any) -> str:
    """The way from a coroutine to what it waits for, as `function:line`."""
    steps = []
    while coro is not None and (frame := getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)):
        steps.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None)
    return " > ".join(steps)


def close(coro: Any) -> None:
    """Close a coroutine, however often it waits on its way out."""
    for _ in range(CLOSINGS):
        try:
            coro.close()
        except BaseException:  # whatever it says on its way out, nobody is left to hear it
            continue
        return


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]], **options: float) -> T:
    """Run `main()` in a virtual loop of its own."""
    return VirtualLoop(**options).run(main())  # type: ignore[arg-type]
