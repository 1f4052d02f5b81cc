"""Rows on their way to the disk: none is delivered before it is durable, groups are bounded, a failure ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bulkwriter.core.pairs import Pairs
from bulkwriter.errors import JournalError
from bulkwriter.model import Intent, State
from bulkwriter.rows import SettleRow
from bulkwriter.run.committer import LONGEST_PAUSE_S, Committer, pause_s, settled_in
from bulkwriter.run.delivery import Deliveries
from bulkwriter.run.entrance import Entrance
from bulkwriter.run.ports import Store
from bulkwriter.run.row_finder import RowFinder
from tests.support.run_loop import a_run_loop

from ..sim.loop import run_virtual


@dataclass
class Disk:
    """A journal of states; a commit takes `commit_s`."""

    rows: dict[int, int] = field(default_factory=dict)
    commit_s: float = 0.01
    groups: list[int] = field(default_factory=list)
    is_broken: bool = False

    @property
    def counts(self) -> dict[State, int]:
        return {}

    async def settle(self, rows: list[SettleRow]) -> None:
        await asyncio.sleep(self.commit_s)
        if self.is_broken:
            raise JournalError("the disk is full")
        self.groups.append(len(rows))
        self.rows.update({row[0]: row[1] for row in rows})

    async def recall(self, rows: Sequence[SettleRow], expected: Collection[int]) -> list[int]:
        states = [self.rows[row[0]] for row in rows]
        await self.settle([row for row in rows if self.rows[row[0]] in expected])
        return states


def intent(seq: int) -> Intent:
    return Intent(seq, (1, seq + 1), 0, None, None)


def row(seq: int, state: State) -> SettleRow:
    return seq, int(state), 1, None, None, None


def nobody() -> Entrance:
    """No single pair comes in."""
    entrance: Any = SimpleNamespace(waiting=lambda: 0, take=lambda: None, rows_to_make=0)
    return cast(Entrance, entrance)


class Stage:
    """A committer at work for the pairs of a run."""

    def __init__(self, disk: Disk, *, most: int = 100) -> None:
        self.pairs = Pairs(late_apply_s=60.0, list_lag_s=5.0, max_attempts=5, most_rows=most)
        clock = asyncio.get_running_loop().time
        self.run = a_run_loop(clock=clock)
        self.delivered: list[tuple[int, int]] = []
        self.committer = Committer(
            self.run, cast(Store, disk), self.pairs, self.deliveries(), nobody(), RowFinder(),
            after_commit=self.after, clock=clock,
        )  # fmt: skip
        self.commits = 0

    def begin(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self.committer.commit())

    def deliveries(self) -> Deliveries:
        deliveries: Any = SimpleNamespace(deliver=self.deliver)
        return cast(Deliveries, deliveries)

    def deliver(self, intents: list[Intent], rows: list[SettleRow]) -> None:
        assert [intent.seq for intent in intents] == [row[0] for row in rows]
        self.delivered += [row[:2] for row in rows]

    def after(self) -> None:
        self.commits += 1

    def answer(self, seq: int, state: State = State.CREATED) -> None:
        self.pairs.answered(intent(seq), row(seq, state))
        self.run.soon()


def played(disk: Disk, act: Callable[[Stage], object], *, most: int = 100) -> Stage:
    """Let `act` queue rows, and the committer work for two seconds."""

    async def main() -> Stage:
        stage = Stage(disk, most=most)
        running = stage.begin()
        done = act(stage)
        stage.run.soon()
        if asyncio.iscoroutine(done):
            await done
        await asyncio.sleep(2)
        running.cancel()
        return stage

    return run_virtual(main)


def test_an_outcome_is_delivered_after_its_commit() -> None:
    async def act(stage: Stage) -> None:
        stage.answer(0)
        await asyncio.sleep(0.009)
        assert (stage.delivered, stage.pairs.is_settled) == ([], False)
        await asyncio.sleep(0.002)
        assert (stage.delivered, stage.pairs.is_settled) == ([(0, State.CREATED)], True)

    played(Disk(), act)


def test_what_comes_during_a_commit_goes_into_the_next_one_in_its_order() -> None:
    disk = Disk()

    async def act(stage: Stage) -> None:
        for seq in range(50):
            stage.answer(seq % 7, State.IN_DOUBT if seq < 43 else State.CREATED)
            await asyncio.sleep(0.0005)

    stage = played(disk, act)
    assert sum(disk.groups) == 50
    assert disk.groups[0] == 1
    assert len(disk.groups) <= 5
    assert [seq for seq, _ in stage.delivered] == [seq % 7 for seq in range(50)]
    assert disk.rows == dict.fromkeys(range(7), State.CREATED)


def test_the_pause_between_commits_is_bounded() -> None:
    async def act(stage: Stage) -> None:
        for seq in range(999):
            stage.answer(seq)
        await asyncio.sleep(0.001)
        stage.answer(999)
        began = asyncio.get_running_loop().time()
        while not stage.pairs.is_settled:
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - began <= LONGEST_PAUSE_S + 0.002

    played(Disk(commit_s=0.0), act, most=10_000)


@pytest.mark.parametrize(("rows", "longest_s"), [(1, 0.0005), (40, 0.02), (200, 0.02), (400, 0.04), (5_000, 0.05)])
def test_a_pause_grows_with_its_group(rows: int, longest_s: float) -> None:
    assert pause_s(rows) == pytest.approx(longest_s)


def test_sending_waits_while_the_buffer_is_full() -> None:
    async def act(stage: Stage) -> None:
        is_full = [stage.pairs.is_full]
        for seq in (0, 1):
            stage.answer(seq)
            is_full.append(stage.pairs.is_full)
        await asyncio.sleep(0.011)
        assert [*is_full, stage.pairs.is_full] == [False, False, True, False]
        assert stage.commits == 1

    played(Disk(), act, most=2)


def test_what_a_cut_commit_had_taken_is_committed_by_the_flush() -> None:
    """Whoever committed was cancelled from outside; the same rows once more say the same."""
    disk = Disk()

    async def main() -> Stage:
        stage = Stage(disk)
        running = stage.begin()
        stage.answer(0)
        await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait([running])
        stage.answer(1)
        assert await stage.committer.committed()
        return stage

    stage = run_virtual(main)
    assert disk.rows == {0: State.CREATED, 1: State.CREATED}
    assert stage.delivered == [(0, State.CREATED), (1, State.CREATED)]
    assert stage.pairs.is_settled


def test_a_failed_commit_is_raised_and_nothing_is_delivered() -> None:
    async def main() -> None:
        stage = Stage(Disk(is_broken=True))
        stage.answer(0)
        with pytest.raises(JournalError):
            await stage.begin()
        assert (stage.delivered, stage.pairs.is_settled) == ([], False)

    run_virtual(main)


@pytest.mark.parametrize(
    ("state", "doubts"), [(State.PENDING, [3]), (State.FAILED, [3]), (State.CREATED, []), (State.EXISTING, [])]
)
def test_a_recalled_pair_that_only_the_journal_knows_is_asked_about(state: State, doubts: list[int]) -> None:
    """A lane that sent it back turns out to be out of step long after its row was committed."""
    disk = Disk({3: int(state)})
    stage = played(disk, lambda stage: stage.pairs.recalled([(intent(3), int(State.PENDING))], 1.0, floor=7))
    assert [doubt.intent.seq for doubt in stage.pairs.doubts] == doubts
    assert disk.rows[3] == (State.IN_DOUBT if doubts else state)
    assert stage.pairs.is_settled


def test_settled_rows_are_all_but_the_open_ones() -> None:
    counts = dict(zip(State, range(1, 10), strict=True))
    assert settled_in(counts) == sum(range(4, 10))
    assert settled_in({}) == 0
