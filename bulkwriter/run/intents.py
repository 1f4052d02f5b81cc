"""Makes intents durable, then ready: the only place that writes rows other than outcomes.

Each commit and the hand-over that follows it run shielded from cancellation: were they separated, intents could be
durable that nobody sends, which would be doubts.  The shield ends with the commit, or with the run when the disk fails.

Invariant: a pair enters the ready queue only here, after its intent is durable.
Also here: waiting for room, since the same three things bound the intake: ready pairs, doubts, undelivered outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from operator import itemgetter
from typing import Any, Final

import anyio

from ..core.pairs import EXISTING, IN_DOUBT, INTENT, PENDING, Pairs
from ..core.reasons import ReasonCounter, place_of
from ..core.stops import GO_ON
from ..errors import ConfigurationStop
from ..listing.looks import Looker
from ..model import Intent, State
from ..rows import AppendRow, SettleRow, StoredRow, intent_detail
from ..settings import Settings
from ..shielded import to_its_end
from ..store.journal import Journal
from ..store.schema import said_of
from ..store.starts import SOURCE, source_text
from .delivery import Delivery, Waiters, make_outcome, outcome_of, unsettled
from .intake import STORED_ROWS, There
from .ports import Store
from .reach import Reach
from .sender import Sender

INVALID, REJECTED, FAILED = int(State.INVALID), int(State.REJECTED), int(State.FAILED)
FINAL_AT_ONCE = frozenset({INVALID, int(State.DUPLICATE)})
UNSETTLED = frozenset({PENDING, IN_DOUBT})
WITH_REASON = frozenset({REJECTED, FAILED})
STATE_OF = itemgetter(1)


class Intents:
    """The intake's way to the journal and the ready queue; see `intake.IntakeHost`."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        pairs: Pairs,
        looker: Looker,
        settings: Settings,
        *,
        list_role: str,
        reach: Callable[[], Reach],
    ) -> None:
        self._store = store
        self._sender = sender
        self._pairs = pairs
        self._looker = looker
        self._list_role = list_role
        self._reach = reach
        self._most_doubts = settings.limits.outcome_rows
        self._source_note: dict[str, str] = {}
        self._room = anyio.Event()
        self.waiters = Waiters()
        self.reasons = ReasonCounter()
        """What was said of the pairs and rows that this process found rejected, failed or invalid."""
        self.delivery: Delivery | None = None
        self.is_committing = False
        """Whether what is to be sent next waits for the disk."""
        sender.hungry = self._hungry

    def _hungry(self) -> None:
        self._room.set()

    def at_once(self) -> int:
        """How many intents may be made at this moment without reaching too far ahead; at least 1."""
        return self._reach().rows(len(self._pairs.ready))

    async def room(self, rows: int) -> int:
        """Wait until the ready queue is down to `rows`, or less where little can be sent, doubts are few enough, and
        the stream's consumer has caught up.  Returns how many pairs are ready.

        `rows` is what is asked for next, and not what came last: a source's batches end in small rests.
        """
        d, ready = self._sender, self._pairs.ready
        d.low_water = self._reach().low_water(rows)
        while len(ready) > d.low_water or len(self._looker.doubts) >= self._most_doubts:
            if self._looker.forbidden and len(self._looker.doubts) >= self._most_doubts:
                raise ConfigurationStop(
                    f"{len(self._looker.doubts):,} pairs are in doubt, no more are risked, and what exists cannot be "
                    f"listed: {self._looker.forbidden}",
                    hint=f"give the user the role {self._list_role}; {GO_ON}",
                )
            self._room = anyio.Event()
            # Of the queue we are told (`hungry`), but doubts are settled without a word to us.
            with anyio.move_on_after(None if len(ready) > d.low_water else 1.0):
                await self._room.wait()
            d.low_water = self._reach().low_water(rows)
        if self.delivery:
            await self.delivery.room()
        return len(ready)

    async def read_pairs(self, first_seq: int, count: int) -> list[tuple[int, int] | None]:
        """The pairs that the journal holds; with a stream, those settled by earlier starts are delivered."""
        if self.delivery:
            for row in await self._store.run(lambda journal: journal.whole(first_seq, count)):
                self.delivery.put_stored(row)
        pairs: list[tuple[int, int] | None] = await self._store.run(
            lambda journal: journal.read_pairs(first_seq, count)
        )
        return pairs

    async def read_stored(self, first_seq: int, count: int, states: frozenset[int]) -> list[StoredRow]:
        """The rows that the journal holds in these states."""
        return await self._store.run(partial(read_in_states, first_seq=first_seq, count=count, states=states))

    async def read_singles(self, first_seq: int) -> list[StoredRow]:
        """Rows of pairs given one by one, by this start or earlier ones; empty behind the last."""
        if first_seq >= self._store.next_single_seq:
            return []
        rows: list[StoredRow] = await self._store.run(lambda journal: journal.read(first_seq, STORED_ROWS))
        return rows

    async def read_earlier(self, pairs: list[tuple[int, int]], first_seq: int) -> dict[tuple[int, int], StoredRow]:
        """The rows before `first_seq` that these pairs have; with a stream, those that are settled are delivered."""
        found = await self._store.run(lambda journal: journal.find_all(pairs, before=first_seq))
        if self.delivery:
            for row in found.values():
                self.delivery.put_stored(row)
        return {pair: (row.seq, *pair, int(row.state), row.attempts, row.line) for pair, row in found.items()}

    def note_source(self, news: tuple[int | None, bool] | None) -> None:
        """How many rows the source has, and whether exactly: to be kept with the next rows of it."""
        if news is not None:
            self._source_note = {SOURCE: source_text(news[0], is_exact=news[1])}

    async def commit_source(self) -> None:
        """Keep what was noted where no row comes any more."""
        note, self._source_note = self._source_note, {}
        if note:
            await self._store.run(partial(keep, note=note))

    async def commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> None:
        await self._commit(self._commit_new(rows, intents, there))

    async def commit_again(self, intents: list[Intent], was: list[int], there: There) -> None:
        """Make stored rows intents again, or `existing`: those that nobody else has claimed meanwhile."""
        await self._commit(self._commit_again(intents, was, there))

    async def _commit(self, step: Coroutine[Any, Any, None]) -> None:
        self.is_committing = True
        try:
            await to_its_end(step)
        finally:
            self.is_committing = False

    async def _commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> None:
        await self._append(rows, list(map(existing_row, there)))
        if len(intents) != len(rows):
            for row in rows:
                if row[4] in FINAL_AT_ONCE:
                    if row[4] == INVALID:
                        self._note_reason(INVALID, row[5], row[3], None)
                    self._deliver_row(row)
        self._found(there)
        self._sender.add(intents)

    async def _commit_again(self, intents: list[Intent], was: list[int], there: There) -> None:
        rows = [*map(intent_row, intents), *map(existing_row, there)]
        states = [*was, *(state for _, state, _ in there)]
        claimed = set(await self._store.run(lambda journal: journal.claim(rows, states)))
        self._found([found for found in there if found[0].seq in claimed])
        self._sender.add([intent for intent in intents if intent.seq in claimed])

    async def _append(self, rows: list[AppendRow], settled: list[SettleRow]) -> None:
        """Add rows, of which some are settled in the same commit: nobody else may ever find those unsent."""
        note, self._source_note = self._source_note, {}
        if settled:
            await self._store.run(partial(append_settled, rows=rows, settled=settled, note=note))
        elif rows:
            await self._store.append(rows, note)

    def _found(self, there: There) -> None:
        """Pairs that were on the server before, and are settled."""
        if there:
            self.deliver([intent for intent, _, _ in there], list(map(existing_row, there)))

    def deliver(self, intents: list[Intent], rows: list[SettleRow]) -> None:
        """Tell whoever waits of rows that are settled; what is only in doubt, or `pending` again, is not.

        Of a row that is `pending` again although the run goes on, whoever waits for it alone is told: a stream was left
        that had it ready, and nobody else would send it.
        """
        if not WITH_REASON.isdisjoint(map(STATE_OF, rows)):
            for intent, row in zip(intents, rows, strict=True):
                if row[1] in WITH_REASON:
                    self._note_reason(row[1], row[5], intent.line, intent.pair)
        waiters, delivery = self.waiters, self.delivery
        if not waiters and delivery is None:
            return
        for intent, row in zip(intents, rows, strict=True):
            if row[1] in UNSETTLED:
                if row[1] == PENDING and not self._sender.is_stopped:
                    waiters.answer(row[0], None)
                continue
            waiters.settle(intent, row)
            if delivery:
                delivery.put(outcome_of(intent, row))

    def tell_doubts(self) -> None:
        """No look will settle them in this process: who waits for one of them is told that it is in doubt."""
        for seq in self.waiters:
            if (doubt := self._looker.doubts.get(seq)) and not doubt.is_refused:
                self.waiters.answer(seq, unsettled(doubt.intent, State.IN_DOUBT))

    def _note_reason(self, state: int, detail: str | None, line: int | None, pair: tuple[int, int] | None) -> None:
        text, kind = said_of(detail)
        self.reasons.add(State(state).word, text, kind=kind, place=lambda: place_of(line, pair))

    def _deliver_row(self, row: AppendRow) -> None:
        if self.delivery:
            seq, first, second, line, state, detail = row
            pair = None if first is None or second is None else (first, second)
            self.delivery.put(make_outcome((seq, state, 0, None, None, detail), pair, line))


def intent_row(intent: Intent) -> SettleRow:
    """A stored row that is to be sent again; its floor replaces what an earlier attempt left in `detail`."""
    return intent.seq, INTENT, intent.attempts, None, None, intent_detail(intent.floor)


def existing_row(found: tuple[Intent, int, int]) -> SettleRow:
    intent, _, record_id = found
    return intent.seq, EXISTING, intent.attempts, record_id or None, None, None


def read_in_states(journal: Journal, *, first_seq: int, count: int, states: frozenset[int]) -> list[StoredRow]:
    """Most often there are none, which the states in memory tell without a look at the disk."""
    if states.isdisjoint(journal.states_of(first_seq, count)):
        return []
    return [row for row in journal.read(first_seq, count) if row[3] in states]


NO_NOTE: Final[Mapping[str, str]] = {}


def keep(journal: Journal, *, note: dict[str, str]) -> None:
    for key, value in note.items():
        journal.meta_set(key, value)


def append_settled(
    journal: Journal, *, rows: list[AppendRow], settled: list[SettleRow], note: Mapping[str, str] = NO_NOTE
) -> None:
    with journal.transaction():
        journal.append(rows, note)
        journal.settle(settled)
