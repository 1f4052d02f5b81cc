"""The ledger's time as seen here: bounds by round trips, steps of the database's clock, machines that stood still."""

from __future__ import annotations

import random

import pytest

from bulkwriter.postgres.clock import DRIFT, JUMP_S, SLEW, Bounds, DatabaseClock

EPOCH = 1.7e9


class Machine:
    """Clocks of a machine and of a database, both in the hands of a test."""

    def __init__(self, *, drift: float = 0.0) -> None:
        self.boot, self.drift, self.step_s, self.shift_s = 100.0, drift, 0.0, 0.0
        self.clock = DatabaseClock(lambda: self.boot, EPOCH + 77.0)
        self.corrections = 0

    def database(self) -> float:
        return EPOCH + self.boot * (1 + self.drift) + self.step_s

    def ledger(self) -> float:
        return self.database() + self.shift_s

    def asks(self, *, there_s: float = 0.001, back_s: float = 0.001, floor_s: float = -1e9) -> float:
        """One exchange; how much ledger time was set."""
        sent = self.boot
        self.boot += there_s
        shown = self.database()
        self.boot += back_s
        seen = Bounds.of(shown, sent, self.boot).moved(self.shift_s)
        step_s = self.clock.step_s(seen, self.boot, floor_s=floor_s)
        self.shift_s += step_s
        self.clock.keep(seen.moved(step_s), self.boot, step_s=step_s)
        self.corrections += step_s != 0
        return step_s


def test_the_first_answer_sets_the_time_and_the_bounds_hold_it() -> None:
    one = Machine()
    assert one.clock.now() == pytest.approx(EPOCH + 177.0)  # by the machine's own wall clock, until it knows
    one.asks(there_s=0.3, back_s=0.1)
    ahead_s, behind_s = one.clock.errors(one.boot)
    assert ahead_s == 0.0
    assert behind_s == pytest.approx(0.4)
    assert one.ledger() - one.clock.now() == pytest.approx(0.1, abs=1e-5)


def test_a_shorter_round_trip_tells_more_and_is_followed_slowly() -> None:
    one = Machine()
    one.asks(there_s=0.02, back_s=0.04)
    one.asks(there_s=0.001, back_s=0.001)
    before = one.clock.now()
    assert one.clock.errors(one.boot)[1] > 0.03
    one.boot += 100.0
    assert one.clock.now() - before == pytest.approx(100.0 * (1 + SLEW))
    one.boot += 1_000.0
    one.asks()
    assert sum(one.clock.errors(one.boot)) < 0.01


def test_it_never_runs_faster_or_slower_than_the_slack_allows_nor_leaves_its_bounds() -> None:
    rng, one = random.Random(5), Machine(drift=4e-5)
    one.asks()
    for _ in range(500):
        boot, now = one.boot, one.clock.now()
        one.boot += rng.uniform(0.0, 3.0)
        passed_s = one.boot - boot
        assert abs(one.clock.now() - now - passed_s) <= SLEW * passed_s + 1e-6
        ahead_s, behind_s = one.clock.errors(one.boot)
        assert -ahead_s - 1e-6 <= one.ledger() - one.clock.now() <= behind_s + 1e-6
        one.asks(there_s=rng.expovariate(200), back_s=rng.expovariate(200))
    assert not one.corrections


@pytest.mark.parametrize("step_s", [3_600.0, 0.5, -0.5, -86_400.0])
def test_a_step_of_the_database_s_clock_is_taken_out(step_s: float) -> None:
    one = Machine()
    for _ in range(5):
        one.asks()
        one.boot += 2.0
    before = one.ledger() - one.boot
    one.step_s += step_s
    assert one.asks() == pytest.approx(-step_s, abs=0.01)
    assert before - 0.01 <= one.ledger() - one.boot <= before  # late rather than early
    one.boot += 2.0
    assert one.asks() == 0.0
    assert one.ledger() - one.clock.now() < 0.02


def test_a_machine_that_stood_still_believes_what_others_saw_pass() -> None:
    one = Machine()
    one.asks()
    one.step_s += 600.0  # for this machine, that is: its own clock stood still
    assert one.asks(floor_s=-1.5) == pytest.approx(-1.5)
    assert one.ledger() - one.clock.now() < 0.01
    assert one.clock.now() > EPOCH + one.boot + 598.0


def test_a_little_that_others_took_out_is_followed_slowly() -> None:
    one = Machine()
    one.asks()
    before = one.clock.now()
    one.shift_s -= JUMP_S / 2
    one.asks()
    assert one.clock.now() >= before
    ahead_s, _ = one.clock.errors(one.boot)
    assert one.clock.now() - one.ledger() <= ahead_s + 1e-6


def test_what_a_process_knew_serves_the_next_one_of_the_same_boot() -> None:
    one = Machine()
    one.asks()
    bounds, seen_at = one.clock.bounds(one.boot), one.ledger()
    assert bounds is not None
    one.boot += 3_600.0
    one.clock = DatabaseClock(lambda: one.boot, 0.0)
    assert not one.clock.is_known
    one.clock.take_over(bounds, seen_at)
    known = one.clock.bounds(one.boot)
    assert known is not None
    assert known.high - known.low == pytest.approx(0.002 + 2 * DRIFT * 3_600, abs=1e-3)
    one.step_s += 10.0
    assert one.asks() == pytest.approx(-10.0, abs=1.0)
    assert one.ledger() - one.clock.now() < 0.01
