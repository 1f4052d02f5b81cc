"""Short windows: first values by hand, and for any arrivals and replies no span of a window's length holds too many."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.model import QuotaWindow
from bulkwriter.quota.short_window import HEAD, MOST_SLOTS, OPEN, ShortWindow, catch_up_s
from bulkwriter.quota.windows import parse

HOLD_S = 5.0
CATCH_UP_S = catch_up_s(1.0)


def cells_of(window: QuotaWindow) -> memoryview[float]:
    cells = memoryview(bytearray(8 * ShortWindow.cells_for(window))).cast("d")
    ShortWindow.clear(cells, 0.0)
    return cells


def pace(spec: str, *, cells: memoryview[float] | None = None, slack: float = 0.0) -> ShortWindow:
    window = parse(spec)
    return ShortWindow(window, cells_of(window) if cells is None else cells, slack=slack, hold_s=HOLD_S)


def take(one: ShortWindow, now: float) -> None:
    """Use a unit, as `quota.sides` does."""
    if not one.is_open(now):
        one.open(now)
    one.take(now)


def test_requests_keep_an_even_distance() -> None:
    ten = pace("write:10/s")
    sent, now = [], 100.0
    for _ in range(25):
        now = max(now, ten.opens_at(now))
        take(ten, now)
        sent.append(now)
        ten.ended(now)  # answered at once
    gaps = [b - a for a, b in pairwise(sent)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(0.1)
    # the first ones may be early by what is caught up, and then the first of the next window is as much later
    assert max(gaps) <= 0.1 + CATCH_UP_S + 1e-9
    assert sent[24] - sent[0] == pytest.approx(2.4, abs=CATCH_UP_S + 1e-9)


def test_a_unit_is_free_one_window_after_its_reply() -> None:
    one = pace("write:1/s")
    take(one, 0.0)
    assert one.opens_at(0.5) == pytest.approx(1.5)  # asked again then: nothing tells when others' replies come
    one.ended(0.8)
    assert one.opens_at(0.9) == pytest.approx(1.8)


def test_one_that_is_never_answered_is_free_a_window_after_its_deadline() -> None:
    one = pace("write:1/s")
    take(one, 0.0)
    assert one.opens_at(5.5) == HOLD_S + 1.0
    assert one.opens_at(6.0) <= 6.0


def test_replies_out_of_order_free_the_oldest_unit() -> None:
    two = pace("write:2/s")
    take(two, 0.0)
    take(two, 0.5)
    two.ended(0.6)  # whichever it was
    two.check(0.6)
    assert two.opens_at(0.7) == pytest.approx(1.6)


def test_a_unit_that_was_not_used_is_there_again() -> None:
    one = pace("write:1/min")
    take(one, 0.0)
    one.give_back()
    assert one.opens_at(0.0) <= 0.0


def test_a_late_wake_up_is_caught_up_only_a_little() -> None:
    ten = pace("write:10/s")
    for now in (0.0, 5.0):
        take(ten, now)
        ten.ended(now)
    assert ten.opens_at(5.0) == pytest.approx(5.0 + 0.1 - CATCH_UP_S)


@pytest.mark.parametrize(("span_s", "caught_up_s"), [(60.0, 3.0), (1.0, 0.2), (0.1, 0.025), (10.0, 0.5)])
def test_how_much_is_caught_up(span_s: float, caught_up_s: float) -> None:
    assert catch_up_s(span_s) == pytest.approx(caught_up_s)


def test_a_process_that_comes_after_a_kill_goes_on_from_the_cells() -> None:
    window = parse("write:2/s")
    cells = cells_of(window)
    dead = pace("write:2/s", cells=cells)
    take(dead, 0.0)
    take(dead, 0.5)
    heir = pace("write:2/s", cells=cells)
    assert heir.opens_at(1.0) > 1.0
    assert heir.opens_at(HOLD_S + 1.0) <= HOLD_S + 1.0


def test_a_slot_is_nobody_elses_from_when_it_is_opened() -> None:
    """The lock is let go before the request is booked."""
    cells = cells_of(parse("write:1/s"))
    one, other = (pace("write:1/s", cells=cells) for _ in range(2))
    one.open(10.0)
    assert other.opens_at(11.5) > 11.5
    one.take(10.0)
    one.ended(10.1)
    assert other.opens_at(11.5) <= 11.5


@pytest.mark.parametrize(("later_s", "is_open"), [(OPEN * 0.9, True), (OPEN * 1.1, False)])
def test_the_units_of_a_slot_are_used_soon_or_not_at_all(later_s: float, is_open: bool) -> None:
    """Or nobody could say when the last request of a process has surely ended."""
    many = pace("write:10000/s")
    take(many, 5.0)
    assert many.is_open(5.0 + later_s) is is_open


def test_above_a_thousand_units_some_share_a_slot() -> None:
    window = parse("write:50000/s")
    assert ShortWindow.cells_for(window) <= HEAD + MOST_SLOTS
    fast = pace("write:50000/s")
    sent, now = 0, 0.0
    while now < 2.0:
        now = max(now + 1e-6, fast.opens_at(now))
        take(fast, now)
        fast.ended(now)
        sent += 1
    assert 97_000 <= sent <= 105_000


def test_a_reply_after_the_slot_was_taken_by_another_process_leaves_it_alone() -> None:
    """A process is stopped (Ctrl-Z) with a request on its way until the slot was free and is another's."""
    cells = cells_of(parse("write:1/s"))
    stopped, other = (pace("write:1/s", cells=cells) for _ in range(2))
    take(stopped, 0.0)
    take(other, HOLD_S + 1.0)
    stopped.ended(HOLD_S + 1.1)
    assert other.opens_at(HOLD_S + 2.5) > HOLD_S + 2.5  # its request is on its way still


# ---- any arrivals, any replies, several processes


def worst(arrivals: Sequence[float], window: QuotaWindow) -> bool:
    """Whether some span of the window's length holds more than it may."""
    ordered = sorted(arrivals)
    spans = zip(ordered, ordered[window.count :], strict=False)
    return any(last - first < window.window_s * (1 - 1e-9) for first, last in spans)


@settings(max_examples=150, deadline=None)
@given(
    spec=st.sampled_from(["write:1/100ms", "write:5/s", "write:7/2s", "write:30/s", "write:1500/s", "write:3/min"]),
    processes=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.1]),
)
def test_no_span_holds_too_many_neither_sent_nor_arrived(spec: str, processes: int, seed: int, loss: float) -> None:
    """Processes ask at random times; a request arrives somewhere between sending and reply, or never ends."""
    chance, window = random.Random(seed), parse(spec)
    cells = cells_of(window)
    paces = [pace(spec, cells=cells) for _ in range(processes)]
    sent, arrived = [], []
    ends: list[tuple[float, int]] = []
    now = 0.0
    for _ in range(400):
        now += chance.expovariate(1.0) * window.window_s / window.count / processes
        while ends and ends[0][0] <= now:
            at, which = heapq.heappop(ends)
            paces[which].ended(at)
        if chance.random() < 0.02:  # killed; what it had on its way may still arrive, and nobody hears the replies
            which = chance.randrange(processes)
            paces[which] = pace(spec, cells=cells)
            ends = [end for end in ends if end[1] != which]
            heapq.heapify(ends)
        which = chance.randrange(processes)
        if paces[which].opens_at(now) > now:
            continue
        take(paces[which], now)
        took_s = HOLD_S if chance.random() < loss else chance.random() * min(HOLD_S, window.window_s)
        sent.append(now)
        arrived.append(now + chance.random() * took_s)
        heapq.heappush(ends, (now + took_s, which))
    assert not worst(sent, window)
    assert not worst(arrived, window)
    assert sent


@settings(max_examples=10, deadline=None)
@given(count=st.integers(MOST_SLOTS + 1, 3 * MOST_SLOTS), seed=st.integers(0, 2**32))
def test_no_span_holds_too_many_where_processes_idle_in_the_middle_of_a_slot(count: int, seed: int) -> None:
    """One process spends all that there is; two others take part and pause, often for longer than the window."""
    chance, spec = random.Random(seed), f"write:{count}/s"
    cells = cells_of(parse(spec))
    paces = [pace(spec, cells=cells) for _ in range(3)]
    idle_until, sent, now = [0.0] * 3, [], 10.0
    while now < 14.0:
        which = chance.randrange(3)
        if now >= idle_until[which] and paces[which].opens_at(now) <= now:
            take(paces[which], now)
            paces[which].ended(now)
            sent.append(now)
            if which and chance.random() < 1 / 100:
                idle_until[which] = now + chance.choice((0.01, 0.4, 1.2, 1.2))
        now += 0.3 / count
    assert not worst(sent, parse(spec))
    assert len(sent) > count
