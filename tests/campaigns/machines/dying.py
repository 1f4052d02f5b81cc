"""A writer of a part that kills itself at one commit, and notes what its journal held at each.

    python -m tests.campaigns.machines.dying BASE_URL JOURNAL COUNT NOTES COMMIT MOMENT

It dies at commit COMMIT of its life (0: never), at this MOMENT of it:

    written     before the local commit
    committed   after it, before the group is shipped
    asked       a random part of 3 ms after the statement of the group was begun: it may be there or not
    shipped     after the database has answered, before anybody is told

NOTES gets a line "replayed N DIGEST" once the log is replayed, then "N DIGEST" for each group N, before it is shipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import sqlite3
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bulkwriter.model import State
from bulkwriter.postgres import part
from bulkwriter.postgres.log import PartLog
from bulkwriter.store.shipping import replay
from tests.store.test_shipping import TABLES
from tests.support import part_child

MOMENTS: Final = ("written", "committed", "asked", "shipped")
ASKED_S: Final = 0.003


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def digest_of(db: sqlite3.Connection) -> str:
    """Of all rows of all tables."""
    digest = hashlib.sha256()
    for name in TABLES:
        for row in db.execute(f"SELECT * FROM {name} ORDER BY 1"):
            digest.update(f"{name} {row!r}\n".encode())
    return digest.hexdigest()[:16]


def arm(notes: Path, at: int, moment: str) -> None:
    """Change this process so that it notes and dies."""
    ship = PartLog.ship
    kept: list[sqlite3.Connection] = []
    commits = 0

    def note(text: str) -> None:
        with notes.open("a", encoding="ascii") as file:
            file.write(f"{text} {digest_of(kept[-1])}\n")

    def noted_replay(journal: Any, groups: Any, *, log: str) -> int:
        last = replay(journal, groups, log=log)
        kept.append(journal._db)
        note(f"replayed {last}")
        kept[-1].set_trace_callback(traced)
        return last

    def traced(statement: str) -> None:
        if statement == "COMMIT" and commits + 1 == at and moment == "written":
            die()

    def noted_ship(log: PartLog, group: bytes, counts: Mapping[State, int]) -> None:
        nonlocal commits
        commits += 1
        kept[-1].set_trace_callback(None)
        note(str(log._number + 1))
        kept[-1].set_trace_callback(traced)
        if commits == at and moment == "committed":
            die()
        if commits == at and moment == "asked":
            threading.Timer(random.uniform(0.0, ASKED_S), die).start()
        ship(log, group, counts)
        if commits == at and moment in ("asked", "shipped"):
            die()

    part.replay = noted_replay  # type: ignore[attr-defined]
    PartLog.ship = noted_ship  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    base_url, journal, count, notes, at, moment = sys.argv[1:]
    arm(Path(notes), int(at), moment)
    asyncio.run(part_child.main(base_url, journal, count))
