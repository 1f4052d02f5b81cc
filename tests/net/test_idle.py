"""How long lanes may idle: what is learnt from a server's closes and from what it says."""

from __future__ import annotations

from time import monotonic

import pytest

from bulkwriter.model import Fault
from bulkwriter.net.idle import FLOOR_S, MOST_LOST, RELEARN_S, IdleLimit

from ..support.lane_bench import OK, Bench


@pytest.mark.parametrize(("stated", "limit_s"), [(5, 4.0), (3, 2.0), (1, 0.5), (0, 0.0), (100, 4.0)])
def test_the_servers_keep_alive_lowers_the_idle_limit(stated: int, limit_s: float) -> None:
    b = Bench()
    b.send()
    b.receive(OK.replace(b"\r\nC", b"\r\nKeep-Alive: timeout=%d\r\nC" % stated))
    assert limit_s == 0 or b.lane.is_reusable(b.lane.replied_at + limit_s - 0.001)
    assert not b.lane.is_reusable(b.lane.replied_at + limit_s)


@pytest.mark.parametrize("has_eof", [True, False])
def test_a_close_by_the_server_is_learnt_from(has_eof: bool) -> None:
    b = Bench()
    b.send()
    b.receive(OK)
    b.lane.replied_at -= 1.0
    if has_eof:
        b.lane.eof_received()
    b.lane.connection_lost(None)
    assert b.idle.s == pytest.approx(0.5, abs=0.1)
    assert b.heard == [(1, 200), "ended"]


@pytest.mark.parametrize("how", ["never served", "closed by us", "aborted by us", "under a request"])
def test_other_ends_teach_nothing(how: str) -> None:
    b = Bench()
    if how != "never served":
        b.send()
        b.receive(OK)
    b.lane.replied_at -= 1.0
    match how:
        case "closed by us":
            b.lane.hang_up()
        case "aborted by us":
            b.lane.abort(Fault.CANCELLED)
        case "under a request":
            b.send()
    b.lane.connection_lost(None)
    assert b.idle.s == 4.0


def test_a_server_that_closes_after_each_reply_is_learnt_from() -> None:
    b = Bench()
    for _ in range(MOST_LOST):
        assert not b.idle.is_once
        b = again_with(b.idle)
        b.send()
        b.receive(OK)
        assert b.lane.is_open
        b.send()
        b.lane.eof_received()
    b = again_with(b.idle)
    b.send()
    b.receive(OK)
    assert not b.lane.is_open
    assert b.heard == [(1, 200)]
    b.idle.relax(monotonic() + RELEARN_S + 1)
    assert not b.idle.is_once


def test_a_second_answer_shows_that_connections_are_kept() -> None:
    limit = IdleLimit(4.0)
    for _ in range(MOST_LOST - 1):
        limit.lost_second(1.0)
    b = again_with(limit)
    for _ in range(2):
        b.send()
        b.receive(OK)
    limit.lost_second(1.0)
    assert not limit.is_once


def again_with(limit: IdleLimit) -> Bench:
    b = Bench()
    b.idle = b.lane._idle = limit
    return b


def test_the_idle_limit_has_a_floor_and_recovers() -> None:
    limit = IdleLimit(4.0)
    limit.learn(0.09, 100.0)
    assert limit.s == 4.0
    limit.learn(1.0, 100.0)
    limit.learn(2.0, 100.0)
    assert limit.s == 0.5
    limit.learn(0.1, 100.0)
    assert limit.s == FLOOR_S
    limit.relax(100.0 + RELEARN_S - 1)
    assert limit.s == FLOOR_S
    for i in range(1, 9):
        limit.relax(100.0 + i * RELEARN_S)
    assert limit.s == 4.0
