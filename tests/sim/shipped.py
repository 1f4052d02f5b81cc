"""Simulated runs whose journal is shipped: whoever comes next has only what its log replays, as on another machine.

    ShippedSimulation     compares every table after each process, however it ended
    ComparedSimulation    compares them after each group besides: a crash at any point leaves one of these logs

A crash between the local commit of group n and its shipping leaves a log of n - 1 groups, one after it a log of n.  No
other log can be left.  So a run that was compared after each of its groups was compared at every crash point.
"""

from __future__ import annotations

from collections.abc import Mapping

from bulkwriter.model import State
from bulkwriter.store.journal import Journal
from bulkwriter.store.shipping import replay
from tests.store.test_shipping import Kept, Tables, tables

from .drive import Simulation, new_journal


class ShippedSimulation(Simulation):
    """After each process the log is replayed into a fresh journal."""

    log: Kept

    def new_journal(self) -> Journal:
        self.log = self.new_log()
        journal = new_journal().shipped(self.log)
        journal.begin(journal.meta())
        return journal

    def new_log(self) -> Kept:
        return Kept()

    def handed_on(self) -> Journal:
        left, replayed = self.journal.reopened(), replayed_from(self.log)
        self.result.wrong += differences(tables(left), tables(replayed))
        left.close()
        return replayed.shipped(self.log)


class ComparedSimulation(ShippedSimulation):
    """After each group that is shipped the log is replayed.  `points` counts these."""

    points = 0

    def new_log(self) -> Kept:
        return ComparedLog(self)

    def compare(self) -> None:
        """The journal has committed what the log has just been given."""
        self.points += 1
        replayed = replayed_from(self.log)
        self.result.wrong += differences(tables(self.journal), tables(replayed))
        replayed.close()


class ComparedLog(Kept):
    """A log that is replayed whenever a group has come."""

    def __init__(self, simulation: ComparedSimulation) -> None:
        super().__init__()
        self._simulation = simulation

    def ship(self, group: bytes, counts: Mapping[State, int]) -> None:
        super().ship(group, counts)
        if len(self.groups) > 1:  # the first one begins the journal, before anybody has it
            self._simulation.compare()


def replayed_from(log: Kept) -> Journal:
    replayed = new_journal()
    assert replay(replayed, enumerate(log.groups, 1), log="the log") == len(log.groups)
    return replayed


def differences(was: Tables, now: Tables) -> list[str]:
    return [f"{name}: {was[name]} became {now[name]}" for name in was if was[name] != now[name]]
