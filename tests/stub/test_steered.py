"""The clock that a test moves on: with a real writer, real sockets and a real journal; no test here sits out a wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from bulkwriter import BulkWriter, NotWell, Settings, State, TryLater
from bulkwriter.observe import PrometheusMetrics
from bulkwriter.stub.steered import SteeredClocks
from bulkwriter.stub.thread import StubThread

PAIRS = [(11, member) for member in range(1, 13)]
GONE = {"faults": [{"kind": "503_before", "on": "any"}]}


@pytest.fixture
def clock() -> SteeredClocks:
    return SteeredClocks()


@pytest.fixture
def stub(clock: SteeredClocks) -> Iterator[StubThread]:
    with StubThread(clocks=clock) as stub:
        yield stub


@pytest.fixture
def settings(stub: StubThread, clock: SteeredClocks, tmp_path: Path) -> Settings:
    """As users have them, but for the addresses and the clock."""
    return Settings(
        base_url=stub.base_url, token=stub.token, journal=tmp_path / "j", ledger=tmp_path / "l", clocks=clock
    )


@pytest.fixture
async def writer(settings: Settings) -> AsyncIterator[BulkWriter]:
    async with BulkWriter(settings) as writer:
        yield writer


async def test_time_goes_on_by_itself_and_by_what_is_asked(clock: SteeredClocks) -> None:
    before = clock.clock(), clock.boot(), clock.wall()
    await clock.advance(3_600)
    after = clock.clock(), clock.boot(), clock.wall()
    assert all(3_600 <= b - a < 3_660 for a, b in zip(before, after, strict=True))


async def test_timers_come_in_their_order_and_none_before_its_time(clock: SteeredClocks) -> None:
    came: list[tuple[str, float]] = []
    began = clock.clock()

    def note(name: str) -> None:
        came.append((name, clock.clock() - began))

    clock.call_later(300, note, "late")
    clock.call_later(20, note, "early")
    clock.call_later(25, note, "cancelled").cancel()
    clock.call_later(100, clock.call_later, 50, note, "made meanwhile")
    await clock.advance(200)
    assert [name for name, _ in came] == ["early", "made meanwhile"]
    await clock.advance(150)
    assert [name for name, _ in came] == ["early", "made meanwhile", "late"]
    assert all(due <= at < due + 20 for (_, at), due in zip(came, (20, 150, 300), strict=True))


async def test_a_sleep_can_be_cancelled_and_a_scope_ends_it(clock: SteeredClocks) -> None:
    sleeping = asyncio.create_task(clock.sleep(60))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping

    async def bounded() -> bool:
        with clock.move_on_after(50) as scope:
            await clock.sleep(500)
        return scope.cancelled_caught

    assert await clock.until(bounded())
    assert not clock.timers


async def test_it_reaches_loops_of_other_threads(clock: SteeredClocks) -> None:
    thread = threading.Thread(target=lambda: asyncio.run(clock.sleep(1_000)), daemon=True)
    thread.start()
    while not clock.timers:
        await asyncio.sleep(0)
    await clock.advance(1_001)
    thread.join(10)
    assert not thread.is_alive()


async def test_until_ends_at_its_limit(clock: SteeredClocks) -> None:
    with pytest.raises(TimeoutError, match=r"not done after 3,600 s"):
        await clock.until(asyncio.Event().wait(), most_s=3_600)


async def test_a_lost_reply_is_settled_by_looks_after_the_real_waits(
    writer: BulkWriter, stub: StubThread, clock: SteeredClocks
) -> None:
    stub.set_scenario(faults=[{"kind": "rst_before", "limit": 1}])
    began = clock.clock()
    outcome = await clock.until(writer.write(PAIRS[0]))
    assert outcome.state is State.CREATED
    assert clock.clock() - began >= 60.0
    assert len(stub.records()) == 1


async def test_a_silent_server_meets_the_deadline_of_the_request(
    writer: BulkWriter, stub: StubThread, clock: SteeredClocks
) -> None:
    stub.set_scenario(faults=[{"kind": "silence_before", "limit": 1}])
    outcome = await clock.until(writer.write(PAIRS[0]))
    assert outcome.state is State.CREATED
    assert stub.truth()["doubles"] == 0


async def test_a_latency_of_the_stub_passes_and_no_deadline_is_met(
    settings: Settings, stub: StubThread, clock: SteeredClocks
) -> None:
    stub.set_scenario(latency_s=30.0)
    async with BulkWriter(replace(settings, existing="skip", in_flight=4)) as writer:
        outcomes = await clock.until(writer.write_many(PAIRS))
        assert [outcome.attempts for outcome in outcomes] == [1] * len(PAIRS)
        assert writer.snapshot().elapsed_s >= 90.0


async def test_an_outage_is_sat_out_by_nobody(settings: Settings, stub: StubThread, clock: SteeredClocks) -> None:
    async with BulkWriter(replace(settings, patience_s=60.0)) as writer:
        await writer.write(PAIRS[0])
        stub.set_scenario(GONE)
        with pytest.raises((NotWell, TryLater)):
            await clock.until(writer.write_many(PAIRS))
        assert not writer.is_well()
        stub.set_scenario({})
        await clock.advance(600)
        assert writer.is_well()
        assert (await writer.write(PAIRS[1])).state is State.CREATED


async def test_a_timeout_of_a_call_ends_by_this_clock(settings: Settings, clock: SteeredClocks) -> None:
    async with BulkWriter(replace(settings, quota=("write:1/day",))) as writer:
        await writer.write(PAIRS[0])
        waiting = asyncio.create_task(writer.write(PAIRS[1], timeout=3_000.0))
        await clock.advance(2_900)
        assert not waiting.done()
        await clock.advance(200)
        assert (await waiting).state is State.PENDING


async def test_tokens_live_by_it(settings: Settings, stub: StubThread, clock: SteeredClocks) -> None:
    users: list[dict[str, Any]] = [{"username": "ann", "password": "secret"}]
    stub.set_scenario(users=users, token_life_s=600)
    async with BulkWriter(replace(settings, token=None, username="ann", password="secret")) as writer:
        await writer.write(PAIRS[0])
        await clock.advance(3_600)
        assert (await writer.write(PAIRS[1])).state is State.CREATED
        assert stub.truth()["token_calls"] > 1


async def test_a_service_that_writes_seldom_hears_by_its_looks_that_the_server_is_gone(
    settings: Settings, stub: StubThread, clock: SteeredClocks
) -> None:
    registry = CollectorRegistry()

    def well() -> float | None:
        return registry.get_sample_value("bulkwriter_well_writers")

    async with BulkWriter(settings, observers=[PrometheusMetrics(registry=registry)]) as writer:
        await writer.write(PAIRS[0])
        assert well() == 1
        stub.set_scenario(faults=[{"kind": "rst_after", "on": "any"}])
        writing = asyncio.create_task(writer.write(PAIRS[1]))
        await clock.advance(5.0)
        assert writer.is_well()  # one lost reply is no outage
        await clock.advance(2 * settings.late_apply_s)
        assert (writer.is_well(), well()) == (False, 0)
        assert "no good reply for" in str(writer.error)
        stub.set_scenario({})
        await clock.until(writer.well())
        assert (await clock.until(writing)).state is State.CREATED


async def test_lists_alone_that_fail_are_no_outage_while_writes_go(
    settings: Settings, stub: StubThread, clock: SteeredClocks
) -> None:
    async with BulkWriter(settings) as writer:
        await writer.write(PAIRS[0])
        stub.set_scenario(faults=[{"kind": "503_before", "on": "list"}, {"kind": "rst_after", "limit": 1}])
        writing = asyncio.create_task(writer.write(PAIRS[1]))
        await clock.advance(1.0)
        assert (await clock.until(writer.write(PAIRS[2]))).state is State.CREATED
        await clock.advance(2 * settings.late_apply_s)
        assert writer.is_well()
        assert not writing.done()
        stub.set_scenario({})
        assert (await clock.until(writing)).state is State.CREATED
