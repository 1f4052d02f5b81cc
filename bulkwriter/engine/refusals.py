"""Refused pairs whose refusal may mean that they are there already: looked up before they count as rejected.

Nothing documents whether the server refuses a second record of a pair, nor in which words.  So a refusal is held until
a look has shown whether the pair has a record: then it is `existing`, and not of our making; else `rejected`.  Looks
cost calls, so refusals in the same words (digits do not count) are tried on the first `PROBES` pairs:

    in these words refused, tried on fewer than PROBES   look up this pair as well
    tried on PROBES                                      hold it until one of them is answered
    one of them was there                                look up this one, and all that come
    none of them was there                               rejected at once, this one and all that come

A record that caused a refusal was there before it, so one look begun `list_lag_s` after the refusal tells.  Where looks
do not work, and when the run ends early, what is held is rejected.

Invariants: the row of a pair held here is in the journal as it was when the pair was sent (an intent or a doubt), so a
kill makes it a doubt; the pair is in no other place but the looker's doubts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ..model import Intent, State, Verdict
from ..reconcile.looks import Looker
from ..store.schema import SettleRow
from .outcomes import INTENT, Outcomes

EXISTING, REJECTED = int(State.EXISTING), int(State.REJECTED)
PROBES: Final = 3
MOST_WORDINGS: Final = 1_000
"""A server that says something new each time is not asked about more than so many wordings."""
MOST_HELD: Final = 10_000
"""Pairs held at a time, at about 500 bytes each; what is refused beyond is rejected unseen."""
NEVER_ABOUT_DOUBLES: Final = frozenset({404, 413, 415})
"""Not there, too large, another media type: none of these says that a record exists."""

Words = tuple[object, ...]


@dataclass(slots=True)
class Wording:
    """What is known of refusals in some words."""

    probes: int = 0
    absent: int = 0
    is_double: bool = False
    waiting: list[int] = field(default_factory=list)

    @property
    def is_innocent(self) -> bool:
        return self.absent >= PROBES and not self.is_double


@dataclass(slots=True)
class Held:
    """A refused pair, and the row that it gets if it is not there."""

    intent: Intent
    row: SettleRow
    words: Words
    at: float


class Refusals:
    """The refused pairs of a run that are not settled yet."""

    def __init__(self, outcomes: Outcomes, looker: Looker) -> None:
        self._outcomes = outcomes
        self._looker = looker
        self._wordings: dict[Words, Wording] = {}
        self._held: dict[int, Held] = {}
        self._existing: set[int] = set()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, intent: Intent, row: SettleRow, verdict: Verdict, now: float) -> None:
        """Settle a refused pair as `row` says, or hold it until that is known."""
        words = words_of(row[4] or 0, verdict)
        wording = self._wording(words)
        if wording is None or wording.is_innocent or self._looker.forbidden or len(self._held) >= MOST_HELD:
            self._outcomes.add(intent, row)
            return
        self._held[intent.seq] = Held(intent, row, words, now)
        wording.waiting.append(intent.seq)
        self._look_up(wording)

    def found(self, seq: int, record_id: int) -> bool:
        """A look saw a record of the pair; False if the pair was not refused."""
        held = self._held.pop(seq, None)
        if held is None:
            return False
        wording = self._wordings[held.words]
        wording.is_double = True
        self._existing.add(seq)
        self._outcomes.add(held.intent, (seq, EXISTING, held.row[2], record_id, held.row[4], None))
        self._look_up(wording)
        return True

    def absent(self, seq: int) -> bool:
        """A look saw none; False if the pair was not refused."""
        held = self._held.pop(seq, None)
        if held is None:
            return False
        wording = self._wordings[held.words]
        wording.absent += 1
        self._outcomes.add(held.intent, held.row)
        if wording.is_innocent:
            for waiting in wording.waiting:
                self._reject(waiting)
            wording.waiting.clear()
        return True

    def recalled(self, seq: int) -> int:
        """The lane that told of the refusal was out of step: forget it.  Returns the state that the journal has."""
        held = self._held.pop(seq, None)
        if held is None:
            state = EXISTING if seq in self._existing else REJECTED
            self._existing.discard(seq)
            return state
        wording = self._wordings[held.words]
        if seq in wording.waiting:
            wording.waiting.remove(seq)
        else:
            wording.probes -= 1
            self._look_up(wording)
        return self._outcomes.odd.get(seq, INTENT)

    def give_up(self) -> None:
        """Reject what is held: no look will tell, or nobody waits for one."""
        for seq in list(self._held):
            self._reject(seq)
        for wording in self._wordings.values():
            wording.waiting.clear()

    def check(self) -> None:
        """Invariants, for simulation."""
        waiting = [seq for wording in self._wordings.values() for seq in wording.waiting]
        assert sorted(self._held) == sorted([*waiting, *(d.intent.seq for d in self._looker.doubts if d.is_refused)])
        for wording in self._wordings.values():
            assert not wording.waiting or (wording.probes >= PROBES > wording.absent and not wording.is_double)

    def _wording(self, words: Words) -> Wording | None:
        if words[0] in NEVER_ABOUT_DOUBLES or (words not in self._wordings and len(self._wordings) >= MOST_WORDINGS):
            return None
        return self._wordings.setdefault(words, Wording())

    def _look_up(self, wording: Wording) -> None:
        """Park as many of those that wait as may be looked up now."""
        while wording.waiting and (wording.is_double or wording.probes < PROBES):
            held = self._held[wording.waiting.pop(0)]
            wording.probes += 1
            self._looker.park(held.intent, held.at, is_refused=True)

    def _reject(self, seq: int) -> None:
        held = self._held.pop(seq)
        self._looker.doubts.drop(seq)
        self._outcomes.add(held.intent, held.row)


def words_of(status: int, verdict: Verdict) -> Words:
    """What a refusal says, whatever its numbers: ids do not make it another one."""
    said = [(error.property_name, without_digits(error.message)) for error in verdict.errors]
    return (status, *said, *([] if said else [without_digits(verdict.message)]))


def without_digits(text: str) -> str:
    return re.sub(r"\d+", "0", text)
