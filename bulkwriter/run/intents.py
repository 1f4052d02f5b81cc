"""Makes intents durable, then ready.  Only this module writes rows that are not outcomes.

Each commit and the hand-over after it run shielded from cancellation.  Otherwise intents could be durable although
nobody sends them, and they would be doubts.  The shield ends with the commit, or with the run when the disk fails.

Invariant: a pair enters the ready queue only here, after its intent is durable and no other writer has it.
The intake waits here for room, too.  Three things bound it: ready pairs, doubts, and outcomes not delivered yet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from ..core.pairs import EXISTING, INTENT, PENDING, Pairs
from ..core.stops import GO_ON
from ..errors import ConfigurationStop
from ..events import ChunkReady
from ..listing.looks import Looker
from ..model import Intent, State
from ..rows import AppendRow, SettleRow, StoredRow, intent_detail
from ..settings import Limits, Settings
from ..shielded import to_its_end
from ..store.journal import Journal
from ..store.schema import ExportRow
from ..store.starts import ORIGIN, SOURCE, source_text
from .admission import Admission
from .contention import Contention
from .delivery import Deliveries
from .ports import Store
from .reach import Reach, reach_of
from .row_finder import DUPLICATE, RowFinder
from .run_loop import RunLoop

FINAL_AT_ONCE: Final = frozenset({int(State.INVALID), int(State.DUPLICATE)})
STORED_ROWS: Final = 5_000
"""Rows compared with the journal at a time.  No request depends on them, so they may be more than a chunk."""

T = TypeVar("T")
NOBODY: Final[frozenset[int]] = frozenset()
There = list[tuple[Intent, int, int]]
"""Pairs that were found on the server and need no request: intent, state in the journal, record id (0: not known)."""


class Intents:
    """The intake's way to the journal and the ready queue.  Its commits cannot be cancelled half-way."""

    def __init__(
        self,
        run: RunLoop,
        store: Store,
        pairs: Pairs,
        deliveries: Deliveries,
        admission: Admission,
        looker: Looker,
        limits: Limits,
        *,
        finder: RowFinder,
        contention: Contention,
        list_role: str,
        clock: Callable[[], float],
    ) -> None:
        self.contention = contention
        self._run, self._store, self._pairs, self.deliveries = run, store, pairs, deliveries
        self._finder = finder
        self._singles_before = store.next_single_seq
        self._admission, self._looker = admission, looker
        self._limits, self._list_role = limits, list_role
        self._clock = clock
        self._source_note: dict[str, str] = {}
        self.is_committing = False
        """Whether the next pairs to be sent wait for the disk."""

    def at_once(self) -> int:
        """How many intents may be made now without going too far ahead; at least 1."""
        return self._reach().rows(len(self._pairs.ready))

    def room_now(self, rows: int) -> int:
        """How many pairs may become intents now, by the rules of `room`; at most `rows`."""
        ready, reach = len(self._pairs.ready), self._reach()
        if ready > reach.low_water(rows) or len(self._pairs.doubts) >= self._limits.outcome_rows:
            return 0
        return min(rows, reach.rows(ready))

    def _reach(self) -> Reach:
        return reach_of(self._admission, self._clock(), ahead_s=self._limits.chunk_s)

    async def room(self, rows: int) -> int:
        """Wait for room, and return how many pairs are ready.

        There is room once the ready queue is down to `rows` (or less where little can be sent), doubts are few enough,
        and the stream's consumer has caught up.  `rows` is the size of the next batch, not of the last one: a source's
        batches end in small rests.
        """
        ready, doubts, most = self._pairs.ready, self._pairs.doubts, self._limits.outcome_rows
        while len(ready) > (few := self._reach().low_water(rows)) or len(doubts) >= most:
            if len(doubts) >= most and self._looker.forbidden:
                raise ConfigurationStop(
                    f"{len(doubts):,} pairs are in doubt, no more are risked, and what exists cannot be "
                    f"listed: {self._looker.forbidden}",
                    hint=f"{self._looker.failures.hint or f'give the user the role {self._list_role}'}; {GO_ON}",
                    code="doubts",
                )
            # Other waits are asked about once so few are ready.
            await self._run.until(lambda: len(ready) <= few and (len(doubts) < most or bool(self._looker.forbidden)))
        if stream := self.deliveries.stream:
            await stream.room()
        return len(ready)

    async def read_pairs(self, first_seq: int, count: int) -> list[tuple[int, int] | None]:
        """The pairs that the journal holds.  If there is a stream, outcomes of earlier starts are delivered to it."""
        if stream := self.deliveries.stream:
            for row in await self._store.run(lambda journal: journal.whole(first_seq, count)):
                stream.put_stored(row)
        pairs: list[tuple[int, int] | None] = await self._store.run(
            lambda journal: journal.read_pairs(first_seq, count)
        )
        return pairs

    async def read_stored(self, first_seq: int, count: int, states: frozenset[int]) -> list[StoredRow]:
        """The rows that the journal holds in these states."""
        return await self._store.run(partial(read_in_states, first_seq=first_seq, count=count, states=states))

    async def read_singles(self, states: frozenset[int], *, after: int) -> list[StoredRow]:
        """Rows in these states of pairs that were given one by one to earlier starts; empty after the last."""
        before = self._singles_before
        if after + 1 >= before:
            return []

        def read(journal: Journal) -> list[StoredRow]:
            seqs = journal.singles_in({State(state) for state in states}, before=before)
            at = bisect_right(seqs, after)
            return list(map(stored_row, journal.rows_of(seqs[at : at + STORED_ROWS])))

        return await self._store.run(read)

    async def read_earlier(self, pairs: list[tuple[int, int]], first_seq: int) -> dict[tuple[int, int], StoredRow]:
        """The rows of these pairs before `first_seq`.  If there is a stream, the settled ones are delivered to it."""
        found = await self._store.run(lambda journal: self._finder.find(journal, pairs, before=first_seq))
        if stream := self.deliveries.stream:
            for row in found.values():
                stream.put_stored(row)
        return {pair: stored_row(row) for pair, row in found.items()}

    def note_source(self, news: tuple[int | None, bool] | None) -> None:
        """Note how many rows the source has, and whether that is exact.  It is kept with the next rows of the
        source.
        """
        if news is not None:
            self._source_note[SOURCE] = source_text(news[0], is_exact=news[1])

    def note_origin(self, origin: str) -> None:
        """Note where the source's own rows are.  It is kept with the next rows, or at the end."""
        self._source_note[ORIGIN] = origin

    async def commit_source(self) -> None:
        """Keep the note if no further row will come."""
        note, self._source_note = self._source_note, {}
        if note:
            await self._store.run(partial(keep, note=note))

    async def commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> frozenset[int]:
        """Make rows, and make the intents among them ready.  Return the seqs of rows that became duplicates, since
        their pairs had just been given one by one.
        """
        await self.contention.outwait(intents)
        return await self._commit(self._commit_new(rows, intents, there))

    async def commit_again(self, intents: list[Intent], expected: list[int], there: There) -> None:
        """Make stored rows intents again, or `existing`, unless somebody else has claimed them meanwhile."""
        await self.contention.outwait(intents)
        await self._commit(self._commit_again(intents, expected, there))

    async def _commit(self, step: Coroutine[Any, Any, T]) -> T:
        self.is_committing = True
        try:
            return await to_its_end(step)
        finally:
            self.is_committing = False

    async def _commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> frozenset[int]:
        late = await self._append(rows, list(map(existing_row, there)))
        if late:
            intents = [intent for intent in intents if intent.seq not in late]
            there = [found for found in there if found[0].seq not in late]
        if len(intents) != len(rows):
            for row in rows:
                if row[4] in FINAL_AT_ONCE:
                    self.deliveries.deliver_row(row)
                elif row[0] in late:
                    self.deliveries.deliver_row((*row[:4], DUPLICATE, None))
        self._found(there)
        await self._hand_over(intents)
        return late

    async def _commit_again(self, intents: list[Intent], expected: list[int], there: There) -> None:
        rows = [*map(intent_row, intents), *map(existing_row, there)]
        states = [*expected, *(state for _, state, _ in there)]
        claimed = set(await self._store.run(lambda journal: journal.claim(rows, states)))
        self._found([found for found in there if found[0].seq in claimed])
        await self._hand_over([intent for intent in intents if intent.seq in claimed])

    async def _hand_over(self, intents: list[Intent]) -> None:
        """Make durable intents ready, except those that another writer has claimed: these end the source."""
        met = await self.contention.met(intents)
        self._pairs.added(intents, self._clock())
        if met:
            self.contention.of_source(intents, met)
        if intents:
            self._run.tell(ChunkReady(intents[0].seq, len(intents)))
        self._run.soon()

    async def _append(self, rows: list[AppendRow], settled: list[SettleRow]) -> frozenset[int]:
        """Add rows, and settle some of them in the same commit, so that nobody else ever finds those unsent."""
        if not rows:
            return NOBODY
        note, self._source_note = self._source_note, {}
        step = partial(append_settled, finder=self._finder, rows=rows, settled=settled, note=note)
        return await self._store.write(step)

    def _found(self, there: There) -> None:
        """Deliver pairs that were on the server before."""
        if there:
            self.deliveries.deliver([intent for intent, _, _ in there], list(map(existing_row, there)))


def intent_row(intent: Intent) -> SettleRow:
    """The row of a stored pair that is sent again.  Its floor replaces the `detail` of an earlier attempt."""
    return intent.seq, INTENT, intent.attempts, None, None, intent_detail(intent.floor)


def existing_row(found: tuple[Intent, int, int]) -> SettleRow:
    intent, _, record_id = found
    return intent.seq, EXISTING, intent.attempts, record_id or None, None, None


def read_in_states(journal: Journal, *, first_seq: int, count: int, states: frozenset[int]) -> list[StoredRow]:
    """The rows in these states.  Most often there are none; the states in memory tell that without a disk read."""
    if states.isdisjoint(journal.states_of(first_seq, count)):
        return []
    return [row for row in journal.read(first_seq, count) if row[3] in states]


def stored_row(row: ExportRow) -> StoredRow:
    first, second = row.pair or (None, None)
    return row.seq, first, second, int(row.state), row.attempts, row.line


def keep(journal: Journal, *, note: dict[str, str]) -> None:
    for key, value in note.items():
        journal.meta_set(key, value)


def append_settled(
    journal: Journal, *, finder: RowFinder, rows: list[AppendRow], settled: list[SettleRow], note: Mapping[str, str]
) -> frozenset[int]:
    late = finder.append(journal, rows, note)
    if settled:
        journal.settle([row for row in settled if row[0] not in late])
    return late


def states_sent_again(settings: Settings) -> frozenset[int]:
    """Stored states of pairs that this start sends again."""
    again = {PENDING, int(State.FAILED)}
    return frozenset(again | {int(State.REJECTED)} if settings.retry_rejected else again)
