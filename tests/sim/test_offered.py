"""What a pair waits for that a service gives beside others, in virtual time.

A pair that comes while a commit is under way waits for it, then for that of its own intent; its outcome does the same.
So its time is at most four commits, a round trip and the short pauses after commits of few rows.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from bulkwriter.run.committer import pause_s
from bulkwriter.settings import Settings
from bulkwriter.writer import BulkWriter

from .assembly import SimAssembly
from .disk import Disk, VirtualWriter
from .drive import new_journal
from .process import Process, Trace
from .server import Server
from .watch import Watch
from .world import BASE_URL, JOURNAL, plain_world

ONE_WAY_S = 0.0005
FEW_ROWS = 3
PAIRS = 300
WARM = 100


class SteadyDisk(VirtualWriter):
    """Each commit takes as long as the others."""

    def _start(self) -> None:
        self._is_at_work = True
        taken, self._waiting = self._waiting, []
        asyncio.get_running_loop().call_later(self._disk.commit_s, self._carry_out, taken)


async def offered(settings: Settings, assembly: SimAssembly, gap_s: float) -> list[float]:
    """Give a pair every `gap_s`, whatever became of those before; how long each took."""
    took: list[float] = []
    loop = asyncio.get_running_loop()

    async def one(writer: BulkWriter, i: int) -> None:
        began = loop.time()
        await writer.write((2, i))
        took.append(loop.time() - began)

    async with BulkWriter(settings, assembly=assembly) as writer:
        await writer.write_many([(1, i) for i in range(1, WARM)])  # the in-flight limit is found
        async with asyncio.TaskGroup() as tasks:
            for i in range(1, PAIRS + 1):
                tasks.create_task(one(writer, i))
                await asyncio.sleep(gap_s)
    return sorted(took)


@pytest.mark.slow
@pytest.mark.parametrize("commit_s", [0.0003, 0.001])
def test_a_pair_of_many_waits_for_four_commits_at_most(commit_s: float) -> None:
    rng = random.Random(1)
    world = plain_world([], lives=[], latency_s=ONE_WAY_S)
    settings = Settings(base_url=BASE_URL, token="unused", journal=JOURNAL, existing="skip", quota=("none",))
    process, journal, disk = Process(Trace(), start_s=0.0, most_s=60.0), new_journal(), Disk(commit_s=commit_s)
    server = Server(rng=rng, list_lag_s=0.2, page_cap=1_000, refused=set())
    watch = Watch(process, settings, journal)
    assembly = SimAssembly(
        settings, process=process, server=server, weather=world.weather(rng), watch=watch, journal=journal, disk=disk,
        rng=rng, entity=world.entity,
    )  # fmt: skip
    assembly.store = SteadyDisk(process, journal, disk, rng)
    took = process.loop.run(offered(settings, assembly, 0.001))
    commit_s += commit_s / 4  # until its end is told
    assert len(took) == PAIRS
    longest_s = 4 * commit_s + 2 * ONE_WAY_S + pause_s(FEW_ROWS)
    assert took[PAIRS * 99 // 100] < longest_s, [f"{each * 1e3:.2f}" for each in took[-9:]]
