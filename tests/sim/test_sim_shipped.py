"""Runs whose journal is shipped: whoever comes next has only what was shipped, and that is all that was written."""

from __future__ import annotations

import pytest

from bulkwriter.store.journal import Journal
from bulkwriter.store.shipping import replay
from tests.store.test_shipping import Kept, tables

from .drive import Simulation, new_journal
from .test_sim import require_right
from .world import draw_world


class ShippedSimulation(Simulation):
    """After each process the log is replayed into a fresh journal, as on another machine."""

    def new_journal(self) -> Journal:
        self.log = Kept()
        journal = new_journal().shipped(self.log)
        journal.begin(journal.meta())
        return journal

    def handed_on(self) -> Journal:
        left, replayed = self.journal.reopened(), new_journal()
        assert replay(replayed, enumerate(self.log.groups, 1), log="the log") == len(self.log.groups)
        if (was := tables(left)) != (now := tables(replayed)):
            self.result.wrong += [f"{name}: {was[name]} became {now[name]}" for name in was if was[name] != now[name]]
        left.close()
        return replayed.shipped(self.log)


@pytest.mark.parametrize("first", [0, 4_000])
def test_a_replayed_log_is_the_journal_after_each_process_however_it_ended(first: int) -> None:
    require_right(*(ShippedSimulation(draw_world(seed)).run() for seed in range(first, first + 8)))
