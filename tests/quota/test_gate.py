"""Quotas at work in virtual time: they wait, stop with a time, tell until when, and let calls go before writes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bulkwriter.errors import TryLater
from bulkwriter.model import moment
from bulkwriter.quota.ledger import read_ledger
from bulkwriter.quota.view import blocked_by, calls_wait_for, left_of, paced_by, quiet_for, short_left_of
from tests.sim.loop import run_virtual
from tests.support.quota_hand import One, at_work
from tests.support.quota_stage import WALL_S

HOUR_S = 3_600.0


def test_a_spent_window_is_waited_for_and_a_person_told_until_when(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        assert await one.send(100) == 30
        at = await one.opens_at()
        # asked again every ten minutes: others may give back, or a try succeed
        assert at == pytest.approx(one.now + 600, abs=2)
        words, left_s = blocked_by(one.quotas) or ("", 0.0)
        assert left_s == pytest.approx(HOUR_S, abs=130)
        assert words == f"the quota write:30/hour is spent until {moment(WALL_S + one.now + (left_s or 0))}"
        assert one.said == [words]
        assert 0 < quiet_for(one.quotas) <= 600
        await asyncio.sleep((left_s or 0) + 1)
        assert await one.send(100) == 30

    one = at_work(tmp_path, ["write:30/hour"], act)
    assert one.stopped == []


def test_stop_ends_the_run_with_the_time_to_come_back(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        assert await one.send(100) == 30
        assert await one.opens_at() == float("inf")
        (error,) = one.stopped
        assert isinstance(error, TryLater)
        assert error.exit_code == 75
        assert error.retry_at == pytest.approx(WALL_S + one.now + HOUR_S, abs=130)
        assert "the quota write:30/hour is spent until" in error.message
        assert one.quotas.ended_by("write") is error
        assert one.quotas.ended_by("read") is None  # lists still tell what became of the last writes
        assert await one.send(3, "read") == 3

    at_work(tmp_path, ["write:30/hour"], act, stops=True)


def test_stop_does_not_stop_for_a_wait_of_seconds(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        assert await one.send(40) == 40

    one = at_work(tmp_path, ["write:10/s"], act, stops=True)
    assert one.stopped == []


def test_a_call_that_waits_goes_before_writes(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.opens_at("read")
        await one.send(3, took_s=0.01)
        own = one.quotas.opens_at(one.now)
        one.quotas.calls_waiting = 1
        assert one.quotas.opens_at(one.now) > own
        one.quotas.opens_at(one.now, "read", is_call=True)
        await asyncio.sleep(0.001)
        assert one.quotas.opens_at(one.now, "read", is_call=True) <= own

    at_work(tmp_path, ["any:10/2s"], act)


def test_writes_leave_some_of_any_to_lists(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        assert await one.send(100) == 49
        assert await one.send(100, "read") == 1

    at_work(tmp_path, ["any:50/hour"], act)


def test_what_paces_is_named(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.send(1)
        assert paced_by(one.quotas) == "quota write:1/10s"
        await asyncio.sleep(20)
        assert paced_by(one.quotas) == ""

    at_work(tmp_path, ["write:1/10s"], act)


def test_a_quota_is_named_whenever_it_holds_a_write(tmp_path: Path) -> None:
    """Units that may be used soon, or none while requests end: progress said "connections are being made"."""

    async def act(one: One) -> None:
        told: dict[str, set[str]] = {"soon": set(), "once one has ended": set()}
        for turn in range(400):
            at, room = one.quotas.opens_at(one.now), one.quotas.room(one.now, 8)
            if at > one.now:
                told["soon" if at < float("inf") else "once one has ended"].add(paced_by(one.quotas))
            one.quotas.spent(room)
            await asyncio.sleep(0.01)
            one.quotas.ended(count=one.quotas.classes["write"].units.on_way if turn % 100 == 99 else 0)
        assert told == {"soon": {"quota write:10/s"}, "once one has ended": {"quota write:10/s"}}

    at_work(tmp_path, ["write:10/s"], act)


def test_what_list_calls_wait_for_is_named(tmp_path: Path) -> None:
    """A run after a killed one said that it was listing, for two minutes in which it could not."""

    async def act(one: One) -> None:
        assert await one.send(1, "read") == 1
        one.quotas.calls_waiting = 1
        await one.opens_at("read")
        assert calls_wait_for(one.quotas) == "list calls wait for the quota any:1/50s"
        await asyncio.sleep(100)
        await one.opens_at("read")
        assert calls_wait_for(one.quotas) == ""

    at_work(tmp_path, ["any:1/50s"], act)


def test_at_the_end_nothing_stays_reserved_and_all_is_written_down(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.send(5)

    at_work(tmp_path, ["write:100/hour"], act)
    rows = read_ledger(tmp_path / "ledger", "a")
    assert [(row.client, row.requests) for row in rows.spent.values()] == [("", 5)]


def test_a_lease_that_is_not_used_is_given_back_when_it_is_over(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.send(1)
        assert one.quotas.classes["write"].units.left > 0
        await asyncio.sleep(4)
        rows = read_ledger(tmp_path / "ledger", "a")
        assert [(row.client, row.requests) for row in rows.spent.values()] == [("", 1)]

    at_work(tmp_path, ["write:10000/hour", "write:50/s", "write:500/10s"], act)


def test_a_turn_gets_as_much_room_as_there_is(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        quotas = one.quotas
        await one.opens_at()
        assert quotas.room(one.now, 3) == 3
        many = quotas.room(one.now, 999)
        assert 10 <= many <= 26  # a late turn catches up
        quotas.spent(many)
        assert quotas.room(one.now, 9) == 0
        for _ in range(many):
            quotas.ended()
        assert one.now < quotas.opens_at(one.now) <= one.now + 0.02
        quotas.calls_waiting = 1
        await asyncio.sleep(0.1)
        assert quotas.room(one.now, 9) == 1  # a call that waits may want the next one

    at_work(tmp_path, ["write:50/s"], act)


@pytest.mark.parametrize(("dies_after_s", "waits_s"), [(0.6, 2.0), (0.1, 30.0)])
def test_at_a_slow_pace_only_a_request_on_its_way_holds_slots_of_the_dead(
    tmp_path: Path, dies_after_s: float, waits_s: float
) -> None:
    """Of any:1/100ms, which has one slot, the second process has to wait; its deadline is 20 s."""

    async def main() -> None:
        dead = One(tmp_path, ["write:60/min", "any:1/100ms"])
        await dead.quotas.begin()
        await dead.opens_at()
        assert dead.quotas.take()
        if dies_after_s > 0.2:
            await asyncio.sleep(0.2)
            dead.quotas.ended()
            await asyncio.sleep(dies_after_s - 0.2)
        dead.quotas = dead.machine.quotas()
        await dead.quotas.begin()
        began = dead.now
        while not (dead.quotas.opens_at(dead.now) <= dead.now and dead.quotas.take()):
            await asyncio.sleep(0.01)
        assert waits_s - 10 < dead.now - began < waits_s

    run_virtual(main, most_s=1e3)


def test_a_process_that_slept_finds_its_units_void(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        assert await one.opens_at() <= one.now
        one.machine.booted_at -= 60.0  # SIGSTOP: the boot clock goes on, and the loop heard nothing
        assert not one.quotas.take()
        assert one.quotas.classes["write"].units.left == 0

    at_work(tmp_path, ["write:60/min"], act)


def test_what_is_left_of_short_windows_is_told_by_what_all_clients_hold_and_by_the_time_that_passes(
    tmp_path: Path,
) -> None:
    async def act(one: One) -> None:
        def left() -> list[int]:
            return [short_left_of(one.quotas).get(text, -1) for text in ("write:6/10s", "any:20/30s")]

        other = one.machine.quotas()
        await other.begin()
        assert left() == [6, 20]
        await one.send(1)
        await asyncio.sleep(3)
        await one.send(1)
        assert left() == [4, 18], "units that are leased and not used are left"
        await asyncio.sleep(5)
        one.quotas.exchanges.report()
        assert left() == [4, 18]
        other.exchanges.ask("write")
        await asyncio.sleep(0.01)
        held = other.classes["write"].units.left
        assert held > 0
        one.quotas.exchanges.report()
        await asyncio.sleep(0.01)
        assert left() == [4 - held, 18 - held], "what another client holds is not"
        assert short_left_of(other) == {"write:6/10s": 4, "any:20/30s": 18}
        await other.aclose()
        one.quotas.exchanges.report()
        await asyncio.sleep(50)
        assert left() == [6, 20]
        assert left_of(one.quotas) == {}
        await asyncio.sleep(20)
        assert left() == [-1, -1], "others may have taken all of it since the last exchange"

    at_work(tmp_path, ["write:6/10s", "any:20/30s"], act)
