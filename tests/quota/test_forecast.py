"""What was spent by the minute: room, when there is room again, and when a run ends; first values by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.model import QuotaWindow
from bulkwriter.quota.forecast import DAY_SKEW_S, Finish, Spending, finish, minute_of, usable
from bulkwriter.quota.windows import parse

DAY_S = 86_400.0
HOUR = parse("write:100/hour")
DAY = parse("write:2500/day")


def spent(*rows: tuple[str, int, int], slack: float = 0.0, epoch: float = 0.0) -> Spending:
    """Counts on minutes from 0 on, without slack unless a test is about it."""
    spending = Spending(epoch=epoch, slack=slack)
    for kind, minute, count in rows:
        spending.add(kind, minute, count)
    return spending


def test_a_minute_counts_until_a_window_after_its_end() -> None:
    spending = spent(("write", 0, 100))
    assert [spending.spent(HOUR, at) for at in (0.0, 60.0, 3_659.0, 3_660.0)] == [100, 100, 100, 0]
    assert spending.opens_at(HOUR, 10.0, 100) == 3_660.0  # minute 0 ends at 60
    assert spending.opens_at(HOUR, 3_660.0, 100) == 3_660.0


def test_room_comes_back_minute_by_minute() -> None:
    spending = spent(("write", 0, 40), ("write", 2, 60))
    assert spending.opens_at(HOUR, 200.0, 100) == 3_660.0
    assert spending.spent(HOUR, 3_660.0) == 60
    assert spending.opens_at(HOUR, 200.0, 60) == 3_780.0  # with fewer allowed, minute 2 must go as well
    assert spending.opens_at(HOUR, 200.0, 0) == math.inf


def test_what_is_on_its_way_counts_in_the_minute_of_its_deadline() -> None:
    assert spent(("write", 3, 5)).spent(HOUR, 0.0) == 5


def test_slack_makes_a_window_longer_than_it_says() -> None:
    spending = spent(("write", 0, 100), slack=2e-4)
    assert spending.opens_at(HOUR, 0.0, 100) == pytest.approx(3_660.72)


def test_a_window_over_any_counts_both_kinds_and_leaves_some_to_lists() -> None:
    window = parse("any:100/hour")
    spending = spent(("write", 0, 60), ("read", 0, 38))
    assert spending.spent(window, 30.0) == 98
    assert (usable(window, "write"), usable(window, "read"), usable(parse("any:1/hour"), "write")) == (98, 100, 1)
    assert spending.grant([window], "write", 5, 30.0).granted == 0
    assert spending.grant([window], "read", 5, 30.0).granted == 2


def test_the_window_that_opens_last_is_the_one_that_blocks() -> None:
    spending = spent(("write", 0, 2_500))
    grant = spending.grant([HOUR, DAY], "write", 1, 60.0)
    assert (grant.granted, grant.opens_at, grant.window) == (0, 60.0 + DAY_S, DAY)
    assert spent(("write", 0, 95)).grant([HOUR, DAY], "write", 20, 60.0).granted == 5


def test_what_the_server_took_leaves_out_what_it_refused() -> None:
    spending = spent(("write", 0, 10), ("write-refused", 0, 4))
    assert spending.spent(DAY, 60.0) == 10
    assert spending.spent(QuotaWindow("", "taken-write", 1, DAY_S), 60.0) == 6


@pytest.mark.parametrize("at", ["00:00", "06:30+02:00", "23:00-09:00"])
def test_a_calendar_day_begins_anew_at_its_time(at: str) -> None:
    window = parse(f"write:10/day@{at}")
    zero = DAY_S * 20_000  # boot was at midnight UTC
    spending = spent(("write", 0, 10), epoch=zero)
    assert window.day_at_s is not None
    opens = window.day_at_s or DAY_S  # the first begin of a day after minute 0
    assert spending.opens_at(window, 30.0, 10) == opens + DAY_SKEW_S
    assert spending.spent(window, opens + 1.9) == 10  # the server's clock may be behind ours
    later = spending.spent(window, opens + 60.0)
    assert later == 0


def test_a_minute_at_midnight_counts_in_both_days() -> None:
    window = parse("write:10/day@00:00")
    spending = spent(("write", 1_440, 3), epoch=-30.0)  # midnight is in the middle of minute 1,440
    assert spending.spent(window, 1_440 * 60.0 + 10) == 3
    assert spending.spent(window, 1_440 * 60.0 + 50) == 3


def test_old_minutes_are_forgotten() -> None:
    spending = spent(("write", 0, 5), ("write", 5, 3), ("write", 9, 4))
    spending.forget(5 * 60.0)
    assert spending.spent(DAY, 600.0) == 7


# ---- when a run ends


def test_the_first_value_of_the_module() -> None:
    """2,500 take 41 min 40 s; those of the first minute are free again a day and a minute after the start."""
    end = finish(spent(), [DAY], 5_000, 0.0, rate_per_s=1.0)
    assert end.window == DAY
    assert end.at == pytest.approx(DAY_S + 60 + 2_500, abs=61)


def test_others_take_their_part_of_a_window_and_nothing_of_a_rate_of_our_own() -> None:
    """Of 2,500 a day two others take two thirds; 833 of ours go at once, the last 2 a day later."""
    alone = finish(spent(), [DAY], 800, 0.0, rate_per_s=0.5)
    assert finish(spent(), [DAY], 800, 0.0, rate_per_s=0.5, others=2.0) == alone == Finish(1_600.0, None)
    end = finish(spent(), [DAY], 835, 0.0, rate_per_s=0.5, others=2.0)
    assert end.window == DAY
    assert end.at == pytest.approx(DAY_S + 60.0, abs=70.0)


def test_without_a_window_it_is_need_by_rate() -> None:
    assert finish(spent(), [], 500, 100.0, rate_per_s=2.0) == Finish(350.0, None)
    assert finish(spent(), [], 0, 100.0) == Finish(100.0, None)
    slow = finish(spent(), [DAY], 10**7, 0.0, rate_per_s=1e-3)  # it would take minutes to walk these 317 years
    assert slow == Finish(10**10, None)


def test_a_window_that_the_rate_never_fills_does_not_bind() -> None:
    assert finish(spent(), [DAY], 100_000, 0.0, rate_per_s=0.02).window is None


def test_what_is_spent_already_is_waited_for() -> None:
    end = finish(spent(("write", 0, 2_500)), [DAY], 1, 60.0)
    assert end == Finish(60.0 + DAY_S, DAY)


def test_a_window_that_nothing_fits_into_never_ends() -> None:
    never = QuotaWindow("", "write", 0, 3_600.0)
    assert finish(spent(), [never], 1, 0.0).at == math.inf


@pytest.mark.parametrize("need", [100, 2_501, 30_000, 100_000, 1_000_000])
def test_the_pattern_of_the_first_days_holds_for_all(need: int) -> None:
    """40 days are walked minute by minute only as far as they differ; beside the closed form for "2,500 in any day"."""
    end = finish(spent(), [DAY], need, 0.0, rate_per_s=1.0)
    days, rest = divmod(need - 1, 2_500)
    assert end.at == pytest.approx(days * (DAY_S + 60) + rest, rel=2e-3, abs=61)


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), max_size=90),
    need=st.integers(1, 400),
    rate=st.sampled_from([0.05, 0.3, 2.0, math.inf]),
    specs=st.sets(
        st.sampled_from(["write:30/10min", "any:50/20min", "write:90/hour", "write:80/day@00:20"]), min_size=1
    ),
)
def test_a_finish_is_what_spending_by_the_same_rules_comes_to(
    counts: list[int], need: int, rate: float, specs: set[str]
) -> None:
    """A second walk, request by request, never earlier than a grant and never faster than the rate."""
    spending = spent(*(("write", minute, count) for minute, count in enumerate(counts)))
    windows = [parse(spec) for spec in sorted(specs)]
    now = 60.0 * len(counts)
    end = finish(spending, windows, need, now, rate_per_s=rate)
    at, walked = now, spending.copy()
    for _ in range(need):
        while (grant := walked.grant(windows, "write", 1, at)).window is not None:
            at = grant.opens_at
        walked.add("write", minute_of(at), 1)
        at += 1 / rate
    assert end.at == pytest.approx(at, abs=120 + (at - now) * 0.02)
