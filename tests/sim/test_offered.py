"""What a pair waits for, and costs, that a service gives beside others, in virtual time.

A pair that comes while a commit is under way waits for it, then for that of its own intent; its outcome does the same.
So its time is at most four commits, a round trip and the short pauses after commits of few rows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from bulkwriter.run.committer import pause_s
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal
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
    """Each commit takes as long as the others.  `writes` counts what is handed in to be committed."""

    writes = 0

    async def _hand_in(self, kind: str, call: Callable[[Journal], Any]) -> Any:
        self.writes += kind == "write"
        return await super()._hand_in(kind, call)

    def _start(self) -> None:
        self._is_at_work = True
        taken, self._waiting = self._waiting, []
        asyncio.get_running_loop().call_later(self._disk.commit_s, self._carry_out, taken)


class Stage:
    """A process with a steady disk, before a server that takes everything."""

    def __init__(self, commit_s: float) -> None:
        rng, disk, journal = random.Random(1), Disk(commit_s=commit_s), new_journal()
        world = plain_world([], lives=[], latency_s=ONE_WAY_S)
        self.settings = Settings(base_url=BASE_URL, token="unused", journal=JOURNAL, existing="skip", quota=("none",))
        self.process = Process(Trace(), start_s=0.0, most_s=60.0)
        self.server = Server(rng=rng, list_lag_s=0.2, page_cap=1_000, refused=set())
        self.assembly = SimAssembly(
            self.settings, process=self.process, server=self.server, weather=world.weather(rng),
            watch=Watch(self.process, self.settings, journal), journal=journal, disk=disk, rng=rng, entity=world.entity,
        )  # fmt: skip
        self.disk = self.assembly.store = SteadyDisk(self.process, journal, disk, rng)


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
    stage = Stage(commit_s)
    took = stage.process.loop.run(offered(stage.settings, stage.assembly, 0.001))
    commit_s += commit_s / 4  # until its end is told
    assert len(took) == PAIRS
    longest_s = 4 * commit_s + 2 * ONE_WAY_S + pause_s(FEW_ROWS)
    assert took[PAIRS * 99 // 100] < longest_s, [f"{each * 1e3:.2f}" for each in took[-9:]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("callers", "pairs", "most"), [(1, 50, 2.0), (100, 1_000, 0.033), (1_000, 1_000, 0.008)],
    ids=["one at a time", "100 callers", "1,000 callers"],
)  # fmt: skip
def test_singles_share_commits_and_take_no_tasks(callers: int, pairs: int, most: float) -> None:
    """`most` is what is handed in to the journal, a pair.  Measured: 2, 0.030 and 0.006; no task."""
    stage = Stage(0.0003)
    loop = stage.process.loop

    async def main() -> tuple[int, int]:
        async with BulkWriter(stage.settings, assembly=stage.assembly) as writer:
            await writer.write_many([(77, n) for n in range(1, 500)])  # the lanes are open, the rate is found
            left = iter([(1, n) for n in range(1, pairs + 1)])

            async def caller() -> None:
                for pair in left:
                    await writer.write(pair)

            mine = [loop.create_task(caller()) for _ in range(callers)]
            writes, tasks = stage.disk.writes, loop.tasks_made
            await asyncio.wait(mine)
            return stage.disk.writes - writes, loop.tasks_made - tasks

    writes, tasks = loop.run(main())
    assert writes <= most * pairs
    assert tasks < pairs / 20
    assert max(stage.server.ours().values()) == 1
