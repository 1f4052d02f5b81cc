"""Outcomes on their way to the disk: none is counted or delivered before it is durable; counts are the journal's."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.engine.outcomes import LONGEST_PAUSE_S, Outcomes
from bulkwriter.errors import JournalError
from bulkwriter.model import Intent, State
from bulkwriter.store.schema import SettleRow

from .sim.loop import run_virtual


@dataclass
class Disk:
    """A journal of states; a commit takes `commit_s`."""

    rows: dict[int, int] = field(default_factory=dict)
    commit_s: float = 0.01
    groups: list[int] = field(default_factory=list)
    is_broken: bool = False

    async def settle(self, rows: list[SettleRow]) -> None:
        await asyncio.sleep(self.commit_s)
        if self.is_broken:
            raise JournalError("the disk is full")
        self.groups.append(len(rows))
        self.rows.update({row[0]: row[1] for row in rows})


def intent(seq: int) -> Intent:
    return Intent(seq, (1, seq + 1), 0, None, None)


def row(seq: int, state: State) -> SettleRow:
    return seq, int(state), 1, None, None, None


def outcomes_over(disk: Disk, pairs: int, *, most: int = 100) -> Outcomes:
    disk.rows.update(dict.fromkeys(range(pairs), int(State.INTENT)))
    return Outcomes(disk, most=most, tally={State.INTENT: pairs})


def test_an_outcome_counts_and_is_delivered_after_its_commit() -> None:
    disk = Disk()
    delivered: list[int] = []

    async def main() -> None:
        outcomes = outcomes_over(disk, 2)
        outcomes.deliver = lambda intents, rows: delivered.extend(i.seq for i in intents)
        running = asyncio.get_running_loop().create_task(outcomes.run(lambda: None))
        outcomes.add(intent(0), row(0, State.CREATED))
        await asyncio.sleep(0.009)
        assert delivered == []
        assert outcomes.tally[State.CREATED] == 0
        assert outcomes._flushing == 1
        await asyncio.sleep(0.002)
        assert delivered == [0]
        assert outcomes.tally == {State.INTENT: 1, State.CREATED: 1}
        assert outcomes.is_empty
        assert outcomes.settled == 1
        running.cancel()

    run_virtual(main)


def test_what_comes_during_a_commit_goes_into_the_next_one() -> None:
    disk = Disk()

    async def main() -> None:
        outcomes = outcomes_over(disk, 50)
        running = asyncio.get_running_loop().create_task(outcomes.run(lambda: None))
        for seq in range(50):
            outcomes.add(intent(seq), row(seq, State.CREATED))
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0.1)
        running.cancel()

    run_virtual(main)
    assert sum(disk.groups) == 50
    assert disk.groups[0] == 1
    assert len(disk.groups) <= 5


def test_the_pause_between_commits_is_bounded() -> None:
    async def main() -> float:
        outcomes = outcomes_over(Disk(commit_s=0.0), 1_000, most=10_000)
        running = asyncio.get_running_loop().create_task(outcomes.run(lambda: None))
        for seq in range(999):
            outcomes.add(intent(seq), row(seq, State.CREATED))
        await asyncio.sleep(0.001)
        outcomes.add(intent(999), row(999, State.CREATED))
        began = asyncio.get_running_loop().time()
        while not outcomes.is_empty:
            await asyncio.sleep(0.001)
        running.cancel()
        return asyncio.get_running_loop().time() - began

    assert run_virtual(main) <= LONGEST_PAUSE_S + 0.002


def test_sending_waits_while_the_buffer_is_full() -> None:
    disk = Disk()

    async def main() -> None:
        outcomes = outcomes_over(disk, 3, most=2)
        pumped = 0

        def after() -> None:
            nonlocal pumped
            pumped += 1

        running = asyncio.get_running_loop().create_task(outcomes.run(after))
        is_full = [outcomes.is_full]
        for seq in (0, 1):
            outcomes.add(intent(seq), row(seq, State.CREATED))
            is_full.append(outcomes.is_full)
        await asyncio.sleep(0.011)
        assert [*is_full, outcomes.is_full] == [False, False, True, False]
        assert pumped == 1
        running.cancel()

    run_virtual(main)


def test_a_failed_commit_is_raised_and_counts_nothing() -> None:
    disk = Disk(is_broken=True)

    async def main() -> None:
        outcomes = outcomes_over(disk, 1)
        outcomes.add(intent(0), row(0, State.CREATED))
        with pytest.raises(JournalError):
            await outcomes.run(lambda: None)
        assert outcomes.tally == {State.INTENT: 1}
        assert outcomes.settled == 0

    run_virtual(main)


def test_a_created_pair_that_is_recalled_and_found_again_is_counted_once() -> None:
    disk = Disk()

    async def main() -> None:
        outcomes = outcomes_over(disk, 1)
        running = asyncio.get_running_loop().create_task(outcomes.run(lambda: None))
        for state, was in ((State.CREATED, None), (State.IN_DOUBT, State.CREATED), (State.CREATED, None)):
            if was is not None:
                outcomes.odd[0] = int(was)
            outcomes.add(intent(0), row(0, state))
            await asyncio.sleep(0.1)
            assert +outcomes.tally == {state: 1}
        assert outcomes.settled == 1
        running.cancel()

    run_virtual(main)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from([State.CREATED, State.REJECTED, State.FAILED, State.IN_DOUBT]),
        st.sampled_from([0.0, 0.001, 0.02]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, most=st.integers(1, 10))
def test_the_tally_is_always_what_the_journal_s_rows_would_count(
    steps: list[tuple[int, State, float]], most: int
) -> None:
    """A settled pair takes another outcome only as a recall: in doubt, with the state that it had."""
    disk = Disk()

    async def main() -> None:
        outcomes = outcomes_over(disk, 6, most=most)
        known = dict(disk.rows)
        running = asyncio.get_running_loop().create_task(outcomes.run(lambda: None))
        for seq, state, pause_s in steps:
            if known[seq] not in (State.INTENT, State.IN_DOUBT):
                state = State.IN_DOUBT
                outcomes.odd[seq] = known[seq]
            outcomes.add(intent(seq), row(seq, state))
            known[seq] = int(state)
            await asyncio.sleep(pause_s)
            if not outcomes._flushing:
                assert +outcomes.tally == Counter(disk.rows.values())
        await asyncio.sleep(1)
        assert outcomes.is_empty
        assert disk.rows == known
        assert +outcomes.tally == Counter(known.values())
        assert outcomes.settled == sum(state not in (State.INTENT, State.IN_DOUBT) for state in known.values())
        running.cancel()

    run_virtual(main)
