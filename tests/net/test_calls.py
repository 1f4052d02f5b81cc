"""Single calls: lanes used again, faults as replies, cancels that cut, nothing repeated behind the caller's back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from threading import Event
from typing import cast

import pytest

from bulkwriter.model import Fault, Reply
from bulkwriter.net.calls import LANES, Calls
from bulkwriter.net.lane import Lane, Owner
from bulkwriter.net.pool import Pool
from bulkwriter.settings import Limits

from ..wire.cases import OK, answer
from ..wire.drive import LOOPS, post, run_on
from ..wire.faultserver import FaultServer, Peer, Script

loops = pytest.mark.parametrize("loop", LOOPS)
GOOD = Reply(200, OK[-39:])
GET = b"GET /list HTTP/1.1\r\nHost: x\r\n\r\n"


def api(peer: Peer) -> None:
    while peer.read_request():
        peer.send(OK)


def serve_gets(peer: Peer) -> None:
    """Answers each request, GETs without body too."""
    data = b""
    while more := peer.read(65_536):
        data += more
        while b"\r\n\r\n" in data:
            _, _, data = data.partition(b"\r\n\r\n")
            peer.apply()
            peer.send(OK)


def converse(loop: str, script: Script, main: Callable[[Calls], Awaitable[None]]) -> FaultServer:
    server = FaultServer(script).start()

    async def run() -> None:
        pool = Pool(f"http://127.0.0.1:{server.port}", limits=Limits(linger_s=0.005))
        calls = Calls(pool)
        try:
            await main(calls)
        finally:
            await calls.aclose()
            await pool.aclose()

    try:
        run_on(loop, run())
    finally:
        server.stop()
    return server


@loops
def test_one_lane_serves_calls_in_turn(loop: str) -> None:
    async def main(calls: Calls) -> None:
        for _ in range(5):
            assert await calls.request(GET, deadline_s=60) == GOOD
        assert calls.requests == 5

    server = converse(loop, serve_gets, main)
    assert (server.accepted, server.applied) == (1, 5)


@loops
def test_a_handful_of_lanes_serves_many_calls(loop: str) -> None:
    async def main(calls: Calls) -> None:
        replies = await asyncio.gather(*(calls.request(GET, deadline_s=60) for _ in range(40)))
        assert replies == [GOOD] * 40

    server = converse(loop, serve_gets, main)
    assert server.applied == 40
    assert server.accepted <= LANES


@loops
def test_posts_go_the_same_way(loop: str) -> None:
    async def main(calls: Calls) -> None:
        assert await calls.request(post(1), deadline_s=60) == GOOD

    assert len(converse(loop, api, main).requests) == 1


@loops
@pytest.mark.parametrize("request_bytes", [GET, GET.replace(b"GET", b"DELETE")])
def test_a_lost_call_is_not_repeated(loop: str, request_bytes: bytes) -> None:
    async def main(calls: Calls) -> None:
        for _ in range(2):
            reply = await calls.request(request_bytes, deadline_s=60)
            assert (reply.status, reply.fault) == (0, Fault.LOST)
        assert calls.requests == 2

    def hang_up(peer: Peer) -> None:
        peer.read(100)
        peer.apply()

    server = converse(loop, hang_up, main)
    assert (server.accepted, server.applied) == (2, 2)


@loops
def test_a_lane_that_the_server_closed_is_not_used_again(loop: str) -> None:
    async def main(calls: Calls) -> None:
        for _ in range(3):
            assert await calls.request(GET, deadline_s=60) == GOOD
            await asyncio.sleep(0.05)

    def once(peer: Peer) -> None:
        peer.read(1_000)
        peer.apply()
        peer.send(OK)

    assert converse(loop, once, main).applied == 3


@loops
def test_a_connection_that_cannot_be_made_is_a_reply(loop: str) -> None:
    async def main() -> None:
        pool = Pool("http://127.0.0.1:1")
        calls = Calls(pool)
        reply = await calls.request(GET, deadline_s=60)
        assert (reply.status, reply.fault, reply.detail) == (0, Fault.REFUSED, "127.0.0.1:1")
        assert calls.requests == 0
        await pool.aclose()

    run_on(loop, main())


@loops
def test_silence_ends_at_the_deadline_though_nobody_sweeps(loop: str) -> None:
    async def main(calls: Calls) -> None:
        began = time.monotonic()
        reply = await calls.request(GET, deadline_s=0.1)
        assert (reply.fault, time.monotonic() - began < 20) == (Fault.SILENT, True)

    converse(loop, Peer.drain, main)


@loops
def test_a_cancelled_call_cuts_its_lane_and_the_next_goes_on(loop: str) -> None:
    seen = Event()

    def slow_at_first(peer: Peer) -> None:
        if not seen.is_set():
            peer.read(1_000)
            seen.set()
            peer.drain()
        else:
            serve_gets(peer)

    async def main(calls: Calls) -> None:
        call = asyncio.create_task(calls.request(GET, deadline_s=60))
        while not seen.is_set():
            await asyncio.sleep(0.005)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await calls.request(GET, deadline_s=60) == GOOD

    assert converse(loop, slow_at_first, main).accepted == 2


@loops
def test_closing_answers_those_who_wait(loop: str) -> None:
    async def main(calls: Calls) -> None:
        waiting = [asyncio.create_task(calls.request(GET, deadline_s=60)) for _ in range(LANES)]
        await asyncio.sleep(0.05)
        await calls.aclose()
        assert {(await w).fault for w in waiting} == {Fault.CANCELLED}

    converse(loop, Peer.drain, main)


@loops
def test_a_long_list_is_read(loop: str) -> None:
    body = b"[" + b"1," * 1_500_000 + b"1]"

    async def main(calls: Calls) -> None:
        assert await calls.request(post(1), deadline_s=60) == Reply(200, body)

    converse(loop, answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body), main)


@loops
def test_a_lane_out_of_step_is_counted(loop: str) -> None:
    async def main(calls: Calls) -> None:
        assert await calls.request(post(1), deadline_s=60) == GOOD
        assert calls.shifts == 0
        async with asyncio.timeout(30):
            while not calls.shifts:
                await asyncio.sleep(0.01)
        assert calls.shifts == 1

    def repeat(peer: Peer) -> None:
        answer(OK, lambda p: time.sleep(0.05))(peer)
        peer.send(OK)
        peer.drain()

    converse(loop, repeat, main)


class BrokenLane:
    """Takes a request; its `abort` has a bug."""

    is_open = True

    def send(self, *_: object) -> bool:
        return True

    def abort(self, fault: Fault) -> None:
        raise ZeroDivisionError(fault.value)


class BrokenPool:
    limits = Limits()

    async def connect(self, owner: Owner, *, body_bytes: int, is_for_calls: bool) -> Lane:
        return cast(Lane, BrokenLane())


async def test_a_bug_at_the_deadline_is_told_to_who_waits() -> None:
    calls = Calls(BrokenPool())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(calls.request(GET, deadline_s=0.01), 10)
    calls.check()  # somebody was told


async def test_a_bug_of_which_nobody_was_told_is_told_at_the_end() -> None:
    calls = Calls(BrokenPool())
    calls.check()
    calls.crashed(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        calls.check()
    with pytest.raises(ZeroDivisionError):
        await calls.request(GET, deadline_s=1)
    calls.check()
