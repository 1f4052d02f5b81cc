"""Where every pair is: random walks against a journal of states, and broken twins that they must miss.

A walk does what an engine does: pairs whose intents are durable are added, sent, answered, looked for and committed, in
any order, while lanes are found out of step now and then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from bulkwriter.core.pairs import PENDING, SURELY_NOT_APPLIED, Pairs
from bulkwriter.core.refusals import PROBES
from bulkwriter.model import Intent, State
from bulkwriter.rows import SettleRow

from .test_pairs import (
    CREATED,
    IN_DOUBT,
    REFUSAL,
    REJECTED,
    created,
    in_flight,
    intent,
    new_pairs,
    place_of,
    rejected,
    told,
)


class Walk:
    """Random events on some pairs, with a journal of states beside, whose lanes may be found out of step."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pairs = new_pairs(max_attempts=3)
        self.journal: dict[int, int] = {}
        self.told: list[tuple[Intent, int]] = []
        self.now = 0.0

    def step(self) -> None:
        pairs, rng = self.pairs, self.rng
        self.now += 1.0
        match rng.randrange(9):
            case 0:
                fresh = [seq for seq in range(12) if self.may_add(seq)]
                for seq in rng.sample(fresh, min(3, len(fresh))):
                    self.journal[seq] = int(State.INTENT)
                    pairs.added([intent(seq)], self.now)
            case 1 | 2 if pairs.ready:
                pairs.next()
            case 3 | 4 if pairs.in_flight:
                self.reply(rng.choice(list(pairs.in_flight.values())))
            case 5 if pairs.doubts:
                self.look(rng.choice(list(pairs.doubts)).intent)
            case 6 if pairs.can_free:
                pairs.freed()
            case 7:
                self.commit()
            case 8:
                self.rarely()

    def may_add(self, seq: int) -> bool:
        return self.journal.get(seq, PENDING) in SURELY_NOT_APPLIED and place_of(self.pairs, seq) == "away"

    def reply(self, intent: Intent) -> None:
        match self.rng.randrange(4):
            case 0:
                self.pairs.back(intent, self.now)
                self.told.append((intent, PENDING))
            case 1:
                self.pairs.answered(intent, created(intent.seq))
                self.told.append((intent, CREATED))
            case 2:
                self.pairs.held(intent, rejected(intent.seq), REFUSAL, self.now, can_look=self.rng.random() < 0.9)
                self.told.append((intent, REJECTED))
            case 3:
                self.pairs.lost(intent, "lost", self.now)

    def look(self, intent: Intent) -> None:
        self.pairs.doubts.drop(intent.seq)
        if self.rng.random() < 0.5:
            self.pairs.found(intent, 200 + intent.seq, State.CREATED)
        else:
            self.pairs.absent(intent)

    def commit(self) -> None:
        _, rows = self.pairs.take_rows()
        self.journal.update({row[0]: row[1] for row in rows})
        self.pairs.durable()
        asked = self.pairs.take_asked()
        was = [self.journal[row[0]] for row in asked]
        for row, state in zip(asked, was, strict=True):
            if state in SURELY_NOT_APPLIED:
                self.journal[row[0]] = IN_DOUBT
        self.pairs.claimed(asked, was, self.now)

    def rarely(self) -> None:
        match self.rng.randrange(6):
            case 0:
                told, self.told = self.told, []
                self.pairs.recalled(told, self.now, floor=None)
                for intent, _ in told:
                    place = place_of(self.pairs, intent.seq)
                    assert place not in ("ready", "released", "refused"), "sent again without a look"
            case 1:
                self.pairs.taken_back(lambda intent: self.rng.random() < 0.5)
            case 2:
                self.pairs.believed()


def walk(seed: int) -> None:
    """A walk of 300 steps, and what must hold: after each step, and at the end of all that is under way."""
    it = Walk(seed)
    for _ in range(300):
        it.step()
        it.pairs.check()
        for seq in [*(i.seq for i in it.pairs.ready), *it.pairs.in_flight]:
            assert it.journal[seq] in (State.INTENT, IN_DOUBT), "ready, and its intent is not durable"
    while it.pairs.in_flight:
        it.reply(next(iter(it.pairs.in_flight.values())))
    it.pairs.believed()
    it.pairs.taken_back(lambda intent: True)
    while it.pairs.doubts:
        it.look(next(iter(it.pairs.doubts)).intent)
        it.pairs.taken_back(lambda intent: True)
    it.commit()
    assert it.pairs.is_settled
    open_rows = [seq for seq, state in it.journal.items() if state in (State.INTENT, State.IN_DOUBT)]
    assert not open_rows, f"nothing is under way, and rows {open_rows} are open"


@pytest.mark.parametrize("seed", range(150))
def test_walks_end_with_every_row_settled_or_pending(seed: int) -> None:
    walk(seed)


# broken twins: each leaves out one thing, which the tests above must miss


def forgets_the_mark(pairs: type[Pairs]) -> Any:
    def back(self: Pairs, intent: Intent, now: float) -> None:
        self._marked.discard(intent.seq)
        real(self, intent, now)

    real = pairs.back
    return patch.object(pairs, "back", back)


def trusts_what_was_sent_back(pairs: type[Pairs]) -> Any:
    def recalled(self: Pairs, told: Any, now: float, *, floor: int | None) -> None:
        real(self, [(i, state) for i, state in told if state != PENDING], now, floor=floor)

    real = pairs.recalled
    return patch.object(pairs, "recalled", recalled)


def leaves_it_ready(pairs: type[Pairs]) -> Any:
    def recalled(self: Pairs, told: Any, now: float, *, floor: int | None) -> None:
        before = list(self.ready)
        real(self, told, now, floor=floor)
        self.ready.extend(i for i in before if i not in self.ready)

    real = pairs.recalled
    return patch.object(pairs, "recalled", recalled)


def asks_no_journal(pairs: type[Pairs]) -> Any:
    return patch.object(pairs, "_ask", lambda self, intent: None)


def forgets_who_was_looked_up(pairs: type[Pairs]) -> Any:
    def believed(self: Pairs, is_wanted: Callable[[Intent], bool] = lambda intent: True) -> None:
        asked = {words: set(wording.asked) for words, wording in self.refusals._wordings.items()}
        real(self, is_wanted)
        for words, seqs in asked.items():
            self.refusals._wordings[words].asked |= seqs

    real = pairs.believed
    return patch.object(pairs, "believed", believed)


def keeps_in_flight(pairs: type[Pairs]) -> Any:
    def answered(self: Pairs, intent: Intent, row: SettleRow) -> None:
        kept = self.in_flight.get(intent.seq)
        real(self, intent, row)
        if kept:
            self.in_flight[intent.seq] = kept

    real = pairs.answered
    return patch.object(pairs, "answered", answered)


@pytest.mark.parametrize(
    "twin",
    [
        forgets_the_mark,
        trusts_what_was_sent_back,
        leaves_it_ready,
        asks_no_journal,
        forgets_who_was_looked_up,
        keeps_in_flight,
    ],
)
def test_a_broken_twin_is_caught(twin: Callable[[type[Pairs]], Any]) -> None:
    assert PROBES < 12, "the walks refuse enough pairs in the same words"

    def suite() -> None:
        for seed in range(150):
            walk(seed)
        of_one_that_is_marked()
        of_one_that_is_asked()

    suite()
    with twin(Pairs), pytest.raises((AssertionError, KeyError)):
        suite()


def of_one_that_is_marked() -> None:
    pairs = new_pairs()
    in_flight(pairs)
    told(PENDING)(pairs)
    pairs.back(intent(), 3.0)
    assert place_of(pairs) == "in doubt"


def of_one_that_is_asked() -> None:
    pairs = new_pairs()
    told(PENDING)(pairs)
    assert pairs.take_asked()
