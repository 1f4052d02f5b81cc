"""Deletes what is too much of doubled pairs, as far as this run can claim it; the rest is left and listed.

A record is deleted only if the journal says that this run created it with this very id and pair, a read just before
shows it with that pair and not as older than the run (`listing.baseline`), and a whole list made right after that
read shows another record of the pair as well.  Of several that could go, the newest goes first, and each needs its own
read and list.  The journal then has the pair as `existing`, with the oldest id that is left: the pair is there, and
this run has no claim on what is there.

A DELETE without an answer may have been applied, or may be yet.  Such a pair is listed again at the end.  If its record
is still there the pair stays `open`, as does one that a stop has left out: nobody should delete the rest by hand then.

Invariant: a pair that had a record before has one afterwards, as far as lists can tell (somebody else may delete the
other one in the same moment).  Pairs are repaired one by one; a kill between two steps leaves a pair that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from ..listing.baseline import Baseline
from ..model import State
from ..rows import outcome_detail
from ..store.journal_writer import JournalWriter
from ..store.schema import ExportRow
from .delete_created import read_created
from .deletes import Fate
from .session import ServerSession
from .stop_signal import StopSet

DETAIL = outcome_detail((), "verify --repair deleted this run's record of the doubled pair")


class Repair:
    """One repair of some doubled pairs: `load`, then `run`.  `left` are the pairs that are doubled still.

    `own` are the rows of the journal that say that this run created one of the records.
    """

    def __init__(
        self,
        store: JournalWriter,
        session: ServerSession,
        doubled: Mapping[tuple[int, int], list[int]],
        *,
        baseline: Baseline,
        own: Mapping[tuple[int, int], Sequence[ExportRow]],
        list_lag_s: float,
    ) -> None:
        self._store = store
        self._session = session
        self._baseline = baseline
        self._own = own
        self._list_lag_s = list_lag_s
        self.left = dict(doubled)
        self.open = set(own)
        """Pairs of which another start of the same may delete records still."""
        self.deleted = 0

    @classmethod
    async def load(
        cls,
        store: JournalWriter,
        session: ServerSession,
        doubled: Mapping[tuple[int, int], list[int]],
        *,
        list_lag_s: float,
    ) -> Repair:
        """Find the records that the journal says this run created."""
        baseline = Baseline.of(await store.run(lambda journal: journal.meta()))
        own: dict[tuple[int, int], list[ExportRow]] = {}
        first_seq = 0
        while rows := await store.run(partial(read_created, first_seq=first_seq)):
            first_seq = rows[-1].seq + 1
            for row in rows:
                if row.pair and row.record_id in doubled.get(row.pair, ()):
                    own.setdefault(row.pair, []).append(row)
        return cls(store, session, doubled, baseline=baseline, own=own, list_lag_s=list_lag_s)

    @property
    def claimed(self) -> int:
        """Records that may be deleted, if the server still shows them as it did: one of each pair stays."""
        return sum(min(len(rows), len(self.left[pair]) - 1) for pair, rows in self._own.items())

    async def run(self) -> None:
        """Delete what may go.  Raises the error that stopped it; `left` and `deleted` are right even then."""
        stop = self._session.stop
        unanswered: list[tuple[tuple[int, int], ExportRow]] = []
        for pair, rows in self._own.items():
            if stop.is_set:
                break
            with suppress(StopSet):
                if row := await self._repair(pair, rows):
                    unanswered.append((pair, row))
        with suppress(StopSet):
            if unanswered:
                await stop.sleep(self._list_lag_s)
            for pair, row in unanswered:
                await self._look_again(pair, row)
        self.left = {pair: ids for pair, ids in self.left.items() if len(ids) > 1}
        self.open &= self.left.keys()
        if stop.error:
            raise stop.error

    async def _repair(self, pair: tuple[int, int], rows: Sequence[ExportRow]) -> ExportRow | None:
        """Delete what may go of one pair.  Returns the row of a record whose DELETE was not answered."""
        deleted: set[int] = set()
        for row in sorted(rows, key=lambda row: row.record_id or 0, reverse=True):
            fate = await self._delete(pair, row, deleted)
            if fate is Fate.UNKNOWN:
                return row
            if fate not in (Fate.DELETED, Fate.GONE):
                break
        if not self._session.stop.is_set:
            self.open.discard(pair)
        return None

    async def _look_again(self, pair: tuple[int, int], row: ExportRow) -> None:
        """Whether the record is gone whose DELETE was not answered."""
        listed = await self._session.list_ids(pair)
        self.left[pair] = sorted(listed)
        if listed and row.record_id not in listed:
            await self._note(pair, row)

    async def _delete(self, pair: tuple[int, int], row: ExportRow, deleted: set[int]) -> Fate:
        """Delete the record of `row` if it may go; UNSENT when the pair is to be left as it is."""
        session, record_id = self._session, row.record_id
        assert record_id is not None
        seen = (await session.read([record_id])).get(record_id)
        if seen is None or seen.pair != pair or self._baseline.is_before(record_id, seen.created_on):
            return Fate.UNSENT
        listed = await session.list_ids(pair)
        if deleted & listed:  # it lags behind a delete, so it may also show another record that is gone
            await session.stop.sleep(self._list_lag_s)
            listed = await session.list_ids(pair)
        self.left[pair] = sorted(listed)
        if deleted & listed or record_id not in listed or len(listed) < 2:
            return Fate.UNSENT
        fate = await session.deleter.delete(record_id)
        if fate in (Fate.DELETED, Fate.GONE):
            deleted.add(record_id)
            self.left[pair] = sorted(listed - {record_id})
            await self._note(pair, row)
        return fate

    async def _note(self, pair: tuple[int, int], row: ExportRow) -> None:
        """The record of `row` is gone, and others of the pair are left."""
        self.deleted += 1
        await self._store.settle([(row.seq, State.EXISTING, row.attempts, self.left[pair][0], row.http_status, DETAIL)])
