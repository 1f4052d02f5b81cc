"""What quotas and their ledger cost a request: CPU of everything that one write asks of them, beside its sending.

    none           no quota: what is left are the questions whether there is one
    short          one window of a second: its slots are leased for two seconds at most, and spent in memory
    long           one window of a day: a lease of at most a hundredth of it, and a commit in the ledger for each
    short and long the two together
    six windows    as many as the documented limits have, of the same kinds and lengths

Each in a process of its own, which spends as fast as it can from counts so high that nothing ever waits for a window.
CPU is the whole process's, the ledger's thread, SQLite and the kernel's part of every fdatasync included: that part is
half of it on a disk, and next to nothing in memory (`--folder /dev/shm`).  Waiting for the disk is not CPU; it shows in
the rate.  The loop that asks is measured too, and taken off.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from pathlib import Path

import uvloop

from bulkwriter.clocks import MACHINE
from bulkwriter.quota.build import quotas_for
from bulkwriter.quota.gate import Quotas
from bulkwriter.settings import Settings

from .figures import median_rows
from .turns import PYTHON, TOKEN, Contender, Findings, Plan, in_turns, last_json

REQUESTS = 50_000
KEYS = ("stage_us", "pairs_per_s")
QUOTAS = {
    "none": ("none",),
    "short": ("write:1000000/s",),
    "long": ("write:1000000000/day",),
    "short and long": ("write:1000000/s", "write:1000000000/day"),
    "six windows": (
        "write:60000000/min", "write:1000000000/day", "any:100000/100ms", "any:120000000/min",
        "any:1000000000/hour", "any:1000000000/2days",
    ),
}  # fmt: skip
TURN = 64
"""Requests in a row before others may run, as replies come in a busy loop."""


def measure(plan: Plan) -> Findings:
    requests = plan.pairs or REQUESTS
    contenders = [contender(name, requests, plan) for name in QUOTAS]
    runs, _ = in_turns(contenders, plan)
    rows = [{key: value for key, value in row.items() if key != "cpu_us"} for row in median_rows(runs)]
    return Findings(runs=runs, rows=rows, keys=KEYS, settings={"requests_each": requests})


def contender(name: str, requests: int, plan: Plan) -> Contender:
    command = [PYTHON, "-m", "benchmarks.quota", str(plan.folder / "ledger"), name]
    return Contender(
        name=name,
        pairs=requests,
        argv=lambda count: [*command, str(count)],
        cores=plan.cores.client,
        read=last_json,
        has_start=False,
    )


class Spender:
    """Asks, takes and ends `count` times, as the sender does for each write: from callbacks, without a task."""

    def __init__(self, quotas: Quotas | None, count: int) -> None:
        self._quotas, self._left = quotas, count
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._hearing = self._loop.create_task(self._hear(quotas)) if quotas else None

    async def _hear(self, quotas: Quotas) -> None:
        while not self.done.done():
            await quotas.changed()
            self.pump()

    def pump(self) -> None:
        quotas, now = self._quotas, time.monotonic()
        for _ in range(min(TURN, self._left)):
            at = now
            if quotas and at <= now:
                at = quotas.opens_at(now)
            if at > now:
                self._wait(at - now)
                return
            if quotas and not quotas.take():
                self._wait(0.0)
                return
            if quotas:
                quotas.ended()
            self._left -= 1
        if self._left:
            self._loop.call_soon(self.pump)
        elif not self.done.done():
            self.done.set_result(None)

    def _wait(self, wait_s: float) -> None:
        if self._timer:
            self._timer.cancel()
        if wait_s < math.inf:  # else `changed` will tell
            self._timer = self._loop.call_later(wait_s, self.pump)


class Empty(Spender):
    """The same without quotas, and without asking whether there are any."""

    def pump(self) -> None:
        now = time.monotonic()
        for _ in range(min(TURN, self._left)):
            at = now
            if at > now:
                self._wait(at - now)
                return
            self._left -= 1
        if self._left:
            self._loop.call_soon(self.pump)
        else:
            self.done.set_result(None)


async def spend(spender: Spender) -> tuple[float, float]:
    """CPU and time that it takes."""
    began, began_cpu = time.perf_counter(), time.process_time()
    spender.pump()
    await spender.done
    return time.process_time() - began_cpu, time.perf_counter() - began


async def timed(ledger: Path, name: str, count: int) -> dict[str, float]:
    settings = Settings(base_url="http://127.0.0.1:1", token=TOKEN, quota=QUOTAS[name], ledger=ledger, account=name)
    quotas = quotas_for(settings, print, MACHINE)
    if quotas:
        await quotas.begin()
    cpu_s, took_s = await spend(Spender(quotas, count))
    if quotas:
        await quotas.aclose()
    own_s, _ = await spend(Empty(None, count))
    return {"pairs": count, "stage_us": max(0.0, cpu_s - own_s) / count * 1e6, "pairs_per_s": count / took_s}


def main(ledger: str, name: str, count: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(timed(Path(ledger), name, int(count)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
