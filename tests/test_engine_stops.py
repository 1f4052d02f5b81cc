"""Stops for long waits: what a stated wait calls for, and when throttles without end do where no quota learns."""

from __future__ import annotations

import pytest

from bulkwriter.engine.stops import FEWEST_THROTTLES, NOTHING_TAKEN_S, ThrottleStreak, at_long_wait
from bulkwriter.errors import TryLater
from bulkwriter.settings import STOP_WAIT_S, Settings

WALL = 1_764_000_000.0
HOUR_S = 3_600.0


def settings(on_quota: str) -> Settings:
    return Settings(base_url="http://127.0.0.1:1", token="t", on_quota=on_quota)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("on_quota", "stated_s", "is_stop"),
    [
        ("wait", None, False),
        ("wait", 47 * HOUR_S, False),
        ("wait", 49 * HOUR_S, True),
        ("stop", None, False),
        ("stop", STOP_WAIT_S, False),
        ("stop", STOP_WAIT_S + 1, True),
    ],
)
def test_a_stated_wait_stops_above_two_days_or_a_minute(on_quota: str, stated_s: float | None, is_stop: bool) -> None:
    error = at_long_wait(stated_s, settings(on_quota), WALL)
    assert (error is not None) is is_stop
    if isinstance(error, TryLater):
        assert error.retry_at == WALL + (stated_s or 0)
        assert ", until 20" in error.message


def test_nothing_but_throttles_for_more_than_a_minute_is_a_spent_limit() -> None:
    streak = ThrottleStreak()
    assert [streak.add(at, 60) for at in (0.0, 2.0, 7.0, 30.0, NOTHING_TAKEN_S - 1)] == [None] * 5
    error = streak.add(NOTHING_TAKEN_S, 60)
    assert isinstance(error, TryLater)
    assert "throttled every request for 90 s" in error.message


def test_a_pair_taken_in_between_begins_it_anew() -> None:
    streak = ThrottleStreak()
    for n in range(20):
        assert streak.add(n * 20.0, n) is None


def test_a_few_throttles_far_apart_are_no_streak() -> None:
    streak = ThrottleStreak()
    assert [streak.add(at, 1) for at in (0.0, 1_000.0, 2_000.0)] == [None] * (FEWEST_THROTTLES - 2)
