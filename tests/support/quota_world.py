"""What a simulated backfill runs against: a server that enforces limits exactly, and a network with quotas.

The limits are the stub's own (`bulkwriter.stub.limits`), asked when a request arrives, in the order of arrival.
Another client of the account may write as well.  `tests/support/quota_days.py` runs backfills here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bulkwriter.clocks import Clocks
from bulkwriter.events import Event
from bulkwriter.listing.lister import Lister
from bulkwriter.model import Reply
from bulkwriter.quota.gate import Quotas, Turns
from bulkwriter.run.ports import Ports
from bulkwriter.settings import Settings
from bulkwriter.stub.limits import Gate, LimitRule
from tests.sim.assembly import SimAssembly
from tests.sim.process import Trace
from tests.sim.server import Answer, Limit
from tests.sim.watch import Watch

DAY_S = 86_400.0
BOOTED_S = 1_000_000.0
"""What the boot clock says at virtual time 0."""
DOCUMENTED = (
    LimitRule(kind="log", count=60, window_s=60.0),
    LimitRule(kind="log", count=2_500, window_s=DAY_S),
    LimitRule(kind="log", count=1, window_s=0.1, of="any"),
    LimitRule(kind="log", count=120, window_s=60.0, of="any"),
    LimitRule(kind="log", count=5_000, window_s=3_600.0, of="any"),
    LimitRule(kind="log", count=200_000, window_s=DAY_S, of="any"),
)
"""A server that enforces the documented limits exactly, for every span of their length."""


class QuietTrace(Trace):
    """Keeps nothing: 100,000 pairs are a million events."""

    def add(self, now: float, what: str) -> None:
        self.count += 1


class LightWatch(Watch):
    """Counts attempts; the rules of a process are watched by the simulation of seeds."""

    def sent(self, lane: Any) -> None:
        self.attempts += 1

    def heard(self, reply: Reply) -> None:
        """Nothing to see."""

    def listed(self) -> None:
        self.list_calls += 1

    def tell(self, event: Event) -> None:
        """Nothing to see."""


@dataclass(slots=True)
class GateLimit(Limit):
    """The stub's limits as the model server asks for them."""

    gate: Gate = field(default_factory=lambda: Gate((), random.Random()))
    throttled_at: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    says_wait: bool = True
    other_every_s: float = 0.0
    """Another client of the account writes so often, and has done so for a day when we begin."""
    other_at: float = -DAY_S
    other_taken: int = 0
    """How many of its writes were taken since we began; it does not repeat one that is refused."""

    def refuse(self, now: float) -> Answer | None:
        self.arrivals.append(now)
        return self.ask(b"POST", now)

    def ask(self, method: bytes, now: float) -> Answer | None:
        self._write_of_other(now)
        throttle = self.gate.admit(method, now)
        if throttle is None:
            self.gate.release(method)
            return None
        self.throttled_at.append(now)
        states = self.says_wait and throttle.rule.retry_after == "seconds"
        return Answer(throttle.rule.status, retry_after=str(throttle.stated_s) if states else None)

    def _write_of_other(self, now: float) -> None:
        while self.other_every_s and self.other_at < now:
            if self.gate.admit(b"POST", self.other_at) is None:
                self.gate.release(b"POST")
                self.other_taken += self.other_at >= 0
            self.other_at += self.other_every_s


class QuotaAssembly(SimAssembly):
    """A simulated assembly whose creates and calls pass the quotas."""

    def __init__(self, settings: Settings, *, make_quotas: Callable[[Clocks], Quotas], limit: GateLimit, **parts: Any):
        super().__init__(settings, **parts)
        self._make_quotas = make_quotas
        self._limit = limit

    def _make_ports(self) -> Ports:
        ports = super()._make_ports()
        process, calls = self._process, self.pool.calls()

        async def request(data: bytes, *, deadline_s: float) -> Reply:
            self._server.advance(process.now)  # limits are asked in the order of arrival
            refusal = self._limit.ask(b"GET", process.now)
            if refusal:
                return Reply(refusal.status, b"", retry_after=refusal.retry_after)
            return await calls.request(data)

        clocks = Clocks(clock=ports.clock, boot=lambda: BOOTED_S + process.now, wall=ports.wall)
        ports.quotas = self._make_quotas(clocks)
        turns = Turns(request, ports.quotas, clocks)
        ask = partial(turns, deadline_s=self._settings.timeout_s)
        ports.get_page = Lister(ask, ports.api, ports.tokens, wall=ports.wall, most_age_s=5.0).page
        self._quotas = ports.quotas
        return ports

    async def _close(self, *, checkpoint: bool = True) -> None:
        await super()._close(checkpoint=checkpoint)
        await self._quotas.aclose()
