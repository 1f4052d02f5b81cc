"""Machines with wrong clocks, boots and one ledger's file, in virtual time: real quotas against a server's own clock.

    server    counts what arrives by its own clock; each reply shows a `Date` of one of its backends, or none
    host      a machine in one boot: its name, its boot's name, its clock since boot, its clock on the wall
    process   sends whenever the gate lets it; it can be closed, killed (SIGKILL) and stopped for a while (SIGSTOP)

A process hears nothing for nothing: only replies to its own requests tell it the time.  Before its first write it may
send a read, as a run does that lists first.  Whoever is held back with an unknown clock sends one read to learn it.

Invariant: a dead or stopped process does nothing, but what it had sent arrives.  `broken` says which windows hold more
arrivals than they may, by the server's clock.  Only `quotas_of` knows how the gate is made.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from bulkwriter.clocks import Clocks
from bulkwriter.model import QuotaWindow
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import BootPlace
from bulkwriter.quota.exchanges import LedgerThread
from bulkwriter.quota.gate import Quotas
from bulkwriter.quota.ledger import SqliteLedger
from bulkwriter.quota.windows import windows_of
from tests.support.quota_stage import most_of

HOLD_S = 20.0
HOUR_S, DAY_S = 3_600.0, 86_400.0
SERVER_S = 1_796_040_000.0
"""What the server's clock shows at virtual time 0: noon of 30 November 2026, UTC."""
COMMIT_S = 0.004
LEARN_S = 2.0
"""Who is held back for longer, and has heard no reply yet, asks for the time."""


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Server:
    """`dates_s`: by how much the Dates of its backends differ from its own clock; none: no Date at all."""

    dates_s: Sequence[float]
    rng: random.Random
    arrived: list[tuple[float, str]] = field(default_factory=list)
    pending: list[tuple[float, str]] = field(default_factory=list)

    def date(self, at: float) -> str | None:
        return formatdate(SERVER_S + at + self.rng.choice(self.dates_s), usegmt=True) if self.dates_s else None

    def broken(self, windows: Sequence[QuotaWindow]) -> list[str]:
        """What some window held, where that is more than it may.

        A calendar day counts by the clock of each backend, for nobody knows which of them counts; without Dates it may
        begin at any time.
        """
        found = []
        for window in windows:
            most = most_of(window, self.arrived) if window.day_at_s is None else self._most_of_days(window)
            if most > window.count:
                found.append(f"{window.text}: {most}")
        return found

    def _most_of_days(self, window: QuotaWindow) -> int:
        if not self.dates_s:
            return most_of(QuotaWindow(window.text, window.kind, window.count, DAY_S), self.arrived)
        most = 0
        for skew_s in self.dates_s:
            by_day = self.by_day(window, skew_s)
            most = max([most, *by_day.values()])
        return most

    def by_day(self, window: QuotaWindow, skew_s: float = 0.0) -> dict[int, int]:
        """Arrivals by calendar day."""
        found: dict[int, int] = {}
        for at, kind in self.arrived:
            if window.kind in (kind, "any"):
                day = math.floor((SERVER_S + skew_s + at - (window.day_at_s or 0.0)) / DAY_S)
                found[day] = found.get(day, 0) + 1
        return found


@dataclass(slots=True)
class Host:
    """A boot of a machine that had lasted `up_s` at virtual time `since`; its wall clock is `wall_error_s` wrong."""

    machine: str
    boot: str
    up_s: float
    since: float
    wall_error_s: float = 0.0

    def boot_clock(self) -> float:
        return now() - self.since + self.up_s

    def wall(self) -> float:
        return SERVER_S + now() + self.wall_error_s


class Process:
    """One process on a host.  `lists`: it reads once before it writes."""

    def __init__(
        self, host: Host, server: Server, folder: Path, windows: Sequence[QuotaWindow], *, lists: bool = False
    ) -> None:
        self.host, self.server, self.rng = host, server, server.rng
        self.stopped_until = -math.inf
        self.is_dead = False
        self._lists = lists
        self._heard = False
        self._asked = False
        self.quotas = quotas_of(self, folder, windows)
        self.task = asyncio.create_task(self._live())

    def stop(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so much later."""
        self.stopped_until = max(self.stopped_until, now() + seconds)

    def kill(self) -> None:
        """SIGKILL."""
        if not self.is_dead:
            self.is_dead = True
            self.task.cancel()
            bury(self)

    async def close(self) -> None:
        """End in order."""
        if not self.is_dead:
            self.task.cancel()
            await asyncio.sleep(HOLD_S)  # a run waits for its last replies
            await self.quotas.aclose()
            self.is_dead = True

    async def _live(self) -> None:
        await self.quotas.begin()
        while True:
            if self.stopped_until > now():
                await asyncio.sleep(self.stopped_until - now())
            kind = "read" if self._lists else "write"
            at = self.quotas.opens_at(now(), kind)
            if at <= now() and self.quotas.take(kind):
                self._lists = False
                self._send(kind)
                if self.rng.random() < 0.1:
                    await asyncio.sleep(self.rng.choice((0.01, 1.0, 4.0)))
            elif kind == "write" and LEARN_S < at - now() < math.inf and not self._heard and not self._asked:
                self._lists = self._asked = True
            else:
                await self._woken(at)

    async def _woken(self, at: float) -> None:
        try:
            async with asyncio.timeout(max(0.001, min(at - now(), HOUR_S))):
                await self.quotas.changed()
        except TimeoutError:
            pass

    def _send(self, kind: str) -> None:
        took_s = HOLD_S if self.rng.random() < 0.03 else self.rng.choice((0.002, 0.1, 2.0)) * self.rng.random()
        sent_at, loop = now(), asyncio.get_running_loop()
        arrives_at = sent_at + self.rng.random() * took_s
        self.server.arrived.append((arrives_at, kind))
        is_lost = took_s == HOLD_S and self.rng.random() < 0.5
        loop.call_at(sent_at + took_s, self._ended, kind, sent_at, None if is_lost else self.server.date(arrives_at))

    def _ended(self, kind: str, sent_at: float, date: str | None) -> None:
        if self.is_dead:
            return
        if self.stopped_until > now():
            asyncio.get_running_loop().call_at(self.stopped_until, self._ended, kind, sent_at, date)
            return
        self._heard = True
        self.quotas.ended(kind)
        self.quotas.saw(date, took_s=now() - sent_at)


class SlowLedger(LedgerThread):
    """A ledger's thread whose answers take a moment, and do not reach a process that is dead or stopped."""

    def __init__(self, opening: Callable[[], SqliteLedger], process: Process) -> None:
        super().__init__(opening, inline=True)
        self._process = process

    def post(self, step: Callable[[Any], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Any] = loop.create_future()
        if not self._process.is_dead:
            done = super().post(step)
            loop.call_later(COMMIT_S, self._tell, done, told)
        return told

    def _tell(self, done: asyncio.Future[Any], told: asyncio.Future[Any]) -> None:
        if self._process.is_dead or told.done():
            return
        if self._process.stopped_until > now():
            asyncio.get_running_loop().call_at(self._process.stopped_until, self._tell, done, told)
        elif error := done.exception():
            told.set_exception(error)
        else:
            told.set_result(done.result())


def quotas_of(process: Process, folder: Path, windows: Sequence[QuotaWindow]) -> Quotas:
    """The gate of a process, over the ledger in `folder`."""
    host, path = process.host, folder / "ledger"
    place = BootPlace(host.machine, host.boot)
    name = f"{process.rng.getrandbits(64):x}"

    def opening() -> SqliteLedger:
        return SqliteLedger.open(path, "a", Account(windows, place), place, synchronous="OFF")

    return Quotas(
        windows,
        name=name,
        ledger=SlowLedger(opening, process),
        clocks=Clocks(clock=now, boot=host.boot_clock, wall=host.wall),
        hold_s=HOLD_S,
    )


def bury(process: Process) -> None:
    """Nothing: what the process had leased is lost."""


def windows_for(*specs: str) -> tuple[QuotaWindow, ...]:
    return windows_of(specs, is_loopback=False)
