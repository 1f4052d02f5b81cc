"""How long pairs waited, by hand, and against the time of each pair in random walks."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from bulkwriter.core.measured import MeasuredStats
from bulkwriter.core.pairs import Pairs
from bulkwriter.metrics import WAITING_S, Distribution
from bulkwriter.model import Intent
from bulkwriter.run.measured import TimedPairs, pairs_for, stats_for

BOUNDS = {"late_apply_s": 60.0, "list_lag_s": 5.0, "max_attempts": 5, "most_rows": 1_000}


def intents(first: int, count: int) -> list[Intent]:
    return [Intent(seq, (1, seq + 1), 0, seq, None) for seq in range(first, first + count)]


class Stage:
    """Timed pairs, and the true wait of each pair."""

    def __init__(self) -> None:
        self.stats = MeasuredStats(0.0)
        self.pairs = TimedPairs(self.stats, **BOUNDS)
        self.now = 0.0
        self.seq = 0
        self.ready_at: dict[int, float] = {}
        self.true: list[float] = []

    def add(self, count: int) -> None:
        made = intents(self.seq, count)
        self.seq += count
        self.ready_at.update(dict.fromkeys((intent.seq for intent in made), self.now))
        self.pairs.added(made, self.now)

    def turn(self, count: int) -> list[Intent]:
        """Send as many as there are, up to `count`."""
        sent = [self.pairs.next() for _ in range(min(count, len(self.pairs.ready)))]
        for intent in sent:
            if (at := self.ready_at.pop(intent.seq, None)) is not None:
                self.true.append(self.now - at)
        self.pairs.turned(self.now)
        return sent

    def waits(self) -> Distribution:
        return self.stats.waits.read()

    def expected(self) -> list[int]:
        edges = [-1.0, *WAITING_S, float("inf")]
        return [sum(low < wait <= high for wait in self.true) for low, high in pairwise(edges)]


def test_each_pair_is_timed_once_from_its_chunk_to_its_turn() -> None:
    stage = Stage()
    stage.add(3)
    stage.now = 0.5
    stage.turn(2)
    stage.add(2)
    stage.now = 2.0
    stage.turn(9)
    assert stage.waits().count == 5
    assert stage.waits().total_s == pytest.approx(0.5 + 0.5 + 2.0 + 1.5 + 1.5)


def test_a_pair_that_comes_back_is_not_timed_again() -> None:
    stage = Stage()
    stage.add(2)
    (sent,) = stage.turn(1)
    stage.now = 5.0
    stage.pairs.back(sent, stage.now)
    stage.turn(2)
    assert (stage.waits().count, stage.waits().total_s) == (2, 5.0)


@pytest.mark.parametrize("seed", range(50))
def test_random_walks_are_told_pair_by_pair(seed: int) -> None:
    rng, stage = random.Random(seed), Stage()
    flying: list[Intent] = []
    for _ in range(200):
        stage.now += rng.choice((0.0, 0.003, 0.04, 3.0))
        match rng.randrange(3):
            case 0:
                stage.add(rng.randrange(1, 9))
            case 1:
                flying += stage.turn(rng.randrange(9))
            case _ if flying:
                stage.pairs.back(flying.pop(rng.randrange(len(flying))), stage.now)
    assert list(stage.waits().counts) == stage.expected()
    assert stage.waits().total_s == pytest.approx(sum(stage.true))


def test_after_pairs_were_taken_out_only_new_ones_are_timed() -> None:
    stage = Stage()
    stage.add(4)
    stage.pairs.taken_back(lambda intent: intent.seq == 2)
    stage.add(1)
    stage.now = 1.0
    stage.turn(9)
    assert (stage.waits().count, stage.waits().total_s) == (1, 1.0)


def test_a_run_that_nobody_measures_has_plain_parts() -> None:
    assert type(pairs_for(stats_for(0.0, is_measured=False), **BOUNDS)) is Pairs
    assert type(pairs_for(stats_for(0.0, is_measured=True), **BOUNDS)) is TimedPairs
