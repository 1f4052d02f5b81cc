"""Whole backfills of weeks in seconds: the real engine, quotas and ledger against model servers, in virtual time.

    outcome = Backfill(pairs, server_limits, folder, quota=…).run(kills=[…])

What the run does is judged by what arrived at the server (`quota_world.py`): `outcome` has the virtual time it
took, throttles by day, pairs written twice, and what the run predicted of its own end on the way.  The ledger is a real
file, and outlives a kill as it would on a disk.  Latency is drawn from the seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from pathlib import Path

from bulkwriter.clocks import Clocks
from bulkwriter.errors import TryLater
from bulkwriter.model import State
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchanges import LedgerThread
from bulkwriter.quota.gate import Quotas
from bulkwriter.quota.windows import windows_of
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal
from bulkwriter.stub.limits import Gate, LimitRule
from bulkwriter.writer import BulkWriter
from tests.sim.assembly import WALL_S
from tests.sim.disk import Disk
from tests.sim.fates import CALM
from tests.sim.loop import Killed
from tests.sim.process import Process
from tests.sim.server import Pair, Server
from tests.sim.source import SimSource
from tests.sim.weather import Weather
from tests.support.mortal_ledger import HERE, MortalLedger
from tests.support.quota_world import BOOTED_S, DAY_S, DOCUMENTED, GateLimit, LightWatch, QuietTrace, QuotaAssembly

__all__ = ["BOOTED_S", "DAY_S", "DOCUMENTED", "Backfill", "Outcome"]


@dataclass(slots=True)
class Outcome:
    """What came of a backfill."""

    took_s: float = 0.0
    throttled_at: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    doubled: int = 0
    created: int = 0
    processes: int = 0
    predictions: list[tuple[float, float, float]] = field(default_factory=list)  # at, share done, predicted end
    stops: list[float] = field(default_factory=list)  # retry_at of each TryLater, in virtual time
    at_stake: list[int] = field(default_factory=list)  # doubts that each process left behind

    def throttles_of_worst_day(self) -> int:
        days = Counter(int(at // DAY_S) for at in self.throttled_at)
        return max(days.values(), default=0)

    def error_after(self, share: float) -> float:
        """By how much the end predicted when `share` was done differs from the real one, of the whole time."""
        predicted = next((end for _, done, end in self.predictions if done >= share), self.predictions[-1][2])
        return abs(predicted - self.took_s) / self.took_s


class Backfill:
    """One source, one account, one server; any number of processes after each other."""

    def __init__(
        self,
        pairs: int,
        rules: Sequence[LimitRule],
        folder: Path,
        *,
        quota: Sequence[str] = ("nexudus",),
        seed: int = 1,
        says_wait: bool = True,
        latency_s: float = 0.1,
        on_quota: str = "wait",
        in_flight: int = 64,
        writers: int = 1,
    ) -> None:
        self.rows: list[list[Pair | None]] = [
            [(1 + i % 50, 1 + i // 50 + writer * 10**6) for i in range(pairs)] for writer in range(writers)
        ]
        self.rng = random.Random(f"backfill {seed}")
        self.folder = folder
        self.settings = Settings(
            base_url="https://sim.test", token="unused", journal=Path("sim.journal"), existing="skip",
            quota=tuple(quota), on_quota=on_quota, in_flight=in_flight,  # type: ignore[arg-type]
        )  # fmt: skip
        self.server = Server(rng=self.rng, list_lag_s=0.0, page_cap=1_000, refused=set())
        self.server.date = lambda now: formatdate(WALL_S + now, usegmt=True)  # calendar days need it
        self.limit = GateLimit(0, 0.0, gate=Gate(rules, self.rng), says_wait=says_wait)
        self.server.limit = self.limit
        self.weather = Weather(
            rng=self.rng, odds=CALM, latency_s=latency_s / 2, jitter_s=latency_s / 10, late_apply_s=60.0, outages=()
        )
        columns = ("CourseLessonId", "CourseMemberId")
        self.journals = [
            Journal.open(None, base_url="https://sim.test", account=None, columns=columns) for _ in range(writers)
        ]
        self.clients = 0
        self.outcome = Outcome()
        self.trace = QuietTrace()
        self.now = 0.0
        self.at_hours: list[tuple[float, Callable[[], None]]] = []
        """(virtual time, what happens then), such as a change of the server's limits."""

    def change_limits(self, at: float, rules: Sequence[LimitRule]) -> None:
        self.at_hours.append((at, lambda: setattr(self.limit, "gate", Gate(rules, self.rng, start=at))))

    def run(self, *, kills: Sequence[float] = (), most_s: float = 100 * DAY_S) -> Outcome:
        """Run to the end, killed at these times and started again at once."""
        for at in [*sorted(kills), None]:
            while not self._live(at, most_s):
                self.outcome.stops.append(self.now)
            if self.outcome.took_s:
                break
        outcome = self.outcome
        outcome.throttled_at, outcome.arrivals = self.limit.throttled_at, self.limit.arrivals
        outcome.doubled = sum(count - 1 for count in self.server.ours().values())
        outcome.created = sum(journal.counts().get(State.CREATED, 0) for journal in self.journals)
        return outcome

    def quotas(self, clocks: Clocks, process: Process) -> Quotas:
        windows = windows_of(self.settings.quota, is_loopback=False)
        self.clients += 1
        opened = partial(MortalLedger.opened, self.folder / "ledger", process, Account(windows, HERE))
        return Quotas(
            windows,
            name=f"client {self.clients}",
            ledger=LedgerThread(opened, inline=True),
            clocks=clocks,
            hold_s=self.settings.timeout_s + self.settings.limits.connect_timeout_s,
            stops=self.settings.on_quota == "stop",
        )

    def _live(self, killed_at: float | None, most_s: float) -> bool:
        """One process; False if it stopped by itself before the time at which it is to be killed."""
        process = Process(self.trace, start_s=self.now, most_s=most_s)
        process.loop._turns_left = 50_000_000
        before = self._unsettled()
        writers = [self._writer(process, journal) for journal in self.journals]
        for at, act in self.at_hours:
            if at > self.now:
                process.loop.call_at(at, act)
        if killed_at is not None and killed_at > self.now:
            process.loop.call_at(killed_at, process.kill)
        stop: TryLater | None = None
        try:
            process.loop.run(self._use(writers, process))
            self.outcome.took_s = process.now
        except Killed:
            pass
        except TryLater as error:
            stop = error
        assert not process.loop.failures, process.loop.failures
        self.now = process.now
        process.is_dead = True
        self.outcome.processes += 1
        self.server.lose_all(self.now, 60.0)
        self.server.advance(self.now)
        self.journals = [journal.reopened() for journal in self.journals]
        if not self.outcome.took_s:
            self.outcome.at_stake.append(len(self._unsettled() - before))
        if stop is None:
            return True
        assert stop.retry_at
        self.now = max(self.now, stop.retry_at - WALL_S)
        return False

    def _unsettled(self) -> set[tuple[int, int]]:
        """Rows that the next process has to look up: intents and doubts, as (journal, seq)."""
        return {(i, row.seq) for i, journal in enumerate(self.journals) for row in journal.doubts()}

    def _writer(self, process: Process, journal: Journal) -> BulkWriter:
        watch = LightWatch(process, self.settings, journal)
        assembly = QuotaAssembly(
            self.settings,
            make_quotas=lambda clocks: self.quotas(clocks, process),
            limit=self.limit,
            process=process,
            server=self.server,
            weather=self.weather,
            watch=watch,
            journal=journal,
            disk=Disk(commit_s=0.002),
            rng=self.rng,
        )
        return BulkWriter(self.settings, observers=[watch.tell], assembly=assembly)

    async def _use(self, writers: list[BulkWriter], process: Process) -> None:
        looking = asyncio.create_task(self._look_on(writers[0], process))
        work = [self._write(writer, rows) for writer, rows in zip(writers, self.rows, strict=True)]
        try:
            await asyncio.gather(*work)
        finally:
            looking.cancel()

    async def _write(self, writer: BulkWriter, rows: list[Pair | None]) -> None:
        async with writer:
            await writer.write_all(SimSource(rows, random.Random(3)))

    async def _look_on(self, writer: BulkWriter, process: Process) -> None:
        """Note what the run predicts, whenever it has come further."""
        await asyncio.sleep(60.0)
        done = -1
        while True:
            snapshot = writer.snapshot()
            if snapshot.eta_s is not None and snapshot.done > done:
                done = snapshot.done
                share, end = done / len(self.rows[0]), process.now + snapshot.eta_s
                self.outcome.predictions.append((process.now, share, end))
            await asyncio.sleep(600.0)
