"""Counters, the latency histogram against exact order statistics, the rate meter by hand in virtual time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.core.stats import LONGEST_S, SHORTEST_S, Histogram, RateMeter, Stats
from bulkwriter.model import VerdictKind

ERROR = 1 / 64 + 1e-9


@pytest.mark.parametrize("latency_s", [1e-6, 9.99e-5, 1e-3, 0.25, 0.5, 1.0, 59.9, 3_600.0, 86_400.0])
def test_a_latency_is_kept_to_within_its_bucket(latency_s: float) -> None:
    h = Histogram()
    h.record(latency_s)
    assert h.quantile(0.5) == pytest.approx(latency_s, rel=ERROR)


@pytest.mark.parametrize(
    ("latency_s", "kept_s"),
    [(0.0, SHORTEST_S), (-1.0, SHORTEST_S), (math.nan, SHORTEST_S), (1e9, LONGEST_S), (math.inf, LONGEST_S)],
)
def test_what_is_out_of_range_counts_as_the_nearest_end(latency_s: float, kept_s: float) -> None:
    h = Histogram()
    h.record(latency_s)
    assert h.quantile(1.0) == pytest.approx(kept_s, rel=0.04)


@given(st.lists(st.floats(SHORTEST_S, LONGEST_S), min_size=1, max_size=200), st.floats(0, 1))
@settings(max_examples=200)
def test_quantiles_are_within_their_error(latencies: list[float], q: float) -> None:
    h = Histogram()
    for latency_s in latencies:
        h.record(latency_s)
    exact = sorted(latencies)[max(1, math.ceil(q * len(latencies))) - 1]
    assert h.count == len(latencies)
    assert h.quantile(q) == pytest.approx(exact, rel=ERROR)


def test_an_empty_histogram_has_no_quantiles() -> None:
    h = Histogram()
    assert h.quantile(0.5) is None
    assert h.quantiles(0.5, 0.99) == {}
    h.record(0.1)
    assert list(h.quantiles(0.5, 0.99)) == [0.5, 0.99]


def test_the_rate_counts_from_the_start_while_that_is_recent() -> None:
    meter = RateMeter(100.0, window_s=20)
    assert meter.per_s(100.0) == 0.0
    meter.add(100.5, 50)
    meter.add(101.5, 50)
    assert meter.per_s(102.0) == 50.0


def test_the_rate_forgets_what_is_older_than_its_window() -> None:
    meter = RateMeter(0.0, window_s=20)
    for second in range(60):
        meter.add(second + 0.5, 10 if second < 30 else 30)
    assert meter.per_s(60.0) == pytest.approx(30, rel=0.06)
    assert meter.per_s(90.0) == 0.0
    meter.add(1_000.5, 19)
    assert meter.per_s(1_001.0) == 1.0  # 19 whole slots of a second, and the new one just begun


def test_a_burst_of_the_first_moment_is_no_rate() -> None:
    meter = RateMeter(50.0, window_s=20)
    meter.add(50.011, 100)
    assert meter.per_s(50.011) == 100.0
    assert meter.per_s(52.0) == 50.0


def test_a_clock_that_stands_still_or_steps_back_does_no_harm() -> None:
    meter = RateMeter(50.0, window_s=20)
    meter.add(49.0, 3)
    meter.add(50.0, 3)
    assert meter.per_s(49.0) == 6.0
    assert meter.per_s(51.0) == 6.0


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 100)), max_size=60))
@settings(max_examples=150)
def test_the_rate_is_that_of_the_events_in_its_window(events: list[tuple[float, int]]) -> None:
    meter, now, seen = RateMeter(0.0, window_s=20), 0.0, []
    for wait_s, count in events:
        now += wait_s
        meter.add(now, count)
        seen.append((now, count))
    now += 0.5
    from_s = max(0.0, (int(now) - 19) * 1.0)
    expected = sum(count for at, count in seen if at >= from_s)
    assert meter.per_s(now) == pytest.approx(expected / max(now - from_s, 1.0))


def test_pairs_that_are_taken_back_into_doubt_make_no_rate() -> None:
    stats = Stats(0.0)
    stats.created = 10
    stats.note(1.0)
    stats.note(30.0)  # a lane was out of step, long after
    assert stats.creates.per_s(31.0) == 0.0


def test_a_rate_of_creates_and_one_of_all_that_takes_a_write() -> None:
    """Pairs that exist or were settled before are in neither."""
    stats = Stats(0.0)
    for kind in [VerdictKind.CREATED] * 30 + [VerdictKind.REJECTED] * 10 + [VerdictKind.THROTTLED] * 5:
        stats.count(kind, 0.1)
    stats.note(10.0)
    assert (stats.creates.per_s(10.0), stats.writes.per_s(10.0)) == (3.0, 4.0)


def test_every_exchange_is_counted_under_its_verdict() -> None:
    stats = Stats(0.0)
    for n, kind in enumerate(VerdictKind, start=1):
        for _ in range(n):
            stats.count(kind, 0.01)
    assert stats.by_kind() == {kind: n for n, kind in enumerate(VerdictKind, start=1)}
    assert stats.created == 1
    assert stats.throttled == stats.by_kind()[VerdictKind.THROTTLED] == 5
    stats.check()
