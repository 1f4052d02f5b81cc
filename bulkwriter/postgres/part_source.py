"""One part of a job as a source: its rows in the order of the job's source, each with its line there.

The shares of the part are fetched some thousands of rows at a time, over a connection that is closed again after each
fetch: at 60 writes a minute the next one is needed hours later.  A fetch that meets a database which is away is tried
again, at growing intervals, for as long as the settings let a run wait for a server (`give_up_after_s`).

Rows that are added to a loaded job come at the end of its parts, so what was read stays true.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreGone
from ..model import Batch
from ..sources.parts import PartRows
from ..sources.threaded import ThreadSource
from .jobs import shares_from

if TYPE_CHECKING:
    from psycopg import Connection

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0


class PartReader:
    """The shares of one part, blocking, for one thread.

    `opened` gives a connection; it raises `StoreGone` where the database is away for now.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Connection[Any]]],
        *,
        job: str,
        part: str,
        rows: int,
        patience_s: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opened = opened
        self._job, self._part = job, part
        self._rows, self._served = rows, 0
        self._patience_s = patience_s
        self._sleep, self._clock = sleep, clock
        self._next = 0  # the block whose share comes next
        self._fetched: deque[tuple[int, PartRows]] = deque()

    def read(self) -> Batch | None:
        if not self._fetched:
            self._fetched.extend(self._fetch())
        if not self._fetched:
            return None
        number, share = self._fetched.popleft()
        self._next = number + 1
        self._served += len(share.seqs)
        return share.rows

    def fraction(self) -> float | None:
        return min(1.0, self._served / self._rows) if self._rows else 1.0

    def check(self) -> None:
        """What was loaded never changes."""

    def close(self) -> None:
        self._fetched.clear()

    def _fetch(self) -> list[tuple[int, PartRows]]:
        since, pause_s = self._clock(), FIRST_PAUSE_S
        while True:
            try:
                with self._opened() as connection:
                    return shares_from(connection, self._job, self._part, self._next)
            except StoreGone:
                if self._clock() - since + pause_s > self._patience_s:
                    raise
            self._sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


def part_source(reader: PartReader, name: str) -> ThreadSource:
    """The part as a `Source`; `name` is for people."""
    return ThreadSource(reader, name)
