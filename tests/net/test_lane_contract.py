"""The simulated lane is honest: whatever happens to it, its owner hears what the owner of a real one hears.

The same random script is played to `net.lane.Lane` on a transport that only records and to `tests.sim.lanes.SimLane`.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.model import Fault, Reply
from bulkwriter.settings import Limits

from ..sim.lanes import SimLane
from ..sim.loop import VirtualLoop
from ..support.lane_bench import OK, Bench, Watcher

LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
LIMITS = Limits(lane_requests=4, idle_s=4.0, linger_s=0.05)

STEPS = st.lists(
    st.sampled_from(
        ["send", "reply", "last reply", "bytes", "server ends", "abort", "close", "tick", "idle", "overdue"]
    ),
    max_size=14,
)


class RealSide:
    """A real lane, its bytes and its time."""

    def __init__(self) -> None:
        self.bench = Bench(max_requests=LIMITS.lane_requests, idle_s=LIMITS.idle_s, linger_s=LIMITS.linger_s)
        self.lane = self.bench.lane
        self.heard = self.bench.heard
        self.is_gone = False

    def play(self, step: str, number: int) -> Any:
        lane, now = self.lane, monotonic()
        match step:
            case "send" if not lane.is_busy and not self.is_gone:
                return self.bench.send(number)
            case "reply" if lane.is_busy:
                self.bench.receive(OK)
            case "last reply" if lane.is_busy:
                self.bench.receive(LAST)
            case "bytes" if not lane.is_busy and not self.is_gone:
                self.bench.receive(OK)
            case "server ends" if not self.is_gone:
                lane.eof_received()
                self.end()
            case "abort" if not self.is_gone:
                lane.abort(Fault.CANCELLED)
            case "close" if not self.is_gone:
                lane.close()
            case "tick" | "idle" | "overdue" if not self.is_gone:
                lane.sweep(now + {"tick": 0.0, "idle": 5.0, "overdue": 100.0}[step])
        if self.bench.wire.log:
            self.end()
        return None

    def end(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self.lane.connection_lost(None)


class SimSide:
    """A simulated lane over a pool that does nothing."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.owner = Watcher()
        self.heard = self.owner.heard
        self.is_gone = False
        pool: Any = SimpleNamespace(
            limits=LIMITS,
            rng=SimpleNamespace(uniform=lambda low, high: low),
            process=SimpleNamespace(event=lambda what: True, note=lambda what: None, is_dead=False),
            watch=SimpleNamespace(failures=[]),
            sent=lambda lane, request: None,
            lost=lambda lane: None,
            heard=lambda lane, reply: None,
            forget=self.forget,
        )
        self.loop = loop
        self.lane = SimLane(pool, self.owner, 1)

    def forget(self, lane: SimLane) -> None:
        self.is_gone = True

    async def play(self, step: str, number: int) -> Any:
        lane, now, done = self.lane, self.loop.time(), None
        match step:
            case "send" if not lane.is_busy and not self.is_gone:
                done = lane.send(b"POST", number, now, now + 90)
            case "reply" if lane.is_busy:
                lane.deliver(Reply(200, b"{}"))
            case "last reply" if lane.is_busy:
                lane.is_server_done = True
                lane.deliver(Reply(200, b"{}"))
            case "bytes" if not lane.is_busy and not self.is_gone:
                lane.deliver(Reply(200, b"{}"))
            case "server ends" if not self.is_gone:
                lane.server_closes()
            case "abort" if not self.is_gone:
                lane.abort(Fault.CANCELLED)
            case "close" if not self.is_gone:
                lane.close()
            case "tick" | "idle" | "overdue" if not self.is_gone:
                lane.sweep(now + {"tick": 0.0, "idle": 5.0, "overdue": 100.0}[step])
        await asyncio.sleep(0.001)
        return done


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(steps=STEPS)
def test_the_owner_of_a_simulated_lane_hears_what_that_of_a_real_one_does(steps: list[str]) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        real, fake = RealSide(), SimSide(loop)
        for number, step in enumerate(steps):
            played = real.play(step, number), await fake.play(step, number)
            assert played[0] == played[1], (step, number)
            assert real.heard == fake.heard, (step, number)
            for name in ("is_busy", "is_open", "requests", "carried"):
                assert getattr(real.lane, name) == getattr(fake.lane, name), (step, number, name)
            assert real.is_gone == fake.is_gone, (step, number)

    loop.run(main())
