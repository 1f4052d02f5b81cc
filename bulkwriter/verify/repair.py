"""Deletes what is too much of doubled pairs, as far as this run can claim it; the rest is left and listed.

A record is deleted only if the journal says that this run created it with this very id and pair, a read just before
shows it with that pair and not as older than the run (`beginning`), and a whole list made right after that read shows
another record of the pair as well.  Of several that could go, the newest goes first, and each needs its own read and
list.  The journal then has the pair as `existing`, with the oldest id that is left: the pair is there, and this run has
no claim on what is there.

Invariant: a pair that had a record before has one afterwards, as far as lists can tell (somebody else may delete the
other one in the same moment).  Pairs are repaired one by one; a kill between two steps leaves a pair that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from ..listing.baseline import Beginning
from ..model import State
from ..rows import outcome_detail
from ..store.schema import ExportRow
from .delete_created import OpenJournal, read_created
from .deletes import Fate
from .session import Conversation
from .stop_signal import Halted

DETAIL = outcome_detail((), "verify --repair deleted this run's record of the doubled pair")


class Repair:
    """One repair of some doubled pairs: `load`, then `run`.  `left` are the pairs that are doubled still."""

    def __init__(
        self, store: OpenJournal, talk: Conversation, doubled: Mapping[tuple[int, int], list[int]], *, list_lag_s: float
    ) -> None:
        self._store = store
        self._talk = talk
        self._list_lag_s = list_lag_s
        self._own: dict[tuple[int, int], list[ExportRow]] = {}
        self._beginning = Beginning()
        self.left = dict(doubled)
        self.deleted = 0

    @property
    def claimed(self) -> int:
        """Records that may be deleted, if the server still shows them as it did: one of each pair stays."""
        return sum(min(len(rows), len(self.left[pair]) - 1) for pair, rows in self._own.items())

    async def load(self) -> None:
        """Find the records that the journal says this run created."""
        self._beginning = Beginning.of(await self._store.run(lambda journal: journal.meta()))
        first_seq = 0
        while rows := await self._store.run(partial(read_created, first_seq=first_seq)):
            first_seq = rows[-1].seq + 1
            for row in rows:
                if row.pair and row.record_id in self.left.get(row.pair, ()):
                    self._own.setdefault(row.pair, []).append(row)

    async def run(self) -> None:
        """Delete what may go.  Raises the error that stopped it; `left` and `deleted` are right even then."""
        halt = self._talk.halt
        for pair, rows in self._own.items():
            if halt.is_set:
                break
            with suppress(Halted):
                await self._repair(pair, rows)
            if len(self.left[pair]) < 2:
                del self.left[pair]
        if halt.error:
            raise halt.error

    async def _repair(self, pair: tuple[int, int], rows: Sequence[ExportRow]) -> None:
        deleted: set[int] = set()
        for row in sorted(rows, key=lambda row: row.record_id or 0, reverse=True):
            if not await self._delete(pair, row, deleted):
                return

    async def _delete(self, pair: tuple[int, int], row: ExportRow, deleted: set[int]) -> bool:
        """Delete the record of `row` if it may go; False when the pair is to be left as it is."""
        talk, record_id = self._talk, row.record_id
        assert record_id is not None
        seen = (await talk.read([record_id])).get(record_id)
        if seen is None or seen.pair != pair or self._beginning.is_before(record_id, seen.created_on):
            return False
        listed = await talk.list_ids(pair)
        if deleted & listed:  # it lags behind a delete, so it may also show another record that is gone
            await talk.halt.sleep(self._list_lag_s)
            listed = await talk.list_ids(pair)
        self.left[pair] = sorted(listed)
        if deleted & listed or record_id not in listed or len(listed) < 2:
            return False
        if await talk.deleter.delete(record_id) not in (Fate.DELETED, Fate.GONE):
            return False
        deleted.add(record_id)
        self.deleted += 1
        self.left[pair] = sorted(listed - {record_id})
        await self._store.settle([(row.seq, State.EXISTING, row.attempts, self.left[pair][0], row.http_status, DETAIL)])
        return True
