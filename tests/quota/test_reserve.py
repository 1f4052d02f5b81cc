"""Reserves: how much is asked for, in which minute it is booked, what is given back, and what a kill leaves."""

from __future__ import annotations

import random

import pytest

from bulkwriter.model import QuotaWindow
from bulkwriter.quota.forecast import REFUSED, Grant, Spending
from bulkwriter.quota.reserve import BLOCK, FIRST, MOST, RECHECK_S, Lease, Reserve

HOLD_S = 100.0
DAY = QuotaWindow("write:9/day", "write", 9, 86_400.0)


def reserve() -> tuple[Reserve, memoryview[float]]:
    cells = memoryview(bytearray(24)).cast("d")
    return Reserve("write", cells, hold_s=HOLD_S), cells


def granted(count: int, at: float = 0.0) -> tuple[Reserve, memoryview[float]]:
    made, cells = reserve()
    give(made, Grant(count), at)
    return made, cells


def give(made: Reserve, grant: Grant, at: float, *, is_try: bool = False) -> None:
    """An exchange that nothing happened beside."""
    made.granted(grant, made.lease(at), at, is_try=is_try)


def test_a_block_is_booked_in_the_minute_of_its_latest_end() -> None:
    """Sent at 59.9 s, a request may end 100 s later: in minute 2; what ends earlier is moved."""
    made, _ = granted(5)
    assert made.books_in(0.0) == made.books_in(59.9) == 2
    made.take()
    made.ended(30.0)
    assert dict(made.changes) == {("write", 2): -1, ("write", 0): 1}


def test_what_is_left_at_the_end_of_its_minute_is_given_back() -> None:
    made, cells = granted(5)
    made.take()
    assert made.has_some(59.9)
    assert list(cells) == [2, 1, 0]
    assert not made.has_some(60.0)
    assert made.changes["write", 2] == -4


def test_a_try_at_another_minute_is_another_block() -> None:
    made, _ = granted(5)
    assert not made.has_some(60.0)
    give(made, Grant(2), 61.0)
    made.take()
    made.ended(70.0)
    assert made.changes["write", 3] == -1
    assert made.changes["write", 1] == 1


def test_one_that_was_not_sent_is_there_again() -> None:
    made, cells = granted(1)
    made.take()
    assert not made.has_some(1.0)
    made.untake()
    assert made.has_some(1.0)
    assert cells[1] == 0
    assert not made.changes


def test_one_of_the_minute_before_that_was_not_sent_is_given_back_there() -> None:
    made, cells = granted(1)
    made.take()
    give(made, Grant(3), 61.0)
    made.untake()
    assert dict(made.changes) == {("write", 2): -1}
    assert list(cells) == [3, 0, 0]


def test_a_slow_run_asks_for_little_and_a_fast_one_for_a_second_s_worth() -> None:
    fast, _ = reserve()
    asked = [fast.wants(n * 0.01) for n in range(12)]
    assert asked[0] == FIRST
    assert asked[-1] == MOST
    assert fast.wants(100.0) == MOST // 2
    slow, _ = reserve()
    assert {slow.wants(n * 10.0) for n in range(8)} == {FIRST}


def test_beyond_a_block_the_till_is_made_durable_first() -> None:
    made, cells = granted(100)
    for _ in range(BLOCK):
        assert made.has_some(1.0)
        made.take()
    assert not made.has_some(1.0)
    assert made.is_block_low
    assert made.draw()
    assert list(cells) == [2, BLOCK, 2 * BLOCK]
    assert not made.draw()  # one after the other
    assert not made.has_some(1.0)
    made.drawn()
    assert made.has_some(1.0)
    assert made.has_more


def test_a_block_that_was_given_back_while_it_was_drawn_is_not_there() -> None:
    made, cells = granted(100)
    made.take()
    made.draw()
    made.give_back()
    give(made, Grant(50), 2.0)
    made.drawn()
    made.check()
    assert list(cells) == [2, 1, 1]
    assert made.lease(2.0) == Lease(2, 51, 1)


def test_what_was_used_while_an_exchange_was_under_way_is_not_allowed_twice() -> None:
    """The mark that a commit has made durable is that of its beginning."""
    made, _ = granted(30)
    lease = made.lease(1.0)
    for _ in range(BLOCK):
        made.take()
    made.granted(Grant(30), lease, 1.0, is_try=False)
    assert not made.has_some(1.0)
    assert made.draw()


def test_no_more_than_a_block_is_ever_in_hand_nor_used_before_it_is_durable() -> None:
    chance = random.Random(5)
    made, cells = reserve()
    now, drawing = 0.0, False
    durable = (0, 0)  # the minute, and the mark in ledger or till
    for _ in range(20_000):
        now += chance.choice((0.0, 0.0, 0.0, 0.01, 1.0, 20.0))
        made.has_some(now)
        if made.is_low and (want := made.wants(now)) > 0:
            lease, grant = made.lease(now), Grant(chance.randint(1, want))
            for _ in range(chance.choice((0, 0, 3))):
                if made.has_some(now):
                    made.take()
            made.granted(grant, lease, now, is_try=False)
            mark = min(lease.booked + grant.granted, lease.used + BLOCK)
            durable = (lease.minute, max(mark, durable[1] if durable[0] == lease.minute else 0))
        if made.is_block_low:
            drawing |= made.draw()
        if drawing and chance.random() < 0.5:
            drawing = False
            made.drawn()
            if cells[0] == durable[0]:
                durable = (durable[0], max(durable[1], int(cells[2])))
        if chance.random() < 0.01:
            made.give_back()
        if made.has_some(now):
            made.take()
            assert (cells[0], cells[1]) <= durable
        made.check()


def test_a_refused_kind_is_asked_for_again_when_it_opens_or_after_ten_minutes() -> None:
    made, _ = reserve()
    give(made, Grant(0, 300.0, DAY), 0.0)
    assert (made.blocked, made.recheck_at) == (Grant(0, 300.0, DAY), 300.0)
    give(made, Grant(0, 86_400.0, DAY), 0.0)
    assert made.recheck_at == RECHECK_S
    give(made, Grant(1), 700.0, is_try=True)
    assert (made.blocked, made.is_try) == (None, True)


def test_a_throttled_request_counts_and_is_known_as_refused() -> None:
    made, _ = granted(1)
    made.take()
    made.ended(5.0)
    made.refused(5.0)
    assert made.changes["write" + REFUSED, 0] == 1
    assert made.changes["write", 0] == 1


def test_a_forecast_leaves_out_what_is_only_reserved() -> None:
    made, _ = granted(5)
    spending = Spending(0, epoch=0.0, slack=0.0)
    spending.add("write", 2, 5)
    made.forget_in(spending)
    assert spending.spent(DAY, 0.0) == 0


@pytest.mark.parametrize("is_counted", [True, False])
def test_where_no_long_window_is_nothing_is_reserved_and_all_is_told(is_counted: bool) -> None:
    made, _ = reserve()
    made.is_counted = is_counted
    assert made.has_some(0.0) is not is_counted
    if not is_counted:
        made.take()
        made.ended(65.0)
        assert dict(made.changes) == {("write", 1): 1}
