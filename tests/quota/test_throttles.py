"""What throttles teach: how long each in a row is waited out, when a long window is spent, and when to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.quota.throttles import (
    HOLDS_S,
    LONG_S,
    TRY_CAP_S,
    TRY_S,
    UNKNOWN,
    Learnt,
    Spent,
    Streak,
    disproved,
    known_of,
    learn,
    pause_s,
    tried,
)

HOUR_S = 3_600.0
TEN = 10 * HOUR_S  # ten o'clock, as the module's first value has it


def said(streak: Streak, times: int) -> list[float | Spent]:
    """What it says to so many throttles, each of a request sent after the one before."""
    return [streak.throttled(100.0 * n + 1, 100.0 * n, None) for n in range(1, times + 1)]


def test_the_first_throttles_are_waited_out_and_the_sixth_says_that_the_window_is_spent() -> None:
    assert said(Streak(), 6) == [0.0, 0.0, 0.0, 8.0, 65.0, Spent(None)]


def test_together_the_holds_outlast_any_short_window() -> None:
    assert max(HOLDS_S) > 60


def test_a_request_that_is_taken_begins_the_row_anew() -> None:
    streak = Streak()
    said(streak, 5)
    streak.good()
    assert streak.throttled(1_000.0, 999.0, None) == 0.0
    assert streak.throttles == 1


def test_echoes_do_not_count() -> None:
    """64 in flight, and all of them throttled, is one throttle."""
    streak = Streak()
    for n in range(64):
        assert streak.throttled(10.0 + n / 100, 9.0 + n / 100, None) == 0.0
    assert streak.throttles == 1


@pytest.mark.parametrize(("stated_s", "is_spent"), [(None, False), (1.0, False), (119.0, False), (LONG_S, True)])
def test_a_stated_wait_of_minutes_speaks_of_a_long_window(stated_s: float | None, is_spent: bool) -> None:
    news = Streak().throttled(10.0, 9.0, stated_s)
    assert news == (Spent(stated_s) if is_spent else 0.0)


def test_the_first_value_of_the_module() -> None:
    """2,500 writes, throttled at 10:00: tries at 10:30, 11:30, 13:30, 17:30, 23:30 and 05:30."""
    known = learn(None, Spent(None), taken=2_500, wall=TEN)
    assert known == Learnt(most=2_500, until=0.0, try_at=TEN + 0.5 * HOUR_S, tries=0)
    at = []
    for _ in range(6):
        at.append(known.try_at / HOUR_S)
        known = tried(known, known.try_at)
    assert at == [10.5, 11.5, 13.5, 17.5, 23.5, 29.5]


def test_a_stated_time_is_kept_and_then_one_may_try() -> None:
    known = learn(None, Spent(HOUR_S), taken=7, wall=TEN)
    assert (known.until, known.try_at) == (TEN + HOUR_S, TEN + HOUR_S)
    later = learn(known, Spent(600.0), taken=7, wall=TEN)
    assert later.until == TEN + HOUR_S  # never shortened


def test_a_try_that_is_taken_disproves_what_was_known_until_throttles_show_it_again() -> None:
    known = tried(learn(None, Spent(None), taken=100, wall=TEN), TEN + TRY_S)
    after = disproved(known, taken=101)
    assert after == known._replace(most=UNKNOWN)
    assert known_of({"write": after, "read": known}) == {"read": known}
    again = learn(after, Spent(None), taken=140, wall=TEN)
    assert (again.most, again.until, again.try_at) == (140, 0.0, TEN + pause_s(1))


def test_a_try_that_only_took_the_place_of_a_forgotten_request_disproves_nothing() -> None:
    """The server forgets a request up to a minute before we do."""
    known = tried(tried(learn(None, Spent(None), taken=100, wall=TEN), TEN), TEN)
    assert disproved(known, taken=100) == known._replace(tries=1)


def test_nothing_taken_at_all_still_lets_one_go() -> None:
    assert learn(None, Spent(None), taken=0, wall=TEN).most == 1


@given(st.lists(st.sampled_from(["spent", "stated", "tried", "taken"]), max_size=60), st.integers(0, 5_000))
def test_whatever_comes_what_is_learnt_stays_sane(steps: list[str], taken: int) -> None:
    known = learn(None, Spent(None), taken=taken, wall=0.0)
    wall = 0.0
    for step in steps:
        wall += 1_000.0
        match step:
            case "spent":
                known = learn(known, Spent(None), taken=taken, wall=wall)
            case "stated":
                known = learn(known, Spent(300.0), taken=taken, wall=wall)
                assert known.until >= wall + 300.0
            case "tried":
                known = tried(known, wall)
                assert wall < known.try_at <= wall + TRY_CAP_S
            case _:
                known = disproved(known, taken=taken)
        assert known.most >= 1
        assert known.try_at <= max(known.until, wall + TRY_CAP_S)
