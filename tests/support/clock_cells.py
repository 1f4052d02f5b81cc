"""The cells of the clock matrix: a wrong clock on the wall, when it goes wrong, what the server shows, what it counts.

A cell is a life of three days: a process writes as fast as its quotas let it, something happens to the clock, the
process, the machine or the ledger's place, another goes on, and once more.  The seed draws when, and how they end.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass
from pathlib import Path

from bulkwriter.model import QuotaWindow
from tests.sim.loop import run_virtual

from .clock_stage import DAY_S, HOUR_S, SERVER_S, Host, Process, Server, now, windows_for

YEARS_S = 10 * 365.25 * DAY_S
WALLS = {
    "true": 0.0, "+1 h": HOUR_S, "-1 h": -HOUR_S, "+1 day": DAY_S, "-1 day": -DAY_S, "+10 years": YEARS_S,
    "-10 years": -YEARS_S,
}  # fmt: skip
WHENS = (
    "during a run", "between runs", "across a reboot", "on another machine", "on another of the same id",
    "on two machines in turn", "in two containers",
)  # fmt: skip
DATES: dict[str, tuple[float, ...]] = {
    "true": (0.0,), "two hours ahead": (7_200.0,), "two hours behind": (-7_200.0,),
    "differing": (0.0, -7_200.0, 600.0), "none": (),
}  # fmt: skip
COUNT = 40
QUOTAS = {
    "rolling": (f"write:{COUNT}/day", "write:12/min"),
    "calendar": (f"write:{COUNT}/day@00:00+00:00", "write:12/min"),
}
LENGTH_S = 3 * DAY_S


@dataclass(slots=True)
class Life:
    """What came of a cell: the server, and how many processes ended without a last word."""

    server: Server
    windows: tuple[QuotaWindow, ...]
    deaths: int = 0

    def wasted(self) -> int:
        """Writes that the long window allowed and nobody made.

        Of a calendar day that lies whole in the life, `COUNT`; of any 24 hours, so many in each of them.
        """
        long = self.windows[0]
        if long.day_at_s is None:
            return int(LENGTH_S // DAY_S) * COUNT - sum(kind == "write" for _, kind in self.server.arrived)
        by_day = self.server.by_day(long)
        first = math.ceil(SERVER_S / DAY_S)
        whole = range(first, math.floor((SERVER_S + LENGTH_S) / DAY_S))
        return sum(COUNT - by_day.get(day, 0) for day in whole)


def live(
    folder: Path, *, wall: str, when: str, dates: str, quota: str, seed: int, stops: bool = False, events: int = 3
) -> Life:
    """Live the cell: something happens `events` times; with `stops` processes are stopped for a while, now and then."""
    rng = random.Random(f"{wall} {when} {dates} {quota} {seed}")
    windows = windows_for(*QUOTAS[quota])
    life = Life(Server(DATES[dates], rng), windows)

    async def main() -> None:
        first = Host("machine-a", "boot-a0", rng.choice((100.0, 5e6)), 0.0)
        other = Host("machine-b", "boot-b0", rng.choice((50.0, 3e6)), 0.0)
        host, boots = first, 0
        if when not in ("during a run", "between runs") and rng.random() < 0.5:
            host.wall_error_s = WALLS[wall]  # wrong from the start, and right later
        process = begin(host)
        beside = None
        if when == "in two containers":  # each has a machine id of its own; the kernel and its clock are one
            beside = begin(Host("machine-b", first.boot, first.up_s, first.since, WALLS[wall]))
        for at in sorted(rng.random() * LENGTH_S for _ in range(events)):
            await pass_until(at, process)
            if when == "during a run":
                host.wall_error_s = 0.0 if host.wall_error_s else WALLS[wall]
                continue
            await end(process)
            match when:
                case "between runs" | "in two containers":
                    host.wall_error_s = 0.0 if host.wall_error_s else WALLS[wall]
                case "across a reboot":
                    boots += 1
                    host = Host("machine-a", f"boot-a{boots}", rng.choice((5.0, 90.0)), now())
                    host.wall_error_s = rng.choice((0.0, WALLS[wall]))
                case "on another machine" | "on another of the same id":  # as machines of one image can have
                    boots += 1
                    name = f"machine-{boots}" if when == "on another machine" else "machine-a"
                    host = Host(name, f"boot-{boots}", rng.choice((20.0, 3e6)), now())
                    host.wall_error_s = rng.choice((0.0, WALLS[wall]))
                case _:
                    host = other if host is first else first
                    host.wall_error_s = rng.choice((0.0, WALLS[wall]))
            await asyncio.sleep(rng.choice((0.0, 0.0, 1.0, 300.0)))
            process = begin(host)
        await pass_until(LENGTH_S, process)
        process.kill()
        if beside:
            beside.kill()
        await asyncio.sleep(60.0)

    def begin(host: Host) -> Process:
        return Process(host, life.server, folder, windows, lists=rng.random() < 0.5)

    async def end(process: Process) -> None:
        if rng.random() < 0.6:
            life.deaths += 1
            process.kill()
        else:
            await process.close()

    async def pass_until(at: float, process: Process) -> None:
        while stops and now() < at:
            await asyncio.sleep(min(rng.expovariate(1 / (4 * HOUR_S)), max(0.0, at - now())))
            process.stop(rng.choice((0.3, 1.5, 30.0, 600.0, 4 * HOUR_S)) * rng.random())
        await asyncio.sleep(max(0.0, at - now()))

    run_virtual(main, most_s=1e9)
    return life
