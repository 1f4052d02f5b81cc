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
        truth.arrived((b"POST", "create"), 100.0 + i)
        truth.arrived((b"GET", "list"), 100.0 + i)
    truth.watch((2.0, 10.0))
    truth.arrived((b"POST", "token"), 103.5)
    told = truth.told(Records(1), connections=3, now=105.0)
    assert (told["worst_second"], told["worst_in_window"]) == (2, {"10": 5, "2": 1})
    assert told["requests"] == {"POST": 5, "GET": 4}
    assert told["operations"] == {"create": 4, "list": 4, "token": 1}
    assert (told["list_calls"], told["token_calls"], told["elapsed_s"], told["connections"]) == (4, 1, 5.0, 3)


def test_every_key_is_documented_and_every_documented_key_told() -> None:
    truth = Truth((), now=0.0)
    truth.begun()
    truth.begun()
    truth.ended()
    truth.statuses.update([200, 0, 200])
    told = truth.told(Records(1), connections=0, now=0.0)
    assert list(told) == list(FIELDS)
    assert (told["in_flight"], told["peak_in_flight"], told["statuses"]) == (1, 2, {"none": 1, "200": 2})


def test_doubles_are_counted_whole_though_few_are_shown() -> None:
    table = Records(1)
    table.seed([(i, 1) for i in range(1, 151)] * 2 + [(1, 1)], 0.0)
    told = Truth((), now=0.0).told(table, connections=0, now=0.0)
    assert (told["records"], told["distinct_pairs"], told["doubles"]) == (301, 150, 151)
    assert len(told["double_examples"]) == 100
    assert told["double_examples"][0] == {"pair": [1, 1], "ids": [1, 151, 301]}
