"""A source beside a steady flow of single pairs: it ends when its own pairs are settled, however busy the writer is.

In virtual time, on the stage of `test_waits`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest

from bulkwriter import BulkWriter, Outcome, State
from tests.library.test_waits import LOST, stage
from tests.sim.fates import CALM, Odds

OURS = [(1, member) for member in range(1, 41)]
REFUSED = {(1, 7), (1, 8), (2, 7), (2, 8)}
SOON_S = 60.0
"""Far more than the source takes, and far less than the flow goes on."""


@asynccontextmanager
async def flow(writer: BulkWriter) -> AsyncIterator[list[Outcome]]:
    """Twelve callers, each of which gives its next pair once the last one is answered."""
    outcomes: list[Outcome] = []
    members = count(1)

    async def caller() -> None:
        while True:
            outcomes.append(await writer.write((2, next(members))))

    callers = [asyncio.create_task(caller()) for _ in range(12)]
    try:
        while len(outcomes) < 20:
            await asyncio.sleep(0.01)
        yield outcomes
    finally:
        for each in callers:
            each.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("odds", [CALM, replace(LOST, creates={"reset after": 0.1})], ids=["calm", "lossy"])
def test_a_source_ends_while_single_pairs_go_on(odds: Odds, seed: int) -> None:
    """It waited for a moment at which nobody had anything open, and that never came."""

    async def act(writer: BulkWriter) -> None:
        async with flow(writer) as others:
            before = len(others)
            await asyncio.wait_for(writer.write_all(OURS), SOON_S)
            assert {State(state) for state in here.journal.states_of(0, len(OURS))} == {State.CREATED, State.REJECTED}
            at_end = len(others)
            streamed = [outcome async for outcome in writer.stream(OURS)]
            assert [outcome.pair for outcome in streamed] == OURS
            while len(others) < at_end + 20:
                await asyncio.sleep(0.01)
            assert at_end > before

    here = stage(odds=odds, refused=REFUSED, seed=seed, settings={"in_flight": 6})
    here.run(act)


@pytest.mark.parametrize("state", [State.REJECTED, State.FAILED])
def test_a_source_ends_while_its_own_rows_are_tried_again_and_again(state: State) -> None:
    """Some row of it was always open, so that it never ended."""
    odds = CALM if state is State.REJECTED else replace(CALM, creates={"500 before": 1.0})

    async def act(writer: BulkWriter) -> None:
        first = await writer.write_all(OURS)
        assert getattr(first.counts, state.word) == len(OURS)
        assert writer.snapshot().done == (len(OURS) if state is State.REJECTED else 0)  # failed ones are tried again
        tries = 0

        async def caller(pair: tuple[int, int]) -> None:
            nonlocal tries
            while True:
                assert (await writer.write(pair, retry=("rejected",))).state is state
                tries += 1

        callers = [asyncio.create_task(caller(pair)) for pair in OURS]
        try:
            while tries < 20:
                await asyncio.sleep(0.01)
            await asyncio.wait_for(writer.write_all(OURS), SOON_S)
            outcomes = [outcome async for outcome in writer.stream(OURS)]
            assert {outcome.pair for outcome in outcomes} == set(OURS)
        finally:
            for each in callers:
                each.cancel()
            await asyncio.gather(*callers, return_exceptions=True)

    settings = {"in_flight": 6, "max_attempts": 1, "late_apply_s": 0.2, "list_lag_s": 0.1, "max_same_rejections": 999}
    here = stage(odds=odds, refused=set(OURS), settings=settings | {"stop_rejected": 1.0})
    here.run(act)


def test_a_source_waits_for_a_pair_that_was_given_one_by_one_just_before() -> None:
    """Its own row is then a duplicate, and the other row is in doubt."""

    async def act(writer: BulkWriter) -> None:
        async with flow(writer):
            here.weather.odds = LOST
            same = writer.submit((1, 20))
            while not any(doubt.intent.pair == (1, 20) for doubt in writer._engine.pairs.doubts):
                await asyncio.sleep(0.001)
            here.weather.odds = CALM
            await asyncio.wait_for(writer.write_all(OURS), SOON_S)
            assert same.done()

    here = stage(settings={"in_flight": 6})
    here.run(act)


def test_a_source_with_an_open_doubt_does_not_end_before_it_is_settled() -> None:
    async def act(writer: BulkWriter) -> None:
        async with flow(writer) as others:
            here.weather.odds = LOST
            writing = asyncio.create_task(writer.write_all(OURS[:1]))
            while not any(doubt.intent.seq == 0 for doubt in writer._engine.pairs.doubts):
                await asyncio.sleep(0.001)
            here.weather.odds = CALM
            at = len(others)
            while len(others) < at + 5:
                await asyncio.sleep(0.001)
            assert not writing.done()
            await asyncio.wait_for(writing, 60.0)
            assert State(here.journal.states_of(0, 1)[0]) is State.CREATED

    here = stage(settings={"in_flight": 6})
    here.run(act)
