"""Servers drawn by chance: a number is one server, every kind is drawn, and the controller does there what no chance
may change: nothing goes before a stated Retry-After, and hardly a server is left idle or stormed."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest

from benchmarks.control import bars, matrix, measure
from benchmarks.control.drawn import FORMS, OUT, drawn

NUMBERS = range(5_000, 5_012)
"""On none of these was the controller made."""
STEADY_MEAN, THROTTLED_MEAN = 0.965, 0.006
STEADY_WORST = 0.5


def test_a_number_is_one_server_and_all_kinds_and_forms_are_drawn() -> None:
    cells = [drawn(number) for number in range(300)]
    again = drawn(17)
    assert (again.name, again.limit_per_s, again.ends_at) == (cells[17].name, cells[17].limit_per_s, cells[17].ends_at)
    kinds = Counter(cell.name.split(": ")[1].split()[0] for cell in cells)
    assert set(kinds) == {"bucket", "window", "log", "counter", "at", "queue"}
    assert {cell.form for cell in cells} == set(FORMS)
    assert all(cell.is_clean and cell.limit_per_s * cell.timing.latency_s < 1.2 * OUT for cell in cells if not cell.cap)


@pytest.mark.parametrize("number", [710_071, 710_161, 710_186, 710_075, 710_100])
def test_servers_that_missed_a_bar_once_meet_both(number: int) -> None:
    """First windows that begin after the first request, ends of windows far away, waits rounded up to seconds, a bucket
    taken for a counter."""
    cell = drawn(number)
    one = measure.run(cell, matrix.ours, 1)
    assert [key for key in bars.misses(cell, one) if key in ("steady", "throttled")] == []


@pytest.mark.slow
def test_no_server_is_stormed_or_left_idle() -> None:
    found = [measure.run(drawn(number), matrix.ours, 1) for number in NUMBERS]
    assert [one.cell for one in found if one.too_early] == []
    assert statistics.fmean(min(1.0, one.steady) for one in found) >= STEADY_MEAN
    assert statistics.fmean(one.throttled for one in found) <= THROTTLED_MEAN
    assert min(one.steady for one in found) >= STEADY_WORST
