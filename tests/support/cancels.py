"""Everything is cancelled at once, as `asyncio.run` does when its main raises; then the same pairs are written again.

`campaign` is the whole of it, used by tests/whole/test_cancels.py (some moments) and scripts/cancels (as many as one
likes). A case is one loop in a thread of its own, so that one that never ends is found and left behind: a task is
inside `async with BulkWriter` when, at a moment drawn from the seed, one of `ENDS` comes. What is judged: that the
loop is closed within `drain_s` + `MORE_S` of waiting; that the journal then holds no claim that the stub does not
bear out; and that, after the same pairs were given to another writer, the stub's own count is 0 missing, 0 doubled.
Some servers are silent for a share of the requests, so that some cases have requests in flight to wait for. Some
cases cancel everything up to three times more while the writer ends.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio

from bulkwriter import BulkWriter, BulkwriterError, Limits, Settings, State
from bulkwriter.run.cpu import SCHEDSTAT, cpu_times
from bulkwriter.stub.thread import StubThread
from tests.support.cli_process import stub
from tests.support.compare import query
from tests.support.library import LOOPS, settings_for, some_pairs, tasks_here, truth, wholly

PAIRS: Final = some_pairs(300)
DRAIN_S: Final = 0.4
MORE_S: Final = 5.0
"""It takes 0.3 s where the machine is free.  What the thread computes, and how long it waits for a processor, is not
counted; that it waits for the journal's thread or the stub's, which wait for one as well, is."""
HANGS_S: Final = 180.0
"""Of real time; a program that takes so long to end does not end."""
LAST_MOMENT_S: Final = 0.15
"""An undisturbed run of `PAIRS` takes about as long."""


class Boom(Exception):
    """What the caller's main raises."""


async def write_all(writer: BulkWriter) -> None:
    await writer.write_all(PAIRS)


async def stream(writer: BulkWriter) -> None:
    async for outcome in writer.stream(PAIRS):
        if outcome.seq % 20 == 0:
            await asyncio.sleep(0)


async def write(writer: BulkWriter) -> None:
    await asyncio.gather(*(writer.write(pair) for pair in PAIRS[:100]))


WAYS: Final[dict[str, Callable[[BulkWriter], Awaitable[None]]]] = {
    "write_all": write_all, "stream": stream, "write": write,
}  # fmt: skip

Work = Callable[[], Coroutine[Any, Any, None]]


async def main_raises(work: Work, moment_s: float) -> None:
    task = asyncio.create_task(work())
    await asyncio.sleep(moment_s)
    raise Boom(task.get_name())


async def ctrl_c(work: Work, moment_s: float) -> None:
    """As the second Ctrl-C under `asyncio.run` does, it comes out of whatever the loop runs."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    asyncio.get_running_loop().call_later(moment_s, interrupt)
    await work()


async def group_fails(work: Work, moment_s: float) -> None:
    async def fail() -> None:
        await asyncio.sleep(moment_s)
        raise Boom

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(fail())


async def gather_cancelled(work: Work, moment_s: float) -> None:
    gathered = asyncio.gather(work(), asyncio.sleep(60))
    await asyncio.sleep(moment_s)
    gathered.cancel()
    await gathered


async def time_is_up(work: Work, moment_s: float) -> None:
    with anyio.fail_after(moment_s):
        await work()


async def all_found(work: Work, moment_s: float) -> None:
    """Somebody finds even the tasks that `asyncio.all_tasks` does not tell of: a debugger, another kind of loop."""
    task = asyncio.create_task(work())
    await asyncio.sleep(moment_s)
    for other in tasks_here():
        other.cancel()
    await task


ENDS: Final = (main_raises, ctrl_c, group_fails, gather_cancelled, time_is_up, all_found)


@dataclass(frozen=True, slots=True)
class Case:
    """One writer whose end is not its own; all but the way and the loop are drawn from `seed`."""

    way: str
    loop: str
    seed: int


@dataclass(slots=True)
class Findings:
    """What a campaign found."""

    cases: int = 0
    longest_s: float = 0.0
    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.cases} cases, the longest end {self.longest_s:.2f} s, {len(self.wrong)} wrong ({dict(self.ended)})"
        )


def campaign(folder: Path, cases: list[Case]) -> Findings:
    """Try every case.  A loop that does not end stays behind, in a daemon thread."""
    found = Findings()
    for case in cases:
        found.cases += 1
        try:
            end, took_s = try_case(case, folder / f"{case.way}-{case.loop}-{case.seed}.journal")
        except (AssertionError, BulkwriterError) as error:
            found.wrong.append(f"{case}: {error}")
            continue
        found.ended[end] += 1
        found.longest_s = max(found.longest_s, took_s)
    return found


def try_case(case: Case, journal: Path) -> tuple[str, float]:
    """How it ended, and how long that took."""
    end, rng = end_of(case), random.Random(f"{case}")
    silent = rng.choice((0.0, 0.0, 0.02))
    with stub(
        latency_s=rng.choice((0.001, 0.004, 0.02)), faults=[{"kind": "silence_after", "share": silent}]
    ) as server:
        settings = settings_for(server, journal, in_flight=8, limits=Limits(drain_s=DRAIN_S), timeout_s=1.0)
        took_s = broken_off(case, settings, end, rng)
        assert took_s < DRAIN_S + MORE_S, f"{end.__name__}: it took {took_s:.1f} s to end"
        assert not (untrue := claims_untrue(journal, server)), f"{end.__name__}: {untrue}"
        with asyncio.Runner(loop_factory=LOOPS[case.loop]) as runner:
            summary = runner.run(wholly(PAIRS, settings))
        assert truth(server) == (len(PAIRS), 0), f"{end.__name__}: {truth(server)} on the server, {summary}"
        assert summary.exit_code == 0, f"{end.__name__}: {summary}"
    return end.__name__, took_s


def end_of(case: Case) -> Callable[[Work, float], Awaitable[None]]:
    return random.Random(f"{case.way} {case.seed}").choice(ENDS)


def broken_off(
    case: Case, settings: Settings, end: Callable[[Work, float], Awaitable[None]], rng: random.Random
) -> float:
    """Seconds of waiting from the moment to the closed loop.  Raises `AssertionError` where there is no end."""
    moment_s = rng.random() * LAST_MOMENT_S
    nags = rng.choice((0, 0, 1, 3))
    began_at = took_s = 0.0

    async def work() -> None:
        async with BulkWriter(settings) as writer:
            await WAYS[case.way](writer)
            await asyncio.sleep(60)  # inside the block, with nothing to do

    async def main() -> None:
        nonlocal began_at
        nagging = asyncio.create_task(nag(nags, rng))
        began_at = idle_s() + moment_s
        try:
            await end(work, moment_s)
        finally:
            del nagging

    def live() -> None:
        nonlocal took_s
        meant = suppress(Boom, KeyboardInterrupt, asyncio.CancelledError, TimeoutError, ExceptionGroup)
        with meant, asyncio.Runner(loop_factory=LOOPS[case.loop]) as runner:
            runner.run(main())
        took_s = idle_s() - began_at

    thread = threading.Thread(target=live, name="cancelled", daemon=True)
    thread.start()
    thread.join(HANGS_S)
    assert not thread.is_alive(), f"{end.__name__} at {moment_s:.3f} s: it does not end"
    return took_s


def idle_s(of: Path = SCHEDSTAT) -> float:
    """The time now, less what this thread has computed or waited for a processor; or another one, of which this is."""
    return time.monotonic() - sum(cpu_times(of))


async def nag(times: int, rng: random.Random) -> None:
    """Once everything is cancelled: cancel it again, so many times."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        for _ in range(times):
            for _ in range(rng.randrange(30)):
                await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        raise


def claims_untrue(journal: Path, server: StubThread) -> str:
    """What the journal says that is not so: a created pair without its record, an unsent one with a record."""
    if not journal.exists():
        return ""
    shown = {(lesson, member): record for record, lesson, member in server.records()}
    try:
        rows = query(journal, "SELECT id_a, id_b, state, record_id FROM pair")
    except sqlite3.OperationalError:  # no table yet
        return ""
    for lesson, member, state, record in rows:
        has = shown.get((lesson, member))
        if (state == State.PENDING and has) or (state == State.CREATED and has != record):
            return f"{lesson},{member} is {State(state).name} {record}, and the server's record is {has}"
    return ""


def drawn(moments: int, *, seed: int = 0) -> list[Case]:
    """`moments` cases for each way and loop."""
    return [Case(way, loop, seed + i) for i in range(moments) for way in WAYS for loop in LOOPS]
