"""Stages with an event loop: the engine over lanes that answer by themselves, and a lane over a real connection.

A fake lane answers in the loop's next turn, together with all others that were sent to meanwhile, as 64 connections to
a near server do.  So the engine's stage holds everything between the ready queue and the outcomes' buffer: dispatching,
classifying, statistics, control, and groups handed to a journal that keeps nothing; no source, no disk, no network.

A bare lane sends pair after pair and looks at nothing but that a reply came: what an exchange costs at least.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import repeat
from time import monotonic
from typing import Any

import uvloop

from bulkwriter.clocks import MACHINE
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.listing.lists import Filters
from bulkwriter.model import Intent, Reply, State
from bulkwriter.net.api import Api
from bulkwriter.net.framing import ReplyReader
from bulkwriter.net.idle import IdleLimit
from bulkwriter.net.lane import Lane
from bulkwriter.net.pool import Pool
from bulkwriter.rows import SettleRow
from bulkwriter.run.ports import Ports
from bulkwriter.settings import Limits, Settings
from bulkwriter.store.journal_writer import JournalWriter
from bulkwriter.wiring import Assembly
from bulkwriter.writer import BulkWriter

from ..turns import TOKEN
from . import Steps, Work
from .pure import IN_FLIGHT, replies_for, wire_of

NOWHERE = "http://127.0.0.1:9"


def run(main: Callable[[], Awaitable[object]]) -> None:
    async def whole() -> None:
        await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


class MemoryTransport(asyncio.Transport):
    """A connection whose server answers in the loop's next turn."""

    def __init__(self, pool: MemoryPool) -> None:
        super().__init__()
        self._pool = pool
        self.lane: Any = None
        self._is_closed = False

    def write(self, data: Any) -> None:
        pool = self._pool
        pool.asked.append(self.lane)
        if len(pool.asked) == 1:
            asyncio.get_running_loop().call_soon(pool.answer)

    def is_closing(self) -> bool:
        return self._is_closed

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            asyncio.get_running_loop().call_soon(self.lane.connection_lost, None)


class MemoryPool:
    """Real lanes, over transports that answer with these bytes, in order."""

    def __init__(self, replies: list[bytes]) -> None:
        self._replies = iter(replies)
        self.asked: list[Lane] = []

    def answer(self) -> None:
        lanes, self.asked = self.asked, []
        for lane in lanes:
            lane.data_received(next(self._replies))

    async def connect(self, owner: Any, *, body_bytes: int) -> Lane:
        transport = MemoryTransport(self)
        transport.lane = lane = Lane(
            owner,
            transport=transport,
            connection=transport,
            reader=ReplyReader(head_bytes=65_536, body_bytes=body_bytes),
            idle=IdleLimit(4.0),
            max_requests=5_000,
            linger_s=0.05,
            forget=lambda lane: None,
            clock=MACHINE.clock,
        )
        return lane

    def sweep(self, now: float) -> None:
        return None

    async def aclose(self) -> None:
        return None


class NoJournal(JournalWriter):
    """Counts outcomes of rows that it was never given, and keeps none of them."""

    def __init__(self) -> None:
        super().__init__(inline=True)
        self._settled = 0

    async def settle(self, rows: Sequence[SettleRow]) -> None:
        self._settled += len(rows)
        self.counts = {State.CREATED: self._settled}

    def _set_totals(self, totals: Any) -> None:
        super()._set_totals(totals._replace(counts=self.counts))


class FakeNetwork(Assembly):
    """The real parts but for lanes, lists and the journal."""

    def __init__(self, settings: Settings, replies: list[bytes]) -> None:
        super().__init__(settings, columns=None)
        self.store = NoJournal()
        self._replies = replies

    def _make_ports(self) -> Ports:
        async def get_page(filters: Filters, page: int) -> Any:
            raise AssertionError("nothing is listed: no source asks what is there")

        ports = super()._make_ports()
        ports.pool, ports.get_page = MemoryPool(self._replies), get_page
        return ports


def engine(work: Work) -> Steps:
    """Intents in, settled outcomes out."""
    replies = [wire_of(reply) for reply in replies_for(work)]
    settings = Settings(base_url=NOWHERE, token=TOKEN, existing="skip", quota=("none",))
    intents = [Intent(seq, pair, 0, seq + 2, None) for seq, pair in enumerate(work.pairs)]

    async def dispatch() -> None:
        async with BulkWriter(settings, assembly=FakeNetwork(settings, replies)) as writer:
            inside = writer._engine
            await inside.token_refresh.begin()
            inside.pairs.added(intents, 0.0)
            inside.run.soon()
            await inside.run.until(lambda: inside.run.is_stopping or inside.committer.settled == len(intents))
            assert inside.run.error is None, inside.run.error

    return lambda: run(dispatch)


class BareOwner:
    """Sends the next request as soon as a reply has come."""

    def __init__(self, work: Work) -> None:
        self._requests = map(Api(work.url, COMPLETED_LESSONS).create, repeat(TOKEN), work.pairs)
        self._left = len(work.pairs)
        self.is_done = asyncio.Event()

    def next(self, lane: Lane) -> None:
        request = next(self._requests, None)
        if request is not None:
            now = monotonic()
            lane.send(request, None, now, now + 90)

    def arrived(self, lane: Lane) -> None:
        lane.read(monotonic())

    def replied(self, lane: Lane, reply: Reply) -> None:
        assert reply.fault is None, reply
        self._left -= 1
        if not self._left:
            self.is_done.set()
        self.next(lane)

    def strayed(self, lane: Lane) -> None:
        raise AssertionError("a stray reply")

    def ended(self, lane: Lane) -> None:
        return None

    def crashed(self, error: Exception) -> None:
        raise error


def bare_lane(work: Work) -> Steps:
    """64 lanes, request and reply, nothing else."""

    async def exchange() -> None:
        pool = Pool(work.url, limits=Limits(lane_requests=10**9))
        owner = BareOwner(work)
        for lane in [await pool.connect(owner, body_bytes=1 << 20) for _ in range(IN_FLIGHT)]:
            owner.next(lane)
        await owner.is_done.wait()
        await pool.aclose()

    return lambda: run(exchange)
