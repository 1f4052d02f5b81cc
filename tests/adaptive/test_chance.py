"""Throttles that come by chance at any pace: the limit is used all the same, and equal clients stay equal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.control import matrix, measure
from benchmarks.control.cells import BASE, Cell, bucket, window
from bulkwriter.adaptive.chance import AGAIN, DOUBTED, RISE, RISE_REQUESTS, SAVED_TRIAL, Chance
from bulkwriter.adaptive.limit import Limit
from bulkwriter.adaptive.pace import Pace
from bulkwriter.adaptive.recent import Mark

ROUND_TRIP_S, PER_S, EVERY = 0.1, 100.0, 100
CELL = Cell(name="bucket", factor="plain", limits=bucket(200, 40), limit_per_s=200, ends_at=60, steady_s=15)


@pytest.mark.parametrize("cell", [CELL, replace(CELL, name="window", limits=window(2_000, 10))], ids=lambda c: c.name)
def test_one_of_a_hundred_refused_at_any_pace_costs_little(cell: Cell) -> None:
    """A fifth of the limit is what is left where each of them is taken for the limit."""
    assert measure.run(replace(cell, broken=0.01), matrix.ours, 2).steady >= 0.9


def test_it_is_the_same_for_plain_503s() -> None:
    figures = measure.run(replace(CELL, broken=0.01, is_plain=True), matrix.ours, 1)
    assert figures.steady >= 0.9


def test_one_of_four_clients_takes_no_refusals_of_the_others_for_chance() -> None:
    cell = Cell(name="4 equal clients", factor="clients", limits=BASE, clients=4, ends_at=90, steady_s=45)
    assert (measure.run(cell, matrix.ours, 1).jain or 0.0) >= 0.9


class Doubted:
    """A chance in doubt, refused once in `EVERY` requests so far."""

    def __init__(self) -> None:
        self.chance, self.limit, self.pace = Chance(), Limit(0.0), Pace(0.0)
        self.at, self.taken = 0.0, 0
        self.pace.begin(0.0, 2 / PER_S)
        self.pace.is_starting = False
        self.doubt()

    def doubt(self) -> None:
        for rate in range(20, 40):
            self.limit._sharing.refused(1.5**rate, 1.5**rate, taken=200, was=0.0)
        assert self.limit.is_unsteady

    def refused(self, after: int) -> bool:
        self.at, self.taken = self.at + after / self.pace.rate, self.taken + after
        self.chance.check()
        return self.chance.excuses(Mark(self.at, self.taken), ROUND_TRIP_S, self.limit, self.pace)


def test_the_pace_rises_once_there_is_doubt_and_stays_up_where_no_more_are_refused() -> None:
    one = Doubted()
    assert [one.refused(EVERY) for _ in range(DOUBTED)] == [False] * (DOUBTED - 1) + [True]
    assert one.pace.rate == pytest.approx(RISE * PER_S)
    assert [one.refused(EVERY) for _ in range(20)] == [True] * 20
    assert one.pace.rate == pytest.approx(RISE * PER_S)
    assert not one.limit.is_unsteady


def test_the_pace_is_what_it_was_where_the_rise_is_refused_and_the_next_trial_comes_later() -> None:
    one = Doubted()
    for _ in range(DOUBTED):
        one.refused(EVERY)
    few = int(RISE_REQUESTS / 20)
    assert [one.refused(few) for _ in range(int(SAVED_TRIAL) + 1)] == [True] * int(SAVED_TRIAL) + [False]
    assert one.pace.rate == pytest.approx(PER_S)
    assert [one.refused(EVERY) for _ in range(AGAIN * DOUBTED)] == [False] * (AGAIN * DOUBTED - 1) + [True]


def test_more_than_a_few_of_a_hundred_are_not_tried() -> None:
    one = Doubted()
    assert not any(one.refused(EVERY // 4) for _ in range(4 * DOUBTED))


def test_above_the_limit_it_ends_and_measurements_that_differ_again_end_the_belief() -> None:
    one = Doubted()
    for _ in range(DOUBTED + 5):
        one.refused(EVERY)
    assert one.chance.share == pytest.approx(1 / EVERY)
    assert [one.refused(1) for _ in range(3)] == [True] * 2 + [False]
    assert one.chance.share == pytest.approx(1 / EVERY)
    one.doubt()
    assert [one.refused(1) for _ in range(4)] == [True] * 3 + [False]
    assert one.chance.share == 0.0
