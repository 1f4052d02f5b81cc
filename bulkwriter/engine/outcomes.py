"""Outcomes on their way to the disk and the caller: collected by the dispatcher, committed in groups, then delivered.

An outcome is *known* when the dispatcher adds it and *settled* when its group is committed; only then is it counted in
`tally` and delivered.  A group is whatever came since the last commit began: under load one commit carries hundreds of
outcomes, when idle an outcome is committed at once.  A pause after each commit, the longer the more it carried, keeps
groups large: a commit costs about as much as 100 rows in it.

Invariants: outcomes of one pair keep their order, so the last one holds; `tally` always equals what the
journal's own rows would count.  A failed commit is raised by `run` and ends the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Final, Protocol

import anyio

from ..core.reasons import ReasonCounter, place_of
from ..model import Intent, State
from ..store.schema import SettleRow, said_of

PAUSE_S_PER_ROW: Final = 0.0005
LONGEST_PAUSE_S: Final = 0.02
"""After a commit of n rows the next waits n times 0.5 ms, at most 20 ms: lone writes hardly wait for each other,
and at 20,000 pairs/s a group is 400 rows."""

INTENT: Final = int(State.INTENT)
IN_DOUBT: Final = int(State.IN_DOUBT)
REJECTED: Final = int(State.REJECTED)
FAILED: Final = int(State.FAILED)


class SettleStore(Protocol):
    """The part of the journal that takes outcomes."""

    async def settle(self, rows: list[SettleRow]) -> None: ...


Deliver = Callable[[list[Intent], list[SettleRow]], None]


class Outcomes:
    """The buffer between replies and the disk, and the tally of what is settled."""

    def __init__(self, store: SettleStore, *, most: int, tally: Mapping[State, int]) -> None:
        self._store = store
        self._most = most
        self.tally: Counter[int] = Counter({int(state): n for state, n in tally.items()})
        self.odd: dict[int, int] = {}
        """The journal's state of unsettled pairs where it is not INTENT: parked doubts, recalled creates."""
        self.deliver: Deliver | None = None
        self.settled = 0
        self.reasons = ReasonCounter()
        """What was said of the pairs and rows that this process found rejected, failed or invalid."""
        self.is_full = False
        """Whether sending must wait for the disk."""
        self._rows: list[SettleRow] = []
        self._intents: list[Intent] = []
        self._was: list[int] = []
        self._group: tuple[list[SettleRow], list[Intent], list[int]] | None = None  # given to the disk, not durable yet
        self._flushing = 0
        self._some = anyio.Event()

    @property
    def is_empty(self) -> bool:
        return not self._rows and not self._flushing

    def add(self, intent: Intent, row: SettleRow) -> None:
        """Take one known outcome; it is settled soon."""
        if not self._rows:
            self._some.set()
        rows = self._rows
        rows.append(row)
        self._intents.append(intent)
        if len(rows) + self._flushing >= self._most:
            self.is_full = True
        if self.odd and (was := self.odd.pop(row[0], INTENT)) != INTENT:
            self._was.append(was)
        if row[1] == IN_DOUBT:
            self.odd[row[0]] = IN_DOUBT

    async def run(self, after_commit: Callable[[], None]) -> None:
        """Commit groups for ever, calling `after_commit` after each.  Raises `JournalError` when one fails."""
        while True:
            await self._some.wait()
            count = await self._commit()
            after_commit()
            await anyio.sleep(min(LONGEST_PAUSE_S, count * PAUSE_S_PER_ROW))

    async def flush(self) -> None:
        """Commit what is left.  For the end of a run in which `run` ended before its time, and never beside it."""
        while not self.is_empty:
            await self._commit()

    async def _commit(self) -> int:
        if self._group is None:  # else a commit was broken off: the same rows once more say the same
            self._group = self._rows, self._intents, self._was
            self._rows, self._intents, self._was = [], [], []
            self._some = anyio.Event()
        rows, intents, was = self._group
        self._flushing = len(rows)
        await self._store.settle(rows)
        states = self._count(rows, was)
        self._group, self._flushing = None, 0
        if states[REJECTED] or states[FAILED]:
            self._note_reasons(rows, intents)
        self.is_full = len(self._rows) >= self._most
        if self.deliver:
            self.deliver(intents, rows)
        return len(rows)

    def _count(self, rows: list[SettleRow], was: list[int]) -> Counter[int]:
        states = Counter(map(itemgetter(1), rows))
        self.tally.update(states)
        self.tally.subtract(was)
        self.tally[INTENT] -= len(rows) - len(was)
        recalled = sum(state not in (INTENT, IN_DOUBT) for state in was)
        self.settled += len(rows) - states[IN_DOUBT] - recalled
        return states

    def _note_reasons(self, rows: list[SettleRow], intents: list[Intent]) -> None:
        for row, intent in zip(rows, intents, strict=True):
            if row[1] == REJECTED or row[1] == FAILED:
                self.note_reason(row[1], row[5], intent.line, intent.pair)

    def note_reason(self, state: int, detail: str | None, line: int | None, pair: tuple[int, int] | None) -> None:
        """Count why a row is what it is."""
        text, kind = said_of(detail)
        self.reasons.add(State(state).word, text, kind=kind, place=lambda: place_of(line, pair))
