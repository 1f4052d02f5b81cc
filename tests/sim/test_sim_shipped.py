"""Runs whose journal is shipped: whoever comes next has only what was shipped, and that is all that was written."""

from __future__ import annotations

import pytest

from bulkwriter.store import shipping

from .shipped import ComparedSimulation, ShippedSimulation
from .test_sim import require_right
from .world import draw_world


@pytest.mark.parametrize("first", [0, 4_000])
def test_a_replayed_log_is_the_journal_after_each_process_however_it_ended(first: int) -> None:
    require_right(*(ShippedSimulation(draw_world(seed)).run() for seed in range(first, first + 8)))


def test_a_replay_that_leaves_something_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shipping.CALLS, "m", lambda journal, key, value: None)
    simulation = ComparedSimulation(draw_world(0))
    assert any("meta" in what for what in simulation.run().wrong)
    assert simulation.points
