"""Servers that state a wait of a second whatever they need, over the first 20 s from the first write taken.

The figures of one seed; what the controller should reach, and reaches over more seeds, `python -m benchmarks control`
tells.  Virtual time and a fixed seed: a figure changes only when the controller or the model does.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.control import matrix, measure
from benchmarks.control.cells import Cell
from benchmarks.control.stated import PLAIN, STATED, STATED_HELD_OUT

LEAST_IN_20_S = 0.34
MOST_THROTTLED = 0.13
ALL = [cell for cell in (*STATED, *STATED_HELD_OUT) if cell not in PLAIN and cell.limit_per_s < 1_000]
"""Of a thousand a second no more is shown, at ten times the cost."""


def test_half_of_the_cells_are_held_out_and_none_is_on_both_sides() -> None:
    names, judged = {cell.name for cell in STATED}, {cell.name for cell in STATED_HELD_OUT}
    assert names.isdisjoint(judged)
    assert len(names) == len(judged)


@pytest.mark.parametrize("cell", ALL, ids=lambda cell: str(cell.name))
def test_twenty_seconds_at_a_limit_that_states_a_second(cell: Cell) -> None:
    found = measure.run(replace(cell, ends_at=21.5, steady_s=10.0), matrix.ours, 1)
    assert found.too_early == 0
    assert found.in_20_s is not None
    assert found.throttled_20_s is not None
    assert found.in_20_s >= LEAST_IN_20_S
    assert found.throttled_20_s <= MOST_THROTTLED
