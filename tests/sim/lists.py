"""List calls and tokens over the simulated network: stands for `net.calls.Calls`, under the real `listing.lister`.

A list is a picture of one moment.  What can go wrong with it can be told from the reply alone: a page that is short of
what its own envelope says is a lie of this kind.  A whole, consistent list that is older than `list_lag_s` cannot be
told from a true one; it comes once in a world at most, and is why two looks must agree.
"""

from __future__ import annotations

import asyncio
import math

from bulkwriter.errors import ConfigurationStop, TryLater
from bulkwriter.model import Fault, Reply
from bulkwriter.net.auth import TokenSource

from .fates import ERROR, HTML, draw
from .process import Process
from .server import Record, Server
from .watch import Watch
from .weather import Weather
from .wire import Ask, list_body, read_list

SILENCE_S = 3.0
"""After so long a list call is given up; the real deadline is that of all requests."""
OLD_S = 100.0
"""How old an old picture is at most."""


class SimCalls:
    """Makes list calls; `request` is what a `Lister` wants."""

    def __init__(self, process: Process, server: Server, weather: Weather, watch: Watch) -> None:
        self._process = process
        self._server = server
        self._weather = weather
        self._watch = watch

    async def request(self, data: bytes) -> Reply:
        """Send one list call and wait for what comes back."""
        ask = read_list(data)
        self._process.event(f"lists {ask.first} {ask.second} page {ask.page}")
        self._watch.listed()
        await asyncio.sleep(self._weather.latency())
        now, weather = self._process.now, self._weather
        fate = "silence" if weather.is_out(now) else draw(weather.rng, weather.odds.lists)
        reply = self._answer(ask, fate, now)
        await asyncio.sleep(SILENCE_S if reply.fault is Fault.SILENT else weather.latency())
        self._process.event(f"list answers {reply.fault or reply.status} {fate or ''}")
        return reply

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _answer(self, ask: Ask, fate: str | None, now: float) -> Reply:
        match fate:
            case "lost":
                return Reply(0, fault=Fault.LOST)
            case "silence":
                return Reply(0, fault=Fault.SILENT)
            case "500":
                return Reply(500, ERROR)
            case "502 page":
                return Reply(502, HTML)
            case "429 with a wait":
                return Reply(429, retry_after="1")
            case "403":
                return Reply(403)
            case "garbage":
                return Reply(200, HTML)
        if ask.token not in self._server.tokens:
            return Reply(401, b'{"Message":"Authorization has been denied for this request."}')
        at = self._moment(now, fate)
        found = self._server.listed(at, ask.first, ask.second, direction=ask.direction)
        records, size = self._server.page(found, ask.page, ask.size)
        return Reply(200, list_body(self._cut(records, fate), ask=ask, size=size, total=len(found)))

    def _moment(self, now: float, fate: str | None) -> float:
        """The moment of the picture."""
        weather = self._weather
        if fate != "old picture" or weather.has_lied:
            return now
        weather.has_lied = True
        return max(0.0, now - weather.rng.uniform(0, OLD_S))

    def _cut(self, records: list[Record], fate: str | None) -> list[Record]:
        if fate == "empty page":
            return []
        if fate == "short page" and records:
            missing = self._weather.rng.randrange(len(records))
            return records[:missing] + records[missing + 1 :]
        return records


class SimTokens(TokenSource):
    """The newest token that the server knows of, and a new one on demand."""

    def __init__(self, server: Server, weather: Weather) -> None:
        super().__init__(self._supply_one)
        self._server = server
        self._weather = weather

    async def _supply_one(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        if self._weather.is_tokenless(asyncio.get_running_loop().time()):
            raise self._weather.rng.choice((TryLater, ConfigurationStop))("no token can be had")
        if not is_first:
            await asyncio.sleep(self._weather.rng.choice((0.0, 2 * self._weather.latency())))  # a file, or a call
            self._server.renew_token()
        return f"token-{self._server.newest_token}", math.inf
