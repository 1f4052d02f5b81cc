"""What the controller says of itself: what it believes of the server, and what of it holds the run back, always so."""

from __future__ import annotations

import math
import re

import pytest

from bulkwriter.adaptive.words import Told
from tests.adaptive.test_adaptive import Bucket, Server, controller, drive


def test_it_says_what_it_believes_and_what_holds_back() -> None:
    c = controller()
    assert (c.explain(0.0), c.holding(0.0, is_full=False).kind) == ("the server has shown no limit", "start")
    trace = drive(c, Server(Bucket(100, 10)), 0.35)
    assert c.holding(0.35, is_full=False).words.startswith("the start: ")
    drive(c, Server(Bucket(100, 10)), 30.0, trace)
    latest = r"last at a pace of 1\d\d/s \d\.\d s ago; the pace is 1?\d\d/s now"
    assert re.fullmatch(rf"the server asked for less \d+ times in 10 min, {latest}", c.explain(trace.now))
    assert c.holding(trace.now, is_full=False) == ("limit", "the pace since the server asked for less")
    c.on_sent(trace.now + 1)
    c.on_throttle(trace.now + 1.02, trace.now + 1, 30.0)
    assert c.holding(trace.now + 2, is_full=False) == ("pause", "the server asked for a pause")
    assert c.holding(trace.now + 60, is_full=False).words == "one request tries whether the server takes more"


@pytest.mark.parametrize("window_s", [10.0, 60.0])
def test_it_says_how_long_a_window_is(window_s: float) -> None:
    taken: dict[int, int] = {}

    def takes(now: float, inside: int) -> bool:
        number = int((now + 0.3) / window_s)
        taken[number] = taken.get(number, 0) + 1
        return taken[number] <= 100 * window_s

    c = controller()
    trace = drive(c, Server(takes), 6 * window_s)
    assert f" ago, taken for a window of {window_s:g} s; the pace is " in c.explain(trace.now)


def test_no_limit_is_claimed_where_nothing_was_refused() -> None:
    c = controller(16)
    trace = drive(c, Server(lambda now, inside: True), 5.0)
    assert c.explain(trace.now) == "the server has shown no limit"
    assert c.holding(trace.now, is_full=True).kind == "in flight"


def test_it_says_what_an_earlier_run_found_until_it_knows_better() -> None:
    c = controller()
    c.restore({"rate_per_s": 98.0}, 7_200.0)
    assert c.explain(0.0) == "an earlier run ended at a pace of 98/s, 2.0 h ago"
    trace = drive(c, Server(Bucket(50, 5)), 20.0)
    assert c.explain(trace.now).startswith("the server asked for less ")


def test_many_throttles_are_counted_and_old_ones_forgotten() -> None:
    told = Told()
    for i in range(9_000):
        told.throttled(i / 10)
    assert told.throttles(900.0) == pytest.approx(6_000, abs=100)
    assert told.throttles(2_000.0) == 0


def test_it_says_that_others_use_the_limit_too() -> None:
    """What they leave is another share all the time, by the sine of the time here."""
    bucket = Bucket(100, 10)

    def takes(now: float, inside: int) -> bool:
        bucket.rate = 60 + 30 * math.sin(now)
        return bucket(now, inside)

    c = controller()
    trace = drive(c, Server(takes), 30.0)
    assert ", at another one each time, as where others use the same limit; the pace is " in c.explain(trace.now)
