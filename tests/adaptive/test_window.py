"""The window of a server, and the rate of a log that is measured over it; how it does as a whole is shown by the
control matrix (`log`, `window` and `counter` cells).
"""

from __future__ import annotations

import math

import pytest

from bulkwriter.adaptive.recent import Mark
from bulkwriter.adaptive.window import HOLD_SHARE_FIRST, USED, Window


def found(requests: int = 300) -> Window:
    """All taken at once at the start, then a hold of 4.5 s, at 4.8 s of which a canary was refused."""
    window = Window()
    start = Mark(0.0, 0)
    window.begin(start)
    window.note(Mark(0.5, requests))
    assert window.held(ended(window, 5.0, requests), start, 4.5, 0.2)
    return window


def ended(window: Window, at: float, taken: int, held_s: float = 4.5) -> Mark:
    """The end of a hold, as the limit tells of it."""
    mark = Mark(at, taken)
    window.since(mark, held_s)
    window.note(mark)
    return mark


def test_what_was_taken_until_the_first_long_hold_is_the_window() -> None:
    window = found()
    assert (window.requests, window.shortest_s, window.longest_s) == (300, 4.8, 5.0)
    assert (window.usual_s, window.length_s, window.exact) == (5.0, 5.0, 60.0)


def test_what_was_taken_before_the_first_window_began_is_not_of_it() -> None:
    """A window of 183 in 10 s begins 0.6 s after the first request; 2 went before."""
    window = Window()
    window.begin(Mark(0.0, 0))
    for at, taken in ((0.3, 2), (0.9, 6), (1.4, 14)):
        window.passed(Mark(at, taken))
    assert window.held(Mark(10.7, 185), Mark(0.0, 0), 7.0, 0.3)
    assert (window.requests, window.usual_s) == (183, 10.0)


def test_a_first_window_may_also_have_begun_before_the_first_request() -> None:
    """Half went more than 2 s before its end, 3.1 s after the start: it is of 5 s."""
    window = Window()
    window.begin(Mark(0.0, 0))
    window.passed(Mark(0.8, 100))
    assert window.held(Mark(3.1, 205), Mark(0.0, 0), 1.3, 0.3)
    assert window.requests == 205


def test_no_more_is_believed_than_went_in_a_windows_length_before_a_throttle() -> None:
    window = found()
    window.passed(Mark(6.0, 400))
    window.passed(Mark(10.5, 690))
    window.refused(Mark(11.0, 695))
    assert window.requests == 295
    window.passed(Mark(12.0, 700))
    window.refused(Mark(16.0, 800))  # so few: it is another limit that refuses
    assert window.requests == 295


def test_a_length_that_nobody_chooses_is_the_middle_of_its_bounds() -> None:
    window = Window()
    window.begin(Mark(0.0, 0))
    assert window.held(Mark(8.0, 300), Mark(0.0, 0), 7.0, 1.5)
    assert (window.usual_s, window.exact) == (0.0, 0.0)
    assert window.length_s == pytest.approx(math.sqrt(6.5 * 8.0))


def test_the_next_hold_is_foretold_from_the_first_of_the_last_requests() -> None:
    """The next 300 go from 6 s to 9 s.  A log frees the first of them at 11 s; a window that ended up to 0.2 s before
    5 s was noticed may have begun so much earlier."""
    window = found()
    for at, taken in ((6.0, 300), (9.0, 600)):
        window.note(Mark(at, taken))
    assert window.ends_at(Mark(9.1, 600)) == pytest.approx(11.0)


def test_without_a_window_a_hold_may_end_where_a_usual_one_would() -> None:
    window = Window()
    window.begin(Mark(100.0, 0))
    assert window.ends_at(Mark(107.0, 50)) == 110.0
    assert window.ends_at(Mark(9_999.0, 50)) == math.inf


def test_each_hold_narrows_the_bounds_and_a_longer_one_replaces_them() -> None:
    window = found()
    assert window.held(ended(window, 9.9, 600), Mark(5.0, 300), 2.0, 0.1)
    assert window.shortest_s == pytest.approx(4.8)
    assert window.longest_s == pytest.approx(5.0)
    assert not window.held(ended(window, 10.2, 660, 0.2), Mark(9.9, 600), 0.2, 0.01)  # another limit's
    assert window.held(ended(window, 20.0, 900), Mark(9.9, 600), 8.0, 0.1)
    assert window.shortest_s > 9.0
    window.check()


def test_a_hold_is_measured_since_the_last_that_was_no_shorter() -> None:
    """Pauses of a second are a bucket's; the window's own hold counts all that was taken since its last one."""
    window, start = Window(), Mark(0.0, 0)
    window.begin(start)
    assert window.since(Mark(10.0, 100), 1.0) == start
    assert window.since(Mark(20.0, 200), 1.0) == Mark(10.0, 100)
    assert window.since(Mark(60.0, 400), 30.0) == start
    assert window.since(Mark(70.0, 500), 1.0) == Mark(60.0, 400)
    assert window.since(Mark(120.0, 800), 25.0) == Mark(60.0, 400)


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
    for taken, held_s in ((10, 4.5), (300, 0.9 * HOLD_SHARE_FIRST * 5.0)):
        window = Window()
        window.begin(Mark(0.0, 0))
        assert not window.held(Mark(5.0, taken), Mark(0.0, 0), held_s, 0.1)
        assert window.requests == 0
    window = Window()
    window.begin(Mark(0.0, 0))
    window.begin(Mark(2.0, 100))
    assert not window.held(Mark(7.0, 400), Mark(2.0, 100), 4.5, 0.1)
    assert window.held(Mark(12.0, 600), Mark(7.0, 400), 4.5, 0.1)
    assert window.requests == 200


def test_the_first_time_may_have_met_two_windows() -> None:
    window = found(500)
    assert window.held(ended(window, 8.0, 800), Mark(5.0, 500), 1.0, 0.1)
    assert (window.requests, window.longest_s) == (300, 3.0)
    window.held(ended(window, 11.0, 840), Mark(8.0, 800), 1.0, 0.1)  # 40 are less than half: no window
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
