"""How much of a short quota processes use that share it, and how evenly: `scripts/days --shared`, in virtual time.

Each process sends whenever it may.  The *most possible* is what one slot can do: a request, and a window after its
reply, again and again.  Must hold: no window is exceeded by arrival, and `LEAST` of the most possible is used; 0.07
less where each request needs an exchange of its own.
"""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
from pathlib import Path
from typing import Final

from bulkwriter.quota.windows import SLACK
from tests.sim.loop import run_virtual
from tests.support.progress import say
from tests.support.quota_stage import Machine, broken_windows, most_of

LATENCY_S: Final = 0.05
BEGIN_S: Final = 10.0
LASTS_S: Final = 100.0
"""A hundred cycles of a window of a second: one more or less is 1%."""
LEAST: Final = 0.97
CASES: Final = (
    ("write:10/s", 1, LEAST), ("write:10/s", 3, LEAST), ("write:10/s", 8, LEAST), ("write:50/s", 3, LEAST),
    ("write:120/10s", 3, LEAST), ("any:1/100ms", 3, LEAST), ("any:1/10ms", 3, LEAST - 0.07),
    ("any:1/10ms", 8, LEAST - 0.07),
)  # fmt: skip


class Sender:
    """One process, which sends as soon as it may."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.requests = machine, 0
        self.quotas = machine.quotas()
        self.task = asyncio.create_task(self.live())

    async def live(self) -> None:
        quotas, loop = self.quotas, asyncio.get_running_loop()
        await quotas.begin()
        quotas.saw(self.machine.date())
        while True:
            now = loop.time()
            at = quotas.opens_at(now)
            if at <= now and quotas.take():
                self.send(now)
                continue
            try:
                async with asyncio.timeout(max(0.0005, at - now) if at < math.inf else None):
                    await quotas.changed()
            except TimeoutError:
                pass

    def send(self, now: float) -> None:
        took_s = LATENCY_S * self.machine.rng.uniform(0.8, 1.2)
        self.requests += 1
        self.machine.sent.append((now, "write"))
        self.machine.arrived.append((now + took_s * self.machine.rng.random(), "write"))
        asyncio.get_running_loop().call_at(now + took_s, self.quotas.ended, "write")


async def used(quota: str, processes: int, least: float, folder: Path, seed: int) -> bool:
    """Tell what these processes use of the quota; whether that is as it must be."""
    machine = Machine(folder, [quota], random.Random(seed))
    senders = []
    for _ in range(processes):
        senders.append(Sender(machine))
        await asyncio.sleep(machine.rng.random() * 0.5)
    await asyncio.sleep(BEGIN_S)
    before = [sender.requests for sender in senders]
    await asyncio.sleep(LASTS_S)
    parts = [sender.requests - sent for sender, sent in zip(senders, before, strict=True)]
    for sender in senders:
        sender.task.cancel()
        await sender.quotas.aclose()
    (window,) = machine.windows
    most = window.count * LASTS_S / (window.window_s * (1 + SLACK) + LATENCY_S)
    share = sum(parts) / most
    say(
        f"{quota} by {processes}, seed {seed}: {100 * share:.1f} % of the most possible, at most"
        f" {most_of(window, machine.arrived)} arrived in a window, by process {parts}"
    )
    return share >= least and not broken_windows(machine.windows, machine.arrived)


def campaign(seed: int) -> bool:
    """Every case; whether all are as they must be."""
    kept = []
    for quota, processes, least in CASES:
        with tempfile.TemporaryDirectory() as folder:
            kept.append(run_virtual(lambda: used(quota, processes, least, Path(folder), seed), most_s=1e6))  # noqa: B023
    return all(kept)
