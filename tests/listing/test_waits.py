"""What `verify`, `undo` and the look-up of existing pairs wait for: a turn, a pause; and what a halt makes of both."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from bulkwriter.errors import TryLater
from bulkwriter.listing.lists import ListFailed
from bulkwriter.listing.persist import FIRST_PAUSE_S, Persistence
from bulkwriter.model import Fault, Reply
from bulkwriter.net.calls import LANES
from bulkwriter.settings import Settings
from bulkwriter.verify.paced import PacedRequests
from bulkwriter.verify.stop_signal import Halt

from ..sim.loop import run_virtual


class Longest(random.Random):
    """Draws the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def test_what_waited_for_its_turn_is_not_sent_after_a_halt() -> None:
    sent: list[bytes] = []
    may_end = asyncio.Event()

    async def request(data: bytes) -> Reply:
        sent.append(data)
        await may_end.wait()
        return Reply(200)

    halt = Halt()
    paced = PacedRequests(
        request, Settings(), clock=time.monotonic, wall=time.time, tell=lambda event: None, rng=Longest(), halt=halt
    )
    asking = [asyncio.create_task(paced(b"DELETE %d" % i)) for i in range(LANES + 2)]
    await asyncio.sleep(0)
    under_way = len(sent)
    assert under_way <= LANES
    halt.set()
    may_end.set()
    replies = await asyncio.gather(*asking)
    assert len(sent) == under_way
    assert [reply.fault for reply in replies].count(Fault.UNSENT) == len(asking) - under_way


async def test_pauses_between_tries_begin_with_the_first_and_double() -> None:
    slept: list[float] = []
    failures = [ListFailed("no"), ListFailed("no"), ListFailed("no")]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def step() -> str:
        if failures:
            raise failures.pop()
        return "there"

    persist = Persistence(
        clock=lambda: 0.0, give_up_after_s=60.0, tell=lambda event: None, rng=Longest(), hint="", sleep=sleep
    )
    assert await persist(step) == "there"
    assert slept == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]


@pytest.mark.parametrize(("waits_s", "most_tries"), [(0.0, 70), (2 * 3_600.0, 8)])
def test_giving_up_counts_from_the_first_failure_and_no_wait_for_a_quota(waits_s: float, most_tries: int) -> None:
    """A list call waits for its quota before it is sent: those hours are no failure of the server."""
    tries = 0

    async def main() -> float:
        clock = asyncio.get_running_loop().time

        async def step() -> None:
            nonlocal tries
            tries += 1
            await asyncio.sleep(waits_s)
            raise ListFailed("HTTP 500")

        persist = Persistence(clock=clock, give_up_after_s=3_600.0, tell=lambda event: None, rng=Longest(), hint="")
        with pytest.raises(TryLater):
            await persist(step)
        return clock()

    assert run_virtual(main) > 3_600
    assert 6 < tries < most_tries
