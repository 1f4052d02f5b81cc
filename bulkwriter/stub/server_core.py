"""Takes each request through arrival, throttle, fault, latency, application and reply, on the loop.

This is the one place of the stub that reads the clock and sets timers; pure objects decide (`limits`, `faults`,
`latency`, `endpoints`).  Applying a request and answering it are two steps at the *end* of its latency: a client that
gave up meanwhile is served all the same, as a real server would.  A scenario without limits, faults and latency takes
the short way in `begin`, which makes no exchange and no timer.

`install` puts another scenario in place without forgetting records, tokens and counts; `reset` starts over.  Exchanges
under way keep the gate and the memory that they began with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..clocks import MACHINE, Clocks
from .admin import answer_admin
from .connection import Connection
from .endpoints import Endpoints
from .fault_runner import run_connection_fault, run_fault
from .faults import EARLY, Dealer
from .latency import Service
from .limits import Gate, Throttle
from .request import Head, Heads, Request
from .responses import Response
from .scenario import Scenario
from .truth import Truth


class Exchange:
    """One request being served, which takes time or meets a fault."""

    __slots__ = ("_gate", "_truth", "api", "connection", "is_over", "is_silent", "request")

    def __init__(self, core: ServerCore, connection: Connection, request: Request) -> None:
        self.connection, self.request = connection, request
        self.api, self._truth = core.api, core.truth
        self._gate: Gate | None = None
        self.is_over = self.is_silent = False
        self._truth.begun()

    def admitted(self, gate: Gate) -> None:
        """The gate has booked it and wants it back at its end."""
        self._gate = gate

    def end(self, status: int) -> None:
        """Count it as served, once; `status` 0 stands for no reply, or none that makes sense."""
        assert not self.is_over, "an exchange ends once"
        self.is_over = True
        self._truth.statuses[status] += 1
        self._truth.ended()
        if self._gate is not None:
            self._gate.release(self.request.head.method)


class ServerCore:
    """A running stub without its sockets."""

    def __init__(self, scenario: Scenario, clocks: Clocks = MACHINE) -> None:
        self.clocks, self.now = clocks, clocks.clock
        self.connections: set[Connection] = set()
        self.heads = Heads()
        self.is_closed = False
        self.scenario = scenario
        self.reset()
        self._sweep()

    def reset(self) -> None:
        """Start over with the scenario as it is: its existing records, nothing else, all counts zero."""
        now = self.now()
        self.api = Endpoints(self.scenario, now=now, wall_s=self.clocks.wall())
        self.truth = Truth(self.scenario.watch_windows_s, now=now)
        self._arm(now)

    def install(self, scenario: Scenario) -> None:
        """Behave by another scenario from now on.  Its `existing` and `first_id` count only after a reset."""
        self.scenario = scenario
        self.api.retune(scenario)
        self.truth.watch(scenario.watch_windows_s)
        self._arm(self.now())

    def _arm(self, now: float) -> None:
        """Make the limits, faults and latency of the scenario anew."""
        scenario = self.scenario
        early = [rule for rule in scenario.faults if rule.kind in EARLY]
        others = [rule for rule in scenario.faults if rule.kind not in EARLY]
        self.early = Dealer(early, scenario.rng("early faults")) if early else None
        self.dealer = Dealer(others, scenario.rng("faults"))
        self.gate = Gate(scenario.limits, scenario.rng("phases"), start=now)
        self._service = Service(
            median_s=scenario.latency_s, sigma=scenario.latency_sigma, servers=scenario.servers,
            rng=scenario.rng("latency"),
        )  # fmt: skip
        self._is_plain = not (scenario.limits or others or scenario.max_requests) and self._service.is_instant

    def describe(self) -> dict[str, Any]:
        """What happened so far, with the keys of `truth.FIELDS`."""
        people = self.api.people.describe() if self.api.people else None
        return self.truth.describe(self.api.records, people, connections=len(self.connections), now=self.now())

    def close(self) -> None:
        self.is_closed = True
        for connection in list(self.connections):
            connection.reset()

    # what connections call

    def joined(self, connection: Connection) -> None:
        self.connections.add(connection)
        connection.touched_at = self.now()
        self.truth.connected(len(self.connections))
        if self.is_closed:
            connection.reset()
            return
        rule = self.dealer.deal("connect", "")
        if rule is not None:
            self.truth.faults[rule.kind] += 1
            run_connection_fault(connection, rule)

    def left(self, connection: Connection) -> None:
        self.connections.discard(connection)
        exchange = connection.exchange
        if exchange is not None and exchange.is_silent:
            exchange.end(0)

    def meet_early(self, connection: Connection, head: Head) -> None:
        """A request's head is read: faults that do not wait for its body."""
        assert self.early is not None
        rule = self.early.deal(head.operation, head.resource)
        if rule is not None:
            self.truth.faults[rule.kind] += 1
            run_connection_fault(connection, rule)

    def begin(self, connection: Connection, request: Request) -> None:
        """A request is whole and its turn has come."""
        now = connection.touched_at = self.now()
        if request.head.operation == "admin":
            self._reply_at_once(connection, request, answer_admin(self, request), now)
            return
        self.truth.arrived(request.head.kind, now)
        if self._is_plain:
            response = self.api.answer(request, now)
            self.truth.statuses[response.status] += 1
            self._reply_at_once(connection, request, response, now)
            return
        self._begin_exchange(connection, request, now)

    def _reply_at_once(self, connection: Connection, request: Request, response: Response, now: float) -> None:
        connection.send(self.api.renderer.render(response, now, is_last=request.is_last))
        if request.is_last:
            connection.close()

    def _begin_exchange(self, connection: Connection, request: Request, now: float) -> None:
        connection.served += 1
        if 0 < self.scenario.max_requests <= connection.served:
            request.is_last = True
        exchange = connection.exchange = Exchange(self, connection, request)
        throttle = self.gate.admit(request.head.method, now)
        if throttle is not None:
            self.truth.throttles += 1
            self.later(self.scenario.throttle_latency_s, self.reply, exchange, self._throttled(throttle, now))
            return
        exchange.admitted(self.gate)
        delay_s = self._service.delay_s(now)
        if connection.stray is not None:
            repeat, extra_s = connection.stray
            connection.stray = None
            connection.send(repeat)
            delay_s += extra_s
        rule = self.dealer.deal(request.head.operation, request.head.resource)
        if rule is None:
            self.later(delay_s, self.serve, exchange)
        else:
            self.later(delay_s, run_fault, self, exchange, rule)

    def _throttled(self, throttle: Throttle, now: float) -> Response:
        match throttle.rule.retry_after:
            case "none":
                return Response(throttle.rule.status, b"", b"")
            case "date":  # rounded up: a date says whole seconds, and must not be too early
                stated = self.api.renderer.http_date(now + throttle.stated_s + 0.999)
            case _:
                stated = str(throttle.stated_s)
        return Response(throttle.rule.status, b"", b"", f"Retry-After: {stated}\r\n".encode())

    # what the steps of an exchange call

    def later(self, delay_s: float, step: Callable[..., None], *values: Any) -> None:
        """Do it after `delay_s`, or now."""
        if delay_s > 0:
            self.clocks.call_later(delay_s, step, *values)
        else:
            step(*values)

    def serve(self, exchange: Exchange) -> None:
        """Apply, then answer."""
        self.reply(exchange, exchange.api.answer(exchange.request, self.now()))

    def reply(self, exchange: Exchange, response: Response) -> None:
        """Answer plainly and go on."""
        is_last = exchange.request.is_last
        data = exchange.api.renderer.render(response, self.now(), is_last=is_last)
        self.reply_bytes(exchange, data, response.status)

    def reply_bytes(self, exchange: Exchange, data: bytes, status: int) -> None:
        """Answer with ready bytes and go on; nobody may be there any more to hear them."""
        connection = exchange.connection
        exchange.end(status if connection.is_open else 0)
        connection.send(data)
        connection.touched_at = self.now()
        connection.finish(is_last=exchange.request.is_last)

    def _sweep(self) -> None:
        """Close connections that were idle for too long, as often as a tenth of that time."""
        if self.is_closed:
            return
        keep_alive_s = self.scenario.keep_alive_s
        if keep_alive_s:
            oldest = self.now() - keep_alive_s
            for connection in [c for c in self.connections if c.is_idle and c.touched_at < oldest]:
                connection.close()
        pause_s = min(max(keep_alive_s / 10, 0.01), 1.0) if keep_alive_s else 1.0
        self.clocks.call_later(pause_s, self._sweep, idle=True)
