"""The child of *resume*: `make` writes a journal whose rows are all created, `parts` times what reopening it takes.

    python -m benchmarks.reopening SOURCE.csv JOURNAL BASE_URL make|parts

`parts` does one after the other, with the project's own parts and in steps as large as a run's, what a run does side by
side; the last line of stdout is an object with the seconds of each (see `resume`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import aclosing, closing, contextmanager
from pathlib import Path

from bulkwriter.core.dedupe import IdSet, PairSet
from bulkwriter.model import State
from bulkwriter.run.intents import STORED_ROWS
from bulkwriter.sources import open_source
from bulkwriter.store.journal import Journal

from .stages.pure import FIRST_ID

COLUMNS = ("CourseLessonId", "CourseMemberId")
GROUP_ROWS = 20_000
AGAIN = frozenset({int(State.PENDING), int(State.FAILED)})
INTENT, CREATED = int(State.INTENT), int(State.CREATED)


def opened(journal: str, base_url: str) -> Journal:
    return Journal.open(Path(journal), base_url=base_url, account=None, columns=COLUMNS)


async def make(source: str, journal: str, base_url: str) -> None:
    """Every pair of the source as a created row."""
    seq = 0
    with closing(opened(journal, base_url)) as writer:
        writer.created_ids()  # as a run does, so that its seal has them
        async with aclosing(open_source(source)) as rows:
            while batch := await rows.read(GROUP_ROWS):
                seqs = range(seq, seq + len(batch.pairs))
                pairs = [pair or (None, None) for pair in batch.pairs]
                writer.append(
                    [(s, *pair, line, INTENT, None) for s, pair, line in zip(seqs, pairs, batch.lines, strict=True)]
                )
                writer.settle([(s, CREATED, 1, FIRST_ID + 3 * s, 200, None) for s in seqs])
                seq = seqs.stop


class Clock:
    """Adds up the seconds of each part."""

    def __init__(self) -> None:
        self.took: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        began_at = time.perf_counter()
        yield
        self.took[part] += time.perf_counter() - began_at


async def parts(source: str, journal: str, base_url: str) -> None:
    clock = Clock()
    with clock.timed("open"):
        writer = opened(journal, base_url)
    with closing(writer):
        with clock.timed("ids"):
            IdSet(writer.created_ids())
        await read_both(source, writer, clock)
        print(json.dumps({"pairs": writer.rows, **clock.took}))


async def read_both(source: str, journal: Journal, clock: Clock) -> None:
    """The source beside the journal, as the intake reads them."""
    pairs, seq = PairSet(), 0
    async with aclosing(open_source(source)) as rows:
        while seq < journal.rows:
            with clock.timed("source"):
                batch = await rows.read(STORED_ROWS)
            assert batch is not None
            with clock.timed("rows"):
                stored = journal.read_pairs(seq, len(batch.pairs))
            with clock.timed("compare"):
                assert stored == batch.pairs
                assert AGAIN.isdisjoint(journal.states_of(seq, len(stored)))
            with clock.timed("bitmap"):
                assert not pairs.add_all(batch.pairs)
            seq += len(stored)


def main(source: str, journal: str, base_url: str, what: str) -> None:
    asyncio.run({"make": make, "parts": parts}[what](source, journal, base_url))


if __name__ == "__main__":
    main(*sys.argv[1:])
