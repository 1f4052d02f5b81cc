"""Replies to requests that went together teach the control what they teach it one by one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.adaptive import Controller

TURNS = st.lists(st.tuples(st.integers(1, 12), st.sampled_from((0.001, 0.02, 0.3)), st.booleans()), max_size=40)


def controller() -> Controller:
    return Controller(16, pause_cap_s=60.0, rng=random.Random(1))


@given(TURNS)
def test_counted_replies_teach_what_single_ones_do(turns: list[tuple[int, float, bool]]) -> None:
    one_by_one, together = controller(), controller()
    now = 10.0
    for count, took_s, is_throttled in turns:
        now = max(now, together.next_send_at(now))
        count = min(count, together.in_flight_limit, together.room())
        for control in (one_by_one, together):
            control.on_sent(now, count)
        sent_at, now = now, now + took_s
        if is_throttled:
            for control in (one_by_one, together):
                control.on_throttle(now, sent_at, None)
            count -= 1
        for _ in range(count):
            one_by_one.on_good(now, sent_at, now - sent_at)
        together.on_all_good(now, {sent_at: count} if count else {})
        assert together.in_flight_limit == one_by_one.in_flight_limit
        assert together.next_send_at(now) == pytest.approx(one_by_one.next_send_at(now))
        assert together.allowed_per_s == pytest.approx(one_by_one.allowed_per_s)
        together.check()
