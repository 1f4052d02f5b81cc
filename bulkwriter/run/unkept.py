"""What this process knows of its own pairs where no journal is kept: which are on their way, and which are there.

A journal answers for pairs that come again; without one, the same pair given twice would be written twice, since the
lists that show what exists were read before.  So pairs on their way are noted until their outcome is final, and those
that were found or created for as long as the process lives (a bitmap; record ids of the first `MOST_IDS`).

Invariant: of a pair that `find` has answered for, no attempt may still take effect.  Not here: pairs of rows that are
`rejected` or `failed`, which may be tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio

from ..core.dedupe import PairSet
from ..core.pairs import IN_DOUBT
from ..errors import ConfigurationStop
from ..model import Intent, State
from ..rows import SettleRow

THERE: Final = frozenset({int(State.CREATED), int(State.EXISTING)})
MOST_IDS: Final = 200_000
ASK_S: Final = 1.0
"""Time between two questions whether looks have become hopeless."""


class Unkept:
    """The pairs of one process; `forbidden` says why doubts will never be settled, or is empty."""

    def __init__(self, forbidden: Callable[[], str], list_role: str) -> None:
        self._list_role = list_role
        self._forbidden = forbidden
        self._open: set[tuple[int, int]] = set()
        self._there = PairSet()
        self._ids: dict[tuple[int, int], int] = {}
        self._changed = anyio.Event()

    def begin(self, intents: Iterable[Intent]) -> None:
        """These are to be sent."""
        self._open.update(intent.pair for intent in intents)

    def end(self, pairs: Iterable[tuple[int, int]]) -> None:
        """These were not sent after all, or surely not applied."""
        self._open.difference_update(pairs)
        self._changed.set()
        self._changed = anyio.Event()

    def settle(self, intents: Sequence[Intent], rows: Sequence[SettleRow]) -> None:
        """Take outcomes.  A creation that is in doubt again is on its way until it is settled anew."""
        for intent, row in zip(intents, rows, strict=True):
            if row[1] == IN_DOUBT:
                self._open.add(intent.pair)
            elif row[1] in THERE:
                self._there.add(intent.pair)
                if row[3] and len(self._ids) < MOST_IDS:
                    self._ids[intent.pair] = row[3]
        self.end(intent.pair for intent, row in zip(intents, rows, strict=True) if row[1] != IN_DOUBT)

    async def find(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Those of `pairs` that are there, with the record id or 0; waits for those on their way."""
        while self._open and not self._open.isdisjoint(pairs):
            if reason := self._forbidden():
                raise ConfigurationStop(
                    f"a pair was given again while it is in doubt, and lists do not work: {reason}",
                    hint=f"give the user the role {self._list_role}, and use a journal",
                )
            with anyio.move_on_after(ASK_S):
                await self._changed.wait()
        return {pair: self._ids.get(pair, 0) for pair in pairs if pair in self._there}
