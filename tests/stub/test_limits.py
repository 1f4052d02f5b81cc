"""Limits and latency: each kind by hand, and by property against a naive count of what it let through."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.stub.latency import Service
from bulkwriter.stub.limits import Gate, LimitRule


def gate(*rules: dict[str, Any], start: float = 0.0) -> Gate:
    return Gate([LimitRule(**rule) for rule in rules], random.Random(0), start=start)


def admitted(of: Gate, times: list[float], method: bytes = b"POST") -> list[float]:
    return [t for t in times if of.admit(method, t) is None]


def worst(times: list[float], window_s: float) -> int:
    """Most in any half-open span (t - window, t]."""
    return max((sum(t - window_s < u <= t for u in times) for t in times), default=0)


def test_a_bucket_starts_full_and_grows_by_its_rate() -> None:
    bucket = gate({"kind": "bucket", "count": 10, "burst": 3})
    assert admitted(bucket, [0, 0, 0, 0, 0.05, 0.1, 0.1, 0.3]) == [0, 0, 0, 0.1, 0.3]
    refused = bucket.admit(b"POST", 0.3)
    assert refused is None  # 0.1 s of growth was left over from 0.2 s
    throttle = bucket.admit(b"POST", 0.3)
    assert throttle is not None
    assert throttle.wait_s == pytest.approx(0.1)


def test_a_window_starts_anew_at_its_phase() -> None:
    window = gate({"kind": "window", "count": 2, "window_s": 10, "phase_s": 3}, start=100)
    assert admitted(window, [100, 101, 102, 102.9, 103, 104, 112.9, 113]) == [100, 101, 103, 104, 113]
    full = gate({"kind": "window", "count": 1, "window_s": 86_400})
    full.admit(b"POST", 1.0)
    late = full.admit(b"POST", 2.0)
    assert late is not None
    assert late.stated_s == 86_398


def test_a_log_has_room_again_when_its_oldest_is_a_window_old() -> None:
    log = gate({"kind": "log", "count": 2, "window_s": 10})
    assert admitted(log, [0, 1, 9.9, 10, 10.5, 11, 11.5]) == [0, 1, 10, 11]


def test_a_counter_weighs_the_previous_window() -> None:
    counter = gate({"kind": "counter", "count": 10, "window_s": 10})
    assert len(admitted(counter, [9.0] * 20)) == 10
    assert len(admitted(counter, [15.0] * 20)) == 5  # half of the ten still count
    assert len(admitted(counter, [35.0] * 20)) == 10  # the window before is empty


def test_concurrency_gives_places_back() -> None:
    cap = gate({"kind": "concurrency", "count": 2, "window_s": 1, "status": 429})
    assert admitted(cap, [0, 0, 0]) == [0, 0]
    refused = cap.admit(b"POST", 0)
    assert refused is not None
    assert (refused.rule.status, refused.stated_s) == (429, 1)
    cap.release(b"POST")
    assert admitted(cap, [0, 0]) == [0]


def test_only_what_a_limit_is_for_counts() -> None:
    both = gate({"kind": "log", "count": 1, "window_s": 100}, {"kind": "log", "count": 3, "window_s": 100, "of": "any"})
    assert both.admit(b"POST", 0) is None
    assert both.admit(b"DELETE", 0) is not None
    assert both.admit(b"GET", 0) is None
    assert both.admit(b"GET", 0) is None
    assert both.admit(b"GET", 0) is not None
    reads = gate({"kind": "log", "count": 0, "window_s": 9, "of": "read"})
    assert reads.admit(b"PUT", 0) is None
    assert reads.admit(b"GET", 0) is not None


def test_what_one_limit_refuses_the_others_do_not_book() -> None:
    two = gate({"kind": "log", "count": 5, "window_s": 100}, {"kind": "bucket", "count": 1, "burst": 1})
    assert admitted(two, [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]) == [0, 1, 2, 3, 4]


def test_a_limit_that_counts_the_refused_punishes_hammering() -> None:
    harsh = gate({"kind": "log", "count": 2, "window_s": 10, "counts_refused": True})
    assert admitted(harsh, [0, 0, 5, 5, 11, 11, 22]) == [0, 0, 22]


@pytest.mark.parametrize(("factor", "stated"), [(1.0, 10), (3.0, 30), (0.1, 1), (0.0, 1)])
def test_retry_after_can_lie_but_is_never_zero(factor: float, stated: int) -> None:
    log = gate({"kind": "log", "count": 1, "window_s": 10, "retry_after_factor": factor})
    log.admit(b"POST", 0)
    refused = log.admit(b"POST", 0)
    assert refused is not None
    assert refused.stated_s == stated


@pytest.mark.parametrize("kind", ["bucket", "window", "log", "counter", "concurrency"])
def test_a_count_of_zero_lets_nothing_through_and_states_a_finite_wait(kind: str) -> None:
    shut = gate({"kind": kind, "count": 0, "window_s": 5, **({"burst": 1} if kind == "bucket" else {})})
    times = [0.0, 1, 7, 100, 1e6]
    passed = admitted(shut, times)
    assert passed == ([0.0] if kind == "bucket" else [])  # a bucket starts with its burst
    refused = shut.admit(b"POST", 2e6)
    assert refused is not None
    assert 1 <= refused.stated_s <= 10**8


def test_a_phase_may_be_drawn_from_the_seed() -> None:
    rule = LimitRule(kind="window", count=1, window_s=10, phase_s=None)
    times = [t / 10 for t in range(200)]
    seen = {tuple(admitted(Gate([rule], random.Random(seed)), times)) for seed in range(5)}
    assert len(seen) > 1


arrivals = st.lists(st.floats(0, 0.4), min_size=1, max_size=120).map(
    lambda gaps: [sum(gaps[: i + 1]) for i in range(len(gaps))]
)


@settings(max_examples=60)
@given(arrivals, st.integers(1, 9), st.sampled_from([0.5, 1.0, 3.0]))
def test_no_span_of_a_log_holds_more_than_its_count_and_none_is_refused_in_vain(
    times: list[float], count: int, window_s: float
) -> None:
    log = gate({"kind": "log", "count": count, "window_s": window_s})
    passed: list[float] = []
    for t in times:
        room = sum(t - u < window_s for u in passed) < count
        if abs(min((t - u - window_s for u in passed), key=abs, default=1.0)) > 1e-9:  # not within rounding of the edge
            assert (log.admit(b"POST", t) is None) is room
        elif log.admit(b"POST", t) is not None:
            continue
        if room:
            passed.append(t)
    assert worst(passed, window_s - 1e-6) <= count


@settings(max_examples=60)
@given(arrivals, st.integers(1, 20), st.integers(1, 5))
def test_a_bucket_passes_at_most_burst_plus_rate_times_time(times: list[float], rate: int, burst: int) -> None:
    passed = admitted(gate({"kind": "bucket", "count": rate, "burst": burst}), times)
    for i, first in enumerate(passed):
        for j in range(i, len(passed)):
            assert j - i + 1 <= burst + rate * (passed[j] - first) + 1e-6


@settings(max_examples=60)
@given(arrivals, st.sampled_from(["bucket", "window", "log", "counter"]), st.integers(1, 9))
def test_after_the_stated_wait_there_is_room(times: list[float], kind: str, count: int) -> None:
    limit = gate({"kind": kind, "count": count, "window_s": 2, "phase_s": 0.5})
    for t in times:
        refused = limit.admit(b"POST", t)
        if refused is not None:
            assert 0 < refused.wait_s < 4.01
    last = times[-1]
    refused = limit.admit(b"POST", last)
    if refused is not None:
        assert limit.admit(b"POST", last + refused.wait_s + 1e-6) is None


def test_latency_is_fixed_or_log_normal_and_queues_in_order() -> None:
    def service(**changes: Any) -> Service:
        return Service(**{"median_s": 0.1, "sigma": 0.0, "servers": 0, "rng": random.Random(1), **changes})

    assert service().delay_s(5.0) == 0.1
    assert service(median_s=0.0).is_instant
    assert not service().is_instant
    one = service(servers=1)
    assert [one.delay_s(t) for t in (0.0, 0.05, 9.0)] == pytest.approx([0.1, 0.15, 0.1])
    two = service(servers=2)
    assert [two.delay_s(0.0) for _ in range(5)] == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3])
    spread = service(sigma=0.5)
    drawn = sorted(spread.delay_s(0.0) for _ in range(999))
    assert drawn[0] < 0.05 < 0.08 < drawn[499] < 0.12 < 0.2 < drawn[-1]
