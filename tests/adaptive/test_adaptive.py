"""The adaptive controller: what it decides by hand in virtual time, and what it never does against any server.

The control matrix (`test_matrix.py`) says how good it is; here is what must hold whatever the server does, and
the few rules that a person relies on: Retry-After, one canary, the floor, memory.  Its words: `test_words.py`.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bulkwriter.adaptive import Controller
from bulkwriter.adaptive.crowd import Crowd
from bulkwriter.adaptive.recent import Refusal


def controller(in_flight: int = 64, *, min_rate: float = 0.0, seed: int = 1) -> Controller:
    return Controller(in_flight, pause_cap_s=60.0, rng=random.Random(seed), min_rate=min_rate)


@dataclass
class Server:
    """Answers after `latency_s`, throttles after a fifth of it; `takes(now, inside)` decides."""

    takes: Callable[[float, int], bool]
    latency_s: float = 0.1
    stated_s: float | None = None
    error_share: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    inside: int = 0


@dataclass
class Bucket:
    rate: float
    burst: float = 1.0
    left: float = 1.0
    at: float = 0.0

    def __call__(self, now: float, inside: int) -> bool:
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1 - 1e-9:
            return False
        self.left -= 1
        return True


@dataclass
class Trace:
    sent: list[float] = field(default_factory=list)
    good: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)
    most_in_flight: int = 0
    now: float = 0.0


def drive(c: Controller, server: Server, until: float, trace: Trace | None = None) -> Trace:
    """Run to `until`, checking the controller around every event and the rules that it may never break."""
    trace = trace or Trace()
    heap: list[tuple[float, int, str, float]] = []
    number, in_flight, not_before, paused_until = 0, 0, -math.inf, -math.inf
    takes = server.takes
    now = trace.now
    while now < until:
        while in_flight < c.in_flight_limit and c.next_send_at(now) <= now:
            assert now >= not_before, "sent before a stated Retry-After"
            number += 1
            in_flight += 1
            c.on_sent(now)
            trace.sent.append(now)
            latency_s = server.latency_s * server.rng.uniform(0.8, 1.2)
            if server.rng.random() < server.error_share:
                heapq.heappush(heap, (now + server.rng.choice([0.01, 3.0]), number, "error", now))
            elif takes(now, server.inside):
                server.inside += 1
                heapq.heappush(heap, (now + latency_s, number, "good", now))
            else:
                heapq.heappush(heap, (now + latency_s / 5, number, "throttle", now))
            c.check()
        trace.most_in_flight = max(trace.most_in_flight, in_flight)
        at = c.next_send_at(now)
        wakes = at if in_flight < c.in_flight_limit else math.inf
        if heap and heap[0][0] <= wakes:
            now, _, fate, sent_at = heapq.heappop(heap)
            in_flight -= 1
            if fate == "good":
                server.inside -= 1
                trace.good.append(now)
                c.on_good(now, sent_at, now - sent_at)
            elif fate == "error":
                c.note_error(now, sent_at)
            else:
                trace.throttled.append(now)
                end = c.on_throttle(now, sent_at, server.stated_s)
                assert end == c.paused_until
                if server.stated_s is not None:
                    not_before = max(not_before, now + server.stated_s)
        else:
            assert wakes < math.inf, "it stalls"
            assert wakes > now, "it spins"
            now = wakes
        c.check()
        assert c.paused_until >= paused_until
        paused_until = c.paused_until
        trace.now = now
    for _, _, _, sent_at in heap:  # whatever is still on its way
        c.note_error(now, sent_at)
    server.inside = 0
    return trace


def count(times: list[float], start: float, end: float) -> int:
    return sum(start <= at < end for at in times)


# ---- start


def test_one_request_goes_first_and_then_twice_as_many_each_round_trip() -> None:
    trace = drive(controller(), Server(lambda now, inside: True), 0.9)
    assert count(trace.sent, 0.0, 0.075) == 1
    per_trip = [count(trace.sent, 0.1 + n * 0.1, 0.2 + n * 0.1) for n in range(5)]
    assert all(later >= 1.3 * earlier for earlier, later in itertools.pairwise(per_trip)), per_trip


def test_a_near_server_without_limits_gets_all_there_is_within_milliseconds() -> None:
    trace = drive(controller(64), Server(lambda now, inside: True, latency_s=0.0005), 0.03)
    assert trace.most_in_flight == 64


def test_the_users_in_flight_limit_is_never_exceeded() -> None:
    trace = drive(controller(3), Server(lambda now, inside: True), 2.0)
    assert trace.most_in_flight == 3


# ---- throttles


def test_it_finds_a_rate_and_stays_just_below_it() -> None:
    trace = drive(controller(), Server(Bucket(100, 10)), 30.0)
    assert count(trace.good, 15.0, 30.0) >= 0.97 * 1_500
    assert count(trace.throttled, 15.0, 30.0) <= 0.01 * 1_500


def test_it_finds_how_many_a_server_takes_at_a_time() -> None:
    c = controller()
    trace = drive(c, Server(lambda now, inside: inside < 8), 60.0)
    assert count(trace.good, 30.0, 60.0) >= 0.97 * 8 / 0.1 * 30
    assert count(trace.throttled, 30.0, 60.0) <= 0.01 * 2_400
    assert "8 requests at a time" in c.explain(60.0)


def test_a_stated_pause_is_obeyed_by_everyone_and_ended_by_one_canary() -> None:
    c = controller()
    for _ in range(3):
        c.on_sent(0.0)
    c.on_good(0.1, 0.0, 0.1)
    until = c.on_throttle(0.12, 0.0, 5.0)
    assert 5.12 <= until <= 5.12 + 0.1
    assert c.next_send_at(0.2) == until
    c.on_good(0.3, 0.0, 0.3)  # left over from before
    assert c.in_flight_limit == 1
    c.on_sent(until)
    assert c.in_flight_limit == 1
    c.on_good(until + 0.1, until, 0.1)
    assert c.in_flight_limit == 64


def test_a_later_retry_after_of_an_echo_extends_the_pause() -> None:
    c = controller()
    c.on_sent(0.0)
    c.on_good(0.1, 0.0, 0.1)
    c.on_sent(0.2)
    c.on_sent(0.25)
    first = c.on_throttle(0.3, 0.2, 1.0)
    assert c.on_throttle(0.35, 0.25, 9.0) == pytest.approx(9.35)
    assert first < 1.4


def test_a_server_that_takes_nothing_is_asked_less_and_less() -> None:
    trace = drive(controller(), Server(lambda now, inside: False), 600.0)
    assert len(trace.sent) < 45
    assert count(trace.sent, 300.0, 600.0) <= 8


def test_a_lost_canary_is_followed_by_another() -> None:
    c = controller()
    c.on_sent(0.0)
    c.note_error(1.0, 0.0)
    assert c.in_flight_limit == 1
    assert c.next_send_at(1.0) <= 1.0


def test_a_long_time_without_pairs_is_not_taken_for_a_slow_server() -> None:
    c = controller()
    trace = drive(c, Server(Bucket(100, 10)), 20.0)
    trace.now = 5_000.0
    drive(c, Server(Bucket(100, 10, at=5_000.0)), 5_020.0, trace)
    assert count(trace.good, 5_010.0, 5_020.0) >= 0.95 * 1_000


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_throttle_after_a_long_idle_time_is_no_rate_of_one_in_that_time(taken: int) -> None:
    """A run without a pace waits for looks or a quota: the rate of that time was next to nothing, or its gap 1 / 0."""
    c = controller(in_flight=1)
    now = drive(c, Server(lambda now, inside: True, latency_s=0.05), 2.0).now
    now += 3_600.0 - 0.05
    for is_good in [True] * taken + [False]:
        c.on_sent(now)
        now += 0.05
        c.on_good(now, now - 0.05, 0.05) if is_good else c.on_throttle(now, now - 0.05, None)
    assert now < c.next_send_at(now) < now + 5.0


def test_errors_are_not_throttles() -> None:
    c = controller()
    trace = drive(c, Server(lambda now, inside: True, error_share=0.3), 10.0)
    assert c.in_flight_limit == 64
    assert c.paused_until == 0.0
    assert trace.most_in_flight == 64


# ---- the floor and memory


def test_a_floor_is_kept_though_most_are_refused() -> None:
    rng = random.Random(5)
    trace = drive(controller(min_rate=10.0), Server(lambda now, inside: rng.random() < 0.2), 60.0)
    assert count(trace.good, 10.0, 60.0) >= 0.9 * 500


class Hammered:
    """A bucket of about 100/s at which neighbours knock at random, so many times a second."""

    def __init__(self, knocks_per_s: float) -> None:
        self.bucket, self.knocks_per_s = Bucket(97.3, 10), knocks_per_s
        self.rng, self.next_at = random.Random(2), 0.0

    def __call__(self, now: float, inside: int) -> bool:
        while self.next_at <= now:
            self.bucket(self.next_at, 0)
            self.next_at += self.rng.expovariate(self.knocks_per_s)
        return self.bucket(now, 0)


@pytest.mark.parametrize(("floor", "knocks_per_s"), [(5.0, 1_500.0), (20.0, 750.0), (50.0, 200.0)])
def test_a_floor_is_kept_beside_neighbours_that_take_all_there_is(floor: float, knocks_per_s: float) -> None:
    trace = drive(controller(min_rate=floor), Server(Hammered(knocks_per_s), latency_s=0.05), 20.0)
    assert count(trace.good, 5.0, 20.0) >= 0.95 * 15 * floor


def test_a_floor_does_not_storm_a_server_that_takes_nothing() -> None:
    trace = drive(controller(min_rate=10.0), Server(lambda now, inside: False), 60.0)
    assert len(trace.sent) <= 600 + 200


def test_a_floor_stands_below_a_stated_pause() -> None:
    drive(controller(min_rate=50.0), Server(Bucket(10, 1), stated_s=1.0), 30.0)  # `drive` asserts the rest


def test_what_was_learnt_saves_the_search() -> None:
    first = controller()
    drive(first, Server(Bucket(300, 30)), 20.0)
    learnt = first.learnt()
    assert learnt["rate_per_s"] == pytest.approx(300, rel=0.05)
    second = controller()
    second.restore(learnt, 3_600.0)
    trace = drive(second, Server(Bucket(300, 30)), 3.0)
    assert count(trace.good, 1.0, 2.0) >= 0.9 * 300
    assert len(trace.throttled) <= 30


@pytest.mark.parametrize("wrong", [3_000.0, 3.0])
def test_a_wrong_memory_does_no_harm(wrong: float) -> None:
    c = controller()
    c.restore({"rate_per_s": wrong}, 60.0)
    trace = drive(c, Server(Bucket(100, 10)), 20.0)
    assert count(trace.good, 8.0, 20.0) >= 0.95 * 1_200


@pytest.mark.parametrize("learnt", [{}, {"rate_per_s": "x"}, {"rate_per_s": -1.0}, {"rate_per_s": math.nan}])
def test_nonsense_is_not_remembered(learnt: dict[str, object]) -> None:
    c = controller()
    c.restore(learnt, 60.0)
    assert len(drive(c, Server(lambda now, inside: True), 1.0).sent) > 50


# ---- whatever the server does


def test_a_cap_is_not_learnt_far_below_what_was_taken_at_a_time() -> None:
    """At its end a counter lets single requests through, and refuses whoever meets another."""
    for most, is_cap in ((20, True), (700, False)):
        crowd = Crowd(1_024)
        refusal = Refusal(others=2, sent_before=9, taken_before=9, rank=1.0, per_s=1.0)
        blamed = [crowd.is_to_blame(float(n), refusal, 0.1, is_new=True, most=most) for n in range(9)]
        assert (any(blamed), crowd.is_capped) == (is_cap, is_cap)
