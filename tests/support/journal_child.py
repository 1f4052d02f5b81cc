"""A process that writes a journal until it is killed or its disk fails.

    python -m tests.support.journal_child WHAT PATH

`write`  appends and settles for ever in chunks of odd sizes; after each commit it prints how many rows and outcomes are
         acknowledged, as "rows settled"
`hold`   opens the journal, prints its pid and waits; or prints why it cannot
`fill`   like `write`, until an error, which it prints as "error: …"; then it tries once more and prints that error too;
         with a third argument it removes that file, to make room, and prints the rows found after reopening
`hang`   a disk that never answers: `close` gives up and the process ends all the same

Every row tells by its seq what must stand in it: see `pair_of` and `record_id_of`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import time
from pathlib import Path

from bulkwriter.errors import JournalError
from bulkwriter.model import State
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_writer import JournalWriter

URL = "https://example.test"
COLUMNS = ("CourseLessonId", "CourseMemberId")


def pair_of(seq: int) -> tuple[int, int]:
    return 10 + seq, 1_000 + seq


def record_id_of(seq: int) -> int:
    return 5_000 + seq


def say(text: object) -> None:
    os.write(1, f"{text}\n".encode())


def open_journal(path: str | Path) -> Journal:
    return Journal.open(path, base_url=URL, account=None, columns=COLUMNS)


def write_chunk(journal: Journal, count: int) -> None:
    first = journal.rows
    journal.append([(seq, *pair_of(seq), seq + 2, State.INTENT, None) for seq in range(first, first + count)])
    say(f"{journal.rows} {first}")
    journal.settle([(seq, State.CREATED, 1, record_id_of(seq), 200, None) for seq in range(first, first + count)])
    say(f"{journal.rows} {first + count}")


def write(path: str) -> None:
    journal = open_journal(path)
    chance = random.Random(journal.rows)
    journal.settle([(row.seq, State.CREATED, 1, record_id_of(row.seq), 200, None) for row in journal.doubts()])
    while True:
        write_chunk(journal, chance.randint(1, 300))


def fill(path: str, ballast: str | None = None) -> None:
    journal = open_journal(path)
    for _ in range(2):
        try:
            while True:
                write_chunk(journal, 500)
        except JournalError as e:
            say(f"error: {e.message}")
    journal.close()
    if ballast:
        Path(ballast).unlink()
        journal = open_journal(path)
        say(f"reopened {journal.rows}")
        write_chunk(journal, 100)
        journal.close()


def hold(path: str) -> None:
    try:
        journal = open_journal(path)
    except JournalError as e:
        say(e)
        return
    say(os.getpid())
    time.sleep(60)
    journal.close()


async def hang(path: str) -> None:
    writer = JournalWriter(close_s=0.05)
    await writer.open(path, base_url=URL, account=None, columns=COLUMNS)
    stuck = asyncio.create_task(writer.run(lambda journal: threading.Event().wait()))
    await asyncio.sleep(0)
    try:
        await writer.close()
    except JournalError as e:
        say(f"error: {e.message}")
    stuck.cancel()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", path]:
            write(path)
        case ["fill", path, *rest]:
            fill(path, *rest)
        case ["hold", path]:
            hold(path)
        case ["hang", path]:
            asyncio.run(hang(path))
