"""Brings rows from `Pairs` to the disk in groups, and then delivers their outcomes to the caller.

An outcome is *known* when its row is queued, and *settled* when its group is committed.  Only then does the journal
count it, and only then is it delivered.  A group is all rows that came since the last commit began.  Under load one
commit carries hundreds of outcomes; when idle, an outcome is committed at once.  A commit costs about as much as 100 of
its rows, so large groups are cheaper.  A pause after each commit keeps them large; it grows with the size of the group.

The committer also asks the journal about recalled pairs whose row may be `pending` (`core.pairs`).

Invariant: rows are committed in the order in which they were queued.  Nothing here counts: the journal does.  `commit`
raises when a commit fails, and that ends the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import anyio

from ..core.pairs import SURELY_NOT_APPLIED, Pairs
from ..errors import is_of_journal
from ..model import State
from .delivery import Deliveries
from .ports import Store
from .run_loop import RunLoop

PAUSE_S_PER_ROW: Final = 0.0005
LONGEST_PAUSE_S: Final = 0.02
"""After a commit of n rows the next one waits n times 0.5 ms, at most 20 ms.  So single writes hardly wait for each
other, and at 20,000 pairs/s a group has 400 rows.
"""
OPEN: Final = (State.PENDING, State.INTENT, State.IN_DOUBT)
"""States of rows that are not settled."""


class Committer:
    """Commits the rows that `pairs` has queued, delivers their outcomes, and calls `after_commit`."""

    def __init__(
        self,
        run: RunLoop,
        store: Store,
        pairs: Pairs,
        deliveries: Deliveries,
        *,
        after_commit: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._run, self._store, self._pairs, self.deliveries = run, store, pairs, deliveries
        self._after_commit = after_commit
        self._clock = clock
        self.before = dict(store.counts)
        """Rows by state when the run began."""
        self._task: asyncio.Task[None] | None = None
        self._flushing = anyio.Lock()

    def start(self) -> None:
        """Commit groups from now on."""
        self._task = self._run.spawn(self.commit).task

    async def commit(self) -> None:
        """Commit groups for ever.  Raises `JournalError` when one fails."""
        while True:
            await self._run.until(lambda: self._pairs.has_rows)
            count = await self._commit()
            self._after_commit()
            await anyio.sleep(min(LONGEST_PAUSE_S, count * PAUSE_S_PER_ROW))

    async def committed(self) -> bool:
        """Wait until all outcomes so far are durable; False if the disk failed."""
        pairs, run, task = self._pairs, self._run, self._task
        await run.until(lambda: pairs.is_settled or is_of_journal(run.error) or task is None or task.done())
        if not pairs.is_settled and not is_of_journal(run.error):
            async with self._flushing:  # the committing task has ended before its time: a bug, or an interrupt
                while await self._commit():
                    pass
        return not is_of_journal(run.error)

    @property
    def settled(self) -> int:
        """Pairs settled by this process."""
        return settled_in(self._store.counts) - settled_in(self.before)

    async def _commit(self) -> int:
        intents, rows = self._pairs.take_rows()
        if rows:
            await self._store.settle(rows)
            self._pairs.durable()
            self.deliveries.deliver(intents, rows)
        if asked := self._pairs.take_asked():
            self._pairs.claimed(asked, await self._store.recall(asked, SURELY_NOT_APPLIED), self._clock())
        self._run.soon()
        return len(rows)


def settled_in(counts: Mapping[State, int]) -> int:
    """How many of these rows are settled or failed."""
    return sum(counts.values()) - sum(counts.get(state, 0) for state in OPEN)
