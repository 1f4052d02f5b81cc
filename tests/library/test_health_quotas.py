"""A spent quota where waiting is not wanted: new pairs are refused until its window opens, and nobody else notices.

In virtual time, with real quotas and their ledger.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bulkwriter import BulkWriter, State, TryLater
from tests.sim.server import Pair
from tests.support.quota_days import Backfill

HOUR_S = 3_600.0


class Service(Backfill):
    """One process that writes single pairs under a quota of ten an hour, and stops where it is spent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(1, [], folder, quota=["write:10/hour"], on_quota="stop")

    async def _write(self, writer: BulkWriter, rows: list[Pair | None]) -> None:
        async with writer:
            clock = writer._engine.ports.clock
            settled = [await writer.write((1, member)) for member in range(1, 11)]
            with pytest.raises(TryLater) as refused:
                await writer.write((1, 11))
            assert refused.value.code == "quota"
            assert refused.value.retry_at
            assert not writer.is_well()
            with pytest.raises(TryLater):
                await writer.write_all([(2, 1)])
            assert [await writer.write((1, member)) for member in range(1, 11)] == settled
            several = await asyncio.gather(*(writer.write((1, m)) for m in range(11, 16)), return_exceptions=True)
            assert {type(each) for each in several} == {TryLater}
            at_most_s = HOUR_S + 300.0
            async with asyncio.timeout(at_most_s):
                await writer.well()
            assert clock() > HOUR_S - 300.0
            assert {(await writer.write((1, m))).state for m in range(11, 16)} == {State.CREATED}
            assert writer.summary().counts.created == 15


class Waiting(Service):
    """The same, but it waits for the quota, and is closed while somebody waits for a pair."""

    def __init__(self, folder: Path) -> None:
        Backfill.__init__(self, 1, [], folder, quota=["write:10/hour"])

    async def _write(self, writer: BulkWriter, rows: list[Pair | None]) -> None:
        async with writer:
            clock = writer._engine.ports.clock
            writing = [asyncio.create_task(writer.write((1, member))) for member in range(1, 16)]
            await asyncio.sleep(300.0)
            assert sum(task.done() for task in writing) == 10
            assert writer.is_well(), "a quota that is waited for is no trouble"
            began_at = clock()
        assert clock() - began_at <= self.settings.limits.drain_s + 2.0
        ends = await asyncio.gather(*writing, return_exceptions=True)
        assert sum(isinstance(end, TryLater) for end in ends) == 5


def test_the_end_waits_for_no_quota(tmp_path: Path) -> None:
    service = Waiting(tmp_path)
    assert service.run().created == 10
    assert service.journals[0].counts() == {State.CREATED: 10, State.PENDING: 5}


def test_a_spent_quota_refuses_new_pairs_until_its_window_opens(tmp_path: Path) -> None:
    outcome = Service(tmp_path).run()
    assert (outcome.stops, outcome.doubled, outcome.created) == ([], 0, 15)
