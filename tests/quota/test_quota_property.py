"""No window of any kind is ever exceeded: over random arrivals, latencies, kills, power cuts and wrong clocks.

Neither by our clock (requests sent) nor by the server's (requests arrived); sliding windows, short and long, and
calendar days; one process or several; real ledger.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.loop import run_virtual
from tests.support.quota_stage import PAUSES_S, Machine, broken_windows, most_of

HOUR_S = 3_600.0
FAST_S = (0.0, 0.0, 0.0, 0.01, 0.1)
QUOTAS: dict[str, tuple[tuple[str, ...], float]] = {
    "a long one": (("write:40/10min",), HOUR_S),
    "short and long": (("write:5/s", "any:60/5min"), HOUR_S / 2),
    "calendar days": (("write:30/day@00:00", "read:20/day@07:00-03:00", "any:2/s"), 72 * HOUR_S),
    "many at once": (("write:20/2h", "read:30/hour", "any:45/hour"), 8 * HOUR_S),
    "short ones": (("write:3/min", "any:1/100ms", "any:4/10s"), HOUR_S / 2),
    "a day": (("write:50/day", "any:1/s"), 72 * HOUR_S),
    "a wide one": (("write:3000/2min",), HOUR_S / 6),
}


def machine_for(name: str, folder: Path, seed: int) -> Machine:
    """With senders that are fast where there is a lot to be sent."""
    pauses_s = FAST_S if name == "a wide one" else PAUSES_S
    return Machine(folder, QUOTAS[name][0], random.Random(seed), pauses_s=pauses_s)


async def spend(machine: Machine, processes: int, lasts_s: float, *, reboots: bool) -> None:
    """Processes come, are killed and come again for `lasts_s`."""
    rng, loop = machine.rng, asyncio.get_running_loop()
    alive = [machine.start() for _ in range(processes)]
    while loop.time() < lasts_s:
        await asyncio.sleep(rng.random() * lasts_s / 6)
        what = rng.random()
        if what < 0.2 and reboots:
            machine.power_cut(wall_error_s=rng.choice((0.0, 0.0, -86_400.0, -5_000.0, 5_000.0, 86_400.0)))
            alive = [machine.start() for _ in range(processes)]
        elif what < 0.4:
            machine.wall_error_s += rng.choice((-3_600.0, 3_600.0))  # somebody sets the clock while all goes on
        else:
            which = rng.randrange(processes)
            if what < 0.8:
                alive[which].kill()
            else:
                await alive[which].close()
            alive[which] = machine.start()
    for spender in alive:
        spender.kill()


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(list(QUOTAS)), processes=st.integers(1, 3), seed=st.integers(0, 2**32), reboots=st.booleans()
)
def test_no_window_is_ever_exceeded(name: str, processes: int, seed: int, reboots: bool) -> None:
    lasts_s = QUOTAS[name][1]
    with tempfile.TemporaryDirectory() as folder:
        machine = machine_for(name, Path(folder), seed)
        run_virtual(lambda: spend(machine, processes, lasts_s, reboots=reboots), most_s=100 * lasts_s)
    assert machine.sent
    assert not broken_windows(machine.windows, machine.sent), "by our clock"
    assert not broken_windows(machine.windows, machine.arrived), "by the server's"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("specs", "lasts_s", "processes", "share"),
    [
        (("write:300/hour",), 12 * HOUR_S, 1, 0.97),
        (("write:300/hour",), 12 * HOUR_S, 3, 0.97),
        (("write:60/min",), HOUR_S / 4, 1, 0.97),
        (("write:60/min",), HOUR_S / 4, 3, 0.97),
        (("write:600/min",), HOUR_S / 12, 1, 0.99),
        (("write:600/min",), HOUR_S / 12, 3, 0.99),
        (("write:120/10s",), 120.0, 3, 0.97),
        (("write:60/min", "any:1/100ms"), HOUR_S / 4, 3, 0.97),
        (("write:50/s",), 60.0, 1, 0.95),
        (("write:50/s",), 60.0, 3, 0.95),
    ],
)
def test_who_wants_all_of_it_gets_nearly_all(
    specs: tuple[str, ...], lasts_s: float, share: float, processes: int, tmp_path: Path
) -> None:
    """Alone or three at once, with replies after a twentieth of a second."""
    machine = Machine(tmp_path, specs, Short(1))
    run_virtual(lambda: greedy(machine, processes, lasts_s), most_s=100 * lasts_s)
    window = machine.windows[0]
    first = window.count  # of a window that begins empty
    later_s = lasts_s - machine.sent[0][0] - window.window_s  # processes take a while to begin
    assert len(machine.sent) >= share * (first + later_s * window.count / window.window_s) * 0.999
    assert most_of(window, machine.arrived) <= window.count


@pytest.mark.parametrize(
    ("specs", "lasts_s", "processes"),
    [
        (("any:1/100ms",), 60.0, 2),  # one slot: each waits while the other one has it
        (("write:60/min", "any:1/100ms"), 300.0, 2),
        (("write:2/s",), 60.0, 2),
        (("write:50/s",), 30.0, 2),
        (("write:10/s",), 60.0, 3),  # some slots are left over when they are divided
        (("write:50/s",), 30.0, 8),
    ],
)
def test_who_want_all_of_it_get_alike(specs: tuple[str, ...], lasts_s: float, processes: int, tmp_path: Path) -> None:
    """Once all are there: whoever is first finds an empty window."""
    machine = Machine(tmp_path, specs, Short(1))

    async def main() -> list[int]:
        spending = asyncio.create_task(greedy(machine, processes, lasts_s))
        await asyncio.sleep(5.0)
        before = [spender.requests for spender in machine.spenders]
        await spending
        return [spender.requests - early for spender, early in zip(machine.spenders, before, strict=True)]

    requests = run_virtual(main, most_s=100 * lasts_s)
    assert min(requests) >= 0.8 * max(requests)


async def greedy(machine: Machine, processes: int, lasts_s: float) -> None:
    for _ in range(processes):
        machine.start(is_greedy=True)
    await asyncio.sleep(lasts_s)
    for spender in machine.spenders:
        spender.kill()


class Short(random.Random):
    """Draws latencies of a twentieth of a second."""

    def random(self) -> float:
        return 0.4 + super().random() * 0.1

    def choice(self, seq: object) -> float:  # type: ignore[override]
        return 0.1
