"""The other writers in virtual time: their journals are in memory, and to read one takes a while, as for `run.peers`.

Same answers as `Peers`, which `tests/run/test_peers.py` holds to them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence

from bulkwriter.model import State
from bulkwriter.run.peers import Met
from bulkwriter.store.journal import Journal

Pair = tuple[int, int]
MAY_BE_SENT = (State.INTENT, State.IN_DOUBT)


class SimPeers:
    """The writers of these journals, which are all at work."""

    def __init__(self, journals: Sequence[Journal], rng: random.Random, *, is_forced: bool = False) -> None:
        self._journals, self._rng, self.is_forced = journals, rng, is_forced
        self.asked = 0

    def are_there(self) -> bool:
        return bool(self._journals)

    async def met(self, pairs: Collection[Pair], *, above: int) -> dict[Pair, Met]:
        self.asked += 1
        await asyncio.sleep(self._rng.uniform(0.0, 0.005))
        found: dict[Pair, Met] = {}
        for journal in self._journals:
            for pair, row in journal.find_all(pairs).items():
                if row.state is State.CREATED and (row.record_id or 0) > above:
                    found[pair] = Met(row.record_id, "other.journal", is_at_work=True)
                elif row.state in MAY_BE_SENT:
                    found.setdefault(pair, Met(None, "other.journal", is_at_work=True))
        await asyncio.sleep(self._rng.uniform(0.0, 0.005))
        return found
