"""Quotas in trouble: throttles that teach, a ledger that fails, clocks that are wrong, boots that came before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError, TryLater
from bulkwriter.quota.exchanges import HURRY_S, LedgerThread, T
from bulkwriter.quota.ledger import Ledger, read_ledger
from bulkwriter.quota.view import blocked_by, ledger_away
from tests.sim.loop import run_virtual
from tests.support.quota_hand import One, at_work
from tests.support.quota_stage import ACCOUNT, WALL_S, Machine

HOUR_S = 3_600.0


# ---- throttles


def throttle(one: One, times: int, stated_s: float | None = None) -> None:
    for n in range(times):
        one.quotas.throttled(one.now + n + 0.5, one.now + n, stated_s)


def test_throttles_in_a_row_hold_longer_and_longer(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.send(3)
        throttle(one, 4)
        assert await one.opens_at() == pytest.approx(one.now + 8, abs=0.1)
        words, left_s = blocked_by(one.quotas) or ("", None)
        assert words == "the server throttles, though the quota has room"
        assert left_s == pytest.approx(8, abs=0.1)
        one.quotas.good()
        assert one.quotas.classes["write"].streak.throttles == 0

    at_work(tmp_path, ["write:1000/hour"], act)


@pytest.mark.parametrize("stops", [False, True])
def test_a_stated_wait_of_hours_is_kept_across_processes(tmp_path: Path, stops: bool) -> None:
    async def first(one: One) -> None:
        await one.send(3)
        throttle(one, 1, 5 * HOUR_S)
        await asyncio.sleep(0.01)

    async def second(one: One) -> None:
        at = await one.opens_at()
        if stops:
            (error,) = one.stopped
            assert isinstance(error, TryLater)
            assert error.retry_at == pytest.approx(WALL_S + 5 * HOUR_S, abs=60)
        else:
            assert at > one.now + 500
            _, left_s = blocked_by(one.quotas) or ("", 0.0)
            assert left_s == pytest.approx(5 * HOUR_S, abs=60)

    at_work(tmp_path, ["write:1000/hour"], first)
    at_work(tmp_path, ["write:1000/hour"], second, stops=stops)


def test_a_block_granted_after_the_throttle_is_not_taken_for_what_the_server_took(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.send(5)
        one.quotas.exchanges.ask("write")
        throttle(one, 1, 5 * HOUR_S)  # of the last of the five, while the exchange is on its way
        await asyncio.sleep(0.01)
        assert one.quotas.latest is not None
        learnt = one.quotas.latest.learnt["write"]
        assert learnt.most == 4
        assert learnt.until == pytest.approx(one.quotas.exchanges.wall() + 5 * HOUR_S, abs=1)

    at_work(tmp_path, ["write:1000/hour"], act)


def test_throttles_of_reads_do_not_hold_writes(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        one.quotas.throttled(one.now + 1, one.now, 5 * HOUR_S, "read")
        await asyncio.sleep(0.01)
        assert await one.send(5) == 5

    at_work(tmp_path, ["any:1000/hour"], act)


def test_without_long_windows_what_throttles_show_is_kept_all_the_same(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.send(3)
        throttle(one, 1, 5 * HOUR_S)
        await asyncio.sleep(0.01)
        assert await one.opens_at() > one.now + 500

    at_work(tmp_path, ["write:10/s"], act)


# ---- trouble


def test_a_ledger_that_fails_ends_everything(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        await one.send(3)
        one.quotas.exchanges._ledger._ledger._db.close()  # type: ignore[union-attr]
        await asyncio.sleep(61)
        assert await one.opens_at() == float("inf")
        (error,) = one.stopped
        assert isinstance(error, JournalError)
        assert one.quotas.ended_by() is error

    async def main() -> None:
        one = One(tmp_path, ["write:1000/hour"])
        await one.quotas.begin()
        await act(one)

    run_virtual(main, most_s=1e6)


class SilentLedger(LedgerThread):
    """Its answers do not come once it `is_silent`."""

    is_silent = False

    def post(self, step: Callable[[Ledger], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().create_future() if self.is_silent else super().post(step)


def test_a_ledger_that_does_not_answer_is_told_and_not_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        one = One(tmp_path, ["write:1000/hour"])
        hurries: list[bool] = []
        ledger = SilentLedger(one.machine.ledger, inline=True, hurry=lambda: hurries.append(True))
        one.quotas.exchanges._ledger = ledger
        await one.quotas.begin()
        assert await one.send(3) == 3
        assert ledger_away(one.quotas) == ""
        ledger.is_silent = True
        while await one.opens_at() < float("inf"):
            await one.send(1)
        assert ledger_away(one.quotas) == "", "a moment is nothing"
        await asyncio.sleep(90)
        assert one.quotas.exchanges.unanswered_s == pytest.approx(90, abs=1)
        assert ledger_away(one.quotas).startswith("the quota ledger has not answered since 2")
        before = one.now
        await one.quotas.aclose()
        assert hurries
        assert one.now - before <= 2 * HURRY_S + 0.001
        assert not one.stopped

    run_virtual(main, most_s=1e6)


def test_a_clock_stepped_in_mid_run_moves_nothing(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        before = one.quotas.exchanges.wall()
        one.machine.wall_error_s = 7 * HOUR_S
        assert one.quotas.exchanges.wall() == before
        one.quotas.saw(one.machine.date())
        assert one.quotas.exchanges.wall() == pytest.approx(before, abs=2)

    at_work(tmp_path, ["write:30/day@00:00"], act)


@pytest.mark.parametrize("date", [None, "", "soon", "Tue, 99 Nov 2026 00:00:00 GMT"])
def test_a_server_without_a_date_leaves_our_own(tmp_path: Path, date: str | None) -> None:
    async def main() -> None:
        one = One(tmp_path, ["write:30/day"])
        await one.quotas.begin()
        one.quotas.saw(date)
        assert one.quotas.exchanges.wall() == one.machine.wall()
        assert one.quotas.is_told

    run_virtual(main)


def test_an_earlier_boot_is_a_guess_until_a_reply_comes_and_a_failed_call_ends_the_hope(tmp_path: Path) -> None:
    """With `stop`, a guess is no reason to stop while a reply may still come."""

    async def act(one: One) -> None:
        await one.send(30)

    at_work(tmp_path, ["write:30/day"], act)

    async def main() -> None:
        one = One(tmp_path, ["write:30/day"], stops=True)
        one.machine.boots, one.machine.booted_at = 1, one.now - 5
        one.quotas = one.machine.quotas(stops=True)
        await one.quotas.begin()
        assert one.quotas.is_guess
        await one.opens_at()
        assert (blocked_by(one.quotas) or ("",))[0].startswith("a first reply must tell the server's time")
        assert one.stopped == []
        one.quotas.heard_nothing()
        await one.opens_at()
        assert len(one.stopped) == 1

    run_virtual(main)


def test_whoever_dies_wastes_one_lease_and_nothing_more(tmp_path: Path) -> None:
    """At 300 a second, which is 600 units at most."""

    async def act() -> None:
        for is_cut in (False, True, False, True):
            spender = machine.start(is_greedy=True)
            await asyncio.sleep(7.0)
            spender.kill()
            if is_cut:
                machine.power_cut()
        rows = read_ledger(tmp_path / "ledger", ACCOUNT).spent.values()
        wasted.append(sum(row.requests for row in rows if row.kind == "write") - len(machine.sent))

    wasted: list[int] = []
    machine = Machine(tmp_path, ["write:900000/day", "write:300/10s"], random.Random(4))
    run_virtual(act, most_s=100.0)
    assert 0 < wasted[0] <= 4 * 2 * 60
