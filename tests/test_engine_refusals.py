"""Refused pairs: which are looked up, what looks make of them, and what happens to those that no look will tell of."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bulkwriter.engine.outcomes import Outcomes
from bulkwriter.engine.refusals import MOST_HELD, MOST_WORDINGS, PROBES, Refusals
from bulkwriter.model import FieldError, Intent, State, Verdict, VerdictKind
from bulkwriter.reconcile.looks import Looker

GIVEN_UP: Any = None  # what is not asked for here


class Stage:
    """Refusals, with the doubts they park and the outcomes they settle."""

    def __init__(self) -> None:
        self.outcomes = Outcomes(GIVEN_UP, most=10**6, tally={State.INTENT: 10**6})
        self.looker = Looker(
            late_apply_s=60,
            list_lag_s=5,
            get_page=GIVEN_UP,
            filters_of=GIVEN_UP,
            settling=GIVEN_UP,
            shifts=GIVEN_UP,
            clock=GIVEN_UP,
            tell=GIVEN_UP,
            rng=random.Random(1),
        )
        self.refusals = Refusals(self.outcomes, self.looker)

    def refuse(self, *seqs: int, words: str = "is there already", status: int = 409) -> list[bool]:
        """Whether each is a refusal, as far as is known."""
        answers = []
        for seq in seqs:
            verdict = Verdict(VerdictKind.REJECTED, errors=(FieldError("CourseMemberId", words),))
            row = (seq, int(State.REJECTED), 1, None, status, "{}")
            answers.append(self.refusals.take(Intent(seq, (1, seq), 0, None, None), row, verdict, 100.0 + seq))
            self.refusals.check()
        return answers

    def parked(self) -> list[int]:
        return [doubt.intent.seq for doubt in self.looker.doubts]

    def see(self, seq: int, record_id: int = 0) -> None:
        """A look tells of a pair."""
        self.looker.doubts.drop(seq)
        assert self.refusals.found(seq, record_id) if record_id else self.refusals.absent(seq)
        self.refusals.check()

    def settled(self) -> list[tuple[int, State, int | None]]:
        return [(row[0], State(row[1]), row[3]) for row in self.outcomes._rows]


def test_a_refused_pair_is_existing_where_it_is_found_and_rejected_where_not() -> None:
    stage = Stage()
    stage.refuse(1, 2)
    assert (stage.parked(), stage.settled(), len(stage.refusals)) == ([1, 2], [], 2)
    stage.see(1, record_id=77)
    stage.see(2)
    assert stage.settled() == [(1, State.EXISTING, 77), (2, State.REJECTED, None)]
    assert len(stage.refusals) == 0


def test_one_look_begun_a_list_lag_after_the_refusal_tells() -> None:
    stage = Stage()
    stage.refuse(1)
    (doubt,) = stage.looker.doubts
    assert stage.looker.doubts.due_at(doubt) == 106
    assert not stage.looker.doubts.not_seen(doubt, began_at=105.9, ended_at=107)
    assert stage.looker.doubts.not_seen(doubt, began_at=106, ended_at=107)


def test_words_that_were_never_about_a_double_are_believed() -> None:
    stage = Stage()
    stage.refuse(*range(10), words="does not exist")
    assert stage.parked() == [0, 1, 2], "the others wait for what these show"
    for seq in range(PROBES):
        stage.see(seq)
    assert stage.settled() == [(seq, State.REJECTED, None) for seq in range(10)]
    stage.refuse(11, words="does not exist")
    assert stage.settled()[-1] == (11, State.REJECTED, None)
    stage.refuse(12, words="is there already")
    assert stage.parked() == [12], "other words are another matter"


def test_words_that_were_about_a_double_once_always_may_be() -> None:
    stage = Stage()
    stage.refuse(*range(6))
    stage.see(0)
    stage.see(1, record_id=5)
    assert stage.parked() == [2, 3, 4, 5]
    for seq in range(2, 6):
        stage.see(seq)
    stage.refuse(7)
    assert stage.parked() == [7]


def test_numbers_do_not_make_other_words() -> None:
    stage = Stage()
    for seq in range(5):
        stage.refuse(seq, words=f"member {seq} is unknown")
    assert stage.parked() == [0, 1, 2]
    stage.refuse(5, words="member 5 is unknown", status=400)
    assert stage.parked() == [0, 1, 2, 5], "another status is another matter"


def test_a_refusal_in_words_that_tell_of_a_double_is_known_as_none() -> None:
    stage = Stage()
    assert stage.refuse(1) == [True]
    stage.see(1, record_id=5)
    assert stage.refuse(2) == [False]
    assert stage.refuse(3, words="does not exist") == [True]


@pytest.mark.parametrize("status", [404, 413, 415])
def test_some_statuses_are_never_about_a_double(status: int) -> None:
    stage = Stage()
    stage.refuse(1, status=status)
    assert stage.settled() == [(1, State.REJECTED, None)]


def test_without_looks_a_refusal_is_believed() -> None:
    stage = Stage()
    stage.refuse(*range(5))
    stage.looker.forbidden = "no role"
    stage.refuse(6)
    assert stage.settled() == [(6, State.REJECTED, None)]
    stage.refusals.give_up()
    stage.refusals.check()
    assert (stage.parked(), len(stage.settled()), len(stage.refusals)) == ([], 6, 0)


def test_after_a_source_was_left_early_the_same_words_are_asked_about_anew() -> None:
    stage = Stage()
    stage.refuse(*range(10))
    stage.refusals.give_up()
    stage.refusals.check()
    assert (stage.parked(), len(stage.settled())) == ([], 10)
    stage.refuse(11)
    assert stage.parked() == [11], "nobody else is looked up whom it could wait for"
    stage.see(11)
    assert stage.settled()[-1] == (11, State.REJECTED, None)


def test_whoever_waits_for_pairs_that_are_given_up_is_looked_up_itself() -> None:
    stage = Stage()
    stage.refuse(*range(10))
    stage.refusals.give_up(lambda intent: intent.seq not in (4, 6, 7, 9))
    stage.refusals.check()
    assert stage.parked() == [4, 6, 7], "the others' source was left"
    for seq in (4, 6, 7):
        stage.see(seq)
    assert [seq for seq, _, _ in stage.settled()[-4:]] == [4, 6, 7, 9]


def test_what_is_held_is_bounded() -> None:
    stage = Stage()
    verdict = Verdict(VerdictKind.REJECTED, message="no")
    for seq in range(MOST_HELD + 5):
        row = (seq, int(State.REJECTED), 1, None, 400, None)
        stage.refusals.take(Intent(seq, (1, seq), 0, None, None), row, verdict, 0.0)
    assert (len(stage.refusals), len(stage.settled())) == (MOST_HELD, 5)
    stage = Stage()
    for seq in range(MOST_WORDINGS + 5):
        row = (seq, int(State.REJECTED), 1, None, 400, None)
        words = "".join(chr(ord("a") + int(digit)) for digit in str(seq))
        verdict = Verdict(VerdictKind.REJECTED, message=words)
        stage.refusals.take(Intent(seq, (1, seq), 0, None, None), row, verdict, 0.0)
    assert len(stage.settled()) == 5


def test_a_refusal_from_a_lane_out_of_step_is_forgotten() -> None:
    stage = Stage()
    stage.refuse(*range(5))
    stage.outcomes.odd[1] = int(State.IN_DOUBT)
    assert [stage.refusals.recalled(seq) for seq in (4, 0, 1)] == [State.INTENT, State.INTENT, State.IN_DOUBT]
    stage.looker.doubts.drop(0)  # recalled pairs are parked anew as doubts
    stage.looker.doubts.drop(1)
    stage.refusals.check()
    assert stage.parked() == [2, 3], "whoever waited takes the place of a probe"
    stage.see(2, record_id=9)
    stage.see(3)
    assert [stage.refusals.recalled(seq) for seq in (2, 3)] == [State.EXISTING, State.REJECTED], "as the journal has it"
