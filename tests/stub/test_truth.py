"""Counting: worst windows against a naive count, and every documented key told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.stub.records import Records
from bulkwriter.stub.truth import FIELDS, SlidingMax, Truth


@settings(max_examples=80)
@given(st.lists(st.integers(0, 40), max_size=80), st.sampled_from([0.1, 1.0, 7.0]))
def test_the_worst_window_is_that_of_a_naive_count(gaps: list[int], window_s: float) -> None:
    times = [sum(gaps[: i + 1]) / 16 for i in range(len(gaps))]  # exact in binary, so that edges are edges
    sliding = SlidingMax(window_s)
    for t in times:
        sliding.arrived(t)
    assert sliding.worst == max((sum(t - window_s < u <= t for u in times) for t in times), default=0)


def test_only_posts_count_into_windows() -> None:
    truth = Truth((10.0,), now=100.0)
    for i in range(4):
        truth.arrived((b"POST", "create", "completions"), 100.0 + i)
        truth.arrived((b"GET", "list", "enrolments"), 100.0 + i)
    truth.watch((2.0, 10.0))
    truth.arrived((b"POST", "token", ""), 103.5)
    describe = truth.describe(Records(1), connections=3, now=105.0)
    assert (describe["worst_second"], describe["worst_in_window"]) == (2, {"10": 5, "2": 1})
    assert describe["requests"] == {"POST": 5, "GET": 4}
    assert describe["operations"] == {"create": 4, "list": 4, "token": 1}
    assert describe["by_resource"] == {"completions": {"create": 4}, "enrolments": {"list": 4}}
    assert (describe["list_calls"], describe["token_calls"], describe["elapsed_s"], describe["connections"]) == (
        4,
        1,
        5.0,
        3,
    )


def test_every_key_is_documented_and_every_documented_key_told() -> None:
    truth = Truth((), now=0.0)
    truth.begun()
    truth.begun()
    truth.ended()
    truth.statuses.update([200, 0, 200])
    describe = truth.describe(Records(1), connections=0, now=0.0)
    assert list(describe) == list(FIELDS)
    assert (describe["in_flight"], describe["peak_in_flight"], describe["statuses"]) == (1, 2, {"none": 1, "200": 2})


def test_doubles_are_counted_whole_though_few_are_shown() -> None:
    table = Records(1)
    table.seed([(i, 1) for i in range(1, 151)] * 2 + [(1, 1)], 0.0)
    describe = Truth((), now=0.0).describe(table, connections=0, now=0.0)
    assert (describe["records"], describe["distinct_pairs"], describe["doubles"]) == (301, 150, 151)
    assert len(describe["double_examples"]) == 100
    assert describe["double_examples"][0] == {"pair": [1, 1], "ids": [1, 151, 301]}
