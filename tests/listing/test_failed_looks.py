"""Looks that fail on end: the pause after each, for how long that goes on, and when it is for good; by plain times."""

from __future__ import annotations

import random

from bulkwriter.listing.lists import ListFailed
from bulkwriter.listing.looks import SHORTEST_PAUSE_S, FailedLooks
from bulkwriter.listing.retry_until_deadline import LONGEST_PAUSE_S, ODD_TRIES, Oddness, Pauses


def failed_looks(oddness: Oddness | None = None) -> FailedLooks:
    return FailedLooks(Pauses(random.Random(1)), oddness)


def test_time_in_vain_counts_from_the_first_failure_to_the_end_of_the_last_pause() -> None:
    failures = failed_looks()
    assert failures.seconds(100.0) == 0.0
    failures.failed(ListFailed("HTTP 500"), 100.0)
    pause_s = failures.failed(ListFailed("HTTP 502"), 110.0)
    assert failures.seconds(110.0) == 10.0
    assert failures.seconds(1_000.0) == 10.0 + pause_s  # nobody looked since
    assert failures.reason == "HTTP 502"


def test_a_list_that_was_read_ends_it() -> None:
    failures = failed_looks()
    failures.failed(ListFailed("HTTP 500"), 100.0)
    failures.ended()
    assert failures.seconds(100.0) == 0.0
    assert failures.since is None
    failures.failed(ListFailed("HTTP 500"), 200.0)
    assert failures.since == 200.0


def test_pauses_grow_within_bounds_and_begin_anew() -> None:
    failures = failed_looks()
    pauses = [failures.failed(ListFailed("HTTP 500"), 0.0) for _ in range(200)]
    assert min(pauses) >= SHORTEST_PAUSE_S
    assert 10.0 < max(pauses) <= LONGEST_PAUSE_S
    failures.ended()
    assert failures.failed(ListFailed("HTTP 500"), 0.0) <= 0.25


def test_a_stated_wait_is_kept() -> None:
    assert failed_looks().failed(ListFailed("HTTP 429", retry_after_s=400.0), 0.0) == 400.0


def test_what_is_forbidden_is_so_for_good() -> None:
    failures = failed_looks()
    failures.failed(ListFailed("HTTP 500"), 0.0)
    words = [failures.forbidden]
    failures.failed(ListFailed("HTTP 403", is_forbidden=True), 1.0)
    failures.ended()
    words.append(failures.forbidden)
    assert words == ["", "HTTP 403"]


def test_lists_of_another_shape_are_for_good_only_where_somebody_waits_and_if_no_look_succeeds() -> None:
    odd = ListFailed("not a list", is_odd=True)
    run, command = failed_looks(), failed_looks(Oddness())
    for n in range(ODD_TRIES):
        run.failed(odd, n * 10.0)
        command.failed(odd, n * 10.0)
    assert not run.forbidden
    assert command.forbidden == "not a list"

    better = failed_looks(Oddness())
    for n in range(ODD_TRIES):
        better.failed(odd, n * 10.0)
        better.succeeded()
    assert not better.forbidden
