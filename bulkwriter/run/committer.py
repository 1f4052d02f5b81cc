"""Rows on their way to the disk and the caller: taken from `Pairs`, committed in groups, then delivered.

An outcome is *known* when its row is queued and *settled* when its group is committed; only then does the journal count
it, and only then is it delivered.  A group is whatever came since the last commit began: under load one commit carries
hundreds of outcomes, when idle an outcome is committed at once.  A pause after each commit, the longer the more it
carried, keeps groups large: a commit costs about as much as 100 rows in it.

Also here: the question to the journal about recalled pairs whose row may be `pending` (`core.pairs`).

Invariant: rows are committed in the order in which they were queued.  Nothing here counts: the journal does.  A failed
commit is raised by `run` and ends the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import anyio

from ..core.pairs import SURELY_NOT_APPLIED, Pairs
from ..model import Intent, State
from ..rows import SettleRow

PAUSE_S_PER_ROW: Final = 0.0005
LONGEST_PAUSE_S: Final = 0.02
"""After a commit of n rows the next waits n times 0.5 ms, at most 20 ms: lone writes hardly wait for each other,
and at 20,000 pairs/s a group is 400 rows."""
OPEN: Final = (State.PENDING, State.INTENT, State.IN_DOUBT)
"""States of rows that are not settled."""

Deliver = Callable[[list[Intent], list[SettleRow]], None]


class SettleStore(Protocol):
    """The part of the journal that takes outcomes."""

    async def settle(self, rows: list[SettleRow]) -> None: ...
    async def recall(self, rows: Sequence[SettleRow], expected: Collection[int]) -> list[int]: ...


class Committer:
    """Commits what `pairs` has queued, and `deliver`s it; `some` is set when a row is queued and none was."""

    def __init__(
        self, store: SettleStore, pairs: Pairs, deliver: Deliver, *, some: asyncio.Event, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._pairs = pairs
        self._deliver = deliver
        self._some = some
        self._clock = clock

    async def run(self, after_commit: Callable[[], None]) -> None:
        """Commit groups for ever, calling `after_commit` after each.  Raises `JournalError` when one fails."""
        while True:
            await self._some.wait()
            count = await self._commit()
            after_commit()
            await anyio.sleep(min(LONGEST_PAUSE_S, count * PAUSE_S_PER_ROW))

    async def flush(self) -> None:
        """Commit what is left.  For the end of a run in which `run` ended before its time, and never beside it."""
        while await self._commit():
            pass

    async def _commit(self) -> int:
        self._some.clear()
        intents, rows = self._pairs.take_rows()
        if rows:
            await self._store.settle(rows)
            self._pairs.durable()
            self._deliver(intents, rows)
        if asked := self._pairs.take_asked():
            self._pairs.claimed(asked, await self._store.recall(asked, SURELY_NOT_APPLIED), self._clock())
        return len(rows)


def settled_in(counts: Mapping[State, int]) -> int:
    """How many rows are settled, or failed."""
    return sum(counts.values()) - sum(counts.get(state, 0) for state in OPEN)
