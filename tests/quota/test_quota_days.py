"""Backfills of days in virtual time against every kind of daily limit; the full ones are `scripts/days`.

Some of the same worlds, one of each kind, with a twentieth of the limits and a 320th of the pairs.  The whole engine,
quotas and ledger run; only the network, the journal's disk and the clocks are models.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bulkwriter.stub.limits import LimitRule
from tests.campaigns.days import WORLDS, Finding, least, measure, most_in, scaled
from tests.support.quota_days import DAY_S, Backfill

PAIRS = 312
FORETOLD = {"exact", "sliding", "fixed", "calendar", "half", "half, silent"}
"""Worlds of which a tenth of so short a run, six hours, shows all; in the others the server shows itself later."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exact", "calendar", "half, silent", "half, fixed", "lowered", "shared"])
def test_a_backfill_stays_in_its_bands(name: str, tmp_path: Path) -> None:
    world = scaled(WORLDS[name], 20)
    finding = measure(replace(world, kills=world.kills // 4), PAIRS, tmp_path)
    broken = set(finding.broken) - (set() if name in FORETOLD else {"ETA"})
    assert not broken, finding.line(name)
    assert finding.outcome.created == finding.pairs


@pytest.mark.slow
def test_with_stop_each_start_comes_back_at_the_time_that_it_was_told(tmp_path: Path) -> None:
    """Cron with a perfect clock: each start ends with 75 and a time; begun again then, it goes on at once."""
    backfill = Backfill(300, rules(100), tmp_path, quota=("write:60/min", "write:100/day"), on_quota="stop")
    outcome = backfill.run()
    assert outcome.created == 300
    assert (len(outcome.stops), outcome.processes, outcome.throttled_at) == (2, 3, [])
    assert outcome.took_s <= least(300, 100) * 1.01 + 60


@pytest.mark.slow
def test_with_stop_a_server_that_throttles_is_left_alone_until_it_said(tmp_path: Path) -> None:
    backfill = Backfill(300, rules(100), tmp_path, quota=("write:60/min", "write:200/day"), on_quota="stop")
    outcome = backfill.run()
    assert (outcome.created, outcome.doubled) == (300, 0)
    assert outcome.throttles_of_worst_day() <= 20
    assert outcome.took_s <= least(300, 100) * 1.05


@pytest.mark.slow
def test_with_stop_a_server_that_throttles_without_end_is_tried_now_and_then(tmp_path: Path) -> None:
    """A handful of throttles, an end with 75, and one request at each time that was told."""
    quota = ("write:60/min", "write:200/day")
    backfill = Backfill(225, rules(100), tmp_path, quota=quota, on_quota="stop", says_wait=False)
    outcome = backfill.run()
    assert (outcome.created, outcome.doubled) == (225, 0)
    assert outcome.throttles_of_worst_day() <= 20
    assert 2 < len(outcome.stops) < 30
    assert outcome.took_s <= least(225, 100) * 1.05


def rules(cap: int) -> list[LimitRule]:
    return [
        LimitRule(kind="log", count=60, window_s=60.0),
        LimitRule(kind="log", count=cap, window_s=DAY_S),
    ]


# ---- the judge


def test_the_least_time_by_hand() -> None:
    assert least(1, 100) == 0.0
    assert least(60, 2_500) == pytest.approx(5.9)  # 60 at once, 100 ms apart
    assert least(61, 2_500) == 60.0
    assert least(2_500, 2_500) == pytest.approx(41 * 60 + 3.9)
    assert least(2_501, 2_500) == DAY_S
    assert least(100_000, 2_500) == pytest.approx(39 * DAY_S + 41 * 60 + 3.9)


def test_the_fullest_span_by_hand() -> None:
    assert most_in([], 10.0) == 0
    assert most_in([0.0, 1.0, 10.0, 10.5, 11.0], 10.0) == 3
    assert most_in([0.0, 9.9], 10.0) == 2


def test_a_window_exceeded_is_seen(tmp_path: Path) -> None:
    """A twin: our quota is twice what the judge is told."""
    world = scaled(WORLDS["sliding"], 50)
    finding: Finding = measure(replace(world, own=2 * world.cap), 100, tmp_path)
    assert {"throttles", "window"} & set(finding.broken)
