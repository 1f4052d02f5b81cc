"""The time left: across every window to come, from a rate that no wait spoils, and nothing where nothing is known."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bulkwriter.engine.eta import Eta
from tests.quota_hand import One, at_work

HOUR_S = 3_600.0


def eta_of(one: One, need: int, rate: float) -> float | None:
    return Eta(one.quotas).seconds(need, rate, one.now)


def test_an_eta_waits_for_every_window_to_come(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        assert eta_of(one, 350, 0.0) is None  # nothing is known of the rate, and nothing holds
        assert await one.send(100) == 100
        await one.opens_at()
        eta = eta_of(one, 250, 0.0)  # 100 more after an hour, 100 after two, 50 after three
        assert eta == pytest.approx(3 * HOUR_S, rel=0.03)

    at_work(tmp_path, ["write:100/hour"], act)


def test_an_eta_without_quotas_is_need_by_rate() -> None:
    assert Eta(None).seconds(100, 4.0, 0.0) == 25.0
    assert Eta(None).seconds(0, 0.0, 0.0) == 0.0
    assert Eta(None).seconds(100, 0.0, 0.0) is None


def test_an_eta_counts_down_in_a_wait_and_forgets_no_rate(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        eta = Eta(one.quotas)
        await one.send(90)
        first = eta.seconds(50, 2.0, one.now) or 0.0
        await one.send(20)
        await one.opens_at()
        await asyncio.sleep(1_000)
        later = eta.seconds(40, 0.0, one.now) or 0.0
        assert later == pytest.approx(first - 1_000, abs=150)

    at_work(tmp_path, ["write:100/hour"], act)
