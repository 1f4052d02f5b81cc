"""One process under quotas, driven by hand in virtual time: `One` sends as soon as it may, `at_work` runs it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bulkwriter.errors import BulkwriterError
from bulkwriter.events import Event, Note
from tests.sim.loop import run_virtual
from tests.support.quota_stage import Machine


class One:
    """One process, driven by hand."""

    def __init__(self, folder: Path, quota: Sequence[str], *, stops: bool = False) -> None:
        self.machine = Machine(folder, quota, random.Random(1))
        self.quotas = self.machine.quotas(stops=stops, tell=self.heard)
        self.said: list[str] = []

    @property
    def stopped(self) -> list[BulkwriterError]:
        """What ended the quotas, if anything did."""
        error = self.quotas.ended_by("write", "read")
        return [error] if error else []

    def heard(self, event: Event) -> None:
        assert isinstance(event, Note)
        self.said.append(event.text)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def opens_at(self, kind: str = "write") -> float:
        """When the next request may go, once the ledger has answered."""
        for _ in range(3):
            at = self.quotas.opens_at(self.now, kind)
            if at < float("inf"):
                return at
            await asyncio.sleep(0.001)
        return at

    async def send(self, count: int, kind: str = "write", *, took_s: float = 0.05) -> int:
        """Send up to `count`, each as soon as it may within the next ten seconds; how many went."""
        for sent in range(count):
            at = await self.opens_at(kind)
            if at > self.now + 10.0:
                return sent
            await asyncio.sleep(max(0.0, at - self.now))
            assert self.quotas.take(kind)
            await asyncio.sleep(took_s)
            self.quotas.ended(kind)
        return count


def at_work(folder: Path, quota: Sequence[str], act: Callable[[One], Awaitable[None]], *, stops: bool = False) -> One:
    """Run `act` with a process that has begun."""

    async def main() -> One:
        one = One(folder, quota, stops=stops)
        await one.quotas.begin()
        one.quotas.saw(one.machine.date())
        await asyncio.sleep(0)
        await act(one)
        await one.quotas.aclose()
        return one

    return run_virtual(main, most_s=1e9)
