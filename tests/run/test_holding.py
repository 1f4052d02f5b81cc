"""A part of a job: nothing is sent while its lease is over, the rest goes on, and doubts of a former holder wait.

In virtual time, on the stage of `library/test_waits`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bulkwriter import BulkWriter, NotWell, State
from bulkwriter.errors import FenceLost, StoreGone
from bulkwriter.run.ports import Ports, Stored
from bulkwriter.store.starts import UNDONE, undone_text
from tests.library.test_waits import Stage, stage
from tests.sim.assembly import WALL_S, SimAssembly

LEASE_S = 30.0


class HandFence:
    """A lease that a test ends.  `renew` renews it, unless it has an error to raise or the database is away."""

    renew_s = LEASE_S / 3

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.ends_at, self.is_away, self.renewals = LEASE_S, False, 0
        self.error: Exception | None = None

    def over_s(self) -> float:
        return max(0.0, self.clock() - self.ends_at)

    def renew(self) -> None:
        if self.error:
            raise self.error
        if not self.is_away:
            self.renewals += 1
            self.ends_at = self.clock() + LEASE_S

    def hurry(self) -> None: ...


class FencedAssembly(SimAssembly):
    fence: HandFence
    stored_changes: dict[str, Any]

    def _make_ports(self) -> Ports:
        return replace(super()._make_ports(), fence=self.fence)

    async def _read_stored(self) -> Stored:
        return replace(await super()._read_stored(), **self.stored_changes)


def fenced(here: Stage, **stored: Any) -> HandFence:
    here.assembly.__class__ = FencedAssembly
    assembly: Any = here.assembly
    assembly.fence = HandFence(here.process.loop.time)
    assembly.stored_changes = stored
    fence: HandFence = assembly.fence
    return fence


def test_a_lease_is_renewed_while_nothing_is_written() -> None:
    here = stage()
    fence = fenced(here)

    async def idle(writer: BulkWriter) -> None:
        await asyncio.sleep(300)
        assert writer.is_well()
        assert (await writer.write((1, 1))).state is State.CREATED

    here.run(idle)
    assert fence.renewals >= 300 / LEASE_S


def test_nothing_is_sent_while_the_lease_is_over_and_then_it_goes_on_by_itself() -> None:
    here = stage(settings={"patience_s": 50.0})
    fence = fenced(here)

    async def through(writer: BulkWriter) -> None:
        assert (await writer.write((1, 1))).state is State.CREATED
        fence.is_away = True
        await asyncio.sleep(LEASE_S + 15)
        assert not writer.is_well()
        assert writer.snapshot().held_by == "the lease of this part is over, and the database has not renewed it"
        with pytest.raises(NotWell, match="lease of this part is over"):
            await writer.write((1, 2))
        assert here.watch.attempts == 1
        waiting = asyncio.create_task(writer.write((1, 3)))
        fence.is_away = False
        await writer.well()
        assert (await waiting).state is State.CREATED
        assert (await writer.write((1, 2))).state is State.CREATED

    here.run(through)
    assert here.watch.attempts == 3


@pytest.mark.parametrize(("error", "exit_code"), [(FenceLost("taken over"), 5), (StoreGone("lost"), 75)])
def test_a_part_that_was_taken_or_lost_ends_the_writer_without_another_request(
    error: Exception, exit_code: int
) -> None:
    here = stage()
    fence = fenced(here)

    async def until_lost(writer: BulkWriter) -> int:
        await writer.write((1, 1))
        fence.error = error
        await asyncio.sleep(LEASE_S)
        sent = here.watch.attempts
        with pytest.raises(type(error)):
            await writer.write((1, 2))
        assert here.watch.attempts == sent == 1
        return writer.summary().exit_code

    assert here.run(until_lost) == exit_code


def test_doubts_of_a_former_holder_count_from_the_end_of_its_last_request_and_other_pairs_go_on_at_once() -> None:
    def ends(in_doubt_for_s: float) -> tuple[float, float]:
        here = stage(settings={"existing": "check", "late_apply_s": 10.0, "list_lag_s": 1.0})
        here.journal.append([(0, 1, 1, 2, int(State.INTENT), None), (1, 1, 2, 3, int(State.PENDING), None)])
        fenced(here, in_doubt_for_s=in_doubt_for_s)

        async def both(writer: BulkWriter) -> tuple[float, float]:
            times: dict[int, float] = {}

            async for outcome in writer.stream([(1, 1), (1, 2)]):
                times[outcome.seq] = here.process.now
            return times[1], times[0]

        return here.run(both)

    (pending_at, doubt_at), (late_pending_at, late_doubt_at) = ends(0.0), ends(90.0)
    assert late_pending_at == pytest.approx(pending_at, abs=2.0)
    assert late_pending_at < 5.0
    assert doubt_at < 30.0 < 90.0 + 10.0 < late_doubt_at < 125.0


def test_after_lost_commits_nothing_is_looked_up_or_sent_before_all_is_seen() -> None:
    """Of a part that lost none, nobody waits: a worker of twelve parts after a loss waited a minute more in each."""

    def took(unseen_for_s: float) -> float:
        here = stage(settings={"existing": "check", "after_loss": True})
        fenced(here, unseen_for_s=unseen_for_s)

        async def one(writer: BulkWriter) -> float:
            await writer.write((1, 1))
            return here.process.now

        at = here.run(one)
        assert here.watch.list_calls
        return at

    assert 185.0 < took(185.0) < 190.0
    assert took(0.0) < 5.0


def test_people_are_told_once_that_sending_stopped_and_once_that_it_goes_on() -> None:
    here = stage()
    fence = fenced(here)

    async def twice(writer: BulkWriter) -> None:
        for _ in range(2):
            fence.is_away = True
            await asyncio.sleep(2 * LEASE_S)
            fence.is_away = False
            await asyncio.sleep(LEASE_S)

    here.run(twice)
    told = [line for line in here.process.trace.lines if "told Unwell(" in line or "told Well(" in line]
    assert ["Unwell" in line for line in told] == [True, False, True, False]


@pytest.mark.parametrize(("existing", "least_s"), [("check", 5.0), ("skip", 0.0)])
def test_after_an_undo_nothing_is_looked_up_while_lists_may_show_what_it_deleted(existing: str, least_s: float) -> None:
    """Its pairs were called `existing`, and the server had none of them."""
    here = stage(settings={"existing": existing, "list_lag_s": 5.0})
    here.journal.append([(0, 1, 1, None, int(State.PENDING), None)])
    here.journal.meta_set(UNDONE, undone_text(WALL_S, 1, {}))

    async def one(writer: BulkWriter) -> float:
        await writer.write((1, 1))
        return here.process.now

    assert least_s <= here.run(one) < least_s + 2.0
