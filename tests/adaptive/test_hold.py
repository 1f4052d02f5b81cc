"""When canaries go, by tables worked out by hand; how a hold does as a whole is shown by the control matrix."""

from __future__ import annotations

import math
import random

import pytest

from bulkwriter.adaptive.hold import FIRST_S, GROWTH, STEP, EndedHold, Hold


class Middle(random.Random):
    """No chance: uniform(a, b) is halfway."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def hold(cap_s: float = 60.0) -> Hold:
    return Hold(cap_s, Middle())


def refused(one: Hold, now: float, ends_at: float = math.inf, *, sent_at: float = 0.0) -> float:
    at = one.refuse(now, sent_at, gap_s=0.001, stated_s=None, ends_at=ends_at)
    one.check()
    return at - now


def test_canaries_go_at_growing_distances_up_to_the_cap() -> None:
    one = hold(cap_s=0.05)
    assert [refused(one, 0.0) for _ in range(4)] == pytest.approx([FIRST_S, FIRST_S * GROWTH, 0.05, 0.05])


def test_none_goes_past_the_end_of_a_window() -> None:
    one, now, times = hold(), 0.5, [0.5]
    while now < 5.0:
        now += refused(one, now, 5.0)
        times.append(now)
    assert 5.0 < times[-1] < 5.0 + 2 * STEP * (5.0 - times[-2])
    alone, now = hold(), 0.5
    while now < 5.0:
        now += refused(alone, now)
    assert now > times[-1]  # so it would have been without


def test_a_stated_time_is_never_undercut_by_what_is_expected() -> None:
    one = hold()
    assert one.refuse(5.0, 4.9, gap_s=0.001, stated_s=4.0, ends_at=7.0) >= 9.0
    held = one.end(9.5, 9.0, rate=100.0, round_trip_s=0.5)
    assert held == EndedHold(4.0, 4.5, 0.0, is_stated=True, is_long=True, is_idle=False)


def test_an_end_is_known_no_better_than_the_last_refused_canary() -> None:
    one = hold()
    refused(one, 1.0)
    refused(one, 1.5, sent_at=1.25)  # far away: it may have ended before that throttle came back
    assert one.end(2.5, 2.25, rate=100.0, round_trip_s=0.1)[:3] == (1.25, 1.5, 1.0)
    assert one.end(3.0, 3.0, rate=100.0, round_trip_s=0.1)[:3] == (0.0, 0.0, 0.0)
