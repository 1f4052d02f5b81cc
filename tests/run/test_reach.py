"""How far intents reach ahead of what may be sent: a kill leaves few doubts, whatever holds the run back.

The whole engine in virtual time, killed at drawn moments; what the journal then holds as intents was at stake.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bulkwriter.run.reach import Reach
from bulkwriter.stub.limits import LimitRule
from tests.support.quota_days import DAY_S, DOCUMENTED, Backfill

HANDFUL = 5
"""Two that are ready, one or two in flight, and one whose outcome is not committed yet."""


def kills_in(span_s: float, count: int, seed: int) -> list[float]:
    rng = random.Random(f"reach {seed}")
    return sorted(rng.uniform(0.05, span_s) for _ in range(count))


@pytest.mark.parametrize("seed", range(3))
def test_at_60_a_minute_a_kill_leaves_a_handful(seed: int, tmp_path: Path) -> None:
    backfill = Backfill(300, DOCUMENTED, tmp_path, seed=seed)
    outcome = backfill.run(kills=kills_in(250.0, 8, seed))
    assert (outcome.created, outcome.doubled) == (300, 0)
    assert len(outcome.at_stake) == 8
    assert max(outcome.at_stake) <= HANDFUL, outcome.at_stake


def test_while_a_quota_of_a_day_is_spent_a_kill_leaves_next_to_none(tmp_path: Path) -> None:
    """As fast as the server takes them until the day is spent, then a wait of a day."""
    quota, rules = ("write:1000/day",), (LimitRule(kind="log", count=1_000, window_s=DAY_S),)
    backfill = Backfill(2_500, rules, tmp_path, quota=quota)
    outcome = backfill.run(kills=[2_000.0, 20_000.0, DAY_S - 600, DAY_S + 9_000.0])
    assert (outcome.created, outcome.doubled) == (2_500, 0)
    assert max(outcome.at_stake) <= 2, outcome.at_stake


# ---- the decision


def test_at_60_a_minute_two_are_ready_at_most() -> None:
    reach = Reach(flow=1.0)
    assert (reach.low_water(8), reach.rows(0), reach.rows(1)) == (1, 1, 1)


def test_at_50_a_second_a_second_is_ready_when_a_second_more_is_made() -> None:
    reach = Reach(flow=50.0)
    assert (reach.low_water(400), reach.rows(0), reach.rows(50)) == (50, 50, 50)
    assert reach.low_water(8) == 8  # a chunk is shorter, since so few are used up


def test_the_last_pairs_of_a_day_are_all_that_is_made() -> None:
    reach = Reach(flow=50.0, room=7.0)
    assert (reach.low_water(400), reach.rows(0), reach.rows(4)) == (6, 7, 3)


def test_one_pair_asks_though_nothing_can_be_sent() -> None:
    nothing = Reach(0.0, 0.0)
    assert (nothing.low_water(2_000), nothing.rows(0)) == (0, 1)


def test_where_nothing_binds_a_chunk_is_the_measure() -> None:
    assert Reach().low_water(2_000) == 2_000
    assert Reach().rows(3_000) > 10**12
