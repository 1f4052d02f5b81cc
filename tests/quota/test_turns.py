"""Calls under quotas: each waits for its turn, none goes to the wire uncounted, and what replies say is heard."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from bulkwriter.clocks import Clocks
from bulkwriter.errors import TryLater
from bulkwriter.model import Fault, Reply
from bulkwriter.net.calls import LANES
from bulkwriter.quota.gate import Turns
from tests.sim.loop import run_virtual
from tests.support.quota_stage import Machine

GET = b"GET /list HTTP/1.1\r\n\r\n"
POST = b"POST /token HTTP/1.1\r\n\r\n"


class Wire:
    """Answers `replies` in turn, the last one for ever; keeps what was sent and when."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies or [Reply(200)])
        self.sent: list[tuple[float, bytes]] = []
        self.busy = self.most_busy = 0

    async def request(self, data: bytes, *, deadline_s: float) -> Reply:
        self.sent.append((asyncio.get_running_loop().time(), data[:4].strip()))
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await asyncio.sleep(0.1)
        self.busy -= 1
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


def with_turns(
    folder: Path,
    quota: Sequence[str],
    wire: Wire,
    act: Callable[[Turns, Machine], Awaitable[None]],
    *,
    stops: bool = False,
) -> None:
    async def main() -> None:
        machine = Machine(folder, quota, random.Random(1))
        quotas = machine.quotas(stops=stops)
        clocks = Clocks(clock=asyncio.get_running_loop().time, boot=machine.boot_clock, wall=machine.wall)
        await quotas.begin()
        await act(Turns(wire.request, quotas, clocks), machine)
        await quotas.aclose()

    run_virtual(main, most_s=1e6)


def test_a_get_is_a_read_and_all_else_a_write(tmp_path: Path) -> None:
    wire = Wire()

    async def act(turns: Turns, machine: Machine) -> None:
        for data in (GET, POST, b"DELETE /1 HTTP/1.1\r\n\r\n"):
            await turns(data, deadline_s=9.0)
        await asyncio.sleep(0)
        spending = turns._quotas.latest
        assert spending is not None

    with_turns(tmp_path, ["read:1/min", "write:2/min"], wire, act)
    assert [method for _, method in wire.sent] == [b"GET", b"POST", b"DELE"]
    # both windows held exactly what was sent: the second write waited for its even distance and no longer
    assert wire.sent[-1][0] < 35


def test_calls_wait_for_the_window(tmp_path: Path) -> None:
    wire = Wire()

    async def act(turns: Turns, machine: Machine) -> None:
        await asyncio.gather(*(turns(GET, deadline_s=9.0) for _ in range(12)))

    with_turns(tmp_path, ["read:2/s"], wire, act)
    times = sorted(at for at, _ in wire.sent)
    assert all(later - first >= 1.0 for first, later in zip(times, times[2:], strict=False))
    assert times[-1] < 8.0


def test_a_unit_is_taken_only_with_a_lane_for_it(tmp_path: Path) -> None:
    wire = Wire()

    async def act(turns: Turns, machine: Machine) -> None:
        await asyncio.gather(*(turns(GET, deadline_s=9.0) for _ in range(5 * LANES)))

    with_turns(tmp_path, ["read:1000/s"], wire, act)
    assert wire.most_busy <= LANES
    assert len(wire.sent) == 5 * LANES


def test_after_a_halt_a_call_that_would_wait_is_answered_unsent(tmp_path: Path) -> None:
    wire = Wire()

    async def act(turns: Turns, machine: Machine) -> None:
        await turns(GET, deadline_s=9.0)
        waiting = asyncio.create_task(turns(GET, deadline_s=9.0))
        await asyncio.sleep(1)
        turns._quotas.halt()
        reply = await waiting
        assert (reply.status, reply.fault) == (0, Fault.UNSENT)

    with_turns(tmp_path, ["read:1/min"], wire, act)
    assert len(wire.sent) == 1


def test_with_stop_a_spent_window_ends_the_call(tmp_path: Path) -> None:
    wire = Wire()

    async def act(turns: Turns, machine: Machine) -> None:
        for _ in range(3):
            await turns(GET, deadline_s=9.0)
        with pytest.raises(TryLater, match="read:3/hour is spent until"):
            await turns(GET, deadline_s=9.0)

    with_turns(tmp_path, ["read:3/hour"], wire, act, stops=True)
    assert len(wire.sent) == 3


@pytest.mark.parametrize("status", [409, 429])
def test_a_throttled_call_is_heard(tmp_path: Path, status: int) -> None:
    wire = Wire(Reply(200), Reply(status, retry_after="3600"))

    async def act(turns: Turns, machine: Machine) -> None:
        for _ in range(2):
            await turns(GET, deadline_s=9.0)
        await asyncio.sleep(0.1)
        assert turns._quotas.latest is not None
        assert "read" in turns._quotas.latest.learnt
        assert turns._quotas.opens_at(asyncio.get_running_loop().time(), "read") > 100

    with_turns(tmp_path, ["read:100/hour"], wire, act)


def test_a_cancelled_call_gives_its_lane_back_and_keeps_its_unit_spent(tmp_path: Path) -> None:
    wire = Wire()

    async def act(turns: Turns, machine: Machine) -> None:
        for _ in range(2 * LANES):
            call = asyncio.create_task(turns(GET, deadline_s=9.0))
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        assert (await turns(GET, deadline_s=9.0)).status == 200

    with_turns(tmp_path, ["read:1000/hour"], wire, act)
    assert len(wire.sent) == 2 * LANES + 1
