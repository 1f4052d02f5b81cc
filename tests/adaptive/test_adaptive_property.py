"""What the adaptive controller never does against any server, and that a seed decides all it does."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from .test_adaptive import Bucket, Server, controller, drive


@given(
    seed=st.integers(0, 2**32),
    rate=st.sampled_from([0.5, 7.0, 90.0, 2_000.0]),
    burst=st.sampled_from([1.0, 20.0, 500.0]),
    at_once=st.sampled_from([1, 3, 20, 1_000]),
    stated_s=st.sampled_from([None, 0.0, 0.4, 1.0, 10.0]),
    error_share=st.sampled_from([0.0, 0.0, 0.2]),
    chance=st.sampled_from([1.0, 1.0, 0.7]),
    latency_s=st.sampled_from([0.001, 0.1, 1.0]),
    in_flight=st.sampled_from([1, 8, 64]),
    min_rate=st.sampled_from([0.0, 0.0, 5.0]),
)
@settings(max_examples=60, deadline=None)
def test_it_obeys_and_never_stalls(
    seed: int,
    rate: float,
    burst: float,
    at_once: int,
    stated_s: float | None,
    error_share: float,
    chance: float,
    latency_s: float,
    in_flight: int,
    min_rate: float,
) -> None:
    rng, bucket = random.Random(seed), Bucket(rate, burst)

    def takes(now: float, inside: int) -> bool:
        return inside < at_once and rng.random() < chance and bucket(now, inside)

    server = Server(takes, latency_s=latency_s, stated_s=stated_s, error_share=error_share, rng=random.Random(seed))
    trace = drive(controller(in_flight, min_rate=min_rate, seed=seed), server, 6.0 if rate > 1_000 else 40.0)
    assert trace.most_in_flight <= in_flight
    assert trace.good or error_share or stated_s


def test_the_same_seed_gives_the_same_trace() -> None:
    traces = [drive(controller(seed=9), Server(Bucket(50, 5), rng=random.Random(2)), 20.0) for _ in range(2)]
    assert traces[0].sent == traces[1].sent
    assert traces[0].throttled == traces[1].throttled
