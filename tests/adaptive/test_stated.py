"""Servers that state a wait of a second whatever they need: how the law for them tells a window from a bucket, and what
it reaches over the first 20 s from the first write taken.

The figures are of one seed; `python -m benchmarks control` has those of more, and of longer runs.  Virtual time and a
fixed seed: a figure changes only when the controller or the model does.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.control import matrix, measure, servers
from benchmarks.control.cells import CELLS, Cell, bucket
from benchmarks.control.servers import Timing
from benchmarks.control.stated import COUNTERS, PLAIN, STATED, STATED_HELD_OUT
from bulkwriter.adaptive import Controller
from bulkwriter.adaptive.bursts import agreed
from bulkwriter.adaptive.pace import Pace
from bulkwriter.adaptive.recent import Mark, RecentSends
from bulkwriter.adaptive.stated import (
    BELOW_COUNTER,
    MARGIN,
    RAMP,
    RESUME,
    RUSH,
    STEPS,
    TAU_WINDOW_S,
    TRY_S,
    Epoch,
    Stated,
    are_of_window,
    best,
)

IN_20_S, IN_20_S_OF_DROPS = 0.88, 0.80
"""Where a wait is stated: the worst of the cells here has 0.89."""
IN_20_S_OF_COUNTERS = 0.80
"""The median of those that count refused requests as well; 0.67 where they are taken for windows."""
MOST_THROTTLED = 0.025
SEEDS = 201, 202, 203, 204, 205
ALL = [cell for cell in (*STATED, *STATED_HELD_OUT) if cell not in (*PLAIN, *COUNTERS) and cell.limit_per_s < 1_000]
"""Of a thousand a second no more is shown, at ten times the cost."""


class Server:
    """The log of a run against a server whose throttles state a second."""

    def __init__(self) -> None:
        self.law, self.sends, self.now = Stated(), RecentSends(), 0.0

    def take(self, count: int, span_s: float) -> None:
        for _ in range(count):
            self.sends.add(self.now, 0)
            self.now += span_s / count

    def refuse(self) -> None:
        """A throttle, and the pause after it."""
        self.law.refused(Mark(self.now, self.sends.taken), 1.0, self.sends)
        self.now += 1.02
        self.law.resumed(self.now, Mark(self.now, self.sends.taken))


def test_after_one_throttle_the_pace_follows_what_was_taken_in_a_pauses_time() -> None:
    server = Server()
    server.take(30, 2.0)
    server.take(60, 0.5)
    server.refuse()
    assert not server.law.kind
    assert server.law.rate(server.now, 0.1) == pytest.approx(RESUME * (60 + 7), abs=RESUME)
    assert server.law.rate(server.now + 1.0, 0.1) == pytest.approx(RAMP * server.law.rate(server.now, 0.1))


def test_the_same_count_in_another_time_is_a_window_and_is_never_exceeded() -> None:
    server = Server()
    server.take(100, 0.05)
    server.refuse()
    server.take(100, 0.4)
    server.refuse()
    assert (server.law.kind, server.law.per_s) == ("window", 100.0)
    assert server.law.rate(server.now, 0.1) == pytest.approx(RUSH * 100)
    assert server.law.guard == 100
    assert server.law.guard_s == pytest.approx(1 + MARGIN)
    first = server.now
    server.take(100, 0.25)
    assert server.law.next_at(server.now, 0.01, server.sends) == pytest.approx(first + 1 + MARGIN)


def test_another_count_is_a_bucket_whose_burst_cancels_out() -> None:
    """100/s that holds 20: 25 at once, then 68 above and below the rate until 20 are used up."""
    server = Server()
    server.take(25, 0.05)
    server.refuse()
    server.take(40, 0.8)
    server.take(70, 0.5)
    server.refuse()
    assert server.law.kind == "bucket"
    assert server.law.per_s == pytest.approx(100.0, rel=0.03)
    assert 0.1 < server.law.slack_s < 0.2


def test_of_two_rates_that_fit_the_higher_one_is_tried() -> None:
    """A bucket of 1,000/s that holds 200; at 458/s the same stretches would have used up 425 twice."""
    once = Epoch(615, 615, 0.415, math.inf, [(0.415, 615)])
    again = Epoch(700, 700, 0.6, 1.04, [(0.6, 700), (0.1, 300)])
    low, high = 422.2, 1_547.9
    near, _ = agreed([once, again], Epoch.burst, low, high, steps=STEPS)
    assert near == pytest.approx(458, rel=0.01)  # by its grid alone
    rate, misfit = best([once, again], low, high)
    assert rate == pytest.approx(1_000, rel=0.01)
    assert misfit <= 1


def test_the_burst_is_spent_after_a_pause_whenever_the_next_request_goes() -> None:
    pace = Pace(0.0)
    pace.set(100.0)
    pace.slack_s = 0.15
    pace.next_at = 10.0 - pace.slack_s
    sent, now = 0, 10.003  # the first one goes some milliseconds later than it could
    while pace.next_at <= now:
        pace.sent(now)
        sent += 1
    assert sent == pytest.approx(15, abs=1)


def test_counts_that_no_window_can_give_are_of_a_counter() -> None:
    """Of 104, then 46: two windows would have taken 92 at most.  The larger count is nearest, and goes evenly."""
    server = Server()
    server.take(24, 0.5)
    server.take(80, 0.1)
    server.refuse()
    server.take(46, 0.22)
    server.refuse()
    assert (server.law.kind, server.law.guard, server.law.slack_s) == ("counter", 0, 0.0)
    assert server.law.per_s == pytest.approx((1 - BELOW_COUNTER) * 104)
    server.take(155, 1.55)
    server.refuse()
    assert server.law.per_s == pytest.approx((1 - BELOW_COUNTER) * 100, abs=1)


def test_a_counter_does_not_go_on_to_refuse_what_it_took() -> None:
    """So does a bucket that holds a lot, or a longer window."""
    server = Server()
    for count, span_s in ((24, 0.5), (80, 0.1)):
        server.take(count, span_s)
    server.refuse()
    server.take(46, 0.22)
    server.refuse()
    for span_s, is_wrong in ((4.5, False), (5.0, True)):
        server.take(400, span_s)  # fewer in a second than the counter is known to take
        server.refuse()
        assert (server.law.kind, server.law.is_wrong) == ("counter", is_wrong)


@pytest.mark.parametrize(("resumed_at", "is_window"), [(2.6, True), (2.2, False)])
def test_a_window_that_ended_within_a_stretch_tells_when_all_end(resumed_at: float, is_window: bool) -> None:
    """Of 150 in 0.75 s, then 100: a window ended 0.5 s before the first throttle, at 0.5.  The next end is at 2.5."""
    once = Epoch(150, 150, 0.75, math.inf, [(n / 200, n) for n in range(150, 0, -1)], 1.0)
    again = Epoch(100, 100, 0.6, 1.0, [(0.006 * n, n) for n in range(100, 0, -1)], resumed_at + 0.6)
    assert are_of_window([once, again], 1.0) is is_window


def test_a_limit_that_fell_is_remembered_and_tried_again() -> None:
    server = Server()
    for span_s in (0.05, 0.4):
        server.take(100, span_s)
        server.refuse()
    for _ in range(4):
        server.take(100, 1.0)
        server.law.rate(server.now, 0.1)
    refused_at = server.now + 0.06
    server.take(25, 0.05)
    server.now += 0.01
    server.sends.add(server.now - 0.005, 0)
    server.refuse()
    server.take(25, 0.05)
    server.refuse()
    assert not server.law.kind
    assert server.law.rate(server.now, 0.1) < 60
    server.now = refused_at + TRY_S  # no trial before the new limit is known
    assert server.law.rate(server.now, 0.1) > 100
    server.take(25, 0.3)
    server.refuse()
    assert (server.law.kind, server.law.per_s) == ("window", 25.0)
    assert server.law.rate(server.now, 0.1) == pytest.approx(RUSH * 25.0)
    assert server.law.rate(server.now + TRY_S, 0.1) == pytest.approx((1 - MARGIN) * 100)


def test_a_window_that_is_passed_without_a_throttle_was_none() -> None:
    server = Server()
    for span_s in (0.05, 0.4):
        server.take(100, span_s)
        server.refuse()
    server.law.rate(server.now + TAU_WINDOW_S, 0.1)
    assert not server.law.is_wrong
    server.law.rate(server.now + 2 * TAU_WINDOW_S, 0.1)
    assert server.law.is_wrong


def test_a_long_stretch_that_brought_far_more_disproves_a_small_count() -> None:
    """A log of 435 in 5 s gives back the gaps of a window ago, three and twelve at a time."""
    server = Server()
    for count, span_s in ((435, 4.7), (12, 0.04), (12, 0.3)):
        server.take(count, span_s)
        server.refuse()
    assert server.law.is_wrong


def test_a_limit_of_one_a_second_is_not_stormed() -> None:
    """60 a minute: a request or two between pauses say nothing of the rate."""
    slow = Cell(name="1/s, 1 s stated", factor="rate", limits=bucket(1, 1), limit_per_s=1, form=servers.one_second,
                ends_at=400, steady_s=200)  # fmt: skip
    found = measure.run(slow, matrix.ours, 1)
    assert found.too_early == 0
    assert found.steady >= 0.95
    assert found.throttled <= 0.02


@pytest.mark.parametrize("stated_s", [1.0, 2.0])
def test_only_waits_of_a_second_are_a_constant(stated_s: float) -> None:
    """Longer ones, as those of a date, follow what the server needs; they are obeyed, and tell of no window."""
    controller = Controller(64, pause_cap_s=60.0, rng=random.Random(1))
    controller.on_sent(0.0)
    controller.on_good(0.1, 0.0, 0.1)
    for n in range(20):
        controller.on_sent(0.1 + n / 20)
    assert controller.on_throttle(1.2, 1.05, stated_s) == pytest.approx(1.2 + stated_s, abs=0.1)
    assert (controller.in_flight_limit > 20) is (stated_s == 1.0)  # 19 are left from before the pause


def test_half_of_the_cells_are_held_out_and_none_is_on_both_sides() -> None:
    names, judged = {cell.name for cell in STATED}, {cell.name for cell in STATED_HELD_OUT}
    assert names.isdisjoint(judged)
    assert len(names) == len(judged)


@pytest.mark.parametrize("cell", ALL, ids=lambda cell: str(cell.name))
def test_twenty_seconds_at_a_limit_that_states_a_second(cell: Cell) -> None:
    least = IN_20_S_OF_DROPS if cell.changes else IN_20_S
    in_20_s, throttled = short(cell, SEEDS if cell.changes else (1,))
    assert in_20_s >= least
    assert throttled <= MOST_THROTTLED


@pytest.mark.parametrize(
    "cell", [cell for cell in COUNTERS if cell.limit_per_s == 100], ids=lambda cell: str(cell.name)
)
def test_a_counter_that_counts_refused_requests_is_not_taken_for_a_window_of_half(cell: Cell) -> None:
    assert short(cell, SEEDS)[0] >= IN_20_S_OF_COUNTERS


def short(cell: Cell, seeds: Sequence[int]) -> tuple[float, float]:
    """What the first 20 s brought of the limit, and throttled: medians.  Nothing went before a stated time."""
    found = [measure.run(replace(cell, ends_at=21.5, steady_s=10.0), matrix.ours, seed) for seed in seeds]
    assert [one.too_early for one in found] == [0] * len(found)
    return tuple(
        statistics.median(value for one in found if (value := getattr(one, key)) is not None)
        for key in ("in_20_s", "throttled_20_s")
    )


@pytest.mark.parametrize(
    ("per_s", "holds", "latency_s", "least"), [(106, 2, 0.011, 0.95), (19.5, 1, 0.048, 0.85)], ids=["last", "two"]
)
def test_a_bucket_that_holds_little_is_not_refused_for_ever(
    per_s: float, holds: float, latency_s: float, least: float
) -> None:
    """A climb bounds its rate by its last requests, as half of them were too slow.  Nor does it take two at once after
    a pause.  With either fault it was refused again after each pause, and reached 0.26 and 0.55."""
    cell = Cell(name="holds little", factor="rate", limits=bucket(per_s, holds), limit_per_s=per_s, ends_at=120,
                timing=Timing(latency_s=latency_s, sigma=0.05), form=servers.one_second, steady_s=60)  # fmt: skip
    found = measure.run(cell, matrix.ours, 1)
    assert found.steady >= least
    assert found.too_early == 0


def test_a_bucket_that_is_refused_soon_again_and_again_is_none() -> None:
    """52 in 5 s, which look like 14/s for 2 s each time."""
    server = Server()
    server.take(1, 0.05)
    server.refuse()
    found = []
    for _ in range(5):
        server.take(28, 2.0)
        server.refuse()
        found.append(server.law.is_wrong)
    assert server.law.kind == "bucket"
    assert found == [False, False, False, True, True]


def test_after_a_pause_for_a_crowd_the_crowd_alone_holds_back() -> None:
    """A throttle that the crowd caused says nothing of the rate; a climb that it had set lasted for 220 s."""
    cell = next(cell for cell in CELLS if cell.name == "503 above 20, 1 s stated")
    found = measure.run(replace(cell, ends_at=120, steady_s=60), matrix.ours, 1)
    assert found.steady >= 0.97
    assert found.too_early == 0
