"""When a look settles a doubt: "there" at once, "not there" only by two looks late enough and far enough apart.

`late_apply_s` 60 and `list_lag_s` 5 throughout, the defaults; an attempt that ended at 100 may be applied until 160 and
is on every list by 165.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.core.doubts import Doubt, Doubts
from bulkwriter.listing.look_plan import plan_look
from bulkwriter.model import Intent

LATE, LAG = 60.0, 5.0


def intent(seq: int, floor: int | None = None) -> Intent:
    return Intent(seq, (1, seq), 1, seq + 2, floor)


def parked(ended_at: float = 100.0) -> tuple[Doubts, Doubt]:
    doubts = Doubts(late_apply_s=LATE, list_lag_s=LAG)
    doubts.park(intent(7), ended_at)
    (doubt,) = doubts
    return doubts, doubt


def test_a_record_that_a_look_saw_settles_it_at_any_time() -> None:
    doubts, doubt = parked()
    assert doubts.seen(doubt, began_at=0.0)
    assert not doubts
    assert 7 not in doubts
    assert doubts.next_due_at() is None


def test_a_record_that_was_being_deleted_is_there_only_when_the_delete_can_no_more_come() -> None:
    doubts = Doubts(late_apply_s=LATE, list_lag_s=LAG)
    doubts.park(intent(7), 100.0, is_being_deleted=True)
    (doubt,) = doubts
    assert not doubts.seen(doubt, began_at=164.9)
    assert doubts.due_at(doubt) == 165
    assert doubts.seen(doubt, began_at=165.0)
    assert not doubts


@pytest.mark.parametrize("began_at", [0.0, 100.0, 159.9, 164.999])
def test_a_look_that_began_too_early_and_saw_nothing_says_nothing(began_at: float) -> None:
    doubts, doubt = parked()
    assert not doubts.not_seen(doubt, began_at=began_at, ended_at=1_000)
    assert doubt.absent_at is None
    assert doubts.due_at(doubt) == 165
    doubts.check()


def test_two_looks_that_agree_settle_that_there_is_none() -> None:
    doubts, doubt = parked()
    assert not doubts.not_seen(doubt, began_at=165, ended_at=167)
    assert doubts.due_at(doubt) == 172  # list_lag_s after the first one ended
    assert doubts.not_seen(doubt, began_at=172, ended_at=173)
    assert not doubts
    doubts.check()


def test_a_second_look_too_soon_after_the_first_does_not_count() -> None:
    doubts, doubt = parked()
    doubts.not_seen(doubt, began_at=165, ended_at=167)
    assert not doubts.not_seen(doubt, began_at=171.9, ended_at=300)
    assert 7 in doubts
    assert doubts.not_seen(doubt, began_at=172, ended_at=173)


def test_found_after_a_first_look_saw_nothing() -> None:
    doubts, doubt = parked()
    doubts.not_seen(doubt, began_at=165, ended_at=166)
    assert doubts.seen(doubt, began_at=0.0)
    assert 7 not in doubts


def test_a_later_attempt_s_doubt_replaces_the_earlier_one() -> None:
    doubts, old = parked()
    doubts.not_seen(old, began_at=165, ended_at=166)
    doubts.park(intent(7), 170.0)
    assert len(doubts) == 1
    assert not doubts.not_seen(old, began_at=400, ended_at=401)  # a look that began before knows only the old one
    assert doubts.next_due_at() == 235


def test_due_are_those_whose_time_has_come_oldest_first() -> None:
    doubts = Doubts(late_apply_s=LATE, list_lag_s=LAG)
    for seq, ended_at in ((1, 120.0), (2, 100.0), (3, 110.0)):
        doubts.park(intent(seq), ended_at)
    assert [d.intent.seq for d in doubts.due(164.9)] == []
    assert [d.intent.seq for d in doubts.due(176.0)] == [2, 3]
    assert doubts.next_due_at() == 165


@given(
    ended_at=st.floats(0, 1_000),
    looks=st.lists(st.tuples(st.floats(0, 2_000), st.floats(0, 50)), max_size=12),
    waits=st.tuples(st.floats(0, 100), st.floats(0, 20)),
)
def test_never_absent_by_fewer_than_two_looks_late_enough_and_apart(
    ended_at: float, looks: list[tuple[float, float]], waits: tuple[float, float]
) -> None:
    late_s, lag_s = waits
    doubts = Doubts(late_apply_s=late_s, list_lag_s=lag_s)
    doubts.park(intent(1), ended_at)
    (doubt,) = doubts
    counted: list[tuple[float, float]] = []
    for began_at, took_s in sorted(looks):
        if began_at >= ended_at + late_s + lag_s:
            counted.append((began_at, began_at + took_s))
        if doubts.not_seen(doubt, began_at=began_at, ended_at=began_at + took_s):
            assert len(counted) >= 2
            assert counted[-1][0] >= counted[0][1] + lag_s
            return
        doubts.check()


def test_doubts_near_the_top_are_found_among_the_newest_and_the_rest_one_by_one() -> None:
    """Floors 9,900 and 9,950 under newest id 10,000 are one page; 10 would take ten more, so it has its own list."""
    doubts = [Doubt(intent(i, floor), 0.0) for i, floor in enumerate((9_900, 9_950, 10, None))]
    newest, each = plan_look(doubts, newest_id=10_000, most=10_000)
    assert [d.intent.seq for d in newest] == [1, 0]
    assert [d.intent.seq for d in each] == [2, 3]


def test_what_is_known_to_be_ours_bounds_the_pages_where_ids_are_sparse() -> None:
    doubts = [Doubt(intent(i, 10), 0.0) for i in range(3)]
    newest, each = plan_look(doubts, newest_id=10**9, most=400)
    assert len(newest) == 3
    assert not each


@given(
    floors=st.lists(st.none() | st.integers(0, 20_000), max_size=30),
    newest_id=st.integers(0, 20_000),
    most=st.integers(0, 20_000),
)
def test_each_doubt_is_looked_up_one_way(floors: list[int | None], newest_id: int, most: int) -> None:
    doubts = [Doubt(intent(i, floor), 0.0) for i, floor in enumerate(floors)]
    newest, each = plan_look(doubts, newest_id=newest_id, most=most)
    assert sorted(d.intent.seq for d in (*newest, *each)) == list(range(len(doubts)))
    assert all(d.intent.floor is not None for d in newest)
    calls = len(each)
    if newest:
        calls += 1 + min(max(0, newest_id - min(d.intent.floor or 0 for d in newest)), most) // 1_000
    assert calls <= len(doubts)
