"""A day that begins at midnight has all of its writes, wherever midnight lies in a minute of the boot clock."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.sim.loop import run_virtual
from tests.support.clock_stage import DAY_S, HOUR_S, SERVER_S, Host, Process, Server, windows_for

MIDNIGHT_S = 12 * HOUR_S  # of the virtual clock
MOST = 15
WINDOWS = windows_for(f"write:{MOST}/day@00:00+00:00")
EARLY_S = 20.0
UNSURE_S = 8.0
"""Date tells whole seconds: what ends so shortly before midnight may count in both days."""


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("into_minute_s", range(0, 60, 5))
def test_a_burst_just_before_midnight_leaves_the_next_day_whole(
    tmp_path: Path, into_minute_s: int, is_restarted: bool
) -> None:
    """`into_minute_s` is where midnight lies in a minute of the boot clock."""
    server = Server((0.0,), random.Random(1))
    host = Host("machine", "boot", 6_000.0 + into_minute_s - EARLY_S, MIDNIGHT_S - EARLY_S)

    async def main() -> None:
        await asyncio.sleep(MIDNIGHT_S - EARLY_S)
        process = Process(host, server, tmp_path, WINDOWS)
        await asyncio.sleep(EARLY_S + 5.0)
        if is_restarted:
            await process.close()
            process = Process(host, server, tmp_path, WINDOWS)
        await asyncio.sleep(HOUR_S)
        process.kill()

    run_virtual(main, most_s=1e9)
    days = server.by_day(WINDOWS[0])
    today = int((SERVER_S + MIDNIGHT_S) // DAY_S)
    before = [at for at, _ in server.arrived if at < MIDNIGHT_S]
    assert len(before) == MOST
    assert max(before) < MIDNIGHT_S - UNSURE_S
    assert days[today] == MOST
