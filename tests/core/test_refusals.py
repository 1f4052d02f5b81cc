"""Refused pairs: which are looked up, what looks make of them, and what happens to those that no look will tell of."""

from __future__ import annotations

import pytest

from bulkwriter.core.pairs import Pairs
from bulkwriter.core.refusals import MOST_HELD, MOST_WORDINGS, PROBES
from bulkwriter.model import FieldError, Intent, State, Verdict, VerdictKind


class Stage:
    """Pairs that are in flight when their refusals come, and the rows that these become."""

    def __init__(self) -> None:
        self.pairs = Pairs(late_apply_s=60, list_lag_s=5, max_attempts=5, most_rows=10**6)
        self.refusals = self.pairs.refusals
        self.can_look = True

    def take(self, seq: int, verdict: Verdict, status: int) -> bool:
        row = (seq, int(State.REJECTED), 1, None, status, "{}")
        self.pairs.added([Intent(seq, (1, seq), 0, None, None)], 0.0)
        return self.pairs.held(self.pairs.next(), row, verdict, 100.0 + seq, can_look=self.can_look)

    def refuse(self, *seqs: int, words: str = "is there already", status: int = 409) -> list[bool]:
        """Whether each is a refusal, as far as is known."""
        answers = []
        for seq in seqs:
            verdict = Verdict(VerdictKind.REJECTED, errors=(FieldError("CourseMemberId", words),))
            answers.append(self.take(seq, verdict, status))
            self.pairs.check()
        return answers

    def parked(self) -> list[int]:
        return [doubt.intent.seq for doubt in self.pairs.doubts]

    def see(self, seq: int, record_id: int = 0) -> None:
        """A look tells of a pair."""
        doubt = self.pairs.doubts.drop(seq)
        assert doubt
        if record_id:
            self.pairs.found(doubt.intent, record_id, State.CREATED)
        else:
            self.pairs.absent(doubt.intent)
        self.pairs.check()

    def settled(self) -> list[tuple[int, State, int | None]]:
        return [(row[0], State(row[1]), row[3]) for row in self.pairs._rows]


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
    (doubt,) = stage.pairs.doubts
    assert stage.pairs.doubts.due_at(doubt) == 106
    assert not stage.pairs.doubts.not_seen(doubt, began_at=105.9, ended_at=107)
    assert stage.pairs.doubts.not_seen(doubt, began_at=106, ended_at=107)


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
    stage.can_look = False
    stage.refuse(6)
    assert stage.settled() == [(6, State.REJECTED, None)]
    stage.pairs.believed()
    stage.pairs.check()
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
    for seq in range(MOST_HELD + 5):
        stage.take(seq, Verdict(VerdictKind.REJECTED, message="no"), 400)
    assert (len(stage.refusals), len(stage.settled())) == (MOST_HELD, 5)


def lettered(seq: int) -> str:
    """Words without a value, other ones for each number."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(seq))


def test_words_that_are_new_each_time_are_tried_as_one_wording_after_some() -> None:
    stage = Stage()
    stage.refuse(*range(MOST_WORDINGS), words="none", status=404)  # these are never tried
    for seq in range(100, 200):
        stage.refuse(seq, words=f"{lettered(seq)} is blocked")
    tried = MOST_WORDINGS + PROBES
    assert stage.parked() == list(range(100, 100 + tried)), "the others wait for these"
    for seq in stage.parked():
        stage.see(seq)
    assert len(stage.settled()) == MOST_WORDINGS + 100
    assert len(stage.refusals) == 0
    stage.refuse(300, words="somebody else is blocked")
    assert stage.settled()[-1] == (300, State.REJECTED, None), "no look any more"


def test_new_words_each_time_about_a_double_are_looked_up_all_the_same() -> None:
    stage = Stage()
    for seq in range(MOST_WORDINGS + 10):
        stage.refuse(seq, words=f"{lettered(seq)} has it already")
    for seq in range(MOST_WORDINGS + 10):
        stage.see(seq, record_id=1_000 + seq)
    assert {state for _, state, _ in stage.settled()} == {State.EXISTING}
    assert stage.refuse(100, words="somebody else has it already") == [False]


def test_what_refusals_are_about_is_bounded_too() -> None:
    stage = Stage()
    for seq in range(2 * MOST_WORDINGS + 5):
        verdict = Verdict(VerdictKind.REJECTED, errors=(FieldError(lettered(seq), lettered(seq)),))
        stage.take(seq, verdict, 400)
    assert len(stage.settled()) == 5


def test_a_refusal_from_a_lane_out_of_step_is_forgotten() -> None:
    stage = Stage()
    stage.refuse(*range(5))
    told = [(Intent(seq, (1, seq), 1, None, None), int(State.REJECTED)) for seq in (4, 0, 1)]
    stage.pairs.recalled(told, 200.0, floor=9)
    stage.pairs.check()
    looked_for = sorted((doubt.intent.seq, doubt.is_refused) for doubt in stage.pairs.doubts)
    assert looked_for == [(0, False), (1, False), (2, True), (3, True), (4, False)], "3 takes the place of a probe"
    stage.see(2, record_id=9)
    stage.see(3)
    assert stage.settled()[-2:] == [(2, State.EXISTING, 9), (3, State.REJECTED, None)]
