"""The place of every pair of a run, and how each event changes it.  One owner, one state machine.

A pair's *place* and its *row* are two things.  The place is here, in memory.  The row is in the journal, or queued here
for the next commit.  A pair may be ready while the row that says `in doubt` is still on its way to the disk.

    away        nowhere: its row is final or `pending`, or it was never here
    ready       its intent is durable, it may be sent
    in flight   a lane carries it
    in doubt    it may have been applied; looks will tell (`doubts`)
    refused     the server refuses it in words that may mean that a record exists; looks will tell (`refusals`)
    released    looks showed that it was not applied; it waits for the retry budget
    known       its outcome is queued for the disk, or on its way there

                away       ready      in flight  in doubt   refused    released   known
    added       ready
    adopted     in doubt
    next                   in flight
    back                              ready
    answered                          known
    held                              refused
    lost                              in doubt
    found       =          =          =          known      known      =          =
    absent      =          =          =          released   known      =          =
    used up     =          =          =          known      known      =          =
    believed                                                known
    freed                                                              ready
    recalled    in doubt   in doubt   =          =          in doubt   in doubt   in doubt
    taken back             known                                       known
    yielded                known                                       known
    durable     =          =          =          =          =          =          away

A blank field cannot happen: the container refuses it.  `=` means that the pair stays.  Some events need more words:

- `recalled`: a lane answered out of step, so nothing that it told is trusted.  Its requests may have been applied.
  A pair in flight is marked; `back` and `held` then put it in doubt instead of sending it again.
  The lane may have told that a pair was *not* applied (`back`).  The outcome of a later attempt overrules that, so a
  settled pair stays settled.  If its row is `pending` or `failed`, the pair is in doubt.  If only the journal has the
  row, the journal is asked (`asked`, `claimed`).
- `held`: the pair is `known` at once if looks have shown that such words do not mean an existing record.
- `yielded`: another writer has the pair, so it is not sent; it is `pending` again, or `existing`.
- `used up`: all attempts of the pair are used, and looks saw that none was applied.  The pair is `failed`.

The table is for the reader and for a test.  The test brings about every event in every place.  The code does not look
it up, since that would cost 1 µs a pair.  Rows are committed in the order in which they were made, so the last row of a
pair counts.  Pure: the instant is an argument.  Not here: when looks are made, what a reply means, who waits for an
outcome.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from ..model import Intent, State, Verdict
from ..rows import STATE_ALONE, Named, SettleRow, doubt_detail, outcome_detail
from .doubts import Doubts
from .refusals import Refusals

PENDING, INTENT, IN_DOUBT = int(State.PENDING), int(State.INTENT), int(State.IN_DOUBT)
EXISTING, FAILED = int(State.EXISTING), int(State.FAILED)
SURELY_NOT_APPLIED: Final = frozenset({PENDING, FAILED})
"""States that claim it.  The claim may come from a lane out of step, and then it is not trusted."""
NONE: Final[Mapping[int, Any]] = MappingProxyType({})
OUT_OF_STEP: Final = "the connection that answered for it was out of step"


class Pairs:
    """The pairs of one run that are not away, and their rows that are not durable yet.

    `is_full` is true once `most_rows` rows wait for the disk.
    """

    def __init__(
        self,
        *,
        late_apply_s: float,
        list_lag_s: float,
        max_attempts: int,
        most_rows: int,
    ) -> None:
        self._max_attempts = max_attempts
        self._most_rows = most_rows
        self.ready: deque[Intent] = deque()
        self.in_flight: dict[int, Intent] = {}
        self.doubts = Doubts(late_apply_s=late_apply_s, list_lag_s=list_lag_s)
        self.refusals = Refusals(self.doubts, self.answered)
        self.released: list[Intent] = []
        self._causes: dict[int, str] = {}
        self.asked: dict[int, Intent] = {}
        """Recalled pairs for which the journal must say whether their row is `pending`."""
        self._rows: list[SettleRow] = []
        self._intents: list[Intent] = []
        self._at_disk: tuple[list[Intent], list[SettleRow]] = [], []
        self._marked: set[int] = set()  # seqs of pairs that were recalled while in flight
        self._recalled: set[int] = set()  # final in the journal until the row that says `in doubt` is durable

    # on the way out

    def added(self, intents: Iterable[Intent], now: float) -> None:
        """The intents of these pairs are durable, as new rows or as rows that were claimed again."""
        if not self.asked:
            self.ready.extend(intents)
            return
        for intent in intents:
            if self.asked.pop(intent.seq, None):
                self._doubt(intent, OUT_OF_STEP, now)
            else:
                self.ready.append(intent)

    def adopted(
        self,
        intents: Iterable[Intent],
        now: float,
        *,
        being_deleted: Container[int] = (),
        causes: Mapping[int, str] = NONE,
        named: Mapping[int, Named] = NONE,
    ) -> None:
        """Take the pairs that an earlier start left in doubt.

        `being_deleted` has the seqs of pairs whose records an undo was deleting.  By seq `causes` has the journal's
        reasons, and `named` what replies named.
        """
        for intent in intents:
            reason, is_being_deleted = causes.get(intent.seq, ""), intent.seq in being_deleted
            self._note_cause(intent, reason)
            self.doubts.park(intent, now, is_being_deleted=is_being_deleted, reason=reason, named=named.get(intent.seq))

    def next(self) -> Intent:
        """Take the pair to be sent next.  It is in flight from now on."""
        intent = self.ready.popleft()
        self.in_flight[intent.seq] = intent
        return intent

    def turned(self, now: float) -> None:
        """All pairs that may go in this turn of the loop were taken.  Only those who time the waits act on it."""

    # what became of an attempt

    def back(self, intent: Intent, now: float) -> None:
        """The attempt was surely not applied: nothing was written, or the server took nothing.  The pair goes to the
        head.
        """
        del self.in_flight[intent.seq]
        if self._marked and intent.seq in self._marked:
            self._doubt(intent, OUT_OF_STEP, now)
        else:
            self.ready.appendleft(intent)

    def answered(self, intent: Intent, row: SettleRow) -> None:
        """The outcome of the pair is known.  It is settled when `row` is durable."""
        self.in_flight.pop(intent.seq, None)
        self._rows.append(row)
        self._intents.append(intent)

    def answered_all(self, intents: list[Intent], rows: list[SettleRow]) -> None:
        """The outcomes of these pairs in flight are known, each by its row."""
        in_flight = self.in_flight
        for row in rows:
            in_flight.pop(row[0], None)
        self._rows += rows
        self._intents += intents

    def held(self, intent: Intent, row: SettleRow, verdict: Verdict, now: float, *, can_look: bool) -> bool:
        """The server refuses the pair, perhaps because a record exists.  `row` is its outcome if none does.

        False: the words of the refusal are known to mean an existing record.
        """
        del self.in_flight[intent.seq]
        if intent.seq in self._marked:
            self._doubt(intent, OUT_OF_STEP, now)
            return True
        return self.refusals.take(intent, row, verdict, now, can_look=can_look)

    def lost(self, intent: Intent, reason: str, now: float, named: Named | None = None) -> None:
        """The attempt may have been applied, or what its reply `named` was there before."""
        del self.in_flight[intent.seq]
        self._doubt(intent._replace(attempts=intent.attempts + 1), reason, now, named)

    def recalled(self, told: Iterable[tuple[Intent, int]], now: float, *, floor: int | None) -> None:
        """A lane was out of step.  `told` has each pair that it told of, and the state that it told: `pending` for
        `back`.

        `floor` is a record id from before the first of them was sent.  The call costs a pass over the ready queue.
        """
        last = {intent.seq: (intent._replace(floor=floor), state) for intent, state in told}
        waiting = {intent.seq: intent for intent in (*self.ready, *self.released) if intent.seq in last}
        self._take_out(waiting)
        queued = {row[0]: row[1] for row in (*self._at_disk[1], *self._rows)} if last else {}
        for seq, (intent, state) in last.items():
            if seq in self.in_flight:
                self._marked.add(seq)
            elif seq in waiting:
                self._doubt(waiting[seq], OUT_OF_STEP, now)
            elif seq in self.refusals:
                self._doubt(self.refusals.recalled(seq), OUT_OF_STEP, now)
            elif doubt := self.doubts.get(seq):
                self.doubts.park(
                    doubt.intent, now, is_being_deleted=doubt.is_being_deleted, reason=doubt.reason, named=doubt.named
                )
            elif state != PENDING or queued.get(seq) in SURELY_NOT_APPLIED:
                self._recalled.add(seq)
                self._doubt(intent, OUT_OF_STEP, now)
            elif seq not in queued:
                self._ask(intent)

    # what looks tell

    def found(self, intent: Intent, record_id: int, state: State) -> None:
        """A look saw the record of a pair in doubt or refused.  `state` is the outcome if the pair was in doubt."""
        if intent.seq in self.refusals:
            self.refusals.found(intent.seq, record_id)
        else:
            self._causes.pop(intent.seq, None)
            # An intent of a dead process has no attempt counted, and its record shows that there was one.
            self.answered(intent, (intent.seq, int(state), max(intent.attempts, 1), record_id, None, None))

    def absent(self, intent: Intent) -> None:
        """Looks saw no record of a pair that was in doubt or refused."""
        if intent.seq in self.refusals:
            self.refusals.absent(intent.seq)
        elif intent.attempts >= self._max_attempts:
            last = self._causes.pop(intent.seq, "")
            words = f"{intent.attempts} attempts, none of them applied" + (f"; the last: {last}" if last else "")
            detail = outcome_detail((), words)
            self.answered(intent, (intent.seq, FAILED, intent.attempts, None, None, detail))
        else:
            self.released.append(intent)

    def believed(self, is_wanted: Callable[[Intent], bool] = lambda intent: True) -> None:
        """Reject the refused pairs that `is_wanted`: no look will tell of them, or nobody waits for one."""
        self.refusals.give_up(is_wanted)

    @property
    def can_free(self) -> bool:
        """Whether the pair that was released last may be sent, as far as its row allows: an intent, or in doubt."""
        return bool(self.released) and self.released[-1].seq not in self._recalled

    def freed(self) -> None:
        """The retry budget lets the pair that was released last go."""
        self.ready.appendleft(self.released.pop())

    # to the disk

    def taken_back(self, is_wanted: Callable[[Intent], bool]) -> list[Intent]:
        """Make the waiting pairs that `is_wanted` `pending` again, and return them."""
        unsent = [intent for intent in (*self.ready, *self.released) if is_wanted(intent)]
        self._take_out({intent.seq for intent in unsent})
        for intent in unsent:
            self.answered(intent, (intent.seq, PENDING, STATE_ALONE, None, None, None))
        return unsent

    def yielded(self, rows: Mapping[int, SettleRow]) -> list[Intent]:
        """Another writer has these waiting pairs: give them these rows, by seq, and return them."""
        given = [intent for intent in (*self.ready, *self.released) if intent.seq in rows]
        self._take_out(rows.keys())
        for intent in given:
            self.answered(intent, rows[intent.seq])
        return given

    def take_rows(self) -> tuple[list[Intent], list[SettleRow]]:
        """Return all queued rows; they are on their way to the disk until `durable`.  A repeated call returns the same
        rows.
        """
        if not self._at_disk[1]:
            self._at_disk = self._intents, self._rows
            self._intents, self._rows = [], []
        return self._at_disk

    def durable(self) -> None:
        """The rows of the last `take_rows` are on the disk."""
        if self._marked or self._recalled:
            self._marked -= {row[0] for row in self._at_disk[1] if row[0] not in self.in_flight}
            self._recalled &= {row[0] for row in self._rows if row[1] == IN_DOUBT}
        self._at_disk = [], []

    def take_asked(self) -> list[SettleRow]:
        """Rows that put the `asked` pairs in doubt where the journal says "surely not applied".  `claimed` must
        follow.
        """
        detail = doubt_detail(OUT_OF_STEP, None)
        return [(seq, IN_DOUBT, intent.attempts, None, None, detail) for seq, intent in self.asked.items()]

    def claimed(self, rows: Sequence[SettleRow], expected: Sequence[int], now: float) -> None:
        """The journal had these rows of `take_asked` in these states.  Pairs that were surely not applied are now in
        doubt.

        Somebody else may have claimed a pair just before.  Its row is then an intent, and `added` receives it.
        """
        for row, state in zip(rows, expected, strict=True):
            if state == INTENT or row[0] not in self.asked:
                continue
            intent = self.asked.pop(row[0])
            if state in SURELY_NOT_APPLIED:
                self.doubts.park(intent, now, reason=OUT_OF_STEP)

    @property
    def is_full(self) -> bool:
        """Whether sending must wait for the disk."""
        return len(self._rows) + len(self._at_disk[1]) >= self._most_rows

    @property
    def rows_waiting(self) -> int:
        """How many rows the next commit takes."""
        return len(self._rows)

    @property
    def rows_open(self) -> int:
        """How many rows are queued or on their way to the disk."""
        return len(self._at_disk[1]) + len(self._rows)

    @property
    def has_rows(self) -> bool:
        """Whether a commit has anything to write or to ask."""
        return bool(self._rows or self.asked)

    @property
    def is_settled(self) -> bool:
        """Whether no row waits for the disk or for an answer of the journal."""
        return not (self._rows or self._at_disk[1] or self.asked)

    def _take_out(self, seqs: Collection[int]) -> None:
        """Remove these pairs from the waiting ones."""
        if seqs:
            kept = [intent for intent in self.ready if intent.seq not in seqs]
            self.ready.clear()
            self.ready.extend(kept)
            self.released[:] = [intent for intent in self.released if intent.seq not in seqs]

    def _doubt(self, intent: Intent, reason: str, now: float, named: Named | None = None) -> None:
        self._note_cause(intent, reason)
        detail = doubt_detail(reason, intent.floor, named)
        self.answered(intent, (intent.seq, IN_DOUBT, intent.attempts, None, None, detail))
        self.doubts.park(intent, now, reason=reason, named=named)

    def _note_cause(self, intent: Intent, reason: str) -> None:
        """Keep the reason for a doubt if no further attempt would give another one."""
        if reason and intent.attempts >= self._max_attempts:
            self._causes[intent.seq] = reason

    def _ask(self, intent: Intent) -> None:
        self.asked[intent.seq] = intent

    def check(self) -> None:
        """Invariants, for simulation: a pair is in one place, and in none if its last row is final."""
        doubts = [doubt.intent.seq for doubt in self.doubts if not doubt.is_refused]
        waiting = [intent.seq for intent in (*self.ready, *self.released)]
        held = [seq for seq in self.in_flight if seq in self.refusals]
        places = Counter([*waiting, *self.in_flight, *doubts])
        assert not held
        assert all(n == 1 and seq not in self.refusals for seq, n in places.items()), places.most_common(1)
        for seq, state in {row[0]: row[1] for row in (*self._at_disk[1], *self._rows)}.items():
            assert state == IN_DOUBT or (seq not in places and seq not in self.refusals), (seq, state)
        assert all(seq in self.in_flight or self._at_disk[1] or self._rows for seq in self._marked)
        self.doubts.check()
        self.refusals.check()
