"""Brings rows from `Pairs` to the disk in groups, and then delivers their outcomes to the caller.

An outcome is *known* when its row is queued, and *settled* when its group is committed.  Only then does the journal
count it, and only then is it delivered.  A group is all rows that came since the last commit began.  Under load one
commit carries hundreds of outcomes; when idle, an outcome is committed at once.  A commit costs about as much as 100 of
its rows, so large groups are cheaper.  A pause after each commit keeps them large; it grows with the size of the group.
The pause ends early once more waits for the disk than is on its way: then nothing else would keep the lanes busy.

Single pairs that come in (`entrance`) are part of the same groups.  The committer also asks the journal about recalled
pairs whose row may be `pending` (`core.pairs`).

Invariants: rows are committed in the order in which they were queued.  What a commit says about rows is handled before
the next commit begins.  Nothing here counts: the journal does.  `commit` raises when a commit fails, and that ends the
run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import anyio

from ..core.pairs import SURELY_NOT_APPLIED, Pairs
from ..errors import is_of_journal
from ..model import State
from ..rows import SettleRow
from ..store.journal import Journal
from .delivery import Deliveries
from .entrance import Entered, Entering, Entrance, enter
from .ports import Store
from .row_finder import RowFinder
from .run_loop import RunLoop

PAUSE_S_PER_ROW: Final = 0.0005
USUAL_PAUSE_S: Final = 0.02
"""After a commit of n rows the next one waits n times 0.5 ms, at most 20 ms.  So single writes hardly wait for each
other, and at 10,000 pairs/s a group has 200 rows.
"""
FAST_PAUSE_S_PER_ROW: Final = 0.0001
LONGEST_PAUSE_S: Final = 0.05
"""Above 10,000 pairs/s groups grow until the pause is 50 ms.  A commit takes 0.3 ms of CPU beside its rows: groups of
1,000 instead of 500 save 0.1 to 0.4 µs a pair.  A kill then leaves the pairs of 50 ms in doubt instead of 20.
"""
WORTH_IT: Final = 1.5
"""A commit is made early when so many times as many pairs wait for the disk as are ready or in flight.  A lower value
makes more commits, a higher one lets lanes fall idle: at 100 callers this is at most 33 commits for 1,000 pairs.
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
        entrance: Entrance,
        finder: RowFinder,
        *,
        after_commit: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._run, self._store, self._pairs, self.deliveries = run, store, pairs, deliveries
        self.entrance = entrance
        self._finder = finder
        self._after_commit = after_commit
        self._clock = clock
        self.before = dict(store.counts)
        """Rows by state when the run began."""
        self._task: asyncio.Task[None] | None = None
        self._flushing = anyio.Lock()
        self._rows_committed = self._entered = 0

    def start(self) -> None:
        """Commit groups from now on."""
        self._task = self._run.spawn(self.commit).task

    async def commit(self) -> None:
        """Commit groups for ever.  Raises `JournalError` when one fails."""
        while True:
            await self._run.until(lambda: self._pairs.has_rows or self.entrance.waiting() > 0)
            count = await self._commit()
            self._after_commit()
            with anyio.move_on_after(pause_s(count)):
                await self._run.until(self._is_worth_it)

    def _is_worth_it(self) -> bool:
        """Whether more waits for the disk than is on its way."""
        pairs = self._pairs
        waiting = pairs.rows_waiting + self.entrance.waiting()
        return waiting > 0 and waiting >= WORTH_IT * (len(pairs.ready) + len(pairs.in_flight))

    async def committed(self) -> bool:
        """Wait until all outcomes so far are durable; False if the disk failed.

        A run that goes on may have others by then, again and again.  At its end they are waited for as well.
        """
        run, task = self._run, self._task
        rows = self._rows_committed + self._pairs.rows_open
        entered = self._entered + self.entrance.rows_to_make

        def is_over() -> bool:
            if self._is_settled or is_of_journal(run.error) or task is None or task.done():
                return True
            are_durable = self._rows_committed >= rows and self._entered >= entered
            return are_durable and not self._pairs.asked and not run.is_stopping

        await run.until(is_over)
        if (task is None or task.done()) and not self._is_settled and not is_of_journal(run.error):
            async with self._flushing:  # the committing task has ended before its time: a bug, or an interrupt
                while await self._commit():
                    pass
        return not is_of_journal(run.error)

    @property
    def _is_settled(self) -> bool:
        return self._pairs.is_settled and not self.entrance.rows_to_make

    @property
    def settled(self) -> int:
        """Pairs settled by this process."""
        return settled_in(self._store.counts) - settled_in(self.before)

    async def _commit(self) -> int:
        intents, rows = self._pairs.take_rows()
        group = self.entrance.take()
        entered: Entered | None = None
        if group:
            step = partial(commit_group, finder=self._finder, rows=rows, group=group)
            entered = await self._store.write(step)
        elif rows:
            await self._store.settle(rows)
        if rows:
            self._pairs.durable()
            self._rows_committed += len(rows)
            self.deliveries.deliver(intents, rows)
        if group and entered:
            self.entrance.entered(group, entered, await self.entrance.met(group))
            self._entered += len(group)
        if asked := self._pairs.take_asked():
            self._pairs.claimed(asked, await self._store.recall(asked, SURELY_NOT_APPLIED), self._clock())
        self._run.soon()
        return len(rows) + len(group or ())


def pause_s(rows: int) -> float:
    """The longest wait after a commit of so many rows: 0.5 ms for 1, 20 ms from 40 on, 50 ms from 500 on."""
    return max(min(USUAL_PAUSE_S, rows * PAUSE_S_PER_ROW), min(LONGEST_PAUSE_S, rows * FAST_PAUSE_S_PER_ROW))


def commit_group(journal: Journal, *, finder: RowFinder, rows: list[SettleRow], group: Entering) -> Entered:
    """In the journal's thread: settle rows, then let single pairs in, which find the rows as they are then."""
    if rows:
        journal.settle(rows)
    return enter(journal, finder, group)


def settled_in(counts: Mapping[State, int]) -> int:
    """How many of these rows are settled or failed."""
    return sum(counts.values()) - sum(counts.get(state, 0) for state in OPEN)
