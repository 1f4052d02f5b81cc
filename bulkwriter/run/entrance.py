"""The way of single pairs into the journal and to the ready queue: found, claimed or appended in one operation.

    given ──┬─> (its row is settled: answered from there)
            ├─> (its row is under way: waits for the outcome of that row)
            ├─> an intent, durable ──> ready
            │        └─> another writer has it (`contention`) ──> `pending` ──> tried again later
            └─> a `pending` row ──> waits for room, or for a look at the server ──> an intent, durable ──> ready

The committer takes a group whenever it commits, so new intents share the commits of outcomes.  What the operation finds
is what all earlier commits have left, and the committer handles its result before it makes the next commit.  So an
outcome cannot be missed that is committed while its row is read.

A pair that may not become an intent yet gets a `pending` row at once.  Then a crash loses nothing that was given, and
`resume` sends it.  There are no more intents than the sending of about the next second needs, at most two chunks.

Invariants: a pair is sent only after its intent is durable.  Pairs go on in the order in which they came; only one that
must be looked up on the server first does not hold up the others.  Not here: who waits (`singles`), and which rows
pairs have (`row_finder`).
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, count, repeat
from typing import Final

from ..core.pairs import INTENT, PENDING, Pairs
from ..errors import BulkwriterError
from ..events import ChunkReady
from ..model import SETTLED, Intent, State
from ..rows import AppendRow, SettleRow, intent_detail
from ..settings import Settings
from ..store.journal import Journal
from ..store.schema import ExportRow
from .chunks import ChunkSize
from .contention import NOBODY, Contention
from .delivery import Deliveries, stored_outcome
from .existing_records import KnownRecords
from .intents import Intents, existing_row, intent_row, states_sent_again
from .peers import Met
from .row_finder import RowFinder
from .run_loop import RunLoop
from .single import Single

MOST_NEW: Final = 5_000
"""New rows of one commit: 10 to 20 ms.  More would make the outcomes in the same commit late."""


@dataclass(slots=True)
class Entering:
    """Singles on their way to the disk.  Of the `new` ones the first `sent` may become intents.

    `claimed` have a row that was not settled.  `there` are the pairs that are on the server, with their record ids.
    """

    claimed: list[Single] = field(default_factory=list)
    new: list[Single] = field(default_factory=list)
    sent: int = 0
    there: dict[tuple[int, int], int] = field(default_factory=dict)
    floor: int | None = None
    refusal: BulkwriterError | None = None
    """The error for pairs that are not settled yet, while none of them is taken."""
    again: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.claimed) + len(self.new)

    def intent(self, single: Single) -> Intent:
        return Intent(single.seq, single.pair, single.attempts, single.line, self.floor)

    def row_of(self, intent: Intent) -> SettleRow:
        """The row of a pair that is claimed: an intent, or `existing`."""
        if intent.pair in self.there:
            return existing_row((intent, PENDING, self.there[intent.pair]))
        return intent_row(intent)


@dataclass(slots=True)
class Entered:
    """What the journal made of them: rows that somebody else had claimed, rows found by pair, the first new seq."""

    lost: dict[int, ExportRow]
    found: dict[tuple[int, int], ExportRow]
    first_seq: int


class Entrance:
    """Single pairs that are not ready yet."""

    def __init__(
        self,
        run: RunLoop,
        pairs: Pairs,
        deliveries: Deliveries,
        known: KnownRecords,
        intents: Intents,
        settings: Settings,
        *,
        contention: Contention,
    ) -> None:
        self._contention = contention
        self._run, self._pairs, self._deliveries = run, pairs, deliveries
        self._known, self._intents = known, intents
        self._chunk = ChunkSize(most=settings.limits.chunk_rows, chunk_s=settings.limits.chunk_s)
        self.again = states_sent_again(settings)
        """Stored states of rows that are sent again."""
        self._new: deque[Single] = deque()
        self._waiting: deque[Single] = deque()
        self._unlisted: list[Single] = []
        self._looked_up: list[Single] = []
        self._there: dict[tuple[int, int], int] = {}
        self._at_disk = 0

    # coming in

    def add(self, single: Single) -> None:
        """A pair was given."""
        self._new.append(single)
        if not self._run.is_due:
            self._run.soon()

    def wait(self, single: Single) -> None:
        """A pair whose row is not settled is to be sent."""
        self._waiting.append(single)
        self._run.soon()

    # to the disk

    def waiting(self) -> int:
        """How many pairs the next commit would take or look up; not zero means that `take` changes something."""
        self._take_returned()
        if self._run.is_stopping:
            return len(self._new)
        if self._waiting or self._unlisted or self._looked_up or self._contention:
            self._refuse_if_told()
        count = len(self._new) + len(self._looked_up)
        if self._waiting and not count:
            count = min(len(self._waiting), self._room())
        return count

    @property
    def rows_to_make(self) -> int:
        """How many pairs are on their way to the disk, or were given and have no durable row yet."""
        return len(self._new) + self._at_disk

    def take(self) -> Entering | None:
        """The pairs of the next commit; `entered` must follow."""
        self._take_returned()
        group = Entering(floor=self._known.floor(), again=self.again)
        if self._looked_up and not self._run.is_stopping:
            group.claimed, self._looked_up = self._looked_up, []
            group.there, self._there = self._there, {}
        room = self._taken_room(len(group.claimed))
        if self._waiting and room:
            chosen = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
            room -= len(chosen)
            listed, unlisted = self._split(chosen, group)
            group.claimed += listed
            self._unlisted += unlisted
        if self._new:
            self._take_new(group, 0 if self._waiting else room)
        self._at_disk = len(group)
        return group if self._at_disk else None

    @property
    def outstanding(self) -> int:
        """How many pairs were given and are not answered yet."""
        on_their_way = len(self._deliveries.waiters) + self._at_disk
        waiting = len(self._waiting) + len(self._unlisted) + len(self._looked_up) + len(self._contention)
        return on_their_way + len(self._new) + waiting

    def _refuse_if_told(self) -> None:
        """While nothing can be sent before a stated time, pairs that wait are refused.  Their rows stay `pending`."""
        if not (refusal := self._refusal()):
            return
        refused = [*self._waiting, *self._unlisted, *self._looked_up, *self._contention.take_all()]
        self._waiting.clear()
        self._unlisted.clear()
        self._looked_up.clear()
        for single in refused:
            single.refuse(refusal)

    def _refusal(self) -> BulkwriterError | None:
        suspension = self._run.suspension
        return copy.copy(suspension.error) if suspension.is_refusing and not self._run.is_stopping else None

    def _take_returned(self) -> None:
        """Rows that are `pending` again, and that nobody else will send."""
        for single, intent in self._deliveries.waiters.take_returned():
            single.is_in(intent.seq, intent.attempts, intent.line)
            if not self._contention.takes(single):
                self._waiting.appendleft(single)

    def _taken_room(self, claimed: int) -> int:
        room = self._room() - claimed
        if len(self._waiting) + len(self._new) < self._chunk.rows:
            self._chunk.rest()
        elif room > 0:
            room = min(room, self._chunk.next(self._run.clocks.clock(), len(self._pairs.ready)))
        return max(0, room)

    def _room(self) -> int:
        """How many pairs may become intents now."""
        if self._run.is_stopping:
            return 0
        if self._run.suspension.error:  # one pair tries whether sending goes again
            return 0 if self._pairs.ready or self._pairs.in_flight else 1
        return self._intents.room_now(self._chunk.rows) - len(self._unlisted) - len(self._looked_up)

    def _take_new(self, group: Entering, room: int) -> None:
        """New pairs get their rows.  The first ones become intents, as far as there is room and they are listed."""
        new = self._new
        if refusal := self._refusal():
            group.refusal, room = refusal, 0
        taken = [new.popleft() for _ in range(min(len(new), MOST_NEW))]
        listed, unlisted = self._split(taken[:room], group)
        group.new, group.sent = [*listed, *unlisted, *taken[room:]], len(listed)

    def _split(self, singles: list[Single], group: Entering) -> tuple[list[Single], list[Single]]:
        """Those of which is known whether they are on the server, and the others."""
        there = self._known.at_hand([single.pair for single in singles]) if singles else {}
        if there is not None:
            group.there.update(there)
            return singles, []
        listed: list[Single] = []
        unlisted: list[Single] = []
        for single in singles:
            there = self._known.at_hand([single.pair])
            (unlisted if there is None else listed).append(single)
            group.there.update(there or {})
        return listed, unlisted

    # from the disk

    async def met(self, group: Entering) -> Mapping[tuple[int, int], Met]:
        """Of the pairs whose intents the commit has made durable, those that another writer has claimed."""
        return await self._contention.met([*group.claimed, *group.new[: group.sent]])

    def entered(self, group: Entering, made: Entered, met: Mapping[tuple[int, int], Met] = NOBODY) -> None:
        """The commit is durable: hand over the intents, and answer what the journal answers."""
        self._at_disk = 0
        intents: list[Intent] = []
        there: list[Intent] = []
        for i, single in enumerate(group.claimed):
            if i in made.lost:
                self._has_row(single, made.lost[i])
            else:
                self._goes(single, group, intents, there)
        if made.found or group.refusal:
            self._mixed(group, made, intents, there)
        else:
            self._appended(group, made.first_seq, intents, there)
        if there:
            self._deliveries.deliver(there, [existing_row((i, PENDING, group.there[i.pair])) for i in there])
        self._pairs.added(intents, self._run.clocks.clock())
        self._contention.of_singles(intents, met)
        if intents:
            self._run.tell(ChunkReady(intents[0].seq, len(intents)))

    def _appended(self, group: Entering, first_seq: int, intents: list[Intent], there: list[Intent]) -> None:
        """None of the new pairs had a row, as nearly always."""
        floor, known = group.floor, group.there
        for seq, single in enumerate(group.new, first_seq):
            single.seq = seq
        sent = group.new[: group.sent]
        self._deliveries.waiters.wait_all(sent)
        for single in sent:
            intent = Intent(single.seq, single.pair, 0, None, floor)
            (there if known and single.pair in known else intents).append(intent)
        self._waiting += group.new[group.sent :]

    def _mixed(self, group: Entering, made: Entered, intents: list[Intent], there: list[Intent]) -> None:
        """Some of the new pairs had a row, or they are refused where they have none."""
        found, seq = made.found, made.first_seq
        for i, single in enumerate(group.new):
            if row := found.get(single.pair):
                self._has_row(single, row, is_again=i < group.sent)
                if i < group.sent and single.may_go(row.state, group.again):
                    self._goes(single, group, intents, there)
                continue
            if group.refusal:
                single.refuse(group.refusal)
                continue
            single.seq, seq = seq, seq + 1
            if i < group.sent:
                self._goes(single, group, intents, there)
            else:
                self._waiting.append(single)

    def _goes(self, single: Single, group: Entering, intents: list[Intent], there: list[Intent]) -> None:
        """The row of the pair is an intent now, or `existing`."""
        self._deliveries.waiters.wait(single)
        (there if single.pair in group.there else intents).append(group.intent(single))

    def _has_row(self, single: Single, row: ExportRow, *, is_again: bool = False) -> None:
        """Somebody else made the row of the pair, or claimed it."""
        single.is_in(row.seq, 0 if row.state is State.FAILED else row.attempts, row.line)
        if single.may_go(row.state, self.again):
            if row.state is not State.PENDING and self._run.source:
                self._run.source.note_reopened(row.seq)
            if not is_again:
                self._waiting.append(single)
        elif row.state in SETTLED or row.state is State.FAILED:
            single.answer(stored_outcome(row))
        else:
            self._deliveries.waiters.wait(single)

    async def try_again(self) -> None:
        """Try for ever again to send the pairs that another writer may send."""
        while True:
            self._waiting += await self._contention.over()
            self._run.soon()

    # what the server has

    async def look_up(self) -> None:
        """Look up for ever which of the pairs are on the server, where that is not known."""
        while True:
            await self._run.until(lambda: bool(self._unlisted))
            singles = list(self._unlisted)
            there = await self._known.find([single.pair for single in singles])
            left = set(self._unlisted)  # some may have been refused meanwhile, and given again
            self._looked_up += [single for single in singles if single in left]
            self._unlisted = [single for single in self._unlisted if single not in set(singles)]
            self._there.update(there)
            self._run.soon()


def enter(journal: Journal, finder: RowFinder, group: Entering) -> Entered:
    """In the journal's thread: claim rows, find those of the new pairs, and append the rows that are missing."""
    lost: dict[int, ExportRow] = {}
    settled: list[SettleRow] = []
    for i, single in enumerate(group.claimed):
        if single.may_go(journal.states_of(single.seq, 1)[0], group.again):
            settled.append(group.row_of(group.intent(single)))
        else:
            (lost[i],) = journal.rows_of([single.seq])
    pairs = [single.pair for single in group.new]
    found = finder.find(journal, pairs) if pairs else {}
    first_seq = journal.next_single_seq
    if pairs and not group.refusal:
        rows = mixed_rows(group, found, first_seq, settled) if found or group.there else plain_rows(group, first_seq)
        finder.append(journal, rows)
    journal.settle(settled)
    return Entered(lost, found, first_seq)


def plain_rows(group: Entering, first_seq: int) -> list[AppendRow]:
    """The rows of pairs of which none has a row or a record."""
    sent, detail = group.sent, intent_detail(group.floor)
    firsts, seconds = zip(*[single.pair for single in group.new], strict=True)
    states, details = chain(repeat(INTENT, sent), repeat(PENDING)), chain(repeat(detail, sent), repeat(None))
    return list(zip(count(first_seq), firsts, seconds, repeat(None), states, details, strict=False))


def mixed_rows(
    group: Entering, found: dict[tuple[int, int], ExportRow], first_seq: int, settled: list[SettleRow]
) -> list[AppendRow]:
    """The rows of the pairs that have none.  Adds to `settled` what is sent again, and what is on the server."""
    rows: list[AppendRow] = []
    detail = intent_detail(group.floor)
    for i, single in enumerate(group.new):
        pair, is_sent = single.pair, i < group.sent
        seq = first_seq + len(rows)
        row = found.get(pair)
        if row is not None:
            if is_sent and single.may_go(row.state, group.again):
                attempts = 0 if row.state is State.FAILED else row.attempts
                settled.append(group.row_of(Intent(row.seq, pair, attempts, row.line, group.floor)))
        elif is_sent and pair in group.there:
            rows.append((seq, *pair, None, PENDING, None))
            settled.append(group.row_of(Intent(seq, pair, 0, None, group.floor)))
        else:
            rows.append((seq, *pair, None, *((INTENT, detail) if is_sent else (PENDING, None))))
    return rows
