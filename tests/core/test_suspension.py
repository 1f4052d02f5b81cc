"""When a stopped writer tries again: one request, after growing pauses, not before a time that was stated."""

from __future__ import annotations

import random

import pytest

from bulkwriter.core.suspension import FIRST_S, LONGEST_S, Suspension
from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater

WALL_S = 1_764_000_000.0
FORBIDDEN = ConfigurationStop("HTTP 403")


def suspended(error: BulkwriterError = FORBIDDEN, *, seed: int = 1, has_password: bool = False) -> Suspension:
    made = Suspension(rng=random.Random(seed), has_password=has_password)
    assert made.begin(error, 100.0, WALL_S)
    return made


def pauses(suspension: Suspension, count: int) -> list[float]:
    """The pauses before the next tries, each made when it is due."""
    now, found = 100.0, []
    for _ in range(count):
        at = suspension.opens_at(now)
        found.append(at - now)
        suspension.tried(at)
        suspension.check()
        now = at
    return found


@pytest.mark.parametrize("seed", range(5))
def test_pauses_grow_from_a_second_or_two_to_five_minutes(seed: int) -> None:
    for n, pause_s in enumerate(pauses(suspended(seed=seed), 20)):
        most_s = min(LONGEST_S, FIRST_S * 2**n)
        assert most_s / 2 <= pause_s <= most_s


def test_nothing_waits_while_all_is_well() -> None:
    suspension = Suspension(rng=random.Random(1))
    suspension.tried(5.0)
    assert suspension.opens_at(7.0) == 7.0
    assert not suspension.is_refusing


def test_an_error_during_a_suspension_replaces_the_one_before_and_hurries_nothing() -> None:
    suspension = suspended()
    at = suspension.opens_at(100.0)
    assert not suspension.begin(TryLater("gone"), 100.5, WALL_S)
    assert suspension.opens_at(100.5) == at
    assert (suspension.error and suspension.error.message, suspension.since) == ("gone", 100.0)
    suspension.begin(TryLater("spent", retry_at=WALL_S + 3_600.0), 101.0, WALL_S)
    assert suspension.is_refusing
    assert suspension.opens_at(101.0) == 101.0 + 3_600.0


def test_a_try_that_found_no_lane_is_one_all_the_same() -> None:
    suspension = suspended()
    at = suspension.opens_at(100.0)
    suspension.begin(FORBIDDEN, at, WALL_S)
    assert suspension.opens_at(at) > at


@pytest.mark.parametrize("is_proven", [True, False])
def test_only_a_pair_that_was_taken_or_refused_makes_the_pauses_short_again(is_proven: bool) -> None:
    suspension = suspended()
    pauses(suspension, 20)
    suspension.end(is_proven=is_proven)
    assert suspension.opens_at(9_000.0) == 9_000.0
    assert suspension.is_unproven != is_proven
    suspension.begin(FORBIDDEN, 9_000.0, WALL_S)
    assert (suspension.opens_at(9_000.0) - 9_000.0 <= FIRST_S) == is_proven


def test_who_begins_a_source_need_not_wait_for_the_next_try_but_for_a_stated_time() -> None:
    suspension = suspended()
    pauses(suspension, 9)
    suspension.hurry(500.0)
    assert suspension.opens_at(500.0) == 500.0
    stated = suspended(TryLater("spent", retry_at=WALL_S + 60.0))
    stated.hurry(101.0)
    assert stated.opens_at(101.0) == 160.0


def test_a_password_that_was_refused_is_not_tried_often() -> None:
    wrong = suspended(ConfigurationStop("refused", code="token"), has_password=True)
    assert pauses(wrong, 4) == [LONGEST_S] * 4
    wrong.hurry(101.0)
    assert wrong.opens_at(101.0) > 101.0
    assert pauses(suspended(has_password=True), 1)[0] <= FIRST_S
