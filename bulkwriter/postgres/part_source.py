"""One part of a job as a source: its rows in the order of the job's source, each with its line there.

The shares of the part are fetched some thousands of rows at a time, over a connection that is closed again after each
fetch: at 60 writes a minute the next one is needed hours later.

Rows that are added to a loaded job come at the end of its parts, so what was read stays true.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..model import Batch
from ..sources.parts import PartRows
from ..sources.threaded import ThreadSource
from .jobs import shares_from

if TYPE_CHECKING:
    from .session import Session


class PartReader:
    """The shares of one part, blocking, for one thread.  `session` is for this alone."""

    def __init__(self, session: Session, *, job: str, part: str, rows: int) -> None:
        self._session = session
        self._job, self._part = job, part
        self._rows, self._served = rows, 0
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
        self._session.close()

    def _fetch(self) -> list[tuple[int, PartRows]]:
        try:
            return self._session.insist(
                lambda connection: shares_from(connection, self._job, self._part, self._next)
            )  # fmt: skip
        finally:
            self._session.rest()


class PartSource(ThreadSource):
    """The part as a `Source`; `name` is for people.  `session` is for this alone."""

    def __init__(self, session: Session, *, job: str, part: str, rows: int, name: str) -> None:
        super().__init__(PartReader(session, job=job, part=part, rows=rows), name)
        self._session = session

    async def aclose(self) -> None:
        """See `Source.aclose`.  A fetch that waits for the database ends as well."""
        self._session.leave()
        await super().aclose()
