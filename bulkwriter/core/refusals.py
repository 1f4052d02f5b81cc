"""Refused pairs whose records may exist already.  A look decides between `existing` and `rejected`.

No documentation says whether the server refuses a second record of a pair, or in which words.  So a refusal is held
until a look has shown whether the pair has a record.  If it has, the pair is `existing`: not written by this run.  If
not, it is `rejected`.  Looks cost calls, so each wording is tried on `PROBES` pairs only (values do not count, see
`reasons`):

    tried on fewer than PROBES pairs     look up this pair as well
    tried on PROBES pairs                hold this pair until one of them is answered
    one of them had a record             look up this pair, and all later ones
    none of them had a record            reject this pair at once, and all later ones

A server may word each refusal anew, as where it names the person.  After `MOST_WORDINGS` wordings, any other words
count as one wording with all those about the same properties.

A record that caused a refusal was there before it.  So one look begun `list_lag_s` after the refusal is enough.  Held
pairs are rejected unseen where looks do not work, and where their source is left early.  This says nothing about their
wording, so the next pair that is refused in the same words is looked up instead.

Invariants: the row of a held pair is in the journal as it was at the send, an intent or a doubt, so a kill makes it a
doubt.  A held pair is in no other place but `doubts`, and there only while it is looked up.  A pair that waits, waits
for another pair that is being looked up.
Pure.  Not here: looks, and the fate of the pairs; `know` passes each outcome to `pairs`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..model import Intent, State, Verdict
from ..rows import SettleRow
from .doubts import Doubts
from .reasons import subject_of, words_of

EXISTING, REJECTED = int(State.EXISTING), int(State.REJECTED)
PROBES: Final = 3
MOST_WORDINGS: Final = 20
"""The most wordings that are tried, and after them the most subjects: at most 120 pairs are looked up for nothing."""
MOST_HELD: Final = 10_000
"""The most pairs held at a time, at about 500 bytes each.  Further refused pairs are rejected unseen."""
NEVER_ABOUT_DOUBLES: Final = frozenset({404, 413, 415})
"""Not found, too large, wrong media type: none of these says that a record exists."""

Words = tuple[object, ...]


@dataclass(slots=True)
class Wording:
    """Refusals in one wording.  The pairs in `asked` are being looked up; those in `waiting` wait for the results."""

    asked: set[int] = field(default_factory=set)
    waiting: deque[int] = field(default_factory=deque)
    absent: int = 0
    is_double: bool = False

    @property
    def is_innocent(self) -> bool:
        return self.absent >= PROBES and not self.is_double

    @property
    def may_ask(self) -> bool:
        return self.is_double or self.absent + len(self.asked) < PROBES


@dataclass(slots=True)
class HeldRefusal:
    """A refused pair, and the row that it gets if it has no record."""

    intent: Intent
    row: SettleRow
    words: Words
    at: float


class Refusals:
    """The refused pairs of a run that are not settled yet.  `know` receives each row once it is known."""

    def __init__(self, doubts: Doubts, know: Callable[[Intent, SettleRow], None]) -> None:
        self._doubts = doubts
        self._know = know
        self._wordings: dict[Words, Wording] = {}
        self._held: dict[int, HeldRefusal] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, seq: int) -> bool:
        return seq in self._held

    def __iter__(self) -> Iterator[Intent]:
        return (held.intent for held in self._held.values())

    def take(self, intent: Intent, row: SettleRow, verdict: Verdict, now: float, *, can_look: bool) -> bool:
        """Pass on `row` as the outcome of a refused pair, or hold the pair until a look has told.

        False where such words are known to mean that a record exists: then the server refuses nothing that it lacks.
        """
        words = self._words_of(row[4] or 0, verdict)
        wording = self._wording(words)
        if wording is None or wording.is_innocent or not can_look or len(self._held) >= MOST_HELD:
            self._know(intent, row)
            return True
        self._held[intent.seq] = HeldRefusal(intent, row, words, now)
        wording.waiting.append(intent.seq)
        self._look_up(wording)
        return not wording.is_double

    def found(self, seq: int, record_id: int) -> None:
        """A look saw a record of the pair."""
        held = self._held.pop(seq)
        wording = self._wordings[held.words]
        wording.asked.discard(seq)
        wording.is_double = True
        self._know(held.intent, (seq, EXISTING, held.row[2], record_id, held.row[4], None))
        self._look_up(wording)

    def absent(self, seq: int) -> None:
        """A look saw none."""
        held = self._held.pop(seq)
        wording = self._wordings[held.words]
        wording.asked.discard(seq)
        wording.absent += 1
        self._know(held.intent, held.row)
        if wording.is_innocent:
            for waiting in wording.waiting:
                self._reject(self._held.pop(waiting))
            wording.waiting.clear()

    def recalled(self, seq: int) -> Intent:
        """The lane that told of the refusal was out of step.  Forget the refusal."""
        held = self._held.pop(seq)
        self._doubts.drop(seq)
        self._forget([held])
        return held.intent

    def give_up(self, is_wanted: Callable[[Intent], bool] = lambda intent: True) -> None:
        """Reject the held pairs that `is_wanted`: no look will tell, or nobody waits for one."""
        left = [held for held in self._held.values() if is_wanted(held.intent)]
        for held in left:
            del self._held[held.intent.seq]
            self._reject(held)
        self._forget(left)

    def check(self) -> None:
        """Invariants, for simulation."""
        wordings = self._wordings.values()
        asked = sorted(seq for wording in wordings for seq in wording.asked)
        assert asked == sorted(doubt.intent.seq for doubt in self._doubts if doubt.is_refused)
        assert sorted(self._held) == sorted([*asked, *(seq for wording in wordings for seq in wording.waiting)])
        for wording in wordings:
            assert not wording.waiting or (wording.asked and not wording.may_ask and not wording.is_innocent)

    def _words_of(self, status: int, verdict: Verdict) -> Words:
        words = words_of(status, verdict)
        is_kept = words in self._wordings or len(self._wordings) < MOST_WORDINGS
        return words if is_kept else subject_of(status, verdict)

    def _wording(self, words: Words) -> Wording | None:
        is_full = len(self._wordings) >= 2 * MOST_WORDINGS
        if words[0] in NEVER_ABOUT_DOUBLES or (is_full and words not in self._wordings):
            return None
        return self._wordings.setdefault(words, Wording())

    def _look_up(self, wording: Wording) -> None:
        """Park as many of the waiting pairs as may be looked up now."""
        while wording.waiting and wording.may_ask:
            held = self._held[wording.waiting.popleft()]
            wording.asked.add(held.intent.seq)
            self._doubts.park(held.intent, held.at, is_refused=True)

    def _forget(self, left: Sequence[HeldRefusal]) -> None:
        """These pairs are no longer held, and no look has told of them.  Look up others that wait in their place."""
        for words in dict.fromkeys(held.words for held in left):
            wording = self._wordings[words]
            wording.asked &= self._held.keys()
            wording.waiting = deque(seq for seq in wording.waiting if seq in self._held)
            self._look_up(wording)

    def _reject(self, held: HeldRefusal) -> None:
        self._doubts.drop(held.intent.seq)
        self._know(held.intent, held.row)
