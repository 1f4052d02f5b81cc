"""Virtual time: clients that always have work, each behind a controller, against one model server.

A heap of events (a reply comes, a request arrives late, somebody asked to be woken) is all there is; no loop, no sleep.
A request whose way to the server is constant is judged as it is sent, which saves an event; with `jitter_s` it travels.
Same seed, same trace: `Recorder.digest` is a running hash of everything that happened.

The client stands where the engine's sender stands and asks the same questions in the same order: is there room in
flight, and when may the next request go.  Pairs never run out, and a throttled pair is simply another one.

Invariant: the clock never goes back; a controller is told of each request exactly once.
"""

from __future__ import annotations

import heapq
import math
import random
from array import array
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .servers import Server

BIN_S = 0.05
"""Replies are counted in bins of this much virtual time."""


class Control(Protocol):
    """The seam of `bulkwriter.adaptive`, as far as a client needs it."""

    @property
    def in_flight_limit(self) -> int: ...
    def next_send_at(self, now: float) -> float: ...
    def on_sent(self, now: float) -> None: ...
    def on_good(self, now: float, sent_at: float, latency_s: float) -> None: ...
    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float: ...


@runtime_checkable
class TakesBusy(Control, Protocol):
    """A controller that can be told of a 503 without a wait."""

    def on_busy(self, now: float, sent_at: float) -> bool: ...


@dataclass(slots=True)
class Recorder:
    """What one client did, in bins, and the sums that do not need them."""

    sent: array[int]
    good: array[int]
    throttled: array[int]
    latencies: list[tuple[float, float]] = field(default_factory=list)
    keeps_latencies: bool = False
    too_early: int = 0
    """Sends before a Retry-After that this client had read."""
    digest: int = 0

    def between(self, counts: array[int], start: float, end: float) -> int:
        return sum(counts[round(start / BIN_S) : round(end / BIN_S)])


class Stalls:
    """When the event loop of a client stands still."""

    __slots__ = ("_begins_at", "_ends_at", "_longest_s", "_mean_s", "_rng", "_shortest_s")

    def __init__(self, rng: random.Random, shortest_s: float, longest_s: float, mean_s: float) -> None:
        self._rng, self._shortest_s, self._longest_s, self._mean_s = rng, shortest_s, longest_s, mean_s
        self._ends_at = 0.0
        self._begins_at = rng.expovariate(1 / mean_s)

    def until(self, now: float) -> float:
        """When the loop comes to what happens now."""
        while now >= self._begins_at:
            self._ends_at = self._begins_at + self._rng.uniform(self._shortest_s, self._longest_s)
            self._begins_at = self._ends_at + self._rng.expovariate(1 / self._mean_s)
        return max(now, self._ends_at)


class Client:
    """One sender; `pump` sends what may go and says when it wants to be asked again."""

    __slots__ = ("busy", "control", "in_flight", "not_before", "record", "stalls", "starts_at", "wakes_at")

    def __init__(
        self,
        control: Control,
        record: Recorder,
        *,
        starts_at: float = 0.0,
        stalls: Stalls | None = None,
        busy: TakesBusy | None = None,
    ) -> None:
        self.control, self.record, self.starts_at, self.stalls, self.busy = control, record, starts_at, stalls, busy
        self.in_flight = 0
        self.wakes_at = math.inf
        self.not_before = 0.0


class Simulation:
    """One server and its clients, run to `ends_at`."""

    def __init__(self, server: Server, clients: list[Client], *, ends_at: float, rng: random.Random) -> None:
        self.server, self.clients, self.ends_at, self.rng = server, clients, ends_at, rng
        self.events = 0
        self._heap: list[tuple[float, int, Client, float, float | None]] = []
        # kind is told by the last two: (sent_at, nan) an arrival, (sent_at, None) good, (-1, None) a wake-up,
        # (sent_at, -1) a throttle without header, (sent_at, s) one that states s seconds
        self._order = 0

    def run(self) -> None:
        for client in self.clients:
            self._push(client.starts_at, client, -1.0, None)
        heap, ends_at = self._heap, self.ends_at
        pop = heapq.heappop
        while heap:
            now, _, client, sent_at, stated = pop(heap)
            if now >= ends_at:
                break
            if client.stalls and stated == stated and (at := client.stalls.until(now)) > now:
                self._push(at, client, sent_at, stated)
                continue
            self.events += 1
            record = client.record
            if sent_at < 0:
                if client.wakes_at <= now:
                    client.wakes_at = math.inf
            elif stated is None:
                client.in_flight -= 1
                record.good[int(now / BIN_S)] += 1
                if record.keeps_latencies:
                    record.latencies.append((now, now - sent_at))
                client.control.on_good(now, sent_at, now - sent_at)
            elif stated != stated:
                self._judge(now, client, sent_at)
                continue
            else:
                self._throttled(now, client, sent_at, stated)
            self._pump(now, client)

    def _throttled(self, now: float, client: Client, sent_at: float, stated: float) -> None:
        client.in_flight -= 1
        record = client.record
        record.throttled[int(now / BIN_S)] += 1
        record.digest = hash((record.digest, now, sent_at))
        if client.busy:
            client.busy.on_busy(now, sent_at)
        elif stated < 0:
            client.control.on_throttle(now, sent_at, None)
        else:
            client.not_before = max(client.not_before, now + stated)
            client.control.on_throttle(now, sent_at, stated)

    def _pump(self, now: float, client: Client) -> None:
        control, record, timing = client.control, client.record, self.server.timing
        while client.in_flight < control.in_flight_limit:
            at = control.next_send_at(now)
            if at > now:
                if at < client.wakes_at and at < math.inf:
                    client.wakes_at = at
                    self._push(at, client, -1.0, None)
                return
            if now < client.not_before - 1e-9:
                record.too_early += 1
            client.in_flight += 1
            control.on_sent(now)
            record.sent[int(now / BIN_S)] += 1
            arrives_at = now + timing.one_way_s
            if timing.jitter_s:
                self._push(arrives_at + self.rng.uniform(0, timing.jitter_s), client, now, math.nan)
            else:
                self._judge(arrives_at, client, now)

    def _judge(self, at: float, client: Client, sent_at: float) -> None:
        leaves_at, is_throttle, stated = self.server.arrive(at)
        if is_throttle and stated is None:
            stated = -1.0
        self._push(leaves_at + self.server.timing.one_way_s, client, sent_at, stated)

    def _push(self, at: float, client: Client, sent_at: float, stated: float | None) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, client, sent_at, stated))


def recorder(ends_at: float, *, keeps_latencies: bool = False) -> Recorder:
    zeros = [0] * (math.ceil(ends_at / BIN_S) + 2)
    return Recorder(array("i", zeros), array("i", zeros), array("i", zeros), keeps_latencies=keeps_latencies)
