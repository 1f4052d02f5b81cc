"""Processes that spend one account's quotas in virtual time: real `Quotas` and ledger, without an engine.

A `Machine` has a clock since boot, a wall clock that may be wrong, and a folder; `Spender` is one process on it, which
sends whenever it may and is killed without warning.  What was sent, and when it arrived at the server, is noted in
`sent` and `arrived` of the machine, in true time.  `broken_windows` says which windows some span of them exceeds.

Invariant: from its death on a spender changes nothing, as a killed process does not; what it had sent still arrives.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from bulkwriter.clocks import Clocks
from bulkwriter.events import Event
from bulkwriter.model import QuotaWindow
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import BootPlace
from bulkwriter.quota.exchanges import LedgerThread
from bulkwriter.quota.gate import Quotas, unheard
from bulkwriter.quota.ledger import SqliteLedger
from bulkwriter.quota.windows import windows_of

HOLD_S = 20.0
WALL_S = 1_764_000_000.0
"""What the server's clock says at virtual time 0."""
ACCOUNT = "a"
PAUSES_S = (0.0, 0.01, 3.0, 40.0)
Requests = list[tuple[float, str]]


class Machine:
    """`wall_error_s` is by how much its wall clock is wrong; `pauses_s` is drawn from between two requests."""

    def __init__(
        self, folder: Path, specs: Sequence[str], rng: random.Random, *, pauses_s: Sequence[float] = PAUSES_S
    ) -> None:
        self.pauses_s = pauses_s
        self.folder = folder
        self.windows = windows_of(specs, is_loopback=False)
        self.rng = rng
        self.boots = 0
        self.name = "machine-0"
        self.clients = 0
        self.booted_at = -1_000.0
        self.wall_error_s = 0.0
        self.sent: Requests = []
        self.arrived: Requests = []
        self.spenders: list[Spender] = []

    def boot_clock(self) -> float:
        return asyncio.get_running_loop().time() - self.booted_at

    def wall(self) -> float:
        return WALL_S + asyncio.get_running_loop().time() + self.wall_error_s

    def date(self) -> str:
        """What the server says of the time."""
        return email.utils.formatdate(WALL_S + asyncio.get_running_loop().time(), usegmt=True)

    def start(self, **how: bool) -> Spender:
        spender = Spender(self, **how)
        self.spenders.append(spender)
        return spender

    def power_cut(self, *, wall_error_s: float = 0.0) -> None:
        """Everything dies; the machine comes up again with a new clock, and perhaps with a wrong one on the wall."""
        for spender in self.spenders:
            spender.kill()
        self.boots += 1
        self.booted_at = asyncio.get_running_loop().time() - 5.0
        self.wall_error_s = wall_error_s

    @property
    def place(self) -> BootPlace:
        return BootPlace(self.name, f"boot-{self.boots}")

    def quotas(self, *, stops: bool = False, tell: Callable[[Event], None] = unheard) -> Quotas:
        clocks = Clocks(clock=asyncio.get_running_loop().time, boot=self.boot_clock, wall=self.wall)
        self.clients += 1
        return Quotas(
            self.windows,
            name=f"{self.name}-{self.clients}",
            ledger=LedgerThread(self.ledger, inline=True),
            clocks=clocks,
            hold_s=HOLD_S,
            stops=stops,
            tell=tell,
        )

    def ledger(self) -> SqliteLedger:
        account = Account(self.windows, self.place)
        return SqliteLedger.open(self.folder / "ledger", ACCOUNT, account, self.place, synchronous="OFF")


class Spender:
    """One process; `live` is its task.  Latencies are drawn: short ones, long ones, and replies that never come."""

    def __init__(self, machine: Machine, *, is_greedy: bool = False, stops: bool = False) -> None:
        self.machine, self.rng = machine, machine.rng
        self.is_dead = False
        self.is_greedy = is_greedy
        self.requests = 0
        self.quotas = machine.quotas(stops=stops)
        self.task = asyncio.create_task(self.live())

    async def live(self) -> None:
        loop, quotas = asyncio.get_running_loop(), self.quotas
        await quotas.begin()
        await asyncio.sleep(0.5)
        quotas.saw(self.machine.date())  # as a run, whose first request is a list call
        while True:
            kind = "read" if self.rng.random() < 0.2 and not self.is_greedy else "write"
            at = quotas.opens_at(loop.time(), kind)
            if at <= loop.time() and quotas.take(kind):
                self.send(kind, loop.time())
                if not self.is_greedy:
                    await asyncio.sleep(self.rng.choice(self.machine.pauses_s))
            else:
                await self.woken(at)

    async def woken(self, at: float) -> None:
        """Wait until `at` or until something was granted; now and then for longer, as a busy loop does."""
        wait_s = max(0.001, min(at - asyncio.get_running_loop().time(), 3_600.0))
        try:
            async with asyncio.timeout(wait_s):
                await self.quotas.changed()
        except TimeoutError:
            if self.rng.random() < 0.1 and not self.is_greedy:
                await asyncio.sleep(self.rng.random() * 5)

    def send(self, kind: str, now: float) -> None:
        took_s = HOLD_S if self.rng.random() < 0.03 else self.rng.choice((0.002, 0.1, 2.0)) * self.rng.random()
        self.requests += 1
        self.machine.sent.append((now, kind))
        self.machine.arrived.append((now + self.rng.random() * took_s, kind))
        asyncio.get_running_loop().call_at(now + took_s, self.ended, kind)

    def ended(self, kind: str) -> None:
        if not self.is_dead:
            self.quotas.ended(kind)

    def kill(self) -> None:
        if not self.is_dead:
            self.is_dead = True
            self.task.cancel()

    async def close(self) -> None:
        """End in order."""
        self.is_dead = True
        self.task.cancel()
        await self.quotas.aclose()


def broken_windows(windows: Sequence[QuotaWindow], requests: Requests) -> list[str]:
    """Windows that hold more of `requests` than they may, in some span of their length or in some calendar day."""
    return [window.text for window in windows if most_of(window, requests) > window.count]


def most_of(window: QuotaWindow, requests: Requests) -> int:
    """The most that the window ever held."""
    times = sorted(at for at, kind in requests if window.kind in (kind, "any"))
    if window.day_at_s is not None:
        days = [math.floor((WALL_S + at - window.day_at_s) / 86_400) for at in times]
        return max((days.count(day) for day in set(days)), default=0)
    first, most = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window.window_s * (1 - 1e-9):
            first += 1
        most = max(most, last - first + 1)
    return most
