"""What the intake commits, and what a drain gives back: the only places that write rows other than outcomes.

Each commit and the hand-over that follows it run shielded from cancellation: were they separated, intents could be
durable that nobody sends, which would be doubts.  The shield ends with the commit, or with the run when the disk fails.

Invariant: a pair enters the ready queue only here, after its intent is durable; `tally` changes only after a commit.
Also here: waiting for room, since the same three things bound the intake: ready pairs, doubts, undelivered outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio

from ..model import Intent, State
from ..reconcile.looks import Looker
from ..settings import Settings
from ..store.journal import Journal
from ..store.schema import AppendRow, SettleRow, StoredRow, intent_detail
from .delivery import Delivery, Waiters, make_outcome, outcome_of
from .dispatch import Dispatcher
from .intake import PENDING, STORED_ROWS, There
from .outcomes import IN_DOUBT, INTENT, Outcomes
from .ports import Store
from .reach import ANY, Reach
from .uncancelled import to_its_end
from .unkept import Unkept

EXISTING, INVALID = int(State.EXISTING), int(State.INVALID)
FINAL_AT_ONCE = frozenset({INVALID, int(State.DUPLICATE)})


class Commits:
    """The intake's way to the journal and the ready queue; see `intake.IntakeHost`."""

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher,
        outcomes: Outcomes,
        looker: Looker,
        settings: Settings,
        *,
        reach: Callable[[], Reach],
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._outcomes = outcomes
        self._looker = looker
        self._reach = reach if store.is_durable else lambda: ANY
        self._most_doubts = settings.limits.outcome_rows
        self._room = anyio.Event()
        self.unkept = None if store.is_durable else Unkept(lambda: looker.forbidden)
        self.waiters = Waiters()
        self.delivery: Delivery | None = None
        self.is_committing = False
        """Whether what is to be sent next waits for the disk."""
        dispatcher.hungry = self._hungry
        outcomes.deliver = self._deliver

    def _hungry(self) -> None:
        self._room.set()

    def at_once(self) -> int:
        """How many intents may be made at this moment without reaching too far ahead; at least 1."""
        return self._reach().rows(len(self._dispatcher.ready))

    async def room(self, rows: int) -> int:
        """Wait until the ready queue is down to `rows`, or less where little can be sent, doubts are few enough, and
        the stream's consumer has caught up.  Returns how many pairs are ready.

        `rows` is what is asked for next, and not what came last: a source's batches end in small rests.
        """
        d = self._dispatcher
        d.low_water = self._reach().low_water(rows)
        while len(d.ready) > d.low_water or len(self._looker.doubts) >= self._most_doubts:
            self._room = anyio.Event()
            # Of the queue we are told (`hungry`), but doubts are settled without a word to us.
            with anyio.move_on_after(None if len(d.ready) > d.low_water else 1.0):
                await self._room.wait()
            d.low_water = self._reach().low_water(rows)
        if self.delivery:
            await self.delivery.room()
        return len(d.ready)

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
        if not self._store.is_durable or first_seq >= self._store.next_single_seq:
            return []
        rows: list[StoredRow] = await self._store.run(lambda journal: journal.read(first_seq, STORED_ROWS))
        return rows

    async def commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> None:
        await self._commit(self._commit_new(rows, intents, there))

    async def commit_again(self, intents: list[Intent], was: list[int], there: There) -> None:
        """Make stored rows intents again, or `existing`: those that nobody else has claimed meanwhile."""
        await self._commit(self._commit_again(intents, was, there))

    async def return_unsent(self, intents: list[Intent]) -> None:
        """Make intents that were surely not sent, or surely not applied, `pending` again."""
        await to_its_end(self._return_unsent(intents))

    async def _commit(self, step: Coroutine[Any, Any, None]) -> None:
        self.is_committing = True
        try:
            await to_its_end(step)
        finally:
            self.is_committing = False

    async def _commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> None:
        await self._append(rows, list(map(existing_row, there)))
        tally = self._outcomes.tally
        if len(intents) == len(rows):
            tally[INTENT] += len(rows)
        else:
            for row in rows:
                tally[row[4]] += 1
                if row[4] in FINAL_AT_ONCE:
                    self._outcomes.settled += 1
                    if row[4] == INVALID:
                        self._outcomes.note_reason(INVALID, row[5], row[3], None)
                    self._deliver_row(row)
            tally[PENDING] -= len(there)
        self._found(there)
        self._hand_over(intents)

    async def _commit_again(self, intents: list[Intent], was: list[int], there: There) -> None:
        rows = [*map(intent_row, intents), *map(existing_row, there)]
        states = [*was, *(state for _, state, _ in there)]
        claimed = set(await self._store.run(lambda journal: journal.claim(rows, states)))
        tally = self._outcomes.tally
        tally.subtract(state for row, state in zip(rows, states, strict=True) if row[0] in claimed)
        intents = [intent for intent in intents if intent.seq in claimed]
        tally[INTENT] += len(intents)
        self._found([found for found in there if found[0].seq in claimed])
        self._hand_over(intents)

    async def _return_unsent(self, intents: list[Intent]) -> None:
        if intents:
            await self._store.mark([intent.seq for intent in intents], State.PENDING)
        tally = self._outcomes.tally
        for intent in intents:
            tally[self._outcomes.odd.pop(intent.seq, INTENT)] -= 1
            tally[PENDING] += 1
        if self.unkept:
            self.unkept.end(intent.pair for intent in intents)

    def _hand_over(self, intents: list[Intent]) -> None:
        if self.unkept:
            self.unkept.begin(intents)
        self._dispatcher.add(intents)

    async def _append(self, rows: list[AppendRow], settled: list[SettleRow]) -> None:
        """Add rows, of which some are settled in the same commit: nobody else may ever find those unsent."""
        if settled and self._store.is_durable:
            await self._store.run(partial(append_settled, rows=rows, settled=settled))
        elif rows:
            await self._store.append(rows)
            if settled:
                await self._store.settle(settled)

    def _found(self, there: There) -> None:
        """Pairs that were on the server before, and are settled."""
        if there:
            self._outcomes.tally[EXISTING] += len(there)
            self._outcomes.settled += len(there)
            self._deliver([intent for intent, _, _ in there], list(map(existing_row, there)))

    def _deliver(self, intents: list[Intent], rows: list[SettleRow]) -> None:
        waiters, delivery = self.waiters, self.delivery
        if self.unkept:
            self.unkept.settle(intents, rows)
        if not waiters and delivery is None:
            return
        for intent, row in zip(intents, rows, strict=True):
            waiters.settle(intent, row)
            if delivery and row[1] != IN_DOUBT:
                delivery.put(outcome_of(intent, row))

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


def append_settled(journal: Journal, *, rows: list[AppendRow], settled: list[SettleRow]) -> None:
    with journal.transaction():
        journal.append(rows)
        journal.settle(settled)
