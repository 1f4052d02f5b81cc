"""Every kind of fault on the wire: what the client sees, and what the stub really did; on both event loops."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from bulkwriter.stub import StubThread
from bulkwriter.stub.faults import KINDS
from bulkwriter.stub.thread import fastest_loop
from tests.support.stub_wire import COLLECTION, Said, Wire, create, wire

Start = Callable[..., StubThread]


@pytest.fixture(params=["asyncio", "uvloop"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a stub in a thread of its own, and stops it at the end."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    factory = asyncio.new_event_loop if request.param == "asyncio" else fastest_loop()
    running: list[StubThread] = []

    def started(kind: str, scenario: dict[str, Any] | None = None, **rule: Any) -> StubThread:
        faults = [{"kind": kind, "limit": 1, **rule}]
        stub = StubThread({"faults": faults, **(scenario or {})}, loop_factory=factory)
        running.append(stub)
        return stub.start()

    yield started
    for stub in running:
        stub.stop()


async def eventually(told: Callable[[], Any], wanted: Any) -> None:
    """Wait until the stub tells what is wanted; not long."""
    for _ in range(200):
        if told() == wanted:
            return
        await asyncio.sleep(0.005)
    assert told() == wanted


async def seen(w: Wire) -> str:
    """What a create meets: the status of its reply, or how the connection ended."""
    w.send(create(1, 1))
    try:
        return str((await w.reply()).status)
    except asyncio.IncompleteReadError as e:
        return f"FIN after {e.partial!r}" if e.partial else "FIN"
    except ConnectionResetError:
        return "RST"


SEEN = {
    "fin_mid_request": "FIN", "rst_mid_request": "RST", "fin_before": "FIN", "rst_before": "RST", "fin_after": "FIN",
    "rst_after": "RST", "late_apply": "RST",
    "half_status_before": "FIN after b'HTTP/1.1 2'", "half_status_after": "FIN after b'HTTP/1.1 2'",
    "500_before": "500", "500_after": "500", "502_before": "502", "502_after": "502", "503_before": "503",
    "503_after": "503", "504_before": "504", "504_after": "504", "503_wait_before": "503", "503_wait_after": "503",
    "status_before": "500", "status_after": "500", "unsuccessful": "200", "forbidden_403": "403",
    "redirect_307": "307", "empty_after": "200", "odd_after": "200", "chunked": "200", "close_delimited": "200",
    "slices": "200", "gzip_after": "200", "gzip_bomb_after": "200", "long_head_after": "200", "long_body_after": "200",
    "trailing": "200", "unsolicited": "200", "stray": "200", "slow": "200",
    "continue_first": "100", "continue_fin_before": "100", "continue_fin_after": "100",
}  # fmt: skip
"""What a trusting client sees first; the kinds that it cannot read have tests of their own."""


@pytest.mark.parametrize("kind", SEEN)
async def test_a_kind_looks_as_it_should_and_applies_what_it_says(start: Start, kind: str) -> None:
    stub = start(kind, delay_s=0.01, size_bytes=100_000)
    async with wire(stub) as w:
        assert await seen(w) == SEEN[kind]
    is_applied = KINDS[kind].applies or kind in ("late_apply", "slow")
    await eventually(lambda: stub.truth()["creates_applied"], int(is_applied))
    async with wire(stub) as w:
        assert (await w.create(1, 2)).status == 200  # it was dealt once, and the stub lives
    assert stub.truth()["faults"] == {kind: 1}
    assert stub.truth()["in_flight"] == 0


def test_every_kind_is_seen_somewhere() -> None:
    here = {
        "connect_fin", "connect_rst", "connect_silence", "silence_before", "silence_after", "garbage_before",
        "garbage_after", "bad_length_after", "cut_body_after", "expired_401", "list_empty", "list_short",
        "list_miscount", "list_overlap",
    }  # fmt: skip
    assert set(SEEN) | here == set(KINDS)


@pytest.mark.parametrize(("kind", "count"), [("silence_before", 0), ("silence_after", 1)])
async def test_silence_lasts_until_the_client_has_had_enough(start: Start, kind: str, count: int) -> None:
    stub = start(kind)
    async with wire(stub) as w:
        w.send(create(1, 1))
        assert await w.is_silent()
        told = stub.truth()
        assert (told["creates_applied"], told["in_flight"], told["statuses"]) == (count, 1, {})
        w.send(create(1, 2))
        assert await w.is_silent()
    await eventually(lambda: stub.truth()["in_flight"], 0)
    assert stub.truth()["statuses"] == {"none": 1}


@pytest.mark.parametrize(("kind", "count"), [("garbage_before", 0), ("garbage_after", 1)])
async def test_garbage_is_no_http(start: Start, kind: str, count: int) -> None:
    stub = start(kind)
    async with wire(stub) as w:
        w.send(create(1, 1))
        came = await w.rest()
        assert came
        assert not came.startswith(b"HTTP")
    assert stub.truth()["creates_applied"] == count


async def test_connections_may_end_as_they_begin(start: Start) -> None:
    async with wire(start("connect_fin")) as w:
        assert await w.rest() == b""
    stub = start("connect_rst")
    with pytest.raises(ConnectionResetError):  # at times as early as in connect()
        async with wire(stub) as w:
            await w.rest()
    assert (stub.truth()["requests"], stub.truth()["faults"]) == ({}, {"connect_rst": 1})


async def test_a_connection_may_be_accepted_and_not_heard(start: Start) -> None:
    stub = start("connect_silence")
    async with wire(stub) as w:
        w.send(create(1, 1))
        assert await w.is_silent()
    await eventually(lambda: stub.truth()["connections"], 0)
    assert (stub.truth()["requests"], stub.truth()["faults"]) == ({}, {"connect_silence": 1})


async def raw_reply(stub: StubThread, w: Wire) -> tuple[bytes, bytes]:
    """Head and body of what comes until the connection ends; the stub is asked to end it."""
    w.send(create(1, 1, Connection="close"))
    head, _, body = (await w.rest()).partition(b"\r\n\r\n")
    return head, body


async def test_a_length_may_be_wrong_or_more_than_comes(start: Start) -> None:
    async with wire(stub := start("bad_length_after")) as w:
        head, body = await raw_reply(stub, w)
        assert b"Content-Length: 12x" in head
        assert orjson.loads(body)["WasSuccessful"]
    async with wire(stub := start("cut_body_after")) as w:
        head, body = await raw_reply(stub, w)
        assert b"Content-Length: %d" % (len(body) * 2) in head or b"Content-Length: %d" % (len(body) * 2 + 1) in head
    assert stub.truth()["creates_applied"] == 1


async def test_unusual_framing_still_tells_the_truth(start: Start) -> None:
    for kind in ("chunked", "close_delimited", "slices", "long_head_after", "long_body_after", "gzip_after"):
        stub = start(kind, size_bytes=70_000)
        async with wire(stub) as w:
            reply = await w.create(1, 1)
            body = gzip.decompress(reply.body) if kind == "gzip_after" else reply.body
            assert orjson.loads(body)["Value"] == {"Id": 1}, kind
            size = len(reply.headers.get("x-padding", "")) if kind == "long_head_after" else len(reply.body)
            assert (size > 70_000 or size == 70_000) is kind.startswith("long_"), kind


async def test_a_bomb_unpacks_to_a_gigabyte_but_is_small(start: Start) -> None:
    async with wire(start("gzip_bomb_after")) as w:
        reply = await w.create(1, 1)
    assert len(reply.body) < 2 << 20
    first = zlib.decompressobj(wbits=31)
    assert len(first.decompress(reply.body)) == 1 << 20
    members = len(reply.body) / (len(reply.body) - len(first.unused_data))
    assert members == 1_024


async def test_a_stray_reply_shifts_the_connection(start: Start) -> None:
    stub = start("stray", {"latency_s": 0.001}, delay_s=0.002)
    async with wire(stub) as w:
        told = [(await w.create(1, member)).json()["Value"]["Id"] for member in range(1, 6)]
    assert told == [1, 1, 2, 3, 4]  # a client that trusts is one behind for ever
    await eventually(lambda: len(stub.records()), 5)


async def test_unsolicited_bytes_come_while_nothing_is_asked(start: Start) -> None:
    async with wire(start("unsolicited", delay_s=0.01)) as w:
        first = await w.create(1, 1)
        assert (await w.reply()).body == first.body


async def test_trailing_bytes_come_with_the_reply(start: Start) -> None:
    async with wire(start("trailing")) as w:
        await w.create(1, 1)
        assert not await w.is_silent()


async def test_continue_comes_before_the_reply_or_before_the_end(start: Start) -> None:
    async with wire(start("continue_first")) as w:
        assert [(await w.create(1, 1)).status, (await w.reply()).status] == [100, 200]
    async with wire(start("continue_fin_after")) as w:
        assert (await w.create(1, 1)).status == 100
        assert await w.rest() == b""


async def test_statuses_carry_what_their_rule_says(start: Start) -> None:
    async def said(kind: str, **rule: Any) -> Said:
        async with wire(start(kind, **rule)) as w:
            return await w.create(1, 1)

    reply = await said("status_before", status=520, body="html", retry_after="garbage, soon")
    assert (reply.status, reply.headers["retry-after"], reply.body[:6]) == (520, "garbage, soon", b"<html>")
    reply = await said("status_after", status=408, body="empty")
    assert (reply.status, reply.body, "content-type" in reply.headers) == (408, b"", False)
    assert (await said("500_before")).json() == {"Message": "An error has occurred."}
    assert (await said("503_wait_after")).headers["retry-after"] == "1"
    assert (await said("redirect_307", location="http://127.0.0.1:1/x")).headers["location"] == "http://127.0.0.1:1/x"
    assert (await said("unsuccessful")).json()["WasSuccessful"] is False
    assert "html" in (await said("forbidden_403")).headers["content-type"]
    assert (await said("empty_after")).body == b""


async def test_an_expired_token_is_one_that_was_good(start: Start) -> None:
    stub = start("expired_401", limit=None)
    async with wire(stub) as w:
        said = [(await w.create(1, member)).status for member in range(1, 7)]
    assert said == [200, 401, 200, 401, 200, 401]
    assert stub.truth()["faults"] == {"expired_401": 3}


async def test_lists_may_be_wrong_in_four_ways(start: Start) -> None:
    async def listed(kind: str) -> dict[str, Any]:
        stub = start(kind, {"existing": {"lessons": 3, "members": 3}})
        async with wire(stub) as w:
            array = await w.call("GET", f"{COLLECTION}?id=[1,2]")
            assert len(array.json()) == 2  # an array by ids counts nothing, so there is nothing to contradict
            stub.set_scenario({"faults": {kind: 1}})
            page: dict[str, Any] = (await w.call("GET", COLLECTION)).json()
        return page | {"Ids": [record["Id"] for record in page["Records"]]}

    empty, short = await listed("list_empty"), await listed("list_short")
    assert (empty["Ids"], empty["TotalItems"], empty["HasNextPage"]) == ([], 9, False)
    assert (short["Ids"], short["TotalItems"]) == ([1, 3, 4, 6, 7, 9], 9)
    assert (await listed("list_miscount"))["TotalItems"] == 10
    assert (await listed("list_overlap"))["Ids"] == [1, 2, 3, 4, 5, 6, 7, 8, 1]


async def test_other_operations_meet_faults_too(start: Start) -> None:
    stub = start("500_after", {"existing": [[1, 1]]}, on="delete")
    async with wire(stub) as w:
        assert (await w.create(1, 2)).status == 200
        assert (await w.call("DELETE", f"{COLLECTION}/1")).status == 500
        assert (await w.call("DELETE", f"{COLLECTION}/1")).status == 404  # it was applied
    assert stub.truth()["deletes_applied"] == 1


async def test_the_same_seed_and_order_meet_the_same_faults(start: Start) -> None:
    kinds = {"500_before": 0.2, "500_after": 0.2, "unsuccessful": 0.2}

    async def run(seed: int) -> list[str]:
        stub = start("slow", {"faults": kinds, "seed": seed})
        async with wire(stub) as w:
            return [f"{r.status} {len(r.body)}" for r in [await w.create(1, m) for m in range(10, 60)]]

    assert await run(1) == await run(1) != await run(2)
