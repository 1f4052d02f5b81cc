"""What throttles agree about, against buckets whose rate and burst are known; and a cap that is given up again."""

from __future__ import annotations

import pytest

from bulkwriter.adaptive.bursts import Bursts, StatedPauses
from bulkwriter.adaptive.crowd import Crowd
from bulkwriter.adaptive.recent import Mark, Refusal
from bulkwriter.stub.limits import Bucket


def sent_to(bucket: Bucket, bursts: Bursts, at: float, rates: list[float], trip_s: float = 0.1, taken: int = 0) -> Mark:
    """Send at these rates, a round trip each, until one is refused.  Returns when, and what was taken before."""
    ends_at = at
    for rate in rates:
        bursts.passed(Mark(at, taken))
        ends_at += trip_s
        while at < ends_at:
            if bucket.wait_s(at) > 0:
                bursts.refused(Mark(at, taken))
                return Mark(at, taken)
            bucket.book(at)
            taken += 1
            at += 1 / rate
    raise AssertionError("never refused")


@pytest.mark.parametrize("burst", [1, 10, 50])
@pytest.mark.parametrize("rate", [30.0, 100.0, 420.0])
def test_a_start_and_a_climb_tell_the_rate_whatever_the_bucket_holds(rate: float, burst: int) -> None:
    bucket, bursts = Bucket(rate, burst), Bursts()
    first = sent_to(bucket, bursts, 0.0, [20.0 * 2**n for n in range(12)])
    assert bursts.rate(1.0, 1_000.0) == 0.0  # one throttle alone tells nothing
    climb = [rate * (0.5 + 0.05 * n) for n in range(200)]
    second = sent_to(bucket, bursts, first.at + 1.0, climb, taken=first.taken)
    refused_at = climb[int((second.at - first.at - 1.0) / 0.1)]
    average = first.taken / first.at
    assert bursts.rate(0.4 * rate, refused_at) == pytest.approx(rate, rel=0.1)
    assert abs(average - rate) > 0.1 * rate or burst == 10  # an average of the start does not tell it


def test_a_limit_that_changed_is_another() -> None:
    bursts = Bursts()
    for n in range(2):
        bursts.passed(Mark(n + 0.5, 20 * n + 10))
        bursts.refused(Mark(n + 1.0, 20 * n + 20))
    assert bursts.rate(5.0, 50.0) > 0.0
    bursts.forget()
    assert bursts.rate(5.0, 50.0) == 0.0


def test_long_histories_are_thinned_out_and_stay_in_order() -> None:
    bursts = Bursts()
    for n in range(10_000):
        bursts.passed(Mark(n * 0.1, n))
    bursts.check()


CAPS = [(10, 9, True), (10, 8, False), (2, 1, False), (1, 0, False)]


def blamed(others: int, throttles: int = 4) -> Crowd:
    crowd = Crowd(64)
    for n in range(throttles):
        crowd.is_to_blame(float(n), Refusal(others, 10 * n, 10 * n, 1.0, 100.0), 0.1, is_new=True)
    assert crowd.is_capped
    return crowd


@pytest.mark.parametrize(("learnt", "refused", "is_capped"), CAPS)
def test_a_cap_that_refuses_fewer_than_it_takes_is_none(learnt: int, refused: int, is_capped: bool) -> None:
    crowd = blamed(learnt)
    crowd.is_to_blame(10.0, Refusal(refused, 100, 100, 1.0, 100.0), 0.1, is_new=True)
    assert crowd.is_capped is is_capped
    crowd.check()


def test_between_two_stated_pauses_the_burst_cancels_out() -> None:
    """100/s that holds 50, and pauses of 1 s: 150 in 1 s, then 450 in 4 s."""
    pauses, pause_s = StatedPauses(), 1.0
    for taken, span_s in ((150, 1.0), (450, 4.0)):
        low, high = taken / (span_s + pause_s), taken / span_s
        safe, top = pauses.limit(low, high, 160.0, taken, None)
    assert safe == pytest.approx(100.0)
    assert low <= safe <= high <= top
