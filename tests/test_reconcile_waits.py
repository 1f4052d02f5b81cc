"""What `verify`, `undo` and the look-up of existing pairs wait for: a turn, a pause; and what a halt makes of both."""

from __future__ import annotations

import asyncio
import random
import time

from bulkwriter.model import Fault, Reply
from bulkwriter.net.calls import LANES
from bulkwriter.reconcile.halt import Halt
from bulkwriter.reconcile.lists import ListFailed
from bulkwriter.reconcile.paced import PacedRequests
from bulkwriter.reconcile.persist import FIRST_PAUSE_S, Persistence
from bulkwriter.settings import Settings


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

    persist = Persistence(clock=lambda: 0.0, give_up_after_s=60.0, tell=lambda event: None, rng=Longest(), sleep=sleep)
    assert await persist(step) == "there"
    assert slept == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
