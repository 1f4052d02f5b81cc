"""Requests over a real connection: order, framing, keep-alive, and clients that do not speak HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from bulkwriter.stub import Scenario, StubServer, serve
from tests.support.stub_wire import COLLECTION, Said, call, create, request, wire

Start = Callable[..., Awaitable[StubServer]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts stubs and closes them at the end."""
    running: list[StubServer] = []

    async def started(**scenario: Any) -> StubServer:
        running.append(await serve(Scenario.from_mapping(scenario)))
        return running[-1]

    yield started
    for stub in running:
        await stub.aclose()


def ids(said: list[Said]) -> list[int]:
    return [reply.json()["Value"]["Id"] for reply in said]


async def test_creates_on_one_connection_are_answered_in_order(start: Start) -> None:
    stub = await start()
    async with wire(stub) as w:
        assert ids([await w.create(1, member) for member in range(1, 6)]) == [1, 2, 3, 4, 5]
    assert stub.records() == [(i, 1, i) for i in range(1, 6)]
    told = stub.truth()
    assert (told["connections_made"], told["creates_applied"], told["statuses"]) == (1, 5, {"200": 5})


@pytest.mark.parametrize("latency_s", [0.0, 0.001])
async def test_pipelined_requests_are_served_one_by_one(start: Start, latency_s: float) -> None:
    stub = await start(latency_s=latency_s)
    async with wire(stub) as w:
        w.send(create(1, 1) + create(1, 2) + request("GET", COLLECTION) + create(1, 3))
        said = [await w.reply() for _ in range(4)]
    assert [reply.json().get("TotalItems") for reply in said] == [None, None, 2, None]
    assert stub.truth()["peak_in_flight"] == 1


async def test_a_request_may_come_byte_by_byte_or_chunked(start: Start) -> None:
    stub = await start()
    async with wire(stub) as w:
        for byte in create(7, 8):
            w.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await w.reply()).status == 200
        body = b'{"CourseLessonId": 7, "CourseMemberId": 9}'
        chunks = b"14\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:20], len(body) - 20, body[20:])
        head = request("POST", COLLECTION, Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
        w.send(head + chunks)
        assert (await w.reply()).status == 200
    assert [row[2] for row in stub.records()] == [8, 9]


async def test_the_same_head_with_other_bodies_means_other_pairs(start: Start) -> None:
    stub = await start()
    async with wire(stub) as w:
        for member in (11, 12, 13):  # from the second on, the head is recalled instead of parsed
            assert (await w.create(5, member)).status == 200
        w.send(create(5, 14)[:-5])
        assert await w.is_silent()
        w.send(create(5, 14)[-5:])
        assert (await w.reply()).status == 200
        w.send(create(5, 15) + create(5, 16))
        assert [(await w.reply()).status for _ in range(2)] == [200, 200]
    assert [row[2] for row in stub.records()] == [11, 12, 13, 14, 15, 16]


async def test_connection_close_and_http_1_0_are_obeyed(start: Start) -> None:
    stub = await start()
    for last in (create(1, 1, Connection="close"), create(1, 1).replace(b"HTTP/1.1", b"HTTP/1.0")):
        async with wire(stub) as w:
            w.send(last)
            reply = await w.reply()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await w.rest() == b""


async def test_a_client_that_waits_for_100_continue_gets_it(start: Start) -> None:
    stub = await start()
    whole = create(1, 1, Expect="100-continue")
    head, body = whole.split(b"\r\n\r\n")
    async with wire(stub) as w:
        w.send(head + b"\r\n\r\n")
        assert (await w.reply()).status == 100
        w.send(body)
        assert (await w.reply()).status == 200


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"\x00" * 100, b"POST\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)  # fmt: skip
async def test_bytes_that_are_not_http_end_only_their_own_connection(start: Start, nonsense: bytes) -> None:
    stub = await start()
    async with wire(stub) as bystander, wire(stub) as w:
        assert (await bystander.create(1, 1)).status == 200
        w.send(nonsense)
        assert (await w.reply()).status == 400
        assert await w.rest() == b""
        assert (await bystander.create(1, 2)).status == 200
    assert stub.truth()["bad_requests"] == 1


async def test_requests_before_the_nonsense_are_still_answered(start: Start) -> None:
    stub = await start(latency_s=0.001)
    async with wire(stub) as w:
        w.send(create(1, 1) + b"nonsense\r\n\r\n")
        assert [(await w.reply()).status for _ in range(2)] == [200, 400]


async def test_an_upgrade_is_not_followed(start: Start) -> None:
    stub = await start()
    async with wire(stub) as w:
        w.send(request("GET", COLLECTION, Connection="Upgrade", Upgrade="h2c"))
        assert (await w.reply()).status == 200
        assert await w.rest() == b""


async def test_what_is_too_long_or_too_much_is_cut_off(start: Start) -> None:
    stub = await start(latency_s=0.2)
    async with wire(stub) as w:
        w.send(b"GET / HTTP/1.1\r\nX: " + b"x" * (5 << 20))
        with suppress(ConnectionError):  # a reset may overtake the reply, as most of the request is never read
            assert (await w.reply()).status == 413
    async with wire(stub) as w:
        w.send(create(1, 1) * 1_100)
        with pytest.raises(ConnectionError):
            await w.rest()
    assert (await call(stub, "GET", "/stub/truth")).json()["bad_requests"] == 1


async def test_a_client_that_leaves_is_served_all_the_same(start: Start) -> None:
    stub = await start(latency_s=0.5)
    async with wire(stub) as w:
        w.send(create(1, 1))
        await asyncio.sleep(0.005)
    assert stub.records() == []  # applied at the end of its time
    async with asyncio.timeout(10):
        while not stub.records():
            await asyncio.sleep(0.01)
    assert stub.records() == [(1, 1, 1)]
    told = stub.truth()
    assert (told["statuses"], told["in_flight"]) == ({"none": 1}, 0)


async def test_connections_are_closed_when_idle_for_too_long(start: Start) -> None:
    stub = await start(keep_alive_s=0.05)
    async with wire(stub) as idle, wire(stub) as fresh:
        assert (await idle.create(1, 1)).status == 200
        assert await idle.rest() == b""
        assert await fresh.rest() == b""
    assert stub.truth()["connections"] == 0


async def test_a_connection_serves_so_many_requests(start: Start) -> None:
    stub = await start(max_requests=3)
    async with wire(stub) as w:
        said = [await w.create(1, member) for member in (1, 2, 3)]
        assert [reply.headers.get("connection") for reply in said] == [None, None, "close"]
        assert await w.rest() == b""


async def test_in_flight_and_connections_are_counted_at_their_peak(start: Start) -> None:
    stub = await start(latency_s=0.03)
    async with wire(stub) as a, wire(stub) as b, wire(stub) as c:
        said = await asyncio.gather(*(w.create(1, i + 1) for i, w in enumerate((a, b, c))))
        assert {reply.status for reply in said} == {200}
        told = stub.truth()
        assert (told["peak_in_flight"], told["in_flight"], told["connections"], told["worst_second"]) == (3, 0, 3, 3)


@pytest.mark.parametrize(
    ("limit", "status", "wait"),
    [({}, 409, "1"), ({"status": 429, "retry_after": "none"}, 429, None), ({"window_s": 86_400}, 409, "86400")],
)
async def test_a_throttle_is_an_empty_reply(start: Start, limit: dict[str, Any], status: int, wait: str | None) -> None:
    stub = await start(limits=[{"kind": "log", "count": 1, **limit}])
    async with wire(stub) as w:
        assert (await w.create(1, 1)).status == 200
        throttled = await w.create(1, 2)
        assert (throttled.status, throttled.body, throttled.headers.get("retry-after")) == (status, b"", wait)
        assert (await w.call("GET", COLLECTION)).status == 200
    told = stub.truth()
    assert (told["throttles"], told["creates_applied"]) == (1, 1)


async def test_a_throttle_may_state_a_date_by_a_clock_that_is_off(start: Start) -> None:
    from email.utils import parsedate_to_datetime as parse

    stub = await start(
        limits=[{"kind": "log", "count": 0, "window_s": 1, "retry_after": "date"}],
        clock_skew_s=30,
        throttle_latency_s=0.01,
    )
    reply = await call(stub, "POST", COLLECTION)
    assert (parse(reply.headers["retry-after"]) - parse(reply.headers["date"])).total_seconds() >= 10**8
    assert (await call(stub, "GET", "/stub/truth")).json()["peak_in_flight"] == 1


async def test_a_cap_on_concurrency_frees_its_places(start: Start) -> None:
    stub = await start(limits=[{"kind": "concurrency", "count": 2}], latency_s=0.02)
    async with wire(stub) as a, wire(stub) as b, wire(stub) as c:
        for _ in range(2):
            said = await asyncio.gather(*(w.create(1, i + 1) for i, w in enumerate((a, b, c))))
            assert sorted(reply.status for reply in said) == [200, 200, 409]


async def test_a_queue_refuses_nobody_but_takes_its_time(start: Start) -> None:
    stub = await start(servers=1, latency_s=0.01)
    async with wire(stub) as a, wire(stub) as b, wire(stub) as c:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(w.create(1, i + 1) for i, w in enumerate((a, b, c))))
        assert asyncio.get_running_loop().time() - began >= 0.029


async def test_signing_in_over_the_wire(start: Start) -> None:
    stub = await start()
    form = b"grant_type=password&username=admin@example.com&password=stub-password&client_id=mine"
    kind = "application/x-www-form-urlencoded"
    answer = (await call(stub, "POST", "/api/token", form, Content_Type=kind)).json()
    made = await call(stub, "POST", COLLECTION, json.dumps({"CourseLessonId": 1, "CourseMemberId": 1}).encode(),
                      Authorization=f"Bearer {answer['access_token']}")  # fmt: skip
    assert made.status == 200
    again = b"grant_type=refresh_token&refresh_token=" + answer["refresh_token"].encode()
    assert (await call(stub, "POST", "/api/token", again, Content_Type=kind, client_id="other")).status == 400
    assert (await call(stub, "POST", "/api/token", again, Content_Type=kind, client_id="mine")).status == 200
    assert (await call(stub, "POST", "/api/token", form)).json()["error"] == "unsupported_grant_type"
    assert stub.truth()["token_calls"] == 4
