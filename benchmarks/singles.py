"""What single pairs and batches cost beside a stream of the same pairs, how long one takes, and what a backlog does.

    stream                  the pairs as one source
    write x N               N callers, each writes one pair after the other
    write_many N x C        C callers, each writes batches of N
    no journal: ...         the same with `journal=None`
    offered N/s             a pair every 1/N s, whatever became of those before
    backlog                 all pairs given at once, to a server that takes 50 ms
    held                    the same, for what Python holds for each that is outstanding, by tracemalloc

Each in a process of its own against the stub in another, with `existing="skip"` and no quota.  CPU is that of the whole
process while the pairs are written, its journal's thread included; start and opening are not in it.  A ratio is one to
the stream of the same benchmark, with the bar that it has to keep.  The time of one pair is told beside that of two
syncs of the disk and one request alone.  `held` counts what stays for each outstanding call, with its task and pair.
The peak of the process's memory is more: to begin all tasks in one turn, the loop has a handle for each for a moment,
and SQLite has its pages.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import statistics
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from bulkwriter import BulkWriter, Outcome, Settings, State
from bulkwriter.store.journal_writer import JournalWriter

from .commands import remove_journal
from .figures import figure_of, median_rows, ratio
from .servers import stub
from .turns import PYTHON, TOKEN, Contender, Findings, Plan, in_turns, last_json

PAIRS = 20_000
BACKLOG = 100_000
KEYS = ("stage_us", "pairs_per_s", "commits", "p50_ms", "p99_ms")
BARS = {"write x 1000": 1.5, "write x 100": 2.2, "write_many 1000 x 1": 1.25, "write_many 100 x 10": 1.4}
"""CPU of a pair, divided by the stream's: at most so much."""
MODES = ("stream", *BARS, "write x 10", "write x 1", "offered 1000/s", "offered 3000/s")
UNKEPT = ("no journal: stream", "no journal: write x 100", "no journal: write_many 1000 x 1")
SHARES = {"write x 1": 0.05, "write x 10": 0.25, "offered 1000/s": 0.25, "offered 3000/s": 0.5}
"""Of the pairs, where a whole number of them would take a minute."""
SYNCS = 50
WARM = 600
"""Pairs before the count begins: connections are open then, and the rate is found."""

Pairs = list[tuple[int, int]]


def measure(plan: Plan) -> Findings:
    pairs = plan.pairs or PAIRS
    with stub(plan.folder, plan.cores) as server:
        contenders = [contender(mode, pairs, server.base_url, plan) for mode in (*MODES, *UNKEPT)]
        runs, _ = in_turns(contenders, plan)
    with stub(plan.folder, plan.cores, {"latency_s": 0.05}) as server:
        held_back = [contender(mode, plan.pairs or BACKLOG, server.base_url, plan) for mode in ("backlog", "held")]
        held, _ = in_turns(held_back, replace(plan, rounds=1))
    rows = median_rows([{k: v for k, v in run.items() if k != "cpu_us"} for run in runs])
    ratios = {f"{name} ÷ stream (bar {bar:g})": ratio(rows, name, "stream", "stage_us") for name, bar in BARS.items()}
    ratios |= {f"{name} ÷ with one": ratio(rows, name, name.partition(": ")[2], "stage_us") for name in UNKEPT}
    sync_ms = statistics.median(float(run["sync_ms"]) for run in runs if run["name"] == "write x 1")
    one_ms, (last, traced) = figure_of(rows, "write x 1", "p50_ms") or 0.0, held[-2:]
    held_words = (
        f"backlog of {last['pairs']:,.0f}: first answer after {last['first_s']:.2f} s, {last['first_cpu_s']:.2f} of it "
        f"CPU; at most {last['intents']:,.0f} intents; {traced['bytes_each']:,.0f} bytes each, "
        f"{last['bytes_each']:,.0f} at the peak; left within {last['left_s']:.2f} s"
    )
    notes = [f"one pair: {one_ms:.2f} ms, of which two syncs of this disk are {2 * sync_ms:.2f}", held_words]
    return Findings(runs=[*runs, *held], rows=rows, keys=KEYS, ratios=ratios, notes=notes, settings={"pairs": pairs})


def contender(mode: str, pairs: int, url: str, plan: Plan) -> Contender:
    journal = plan.folder / "singles.journal"
    command = [PYTHON, "-m", "benchmarks.singles", url, str(journal), mode]
    return Contender(
        name=mode,
        pairs=max(1, round(pairs * SHARES.get(mode.rpartition(": ")[2], 1.0))),
        argv=lambda count: [*command, str(count)],
        cores=plan.cores.client,
        read=last_json,
        before=lambda: remove_journal(journal),
        has_start=False,
    )


class Commits:
    """Counts the commits of journals, by the writes that are handed in."""

    def __init__(self) -> None:
        self.count = 0
        real = JournalWriter._hand_in

        async def counted(writer: JournalWriter, kind: str, call: Any) -> Any:
            self.count += kind == "write"
            return await real(writer, kind, call)

        JournalWriter._hand_in = counted  # type: ignore[method-assign,assignment]


async def written(writer: BulkWriter, mode: str, pairs: Pairs) -> list[float]:
    """Write the pairs in this way.  Returns how long each call took, in seconds."""
    took: list[float] = []

    async def timed(call: Callable[[], Awaitable[Any]]) -> None:
        began = time.perf_counter()
        await call()
        took.append(time.perf_counter() - began)

    kind, _, numbers = mode.partition(" ")
    if kind == "stream":
        async for _ in writer.stream(pairs):
            pass
    elif kind == "offered":
        await offered(float(numbers.partition("/")[0]), pairs, lambda pair: timed(lambda: writer.write(pair)))
    elif kind == "write":
        rest = iter(pairs)

        async def caller() -> None:
            for pair in rest:
                await timed(lambda pair=pair: writer.write(pair))  # type: ignore[misc]

        await asyncio.gather(*(caller() for _ in range(int(numbers.removeprefix("x ")))))
    else:
        size, _, callers = numbers.partition(" x ")
        batches = iter([pairs[at : at + int(size)] for at in range(0, len(pairs), int(size))])

        async def batch_caller() -> None:
            for batch in batches:
                await timed(lambda batch=batch: writer.write_many(batch))  # type: ignore[misc]

        await asyncio.gather(*(batch_caller() for _ in range(int(callers))))
    return took


async def offered(rate_per_s: float, pairs: Pairs, write: Callable[[tuple[int, int]], Awaitable[None]]) -> None:
    """Begin one write every 1/rate s."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for i, pair in enumerate(pairs):
            wait_s = began + i / rate_per_s - time.perf_counter()
            if wait_s > 0.0005:
                await asyncio.sleep(wait_s)
            tasks.create_task(write(pair))  # type: ignore[arg-type]


async def timed(url: str, journal: Path, mode: str, count: int) -> dict[str, float]:
    has_journal, way = not mode.startswith("no journal: "), mode.removeprefix("no journal: ")
    commits, base = Commits(), first_of_process()
    pairs = [(1 + i // 1_000, 1 + i % 1_000) for i in range(base, base + count)]
    settings = Settings(
        base_url=url, token=TOKEN, journal=journal if has_journal else None, existing="skip", quota=("none",)
    )
    async with BulkWriter(settings) as writer:
        await writer.write_many([(10**9, base + i) for i in range(1, WARM)])
        commits.count = 0
        began, began_cpu = time.perf_counter(), time.process_time()
        took = sorted(await written(writer, way, pairs))
        cpu_s, took_s = time.process_time() - began_cpu, time.perf_counter() - began
    told = {"pairs": count, "stage_us": cpu_s / count * 1e6, "pairs_per_s": count / took_s}
    if took:
        told |= {"p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[len(took) * 99 // 100] * 1e3}
    return {**told, "commits": commits.count * 1_000 / count, "sync_ms": sync_s(journal.parent) * 1e3}


async def backlog(url: str, journal: Path, count: int) -> dict[str, float]:
    """Give all pairs at once, wait a while, and leave."""
    settings = Settings(
        base_url=url, token=TOKEN, journal=journal, existing="skip", quota=("none",), most_outstanding=count
    )
    base = first_of_process()
    async with BulkWriter(settings) as writer:
        before, began, began_cpu = peak_bytes(), time.perf_counter(), time.process_time()
        writes = [asyncio.create_task(writer.write((1 + i // 1_000, 1 + i % 1_000))) for i in range(base, base + count)]
        first_s, first_cpu_s, intents = 0.0, 0.0, 0
        for _ in range(50):
            await asyncio.sleep(0.1)
            intents = max(intents, writer._engine.ports.store.counts.get(State.INTENT, 0))
            if not first_s and any(task.done() for task in writes):
                first_s, first_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
        bytes_each = (peak_bytes() - before) / count
        leaving = time.perf_counter()
    left_s = time.perf_counter() - leaving
    ended = await asyncio.gather(*writes, return_exceptions=True)
    answered = sum(isinstance(each, Outcome) for each in ended)
    return {
        "pairs": count, "answered": answered, "first_s": first_s, "first_cpu_s": first_cpu_s,
        "intents": intents, "bytes_each": bytes_each,
        "left_s": left_s, "stage_us": 0.0, "pairs_per_s": answered / 5.0,
    }  # fmt: skip


async def held(url: str, journal: Path, count: int) -> dict[str, float]:
    """Give all pairs at once, and count what Python holds for those that are outstanding a second later."""
    settings = Settings(
        base_url=url, token=TOKEN, journal=journal, existing="skip", quota=("none",), most_outstanding=count
    )
    base = first_of_process()
    async with BulkWriter(settings) as writer:
        await writer.write((10**9, base))  # what is made once, is made
        tracemalloc.start()
        writes = [asyncio.create_task(writer.write((1 + i // 1_000, 1 + i % 1_000))) for i in range(base, base + count)]
        await asyncio.sleep(1.0)
        gc.collect()
        bytes_each = tracemalloc.get_traced_memory()[0] / writer.outstanding
        tracemalloc.stop()
    ended = await asyncio.gather(*writes, return_exceptions=True)
    answered = sum(isinstance(each, Outcome) for each in ended)
    return {"pairs": count, "answered": answered, "bytes_each": bytes_each, "stage_us": 0.0, "pairs_per_s": 0.0}


def first_of_process() -> int:
    """Where the numbers of this process's pairs begin, so that each is new to the stub."""
    return os.getpid() * 1_000_000


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


def sync_s(folder: Path) -> float:
    """What one sync of a page takes there; the median of `SYNCS`."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"x" * 4_096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def main(url: str, journal: str, mode: str, count: str) -> None:
    whole = {"backlog": backlog, "held": held}.get(mode)
    step = whole(url, Path(journal), int(count)) if whole else timed(url, Path(journal), mode, int(count))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(step)))


if __name__ == "__main__":
    main(*sys.argv[1:])
