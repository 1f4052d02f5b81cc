"""The virtual loop: time jumps and never stands still, everything is in order, and its ends are clear failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from aiolimiter import AsyncLimiter

from .loop import TURN_S, Deadlock, Killed, Overrun, VirtualLoop, run_virtual


def test_a_long_sleep_takes_no_time() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400 * 30)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(main, most_s=1e9) == pytest.approx(86_400 * 30, abs=0.001)
    assert time.monotonic() - began < 1


def test_each_turn_costs_a_microsecond_so_that_nobody_spins_for_ever() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        until, turns = loop.time() + 0.001, 0
        while loop.time() < until:
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert run_virtual(main) == pytest.approx(0.001 / TURN_S, abs=2)


def test_timers_come_in_order_and_on_time() -> None:
    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        heard: list[tuple[str, float]] = []

        def hear(name: str) -> None:
            heard.append((name, round(loop.time(), 4)))

        for name, at in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a too", 1.0)):
            loop.call_at(at, hear, name)
        await asyncio.sleep(4)
        return heard

    assert run_virtual(main) == [("a", 1.0), ("a too", 1.0), ("b", 2.0), ("c", 3.0)]


def test_anyio_runs_on_it() -> None:
    async def main() -> list[str]:
        heard = []

        async def wait(name: str, delay_s: float) -> None:
            await anyio.sleep(delay_s)
            heard.append(name)

        with anyio.move_on_after(10) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, "second", 2)
                tasks.start_soon(wait, "first", 1)
                tasks.start_soon(wait, "never", 11)
        assert scope.cancelled_caught
        with anyio.CancelScope(shield=True), anyio.fail_after(1):
            await anyio.lowlevel.checkpoint()
        return heard

    assert run_virtual(main) == ["first", "second"]


def test_aiolimiter_runs_on_it() -> None:
    async def main() -> float:
        limiter = AsyncLimiter(1, 0.1)
        for _ in range(101):
            await limiter.acquire()
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == pytest.approx(10, abs=0.2)


def test_nobody_left_to_wake_up_is_a_deadlock() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"main:\d+ > wait"):
        run_virtual(main)


def test_a_run_that_goes_on_is_an_overrun_that_says_where() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(Overrun, match=r"still running at 5\.\d+ s: main:\d+ > sleep"):
        run_virtual(main, most_s=5)
    with pytest.raises(Overrun):
        run_virtual(main, most_turns=100)


def test_a_kill_ends_it_in_this_turn_and_runs_nothing_on() -> None:
    heard = []

    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            heard.append("stream closed")

    def kill() -> None:
        heard.append("killed")
        loop.kill()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 10)
            async for _ in stream():
                loop.call_later(1, kill)
                try:
                    await anyio.sleep(5)
                finally:
                    await anyio.sleep(1)
                    heard.append("waited after the kill")

    loop = VirtualLoop()
    with pytest.raises(Killed):
        loop.run(main())
    assert heard[0] == "killed"
    assert "waited after the kill" not in heard
    assert loop.is_closed()


def test_what_fails_unseen_is_kept() -> None:
    def bad() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().call_soon(bad)
        await asyncio.sleep(1)

    loop = VirtualLoop()
    loop.run(main())
    assert len(loop.failures) == 1
    assert "ZeroDivisionError" in loop.failures[0]


def test_there_are_no_threads() -> None:
    async def main() -> None:
        await asyncio.to_thread(time.sleep, 0)

    with pytest.raises(AssertionError, match="no threads"):
        run_virtual(main)


def test_sets_of_tasks_have_the_same_order_in_every_run() -> None:
    async def main() -> list[str]:
        names = [asyncio.get_running_loop().create_task(asyncio.sleep(0), name=f"task {i}") for i in range(50)]
        order = [task.get_name() for task in set(names)]
        await asyncio.gather(*names)
        return order

    assert run_virtual(main) == run_virtual(main)
