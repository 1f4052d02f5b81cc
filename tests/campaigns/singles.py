"""`scripts/singles`: very many single pairs through one writer, to see that neither memory nor journal grows with time.

A thousand callers write one pair after the other against a stub in another process.  Told are, for each tenth of the
pairs, the memory of the writer's process and the rate; at the end the bytes of a row in the journal, and how many bytes
of memory each pair after the first tenth has cost.  What must stay in memory of a pair is its state, its ids in the set
that tells new pairs, and its record id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bulkwriter import BulkWriter, Settings, State
from tests.support.progress import say

TOKEN: Final = "stub-token"
CALLERS: Final = 1_000
PARTS: Final = 10
MOST_BYTES: Final = 60
"""A row in the journal, and a pair in memory, take at most so much."""


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Flow:
    """The callers of one writer."""

    def __init__(self, writer: BulkWriter, pairs: int) -> None:
        self.writer = writer
        self.count = pairs
        self.rest: Iterator[tuple[int, int]] = ((1 + i % 997, 1 + i // 997) for i in range(pairs))
        self.done = 0
        self.memory: list[int] = []
        self.began_at = time.monotonic()

    async def caller(self) -> None:
        for pair in self.rest:
            outcome = await self.writer.write(pair)
            assert outcome.state is State.CREATED, outcome
            self.done += 1
            if self.done % (self.count // PARTS) == 0:
                self.memory.append(resident_bytes())
                rate = self.done / (time.monotonic() - self.began_at)
                say(f"{self.done:,} pairs, {rate:,.0f}/s, {self.memory[-1] / 1e6:.1f} MB")

    async def run(self) -> None:
        await asyncio.gather(*(self.caller() for _ in range(CALLERS)))


@contextlib.contextmanager
def stub(folder: Path) -> Iterator[str]:
    """The base URL of a stub in a process of its own."""
    scenario = folder / "scenario.json"
    scenario.write_text(json.dumps({"tokens": [TOKEN]}))
    argv = [sys.executable, "-m", "bulkwriter", "stub", "--port", "0", "--json", "--scenario", str(scenario)]
    with subprocess.Popen([*argv, "--until-stdin-ends"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["base_url"]
        finally:
            process.stdin.close()


async def write(url: str, journal: Path, pairs: int) -> Flow:
    settings = Settings(base_url=url, token=TOKEN, journal=journal, existing="skip", ledger=journal.with_name("ledger"))
    async with BulkWriter(settings) as writer:
        flow = Flow(writer, pairs)
        await flow.run()
    return flow


def main(pairs: int = 1_000_000) -> int:
    with tempfile.TemporaryDirectory() as folder, stub(Path(folder)) as url:
        journal = Path(folder) / "singles.journal"
        flow = asyncio.run(write(url, journal, pairs))
        row_bytes = journal.stat().st_size / pairs
        with urllib.request.urlopen(f"{url}/stub/truth") as answer:
            told = json.load(answer)
        first, last = flow.memory[0], flow.memory[-1]
        pair_bytes = (last - first) / (pairs - pairs // PARTS)
        is_right = told["distinct_pairs"] == pairs and not told["doubles"]
        say(
            f"{pairs:,} single pairs: {told['distinct_pairs']:,} records, {told['doubles']:,} doubled; memory "
            f"{first / 1e6:.0f} MB after a tenth, {last / 1e6:.0f} MB at the end: {pair_bytes:.1f} bytes a pair; "
            f"journal {row_bytes:.1f} bytes a row"
        )
        return 0 if is_right and max(row_bytes, pair_bytes) < MOST_BYTES else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
