"""Starting and stopping, the admin calls, TLS, the thread, and many at once."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme

import bulkwriter.stub
from bulkwriter.errors import UsageError
from bulkwriter.stub import Scenario, StubThread, serve
from tests.support.stub_wire import COLLECTION, call, create, wire


async def test_a_stub_listens_until_it_is_closed() -> None:
    async with await serve() as stub:
        assert stub.base_url == f"http://127.0.0.1:{stub.port}"
        async with wire(stub) as w:
            assert (await w.create(1, 2)).status == 200
            await stub.aclose()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await w.create(1, 3)
        assert stub.records() == [(1, 1, 2)]
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(stub.host, stub.port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
async def test_only_loopback_will_do(host: str) -> None:
    with pytest.raises(UsageError, match="loopback only"):
        await serve(host=host)


async def test_other_loopback_names_will_do() -> None:
    async with await serve(host="localhost") as stub:
        assert stub.base_url.startswith("http://localhost:")
    if socket.has_ipv6:
        async with await serve(host="::1") as stub:
            assert stub.base_url == f"http://[::1]:{stub.port}"
            assert (await call(stub, "GET", "/stub/truth")).status == 200


async def test_a_taken_port_is_a_usage_error() -> None:
    async with await serve() as stub:
        with pytest.raises(UsageError, match=f"port {stub.port}"):
            await serve(port=stub.port)


async def test_admin_calls_tell_the_truth_and_are_not_counted() -> None:
    async with await serve(Scenario.from_mapping({"limits": [{"kind": "log", "count": 1, "of": "any"}]})) as stub:
        assert (await call(stub, "GET", "/nowhere")).status == 404
        for _ in range(3):
            told = (await call(stub, "GET", "/stub/truth")).json()
        assert told["requests"] == {"GET": 1}
        assert told["operations"] == {"other": 1}
        assert told.keys() == stub.truth().keys()
        assert (await call(stub, "GET", "/stub/nothing")).status == 404


async def test_records_are_dumped_as_ndjson() -> None:
    async with await serve(Scenario.from_mapping({"existing": [[1, 2], [3, 4]], "first_id": 7})) as stub:
        lines = (await call(stub, "GET", "/stub/records")).body.splitlines()
        assert [json.loads(line) for line in lines] == [
            {"Id": 7, "CourseLessonId": 1, "CourseMemberId": 2},
            {"Id": 8, "CourseLessonId": 3, "CourseMemberId": 4},
        ]
        assert stub.records() == [(7, 1, 2), (8, 3, 4)]


async def test_a_scenario_is_replaced_live_and_a_reset_starts_over() -> None:
    async with await serve(Scenario.from_mapping({"existing": [[1, 1]]})) as stub:
        assert (await call(stub, "POST", COLLECTION, b"{}")).status == 400
        new = {"faults": {"500_after": 1}, "existing": [[5, 5], [6, 6]], "watch_windows_s": [10]}
        assert (await call(stub, "POST", "/stub/scenario", json.dumps(new).encode())).status == 200
        async with wire(stub) as w:
            assert (await w.create(9, 9)).status == 500
        assert [row[1:] for row in stub.records()] == [(1, 1), (9, 9)]
        assert (stub.truth()["worst_in_window"], stub.truth()["worst_second"]) == ({"10": 1}, 2)
        assert (await call(stub, "POST", "/stub/reset")).status == 200
        assert [row[1:] for row in stub.records()] == [(5, 5), (6, 6)]
        assert stub.truth()["requests"] == {}
        assert stub.scenario.faults[0].kind == "500_after"


@pytest.mark.parametrize(("body", "words"), [(b"{", "not JSON"), (b'{"latencys": 1}', "latencys"), (b"[]", "mapping")])
async def test_a_wrong_scenario_is_refused_and_changes_nothing(body: bytes, words: str) -> None:
    async with await serve(Scenario(seed=5)) as stub:
        reply = await call(stub, "POST", "/stub/scenario", body)
        assert (reply.status, words in reply.json()["error"], stub.scenario.seed) == (400, True, 5)


async def test_an_exchange_under_way_ends_in_the_world_it_began_in() -> None:
    limits = [{"kind": "concurrency", "count": 1}]
    async with await serve(Scenario.from_mapping({"latency_s": 0.02, "limits": limits})) as stub, wire(stub) as w:
        w.send(create(1, 1))
        await asyncio.sleep(0.005)
        stub.reset()
        stub.set_scenario(Scenario())
        assert (await w.reply()).status == 200
        assert stub.records() == []
        assert stub.truth()["in_flight"] == 0


@pytest.mark.parametrize("kind", ["", "rst_after", "fin_after", "slices", "silence_after"])
async def test_tls(kind: str) -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    scenario = Scenario.from_mapping({"faults": {kind: 1} if kind else {}})
    async with await serve(scenario, tls=server) as stub:
        assert stub.base_url.startswith("https://")
        async with wire(stub, ssl=client) as w:
            if kind in ("", "slices"):
                assert (await w.create(1, 1)).status == 200
            elif kind == "silence_after":
                w.send(create(1, 1))
                assert await w.is_silent()
            else:
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)):
                    await w.create(1, 1)
        assert stub.records() == [(1, 1, 1)]


async def test_clients_that_speak_no_tls_harm_nobody() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    async with await serve(tls=server) as stub, wire(stub) as w:
        w.send(create(1, 1))
        assert b"HTTP" not in await w.rest()
        assert stub.truth()["requests"] == {}


async def test_many_connections_at_once_lose_nothing() -> None:
    async with await serve(Scenario.from_mapping({"latency_s": 0.002, "latency_sigma": 0.5})) as stub:

        async def write(lesson: int) -> None:
            async with wire(stub) as w:
                for member in range(1, 11):
                    assert (await w.create(lesson, member)).status == 200

        await asyncio.gather(*(write(lesson) for lesson in range(1, 41)))
        told = stub.truth()
        assert (told["distinct_pairs"], told["doubles"], told["peak_connections"]) == (400, 0, 40)


def test_a_stub_in_a_thread_answers_from_any_other() -> None:
    with StubThread({"existing": [[1, 1]]}) as stub:
        assert asyncio.run(call_thread(stub, 2)) == 200
        assert stub.records() == [(1, 1, 1), (2, 2, 2)]
        stub.set_scenario(faults={"500_before": 1})
        assert asyncio.run(call_thread(stub, 3)) == 500
        stub.set_scenario({"faults": {"502_before": 1}}, seed=3)
        assert asyncio.run(call_thread(stub, 3)) == 502
        stub.set_scenario(Scenario(seed=9))
        assert asyncio.run(call_thread(stub, 3)) == 200
        assert stub.truth()["creates_applied"] == 2
        stub.reset()
        assert (stub.truth()["records"], stub.truth()["requests"]) == (0, {})
    stub.stop()  # a second time does nothing
    assert not any(thread.name == "bulkwriter-stub" for thread in threading.enumerate())


async def call_thread(stub: StubThread, number: int) -> int:
    async with wire(stub) as w:
        return (await w.create(number, number)).status


def test_a_thread_that_cannot_start_says_why() -> None:
    stub = StubThread(host="192.0.2.1")
    with pytest.raises(UsageError, match="loopback only"):
        stub.start()
    stub.stop()


def test_the_package_is_light_until_something_is_asked_of_it() -> None:
    heavy = ("asyncio", "httptools", "orjson", "dataclasses", "ssl")
    code = f"import sys, bulkwriter.stub; print([name for name in {heavy!r} if name in sys.modules])"
    repository = Path(bulkwriter.__file__).parent.parent
    run = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="nothing"):
        _ = bulkwriter.stub.nothing
    assert all(getattr(bulkwriter.stub, name) is not None for name in bulkwriter.stub.__all__)
