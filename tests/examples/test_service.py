"""The example service: each of its answers, and whole runs in which it is stopped and killed while callers ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from bulkwriter import Settings
from bulkwriter.examples.service import WRITER, application

from ..conftest import CANARY
from ..support.cli_process import stub
from ..support.library import settings_for, truth

FAULTS: dict[str, Any] = {
    "faults": {"rst_after": 0.03, "500_before": 0.02},
    "limits": [{"kind": "bucket", "count": 300, "window_s": 1, "burst": 50, "retry_after": "none"}],
    "latency_s": 0.005,
    "seed": 5,
}


@pytest.mark.slow
async def test_it_answers_with_the_outcome_and_says_whether_it_is_ready(tmp_path: Path) -> None:
    with stub(existing=[[1, 9]]) as server:
        async with TestClient(TestServer(application(settings_for(server, tmp_path / "j")))) as client:

            async def post(body: Any) -> tuple[int, Any]:
                async with client.post("/completed", json=body) as reply:
                    return reply.status, await reply.json()

            status, told = await post({"lesson_id": 1, "member_id": 2})
            assert (status, told["state"]) == (200, "created")
            assert await post({"lesson_id": 1, "member_id": 2}) == (200, told), "the same again"
            assert (await post({"lesson_id": 1, "member_id": 9}))[1]["state"] == "existing"
            wrong: tuple[Any, ...] = (
                {},
                [],
                {"lesson_id": 1},
                {"lesson_id": "x", "member_id": 2},
                {"lesson_id": 0, "member_id": 2},
                {"lesson_id": True, "member_id": 2},
                {"lesson_id": 1, "member_id": 2**63},
            )
            for bad in wrong:
                assert (await post(bad))[0] == 400
            assert (await client.get("/ready")).status == 200
            metrics = await (await client.get("/metrics")).text()
            assert 'bulkwriter_outcomes_total{outcome="created"} 1.0' in metrics
        assert truth(server) == (2, 0)


@pytest.mark.slow
async def test_it_is_not_ready_while_the_token_is_refused(tmp_path: Path) -> None:
    with stub() as server:
        settings = settings_for(server, tmp_path / "j", token="of-nobody", patience_s=0.3)
        async with TestClient(TestServer(application(settings))) as client:
            async with client.post("/completed", json={"lesson_id": 1, "member_id": 2}) as reply:
                assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
            async with client.get("/ready") as reply:
                assert (reply.status, (await reply.json())["ready"]) == (503, False)
    assert "of-nobody" not in (tmp_path / "j").read_bytes().decode(errors="replace")


async def no_token() -> str:
    return "two\nlines"


@pytest.mark.slow
async def test_a_token_that_cannot_be_one_is_not_the_callers_mistake(tmp_path: Path) -> None:
    settings = Settings(base_url="http://127.0.0.1:9", token=no_token, journal=tmp_path / "j", patience_s=0.3)
    async with (
        TestClient(TestServer(application(settings))) as client,
        client.post("/completed", json={"lesson_id": 1, "member_id": 2}) as reply,
    ):
        assert (reply.status, reply.headers["Retry-After"]) == (503, "5")


@pytest.mark.slow
async def test_a_timeout_tells_how_the_pair_stands_and_it_goes_on(tmp_path: Path) -> None:
    pair = {"lesson_id": 1, "member_id": 2}
    with stub(latency_s=0.3) as server:
        async with TestClient(TestServer(application(settings_for(server, tmp_path / "j"), timeout_s=0.0))) as client:
            async with client.post("/completed", json=pair) as reply:
                assert (reply.status, (await reply.json())["state"]) == (202, "pending")
            await client.server.app[WRITER].flush()  # type: ignore[attr-defined]
        assert truth(server) == (1, 0)


class Service:
    """The service in a process, started again after each end."""

    def __init__(self, base_url: str, journal: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._command = [
            sys.executable, "-m", "bulkwriter.examples.service", f"--base-url={base_url}", f"--journal={journal}",
            f"--port={self.port}", *(options or ("--doubt-wait=0.5",)),
        ]  # fmt: skip
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        env = {**os.environ, "BULKWRITER_TOKEN": CANARY}
        self.process = subprocess.Popen(self._command, env=env, stderr=subprocess.DEVNULL)
        return self.process

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(60)


async def ask(session: aiohttp.ClientSession, url: str, pair: tuple[int, int]) -> dict[str, Any]:
    """Ask until there is an answer."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            body = {"lesson_id": pair[0], "member_id": pair[1]}
            async with session.post(url, json=body, timeout=aiohttp.ClientTimeout(20)) as reply:
                if reply.status == 200:
                    told: dict[str, Any] = await reply.json()
                    if told["state"] in ("created", "existing"):
                        return told
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_nothing_is_lost_doubled_or_untrue_however_it_is_stopped(tmp_path: Path) -> None:
    rng = random.Random(11)
    pairs = [(1 + i % 7, 1 + i) for i in range(400)]
    answers: dict[tuple[int, int], dict[str, Any]] = {}
    with stub(**FAULTS) as server:
        service = Service(server.base_url, tmp_path / "j")
        waiting = list(pairs)

        async def caller(session: aiohttp.ClientSession) -> None:
            while waiting:
                pair = waiting.pop()
                answers[pair] = await ask(session, f"http://127.0.0.1:{service.port}/completed", pair)

        async with aiohttp.ClientSession() as session:
            callers = [asyncio.create_task(caller(session)) for _ in range(20)]
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                count = len(answers) + rng.randrange(5, 60)
                while len(answers) < count and not all(task.done() for task in callers):
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(service.end, number)
                service.start()
            await asyncio.wait_for(asyncio.gather(*callers), 240)
        await asyncio.to_thread(service.end, signal.SIGTERM)
        assert service.process.returncode == 0
        there = {(lesson, member): number for number, lesson, member in server.records()}
        assert truth(server) == (len(pairs), 0)
    assert all(answers[pair]["record_id"] == there[pair] for pair in pairs if answers[pair]["state"] == "created")
    assert set(answers) == set(pairs)


DRAIN_S = 10.0
"""Long enough that a busy machine does not matter; the waits that must not be sat out are a minute and a day."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "options", "gauge", "asked", "told"),
    [
        ({"faults": {"rst_after": 1.0}}, ("--doubt-wait=600",), "bulkwriter_in_doubt_pairs 1.0", 1, [202]),
        ({}, ("--quota=write:1/day", "--ledger={}"), "bulkwriter_outstanding_pairs 1.0", 2, [200, 503]),
    ],
    ids=["doubt", "quota"],
)
async def test_a_sigterm_waits_neither_for_a_doubt_nor_for_a_quota(
    tmp_path: Path, scenario: dict[str, Any], options: tuple[str, ...], gauge: str, asked: int, told: list[int]
) -> None:
    options = tuple(option.format(tmp_path / "ledger") for option in options)
    with stub(**scenario) as server:
        service = Service(server.base_url, tmp_path / "j", *options, "--timeout=900", f"--drain={DRAIN_S}")
        url = f"http://127.0.0.1:{service.port}"

        async def post(session: aiohttp.ClientSession, pair: tuple[int, int]) -> int:
            async with session.post(f"{url}/completed", json={"lesson_id": pair[0], "member_id": pair[1]}) as reply:
                return reply.status

        async def until_waiting(session: aiohttp.ClientSession) -> None:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{url}/metrics") as reply:
                        if gauge in await reply.text() and truth(server)[0] == 1:
                            return
                await asyncio.sleep(0.05)

        async with aiohttp.ClientSession() as session:
            await asyncio.wait_for(until_ready(session, url), 60)
            asking = [asyncio.create_task(post(session, (1, 1 + i))) for i in range(asked)]
            try:
                await asyncio.wait_for(until_waiting(session), 60)
                began = time.monotonic()
                await asyncio.to_thread(service.end, signal.SIGTERM)
                assert time.monotonic() - began < DRAIN_S + 2
                assert service.process.returncode == 0
                assert sorted(await asyncio.gather(*asking)) == told
            finally:
                service.process.kill()
    assert truth(server) == (1, 0)


async def until_ready(session: aiohttp.ClientSession, url: str) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{url}/ready") as reply:
                if reply.status == 200:
                    return
        await asyncio.sleep(0.05)
