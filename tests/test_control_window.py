"""The window of a server, and the rate of a log that is measured over it; how it does as a whole is shown by the
control matrix (`log`, `window` and `counter` cells).
"""

from __future__ import annotations

import math

import pytest

from bulkwriter.core.control.recent import Mark
from bulkwriter.core.control.window import HOLD_SHARE_FIRST, USED, Window


def found(requests: int = 300) -> Window:
    """All taken at once at the start, then a hold of 5 s."""
    window = Window()
    window.begin(Mark(0.0, 0))
    window.note(Mark(0.5, requests))
    window.held(Mark(5.0, requests), requests, 5.0, 4.5)
    return window


def test_what_was_taken_until_the_first_long_hold_is_the_window() -> None:
    assert (found().requests, found().length_s) == (300, 5.0)


def test_a_log_is_measured_exactly_though_it_was_sent_to_unevenly() -> None:
    """300 in 5 s, of which 200 go in the first second and the others in the last."""
    window = found()
    for at, taken in ((6.0, 500), (9.0, 500), (10.0, 600)):
        window.note(Mark(at, taken))
    share = (1 - USED) * 300 / 200  # of the first second, which `USED` leaves out
    assert window.rate(Mark(10.0, 600)) == pytest.approx(USED * 300 / (5.0 - share))
    assert math.isclose(window.rate(Mark(10.0, 600)), 60.0, rel_tol=0.05)


def test_nothing_is_measured_back_into_the_hold_or_without_a_window() -> None:
    window = found()
    window.note(Mark(6.0, 400))
    assert window.rate(Mark(6.0, 400)) == 0.0  # 100 since the hold
    window.note(Mark(9.0, 600))
    assert window.rate(Mark(9.0, 600)) > 0.0
    window.begin(Mark(9.5, 620))
    assert window.rate(Mark(9.6, 630)) == 0.0  # few pairs came
    assert Window().rate(Mark(9.0, 600)) == 0.0


def test_no_window_is_seen_in_a_trickle_a_short_hold_or_what_began_midway() -> None:
    for taken, held_s in ((20, 4.5), (300, 0.9 * HOLD_SHARE_FIRST * 5.0)):
        window = Window()
        window.begin(Mark(0.0, 0))
        window.held(Mark(5.0, taken), taken, 5.0, held_s)
        assert window.requests == 0
    window = Window()
    window.begin(Mark(0.0, 0))
    window.begin(Mark(2.0, 100))
    window.held(Mark(7.0, 400), 300, 5.0, 4.5)
    assert window.requests == 0
    window.held(Mark(12.0, 600), 200, 5.0, 4.5)
    assert window.requests == 200


def test_the_first_time_may_have_met_two_windows() -> None:
    window = found(500)
    window.held(Mark(10.0, 800), 300, 5.0, 1.0)
    assert window.requests == 300
    window.held(Mark(11.0, 840), 40, 1.0, 0.5)  # less than half: no window
    assert window.requests == 300
    window.check()
    window.forget()
    assert (window.requests, window.length_s) == (0, 0.0)


def test_marks_between_throttles_are_a_small_part_of_the_window_apart() -> None:
    window = found()
    for taken in range(301, 601):
        window.passed(Mark(5.0 + (taken - 300) / 60.0, taken))
    assert window.rate(Mark(10.0, 600)) == pytest.approx(60.0)
    window.check()
