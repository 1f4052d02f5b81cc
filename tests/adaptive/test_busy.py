"""503s that state no wait: throttles where a lower pace ends them, errors where it does not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from benchmarks.control import measure, servers
from benchmarks.control.cells import BASE, USUAL, Cell, bucket, window
from bulkwriter.adaptive import Controller

from .test_adaptive import controller

IN_FLIGHT = 64


class Refused:
    """A client that hears of each throttle as of a plain 503."""

    def __init__(self, rng: random.Random, *, is_told: bool = True) -> None:
        self._control = Controller(IN_FLIGHT, pause_cap_s=60.0, rng=rng)
        self._hear: Callable[[float, float], object] = self._control.on_busy if is_told else self._control.note_error
        self.next_send_at, self.on_sent, self.on_good = (
            self._control.next_send_at,
            self._control.on_sent,
            self._control.on_good,
        )

    @property
    def in_flight_limit(self) -> int:
        return self._control.in_flight_limit

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        self._hear(now, sent_at)
        self._control.check()
        return now


class Broken(servers.Server):
    """Answers a share of what it would take with a 503, whatever the pace."""

    share, since, until = 0.0, 0.0, math.inf

    def arrive(self, at: float) -> servers.Answer:
        answer = super().arrive(at)
        if self.since <= at < self.until and not answer.is_throttle and self.rng.random() < self.share:
            return servers.Answer(at + self.timing.refusal_s, is_throttle=True, retry_after_s=None)
        return answer


class BrokenCell(Cell):
    """A cell before a broken server."""

    __slots__ = ()
    share, since, until = 0.0, 0.0, math.inf

    def server(self, rng: random.Random) -> servers.Server:
        broken = Broken(rng=rng, timing=self.timing, limits=self.limits(rng))
        broken.share, broken.since, broken.until = self.share, self.since, self.until
        return broken


def broken(share: float, since: float = 0.0, until: float = math.inf, **about: object) -> Cell:
    kind = type("BrokenCell", (BrokenCell,), {"share": share, "since": since, "until": until, "__slots__": ()})
    cell = kind(name=f"{share:.0%} broken", factor="server", limit_per_s=IN_FLIGHT / USUAL.mean_s, **about)
    assert isinstance(cell, Cell)
    return cell


def run(cell: Cell, *, is_told: bool = True, seed: int = 1) -> measure.Figures:
    return measure.run(cell, lambda cell, rng: Refused(rng, is_told=is_told), seed)


LIMITED = (
    Cell(name="bucket", factor="server", limits=BASE),
    Cell(name="slow bucket", factor="server", limits=bucket(10, 5), limit_per_s=10, ends_at=200, steady_s=100),
    Cell(name="fast bucket", factor="server", limits=bucket(400, 20), limit_per_s=400),
    Cell(name="at most 20 at a time", factor="server", cap=20, limit_per_s=20 / USUAL.mean_s),
    Cell(name="window", factor="server", limits=window(100, 1)),
)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("cell", LIMITED, ids=lambda cell: cell.name)
def test_where_the_pace_is_to_blame_the_limit_is_found(cell: Cell, seed: int) -> None:
    figures = run(cell, seed=seed)
    assert figures.steady >= 0.95
    assert figures.throttled <= 0.015
    assert figures.throttled_all <= 0.06


def test_without_the_trial_most_requests_would_be_refused() -> None:
    assert run(LIMITED[0], is_told=False).throttled_all > 0.8


@pytest.mark.parametrize(("share", "seed"), [(0.02, 1), (0.1, 2), (0.3, 3), (0.6, 1)])
def test_where_it_is_not_the_pace_stays(share: float, seed: int) -> None:
    cell = broken(share)
    told, untold = run(cell, seed=seed), run(cell, is_told=False, seed=seed)
    assert told.steady >= 0.98 * untold.steady
    assert told.total >= 0.8 * untold.total


@pytest.mark.parametrize("for_s", [0.3, 2.0, 10.0])
def test_a_server_that_breaks_down_for_a_while_is_not_sent_less_afterwards(for_s: float) -> None:
    cell = broken(1.0, since=20.0, until=20.0 + for_s, ends_at=50.0, steady_s=50.0 - 20.0 - for_s)
    assert run(cell).steady >= 0.95 * run(cell, is_told=False).steady


def test_throttles_that_go_on_at_any_pace_are_errors_again() -> None:
    """A bucket of 100/s for 30 s, and then two of five are broken: the bucket lets 60/s through."""
    cell = broken(0.4, since=30.0, limits=BASE, ends_at=160.0, steady_s=30.0)
    assert run(cell).steady * cell.limit_per_s >= 45.0


def test_a_trial_ends_where_the_server_says_too_fast_in_other_words() -> None:
    control = controller(IN_FLIGHT)
    now = 1_000.0
    control.on_sent(now)
    control.on_good(now + 0.1, now, 0.1)
    for n in range(40):
        now += 0.01
        control.on_sent(now)
        control.on_busy(now + 0.005, now) if n % 2 else control.on_good(now + 0.005, now, 0.005)
        if control.holding(now, is_full=False).kind == "busy":
            break
    assert control.holding(now, is_full=False).kind == "busy"
    control.on_sent(now + 1)
    control.on_throttle(now + 1.1, now + 1, None)
    assert control.holding(now + 9, is_full=False).kind != "busy"
    control.check()


def test_before_anything_was_taken_there_is_no_pace_to_try() -> None:
    """What was lost may have been taken, for all that is known; a trial needs a pace."""
    control, now = controller(IN_FLIGHT), 1_000.0
    for n in range(60):
        now += 1.0
        control.on_sent(now)
        control.on_busy(now + 0.1, now) if n % 3 else control.note_error(now + 0.1, now)
        control.check()
    assert control.holding(now, is_full=False).kind != "busy"
