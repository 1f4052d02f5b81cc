"""The network of one process: opens lanes, gives each create and each list call its fate, and carries it out.

Requests go to the model server with a latency; what the client sees of them is scheduled here, on the process's loop,
and never reaches a process that is dead.  What is on its way when a lane is lost stays on its way.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from bulkwriter.model import Fault, Reply
from bulkwriter.net.connect_failures import ConnectFailure
from bulkwriter.net.idle import IdleLimit
from bulkwriter.net.lane import Lane
from bulkwriter.settings import Limits

from . import fates
from .fates import CONNECT_FAULTS, DATE, FORBIDDEN, KINDS, Does, Kind, draw
from .lanes import BODY_BYTES, SimLane
from .lists import SimCalls
from .process import Process
from .server import Answer, Request, Server
from .watch import Watch
from .weather import Weather
from .wire import create_reply, read_create, wire_of

OTHERS = 2_000_000
"""Members of records that others' replies tell of; never in a source."""
PLAIN = Kind(Does.TAKES)
SPLIT = 0.1
"""Share of the replies that come in two pieces."""


class SimPool:
    """Stands for `net.pool.Pool`."""

    def __init__(
        self, process: Process, server: Server, weather: Weather, watch: Watch, *, limits: Limits, rng: random.Random
    ) -> None:
        self.process = process
        self.server = server
        self.weather = weather
        self.watch = watch
        self.limits = limits
        self.rng = rng
        self._idle = IdleLimit(limits.idle_s)
        self._lanes: dict[Lane, None] = {}
        self._numbers = 0
        self._is_closed = False

    async def connect(self, owner: Any, *, body_bytes: int) -> SimLane:
        delay_s = self.weather.latency()
        is_out = self.weather.is_out(self.process.now)
        fails = is_out or self.rng.random() < self.weather.odds.connects
        await asyncio.sleep(min(delay_s * 3, self.limits.connect_timeout_s) if fails else delay_s)
        if fails or self._is_closed:
            raise ConnectFailure(self.rng.choice(CONNECT_FAULTS), "sim.test")
        self._numbers += 1
        lane = SimLane(self, owner, self._numbers, self._idle)
        self._lanes[lane] = None
        self.process.note(f"{lane} opens")
        return lane

    def sweep(self, now: float) -> None:
        self._idle.relax(now)
        for lane in list(self._lanes):
            lane.sweep(now)

    async def aclose(self) -> None:
        self._is_closed = True
        for lane in list(self._lanes):
            if lane.is_busy:
                lane.abort(Fault.CANCELLED)
            else:
                lane.close()
        await asyncio.sleep(self.limits.linger_s)
        for lane in list(self._lanes):
            lane.hang_up()
        while self._lanes:
            await asyncio.sleep(0.01)

    def calls(self) -> SimCalls:
        """What makes list calls over this network."""
        return SimCalls(self.process, self.server, self.weather, self.watch)

    # for lanes

    def sent(self, lane: SimLane, request: bytes) -> None:
        """The lane has written a create."""
        token, pair = read_create(request)
        if not self.process.event(f"{lane} sends {lane.seq} {pair}"):
            return
        self.watch.sent(lane)
        now, up_s, down_s = self.process.now, self.weather.latency(), self.weather.latency()
        kind, does = self._fate(lane, now)
        if lane.is_shifted:  # or the reply too many comes when nobody listens any more
            up_s = down_s = self.limits.linger_s / 4
        heard_at = now + up_s + down_s
        is_silent = kind is KINDS["silence"]
        lost_at = lane.deadline if is_silent else heard_at
        at = self.rng.uniform(now, lost_at + self.weather.late_apply_s) if does is Does.TAKES_LATE else now + up_s
        lane.request = self.server.submit(pair, token, at)
        lane.request.is_dropped = does is Does.DROPS
        if not is_silent:
            asyncio.get_running_loop().call_at(heard_at, self._deliver, lane, kind, lane.request)
        self.process.event("sent")

    def _fate(self, lane: SimLane, now: float) -> tuple[Kind, Does]:
        if lane.is_shifted:
            return PLAIN, PLAIN.does
        is_out = self.weather.is_out(now)
        name = "silence" if is_out else draw(self.rng, self.weather.odds.creates)
        if not is_out and self.weather.is_forbidden(now):
            name = "403"
        if name is None:
            return PLAIN, PLAIN.does
        kind = KINDS.get(name) or FORBIDDEN[name]
        does = self.rng.choice((Does.TAKES, Does.DROPS, Does.TAKES_LATE)) if kind.does is Does.MAY_TAKE else kind.does
        self.process.note(f"fate of {lane.seq}: {name}, {does.value}")
        return kind, does

    def lost(self, lane: SimLane) -> None:
        """The lane's request will not be answered any more."""
        if lane.request:
            self.server.lose(lane.request, self.process.now, self.weather.late_apply_s)

    def _trouble(self, lane: SimLane, reply: Reply, text: bytes) -> bytes:
        """A reply to a request goes out.  What happens to its lane next?  Returns the bytes of the reply."""
        event = None if lane.is_shifted else draw(self.rng, self.weather.odds.lanes)
        loop, after_s = asyncio.get_running_loop(), self.rng.expovariate(20)
        match event:
            case "close after the reply":
                return text.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            case "closed when idle":
                loop.call_later(after_s, lane.server_closes)
            case "stray bytes":
                loop.call_later(after_s, self._stray, lane)
            case fates.SHIFT:
                lane.is_shifted = True
                other = self.server.add((1, OTHERS + self.server.next_id), self.process.now)
                loop.call_later(after_s, self._say, lane, create_reply(Answer(200, other.record_id)))
            case "repeated reply" if b'"Id"' in reply.body:
                loop.call_later(after_s, self._say, lane, reply)
        return text

    def _say(self, lane: SimLane, reply: Reply) -> None:
        """A reply arrives that is none to the request which the lane carries, if any."""
        self._reach(lane, reply, wire_of(reply), f"{reply.status}")

    def forget(self, lane: Lane) -> None:
        self._lanes.pop(lane, None)

    def _stray(self, lane: SimLane) -> None:
        if not lane.is_busy:
            self._say(lane, Reply(408))

    def _deliver(self, lane: SimLane, kind: Kind, request: Request) -> None:
        self.server.advance(self.process.now)
        if kind.fault:
            self._fail(lane, kind.fault)
            return
        if kind.status:
            date = DATE if kind.retry_after else None
            reply = Reply(kind.status, kind.body, retry_after=kind.retry_after, date=date)
        else:
            assert request.answer
            reply = create_reply(request.answer)
            if self.server.date:
                reply = reply._replace(date=self.server.date(self.process.now))
        text = wire_of(reply)
        if lane.is_busy:  # else another's reply was taken for the one to this request
            text = self._trouble(lane, reply, text)
        self._pass(lane, reply, text)

    def _pass(self, lane: SimLane, reply: Reply, text: bytes) -> None:
        """The network brings a reply, now and then in two pieces; what follows comes behind both."""
        if lane.behind is not None:
            lane.behind.append((reply, text))
        elif self.rng.random() < SPLIT:
            lane.behind = []
            at = self.rng.randrange(1, len(text))
            lane.deliver(text[:at], f"a part of {reply.status}")
            later = self.rng.choice((0.0, 0.001))
            asyncio.get_running_loop().call_later(later, self._rest, lane, reply, text[at:])
        else:
            self._reach(lane, reply, text, f"{reply.status}")

    def _rest(self, lane: SimLane, reply: Reply, text: bytes) -> None:
        """The second piece of a reply comes, and all that waited behind it."""
        self._reach(lane, reply, text, f"the rest of {reply.status}")
        behind, lane.behind = lane.behind or [], None
        for following in behind:
            self._pass(lane, *following)

    def _reach(self, lane: SimLane, reply: Reply, text: bytes, what: str) -> None:
        """The last bytes of a reply reach the lane: now it can be known."""
        if lane.is_busy:
            self.watch.heard(reply)
        lane.deliver(text, what)

    def _fail(self, lane: SimLane, fault: Fault) -> None:
        """What comes in place of a reply."""
        match fault:
            case Fault.LOST:
                if self.process.event(f"{lane} is reset"):
                    lane.transport.reset()
            case Fault.CUT:
                lane.deliver(wire_of(Reply(200, b"{}"))[:-1], "a part of a reply, and its end")
                if self.rng.random() < 0.5:
                    lane.transport.reset()
                else:
                    asyncio.get_running_loop().call_later(0.001, lane.transport.reset)
            case Fault.GARBLED:
                lane.deliver(b"garbage", "garbage")
            case Fault.OVERSIZED:
                lane.deliver(wire_of(Reply(200, b"{" + b" " * BODY_BYTES)), "too much")
