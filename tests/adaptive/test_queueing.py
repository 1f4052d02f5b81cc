"""What latency teaches, and what it must not: how many requests a server that refuses none works on at a time."""

from __future__ import annotations

from bulkwriter.adaptive.queueing import Queueing
from tests.adaptive.test_adaptive import Server, controller, drive

NEAR_S = 0.001


def known(most: int) -> Queueing:
    """After a second at `NEAR_S`."""
    queue = Queueing(most)
    queue.begin(0.0, NEAR_S)
    for trip in range(1, 1_000):
        reply(queue, trip / 1_000, most, NEAR_S)
    return queue


def reply(queue: Queueing, now: float, count: int, latency_s: float) -> None:
    """So many replies, and the end of a round trip."""
    for _ in range(count):
        queue.replied(now - latency_s, latency_s)
    queue.end_trip(now, count, is_starting=False, is_paced=False)


def test_one_stall_is_no_queue_though_its_replies_are_told_in_two_round_trips() -> None:
    """Half of the late replies were the second late sample, and the run went on with a few requests in flight."""
    queue = known(64)
    reply(queue, 1.2, 32, 0.2)
    reply(queue, 1.21, 32, 0.2)
    assert queue.limit == 64
    reply(queue, 1.212, 64, NEAR_S)
    assert queue.limit == 64


def test_requests_sent_after_a_late_sample_and_late_as_well_are_a_queue() -> None:
    queue = known(64)
    reply(queue, 1.2, 64, 0.02)
    reply(queue, 1.25, 64, 0.02)
    assert 2 <= queue.limit < 64


def test_a_server_that_works_on_twenty_at_a_time_gets_little_more() -> None:
    c = controller(64)

    def takes(now: float, inside: int) -> bool:
        server.latency_s = 0.05 * (1.0 if now < 0.5 else max(1.0, inside / 20))
        return True

    server = Server(takes)
    drive(c, server, 6.0)
    assert 20 <= c.in_flight_limit <= 32


def test_a_server_that_becomes_much_slower_has_no_queue_and_gets_as_many_as_before() -> None:
    """Fewest at a time could not show that latency did not follow, and 64 lanes stayed at two for good."""
    c = controller(64)

    def takes(now: float, inside: int) -> bool:
        server.latency_s = 0.001 if now < 2.0 else 0.3
        return True

    server = Server(takes)
    drive(c, server, 30.0)
    assert c.in_flight_limit == 64
