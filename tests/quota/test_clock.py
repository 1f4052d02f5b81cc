"""The server's clock from its replies: what is believed is never later than the earliest backend, whatever comes."""

from __future__ import annotations

import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.quota.clock import DRIFT, FIRST_S, GRAIN_S, LAST_S, MOST_SPREAD_S, SAMPLES, SPREAD_HOLDS_S, ServerClock

NOON = 1_796_040_000.0  # 2026-11-30 12:00:00 UTC
ROUGH_S = 1.0 + 2 * GRAIN_S + 1.0
"""How far from the truth one clock's bounds may lie: a second of rounding, the margins, and a latency of a second."""


def hear(clock: ServerClock, boot: float, *, at: float, took_s: float = 0.1) -> bool:
    return clock.heard(formatdate(at, usegmt=True), boot, took_s=took_s)


def test_nothing_is_known_before_a_reply() -> None:
    clock = ServerClock()
    assert not clock.is_known
    assert clock.epoch(0.0) is None
    assert clock.latest(0.0) is None


def test_one_reply_tells_the_time_to_a_few_seconds() -> None:
    clock = ServerClock()
    assert hear(clock, 1_000.0, at=NOON + 0.9)
    assert clock.epoch(1_000.0) == NOON - 1.0  # "12:00:00", and the server may round
    assert clock.latest(1_000.0) == pytest.approx(NOON + 2.1)  # "12:00:00" of a timer a second late, and the way back


def test_the_same_date_is_read_again_only_after_a_while() -> None:
    clock, date = ServerClock(), "Mon, 30 Nov 2026 20:00:00 GMT"
    assert clock.heard(date, 100.0)
    first = clock.latest(100.04) or 0.0
    clock.heard(date, 100.04)
    assert clock.latest(100.04) == first
    clock.heard(date, 100.06)  # it stands still, or it tells the time better
    assert (clock.latest(100.06) or 0.0) < first + 0.02
    clock.heard("Mon, 30 Nov 2026 22:00:00 GMT", 100.061)  # another backend is heard at once
    assert clock.spread_s > 7_000


def test_many_replies_tell_it_better_and_old_ones_worse() -> None:
    clock = ServerClock()
    for tenth in range(20):
        hear(clock, 1_000.0 + tenth / 10, at=NOON + tenth / 10)
    early, late = clock.epoch(1_002.0), clock.latest(1_002.0)
    assert early is not None
    assert late is not None
    assert NOON + 0.9 <= early <= NOON + 2.0 <= late <= NOON + 3.3
    a_day_on = clock.epoch(1_002.0 + 86_400.0)
    assert a_day_on == pytest.approx(early + 86_400.0 * (1 - DRIFT), abs=0.1)


@pytest.mark.parametrize(
    "date",
    [
        None, "", "now", "Mon, 30 Nov 2026", "Mon, 31 Feb 2026 12:00:00 GMT", "Mon, 30 Nov 2026 25:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 01 Jan 2100 00:00:00 GMT",
        "Tue, 31 Dec 2019 23:59:59 GMT", "1796040000", "Mon, 30 Nov 2026 12:00:00 CET", "\x00", "٣" * 29,
    ],
)  # fmt: skip
def test_garbage_and_unlikely_years_are_not_counted(date: str | None) -> None:
    clock = ServerClock()
    assert not clock.heard(date, 1_000.0)
    assert clock.epoch(1_000.0) is None
    hear(clock, 1_000.0, at=NOON)
    before = clock.epoch(1_001.0)
    assert not clock.heard(date, 1_001.0)
    assert clock.epoch(1_001.0) == before


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 30 Nov 2026 12:00:00 GMT", " Mon, 30 Nov 2026 12:00:00 GMT ", "Monday, 30-Nov-26 12:00:00 GMT",
        "Mon Nov 30 12:00:00 2026",
    ],
)  # fmt: skip
def test_all_three_forms_of_a_date_count(date: str) -> None:
    clock = ServerClock()
    assert clock.heard(date, 1_000.0)
    assert clock.epoch(1_000.0) == NOON - 1.0


def test_a_leap_second_is_the_second_before_it() -> None:
    clock = ServerClock()
    assert clock.heard("Thu, 31 Dec 2026 23:59:60 GMT", 1_000.0)
    assert clock.epoch(1_000.0) == 1_798_761_599.0 - 1.0


def test_a_reply_that_a_cache_kept_is_not_counted() -> None:
    clock = ServerClock()
    date = formatdate(NOON, usegmt=True)
    assert not clock.heard(date, 1_000.0, age_s=1.0)
    assert clock.epoch(1_000.0) is None
    assert clock.heard(date, 1_000.0, age_s=0.0)  # a cache that has just asked


def test_of_backends_that_differ_the_earliest_counts_and_is_remembered() -> None:
    """The slow one shows once, and then for hours not at all."""
    clock, boot = ServerClock(), 1_000.0
    hear(clock, boot, at=NOON)
    assert hear(clock, boot, at=NOON - 7_200.0)
    for reply in range(1_000):
        hear(clock, boot + reply, at=NOON + reply)
        assert (clock.epoch(boot + reply) or 0.0) <= NOON - 7_200.0 + reply
        assert (clock.latest(boot + reply) or 0.0) >= NOON + reply


def test_a_backend_that_was_not_seen_for_a_day_is_gone() -> None:
    clock = ServerClock()
    hear(clock, 0.0, at=NOON - 7_200.0)
    for hour in range(26):
        for reply in range(SAMPLES):
            boot = hour * 3_600.0 + reply
            hear(clock, boot, at=NOON + boot)
    assert clock.spread_s == 0.0
    assert (clock.epoch(boot) or 0.0) > NOON + boot - ROUGH_S


def test_a_process_that_knows_of_a_spread_takes_the_first_backend_for_the_latest_and_for_the_earliest() -> None:
    clock = ServerClock(7_200.0)
    hear(clock, 1_000.0, at=NOON)
    assert (clock.epoch(1_000.0) or 0.0) <= NOON - 7_200.0 + ROUGH_S
    assert (clock.latest(1_000.0) or 0.0) >= NOON + 7_200.0 - ROUGH_S
    for reply in range(100):
        hear(clock, 1_000.0 + SPREAD_HOLDS_S + reply, at=NOON + SPREAD_HOLDS_S + reply)
    assert clock.spread_s == 0.0


def test_a_clock_that_is_set_back_is_followed_at_once_and_one_that_is_set_forward_after_a_day() -> None:
    for step_s in (-3_600.0, 3_600.0):
        clock, boot = ServerClock(), 0.0
        hear(clock, boot, at=NOON)
        for reply in range(100):
            hear(clock, boot + reply, at=NOON + step_s + reply)
            assert (clock.epoch(boot + reply) or 0.0) <= NOON + min(0.0, step_s) + reply
        boot += SPREAD_HOLDS_S + 100
        for reply in range(SAMPLES + 1):
            hear(clock, boot + reply, at=NOON + step_s + boot + reply)
        assert (clock.epoch(boot + SAMPLES) or 0.0) > NOON + step_s + boot + SAMPLES - ROUGH_S


def test_a_date_that_stands_still_holds_the_day_and_is_unknown_in_the_end() -> None:
    clock = ServerClock()
    for minute in range(24 * 60):
        boot = minute * 60.0
        hear(clock, boot, at=NOON)
        at = clock.epoch(boot)
        assert at is None or at <= NOON
    hear(clock, boot, at=NOON + boot)
    assert clock.epoch(boot) is None


def test_one_wild_date_is_forgotten_after_so_many_replies() -> None:
    clock, boot = ServerClock(), 1_000.0
    hear(clock, boot, at=NOON)
    assert hear(clock, boot, at=NOON + 2 * MOST_SPREAD_S)
    assert clock.epoch(boot) is None
    for reply in range(SAMPLES):
        hear(clock, boot + reply, at=NOON + reply)
    assert (clock.epoch(boot + reply) or 0.0) > NOON + reply - ROUGH_S


@given(
    seed=st.integers(0, 2**32), backends=st.lists(st.floats(-30_000, 10_000), min_size=1, max_size=4),
    long_s=st.sampled_from([0.0, 1.0, 60.0, 3_600.0]),
)  # fmt: skip
def test_it_is_never_later_than_the_earliest_nor_earlier_than_the_latest_that_was_heard(
    seed: int, backends: list[float], long_s: float
) -> None:
    """Backends take turns by chance; replies take their time; some are read late, since the process was stopped.

    Clocks that lie closer together than a reply can tell (three grains and its time) pass for one.
    """
    rng, clock, boot = random.Random(seed), ServerClock(), 500.0
    longest_s = 0.0
    heard: set[float] = set()
    for _ in range(120):
        took_s = rng.random() * rng.choice((0.05, 1.0, long_s))
        boot += took_s + rng.random() * rng.choice((0.1, 5.0, 600.0))
        backend = rng.choice(backends)
        heard.add(backend)
        wrote_at = boot - rng.random() * took_s
        hear(clock, boot, at=NOON + wrote_at + backend + rng.choice((0.0, 0.5, -1.0)), took_s=took_s)
        early, late = clock.epoch(boot), clock.latest(boot)
        longest_s = max(longest_s, took_s)
        most_s = GRAIN_S + 1e-3 if len(set(backends)) == 1 else 3 * GRAIN_S + longest_s + 1e-3
        assert early is None or early <= NOON + boot + min(heard) + most_s
        assert late is None or late >= NOON + boot + max(heard) - most_s
        if len(backends) == 1:
            assert early is not None
            assert late is not None
            assert late - early <= ROUGH_S + took_s + boot * DRIFT


@given(dates=st.lists(st.tuples(st.floats(FIRST_S - 1e6, LAST_S + 1e6), st.floats(0, 1e7)), max_size=60))
def test_whatever_comes_the_earliest_is_not_after_the_latest(dates: list[tuple[float, float]]) -> None:
    clock = ServerClock()
    for date_s, boot in dates:
        clock.heard(formatdate(date_s, usegmt=True), boot)
        early, late = clock.epoch(boot), clock.latest(boot)
        assert (early is None) == (late is None)
        assert early is None or late is None or early <= late
