"""Whether a limit is shared, by hand; and that equal clients come to equal shares, in virtual time."""

from __future__ import annotations

import pytest

from benchmarks.control import bars, matrix, measure
from benchmarks.control.cells import CELLS, Cell
from bulkwriter.adaptive.limit import Limit
from bulkwriter.adaptive.pace import SHARE_CLIMBS, SHARE_CUT, Pace
from bulkwriter.adaptive.recent import Mark
from bulkwriter.adaptive.sharing import LEAST, SAME, Sharing

EQUAL = [cell for cell in CELLS if cell.name in ("2 equal clients", "8 equal clients")]
VARIED = (20.0, 30.0, 22.0, 35.0, 25.0, 40.0, 28.0, 45.0)


def told(sharing: Sharing, *rates: float, taken: int = 200) -> Sharing:
    for rate in rates:
        sharing.refused(rate, rate, taken=taken, was=rate)
        sharing.check()
    return sharing


def test_a_limit_that_repeats_itself_is_ours_alone() -> None:
    assert not told(Sharing(), *[100.0, 100.4] * 20).is_shared


def test_measurements_that_do_not_repeat_are_shares_of_what_others_use_too() -> None:
    assert told(Sharing(), *VARIED).is_shared


def test_one_request_more_or_less_is_chance() -> None:
    assert not told(Sharing(), *[14.0, 15.0] * 20, taken=14).is_shared


def test_throttles_too_soon_to_measure_anything_say_the_same() -> None:
    sharing = Sharing()
    for _ in VARIED:
        sharing.refused(0.0, 30.0, taken=2, was=25.0)
    assert sharing.is_shared


def test_small_shares_are_not_told_from_chance() -> None:
    assert not told(Sharing(), *(rate * LEAST / 50 for rate in VARIED)).is_shared


def test_a_limit_that_repeats_itself_again_is_ours_again() -> None:
    sharing = told(told(Sharing(), *VARIED), *[60.0] * SAME)
    assert sharing.is_shared
    assert not told(sharing, 60.0).is_shared


def test_two_that_take_turns_do_not_look_alone() -> None:
    sharing = told(Sharing(), *VARIED)
    for rate in (50.0, 55.0) * 20:
        sharing.refused(48.0, rate, taken=200, was=48.0)
    assert sharing.is_shared


def test_a_hold_says_nothing_and_takes_back_the_throttle_that_began_it() -> None:
    sharing = Sharing()
    for rate in VARIED * 5:
        told(sharing, rate, 2 * rate).revoke()
    assert not sharing.is_shared
    for rate in VARIED * 5:
        told(sharing, rate).held(is_idle=False)
    assert not sharing.is_shared


@pytest.mark.parametrize(("floor", "is_crowd"), [(20.0, False), (0.0, True)])
def test_neither_a_floor_nor_a_crowd_is_a_share(floor: float, is_crowd: bool) -> None:
    limits = Limit(floor), Limit(0.0)
    at, taken = 0.0, 0
    for rate in VARIED * 2:
        at, taken = at + 4.0, taken + round(4 * rate)
        limits[0].refused(Mark(at, taken), rate, is_crowd=is_crowd)
        limits[1].refused(Mark(at, taken), rate)
    assert [limit.is_shared for limit in limits] == [False, True]


@pytest.mark.parametrize("rate", [6.0, 12.0, 50.0, 400.0])
def test_a_shared_pace_is_cut_in_proportion_and_climbs_straight(rate: float) -> None:
    pace = Pace(0.0)
    pace.dip(0.0, rate, top=rate, span_s=1.0)
    pace.share(10.0, rate)
    assert pace.rate == pytest.approx((1 - SHARE_CUT) * rate)
    low, risen = pace.rate, []
    for step in range(1, 200):
        pace.climb(10.0 + step * 0.1, trust=8.0, patience_s=0.0, round_trip_s=0.1)
        if pace.surge:
            break
        risen.append(pace.rate - low)
    assert risen == pytest.approx([risen[0] * n for n in range(1, len(risen) + 1)])
    assert risen[-1] == pytest.approx(SHARE_CLIMBS * SHARE_CUT * low, rel=0.15)


def test_a_large_share_takes_longer_to_climb_back_than_a_small_one() -> None:
    spans = []
    for rate in (12.0, 120.0):
        pace = Pace(0.0)
        pace.dip(0.0, rate, top=rate, span_s=1.0)
        pace.share(0.0, rate)
        spans.append(next(at / 10 for at in range(1, 100) if climbed(pace, at / 10) >= rate))
    assert spans[0] < spans[1]


def climbed(pace: Pace, now: float) -> float:
    pace.climb(now, trust=8.0, patience_s=0.0, round_trip_s=0.1)
    return pace.rate


@pytest.mark.slow
@pytest.mark.parametrize("cell", EQUAL, ids=lambda cell: str(cell.name))
def test_equal_clients_come_to_equal_shares(cell: Cell) -> None:
    found = [measure.run(cell, matrix.ours, seed).jain for seed in range(3, 11)]
    assert min(jain for jain in found if jain is not None) >= bars.JAIN
