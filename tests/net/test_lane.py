"""One lane on a transport that only records: what it writes, when it closes, and what its owner hears."""

from __future__ import annotations

import socket
from array import array
from time import monotonic

import pytest

from bulkwriter.model import Fault
from bulkwriter.net.lane import QUICKACK, SHUTDOWN_S

from ..support.lane_bench import OK, Bench

LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


def test_one_exchange_after_another() -> None:
    b = Bench()
    for carried in "ab":
        assert b.send(carried)
        assert (b.lane.is_busy, b.lane.carried) == (True, carried)
        b.receive(OK[:9])
        b.receive(OK[9:])
        assert (b.lane.is_busy, b.lane.carried) == (False, None)
    assert b.heard == [("a", 200), ("b", 200)]
    assert b.wire.written == [b"POST", b"POST"]
    assert b.lane.is_open
    assert b.lane.requests == 2


class Options:
    """A socket that notes what is set on it."""

    def __init__(self) -> None:
        self.set: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.set.append((level, option, value))


@pytest.mark.skipif(not QUICKACK, reason="Linux only")
def test_part_of_a_reply_is_acknowledged_at_once_and_a_whole_one_costs_nothing() -> None:
    sock = Options()
    b = Bench(sock=sock)
    b.send()
    b.lane.data_received(OK[:-2])
    assert sock.set == [(socket.IPPROTO_TCP, QUICKACK, 1)]
    b.lane.data_received(OK[-2:])
    b.send()
    b.lane.data_received(OK)
    assert len(sock.set) == 1
    assert b.heard == [(1, 200), (1, 200)]


def test_the_owner_may_send_again_from_inside_its_callback() -> None:
    b = Bench()
    b.owner.then = lambda lane: b.send("next") if lane.carried != "next" else None
    b.send("first")
    b.receive(OK)
    assert b.lane.is_busy
    assert b.lane.carried == "next"
    b.receive(OK)
    assert b.heard == [("first", 200), ("next", 200)]


def test_two_requests_at_once_are_a_bug() -> None:
    b = Bench()
    b.send()
    with pytest.raises(AssertionError):
        b.send()


@pytest.mark.parametrize("end", ["eof", "lost", "closing", "closed", "aborted"])
def test_nothing_is_written_after_the_end(end: str) -> None:
    b = Bench()
    match end:
        case "eof":
            b.lane.eof_received()
        case "lost":
            b.lane.connection_lost(None)
        case "closing":
            b.wire.log.append("close")
        case "closed":
            b.lane.close()
        case _:
            b.lane.abort(Fault.CANCELLED)
    assert not b.send()
    assert not b.lane.is_open
    assert not b.lane.is_reusable(monotonic())
    assert b.wire.written == []
    assert [h for h in b.heard if h != "ended"] == []


@pytest.mark.parametrize("is_reset", [True, False])
@pytest.mark.parametrize(
    ("received", "fault"), [(b"", Fault.LOST), (b"HTTP/1.1 100 C\r\n\r\n", Fault.LOST), (OK[:3], Fault.CUT)]
)
def test_a_connection_that_ends_under_a_request(received: bytes, fault: Fault, is_reset: bool) -> None:
    b = Bench()
    b.send()
    if received:
        b.receive(received)
    if not is_reset:
        b.lane.eof_received()
        assert b.heard == [(1, fault)]
    b.lane.connection_lost(ConnectionResetError() if is_reset else None)
    assert b.heard == [(1, fault), "ended"]
    assert b.forgotten == [b.lane]
    assert b.closed


def test_a_body_that_ends_with_the_connection_needs_a_clean_end() -> None:
    for is_clean in (True, False):
        b = Bench()
        b.send()
        b.receive(b"HTTP/1.0 200 OK\r\n\r\n{}")
        if is_clean:
            b.lane.eof_received()
        b.lane.connection_lost(None)
        assert b.heard == [(1, 200 if is_clean else Fault.CUT), "ended"]


def test_a_request_is_aborted_with_a_reset() -> None:
    b = Bench()
    b.send()
    b.lane.abort(Fault.CANCELLED)
    assert b.wire.log[0] == "abort"
    assert b.heard == [(1, Fault.CANCELLED)]
    b.receive(OK)  # too late: neither a reply nor a stray
    b.lane.abort(Fault.CANCELLED)
    b.lane.connection_lost(None)
    assert b.heard == [(1, Fault.CANCELLED), "ended"]


def test_garbage_cuts_the_lane() -> None:
    b = Bench()
    b.send()
    b.owner.then = lambda lane: b.heard.append(b.send())
    b.receive(b"\x00\x01")
    assert b.heard == [(1, Fault.GARBLED), False]
    assert b.wire.log[0] == "abort"


@pytest.mark.parametrize("served", [0, 1])
def test_bytes_that_nobody_asked_for(served: int) -> None:
    b = Bench()
    for _ in range(served):
        b.send()
        b.receive(OK)
    b.receive(b"\r\n")
    b.receive(OK)
    assert b.heard == [(1, 200)] * served + ["strayed"]
    assert b.wire.log[0] == "abort"
    b.lane.connection_lost(None)
    assert b.heard[-1] == "ended"


def test_bytes_behind_a_reply_take_the_reply_with_them() -> None:
    b = Bench()
    b.send()
    b.receive(OK + OK)
    assert b.heard == [(1, Fault.SHIFTED), "strayed"]
    assert b.wire.log[0] == "abort"


@pytest.mark.parametrize("reply", [OK, LAST])
def test_a_lane_that_is_done_listens_for_a_stray_before_it_closes(reply: bytes) -> None:
    b = Bench(max_requests=2 if reply == LAST else 1)
    b.owner.then = lambda lane: b.heard.append(lane.is_open)
    b.send()
    b.receive(reply)
    assert b.heard == [(1, 200), False]
    b.lane.sweep(monotonic())
    assert b.wire.log == []
    b.lane.sweep(monotonic() + 0.1)
    assert b.wire.log == ["close"]
    b.lane.sweep(monotonic() + 0.2)
    assert b.wire.log == ["close"]
    b.lane.sweep(monotonic() + SHUTDOWN_S + 0.2)  # the other side does not end it either
    assert b.wire.log == ["close", "abort"]


def test_a_stray_while_lingering() -> None:
    b = Bench()
    b.send()
    b.receive(OK)
    b.lane.close()
    b.receive(OK)
    assert b.heard == [(1, 200), "strayed"]


def test_closing_a_busy_lane_waits_for_its_reply() -> None:
    b = Bench()
    b.send()
    b.lane.close()
    assert b.wire.log == []
    b.receive(OK)
    assert b.heard == [(1, 200)]
    b.lane.sweep(monotonic() + 1)
    assert b.wire.log == ["close"]


def test_a_lane_that_never_served_closes_at_once() -> None:
    b = Bench()
    b.lane.close()
    assert b.wire.log == ["close"]


def test_the_sweep_ends_what_is_overdue_or_stale() -> None:
    b = Bench()
    b.send(timeout_s=10)
    b.lane.sweep(monotonic() + 9)
    assert b.heard == []
    b.lane.sweep(monotonic() + 10.1)
    assert b.heard == [(1, Fault.SILENT)]
    assert b.wire.log[0] == "abort"
    b = Bench()
    b.send()
    b.receive(OK)
    b.lane.sweep(monotonic() + 3.9)
    assert b.lane.is_open
    b.lane.sweep(monotonic() + 4.1)
    assert not b.lane.is_open


@pytest.mark.parametrize("where", ["replied", "strayed", "ended"])
def test_a_callback_that_raises_crashes_the_owner(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    b = Bench()
    bug = ValueError("bug")

    def fail(*_: object) -> None:
        raise bug

    monkeypatch.setattr(b.owner, where, fail)
    b.send()
    b.receive(OK)
    if where != "replied":
        b.receive(OK)
    b.lane.connection_lost(None)
    assert bug in b.heard
    assert b.wire.log[0] == "abort"
    assert not b.lane.is_open


def test_history_is_the_owners_and_outlives_the_connection() -> None:
    b = Bench()
    b.lane.history.append(7)
    b.lane.abort(Fault.CANCELLED)
    b.lane.connection_lost(None)
    assert b.lane.history == array("q", [7])
