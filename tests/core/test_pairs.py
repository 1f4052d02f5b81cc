"""Where every pair is: each event in each place against the table, and what a recall makes of each.

The expected table is written out here by hand, from the promise: a cell is the place that the pair is in afterwards,
"=" where it stays, or "" where the event cannot happen there, which the containers refuse.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from bulkwriter.core.pairs import PENDING, Pairs
from bulkwriter.model import Intent, State, Verdict, VerdictKind
from bulkwriter.rows import STATE_ALONE, SettleRow

CREATED, REJECTED, IN_DOUBT = int(State.CREATED), int(State.REJECTED), int(State.IN_DOUBT)
REFUSAL = Verdict(VerdictKind.REJECTED, message="is there")
SEQ = 1


def intent(seq: int = SEQ, attempts: int = 0) -> Intent:
    return Intent(seq, (1, seq + 1), attempts, seq + 2, 5)


def created(seq: int = SEQ) -> SettleRow:
    return seq, CREATED, 1, 100 + seq, 200, None


def rejected(seq: int = SEQ) -> SettleRow:
    return seq, REJECTED, 1, None, 400, "{}"


def new_pairs(*, max_attempts: int = 5, most_rows: int = 1_000) -> Pairs:
    return Pairs(late_apply_s=60.0, list_lag_s=5.0, max_attempts=max_attempts, most_rows=most_rows)


def place_of(pairs: Pairs, seq: int = SEQ) -> str:
    """Where a pair is; asserts that it is in one place."""
    pairs.check()
    places = [
        *("ready" for i in pairs.ready if i.seq == seq),
        *("released" for i in pairs.released if i.seq == seq),
        *(["in flight"] if seq in pairs.in_flight else []),
        *(["refused"] if seq in pairs.refusals else ["in doubt"] if seq in pairs.doubts else []),
    ]
    assert len(places) <= 1, places
    is_known = any(row[0] == seq for row in (*pairs._rows, *pairs._at_disk[1]))
    return places[0] if places else "known" if is_known else "away"


def last_state(pairs: Pairs, seq: int = SEQ) -> int | None:
    """The state of the last row that is queued of a pair."""
    return next((row[1] for row in reversed([*pairs._at_disk[1], *pairs._rows]) if row[0] == seq), None)


def flush(pairs: Pairs) -> list[SettleRow]:
    _, rows = pairs.take_rows()
    pairs.durable()
    return rows


# how a pair comes into each place


def ready(pairs: Pairs) -> None:
    pairs.added([intent()], 0.0)


def in_flight(pairs: Pairs) -> None:
    ready(pairs)
    assert pairs.next().seq == SEQ


def in_doubt(pairs: Pairs) -> None:
    in_flight(pairs)
    pairs.lost(intent(), "lost", 1.0)
    flush(pairs)


def refused(pairs: Pairs) -> None:
    in_flight(pairs)
    pairs.held(intent(), rejected(), REFUSAL, 1.0, can_look=True)


def released(pairs: Pairs) -> None:
    in_doubt(pairs)
    looked(pairs, 0)
    assert [i.seq for i in pairs.released] == [SEQ]


def known(pairs: Pairs) -> None:
    in_flight(pairs)
    pairs.answered(intent(), created())


PLACES: dict[str, Callable[[Pairs], None]] = {
    "away": lambda pairs: None,
    "ready": ready,
    "in flight": in_flight,
    "in doubt": in_doubt,
    "refused": refused,
    "released": released,
    "known": known,
}

# the events


def looked(pairs: Pairs, record_id: int) -> None:
    """Looks have told of a pair, as the looker tells: of what it has among the doubts, and of nothing else."""
    doubt = pairs.doubts.drop(SEQ)
    if doubt and record_id:
        pairs.found(doubt.intent, record_id, State.CREATED)
    elif doubt:
        pairs.absent(doubt.intent)


def used_up(pairs: Pairs) -> None:
    pairs._max_attempts = 1
    looked(pairs, 0)


def taken_out(pairs: Pairs) -> None:
    if not pairs.taken_back(lambda intent: True):
        raise LookupError("nothing waits to be sent")


def yielded(pairs: Pairs) -> None:
    if not pairs.yielded({SEQ: (SEQ, int(State.EXISTING), 0, 77, None, None)}):
        raise LookupError("nothing waits to be sent")


def told(state: int) -> Callable[[Pairs], None]:
    return lambda pairs: pairs.recalled([(intent(attempts=1), state)], 2.0, floor=3)


def answer(pairs: Pairs) -> None:
    assert pairs.in_flight[SEQ]
    pairs.answered(intent(), created())


def believe(pairs: Pairs) -> None:
    if SEQ not in pairs.refusals:
        raise LookupError("nothing is refused")
    pairs.believed()


EVENTS: dict[str, Callable[[Pairs], Any]] = {
    "added": lambda pairs: pairs.added([intent()], 0.0),
    "next": lambda pairs: pairs.next(),
    "back": lambda pairs: pairs.back(intent(), 1.0),
    "answered": answer,
    "held": lambda pairs: pairs.held(intent(), rejected(), REFUSAL, 1.0, can_look=True),
    "lost": lambda pairs: pairs.lost(intent(), "lost", 1.0),
    "found": lambda pairs: looked(pairs, 77),
    "absent": lambda pairs: looked(pairs, 0),
    "used up": used_up,
    "believed": believe,
    "freed": lambda pairs: pairs.freed(),
    "recalled": told(CREATED),
    "taken back": taken_out,
    "yielded": yielded,
    "durable": flush,
}

TABLE = """
            | away     | ready    | in flight | in doubt | refused  | released | known
added       | ready    |          |           |          |          |          |
next        |          | in flight|           |          |          |          |
back        |          |          | ready     |          |          |          |
answered    |          |          | known     |          |          |          |
held        |          |          | refused   |          |          |          |
lost        |          |          | in doubt  |          |          |          |
found       | =        | =        | =         | known    | known    | =        | =
absent      | =        | =        | =         | released | known    | =        | =
used up     | =        | =        | =         | known    | known    | =        | =
believed    |          |          |           |          | known    |          |
freed       |          |          |           |          |          | ready    |
recalled    | in doubt | in doubt | =         | =        | in doubt | in doubt | in doubt
taken back  |          | known    |           |          |          | known    |
yielded     |          | known    |           |          |          | known    |
durable     | =        | =        | =         | =        | =        | =        | away
"""
HEAD, *LINES = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip("\n").splitlines()]
CELLS = [(line[0], place, then) for line in LINES for place, then in zip(HEAD[1:], line[1:], strict=True)]


def test_the_table_has_every_event_in_every_place() -> None:
    assert {(event, place) for event, place, _ in CELLS} == {(event, place) for event in EVENTS for place in PLACES}


@pytest.mark.parametrize(("event", "place", "then"), CELLS)
def test_an_event_in_a_place(event: str, place: str, then: str) -> None:
    pairs = new_pairs()
    PLACES[place](pairs)
    assert place_of(pairs) == place
    if then:
        EVENTS[event](pairs)
        assert place_of(pairs) == (place if then == "=" else then)
        return
    if event == "added":  # whose row is a durable intent is nowhere else: `check` finds what the containers take
        EVENTS[event](pairs)
        with pytest.raises(AssertionError):
            pairs.check()
    else:
        with pytest.raises((LookupError, IndexError)):
            EVENTS[event](pairs)


# what a recall makes of each, beyond the table


@pytest.mark.parametrize(
    ("again", "place"),
    [
        (lambda pairs: pairs.back(intent(), 3.0), "in doubt"),
        (lambda pairs: pairs.held(intent(), rejected(), REFUSAL, 3.0, can_look=True), "in doubt"),
        (lambda pairs: pairs.lost(intent(), "lost", 3.0), "in doubt"),
        (lambda pairs: pairs.answered(intent(), created()), "known"),
    ],
)
def test_a_pair_recalled_in_flight_is_not_sent_again_without_a_look(again: Callable[[Pairs], Any], place: str) -> None:
    """Lane A sent it back, it flies on B, and A turns out to be out of step: what A did with it is not known."""
    pairs = new_pairs()
    in_flight(pairs)
    told(PENDING)(pairs)
    assert place_of(pairs) == "in flight"
    again(pairs)
    assert place_of(pairs) == place
    flush(pairs)
    if place == "in doubt":
        looked(pairs, 0)
        pairs.freed()
        pairs.next()
        pairs.back(intent(), 9.0)
        assert place_of(pairs) == "ready", "the mark is gone with the look"


def test_a_rejected_pair_that_was_claimed_again_is_in_one_place_after_the_recall() -> None:
    pairs = new_pairs()
    in_flight(pairs)
    pairs.answered(intent(), rejected())
    flush(pairs)
    ready(pairs)
    told(REJECTED)(pairs)
    assert place_of(pairs) == "in doubt"


@pytest.mark.parametrize("state", [State.PENDING, State.FAILED])
@pytest.mark.parametrize("is_flushing", [False, True])
def test_one_that_was_sent_back_is_in_doubt_while_its_row_says_not_applied(state: State, is_flushing: bool) -> None:
    pairs = new_pairs()
    if state is State.PENDING:
        ready(pairs)
        taken_out(pairs)
    else:
        in_flight(pairs)
        pairs.answered(intent(), (SEQ, int(state), 5, None, None, None))
    if is_flushing:
        pairs.take_rows()
    told(PENDING)(pairs)
    assert place_of(pairs) == "in doubt"
    assert last_state(pairs) == IN_DOUBT


def test_one_that_was_sent_back_and_settled_by_a_later_attempt_stays() -> None:
    pairs = new_pairs()
    known(pairs)
    told(PENDING)(pairs)
    assert place_of(pairs) == "known"
    assert not pairs.asked


def test_of_one_that_only_the_journal_knows_it_is_asked_and_no_claim_slips_by() -> None:
    pairs = new_pairs()
    told(PENDING)(pairs)
    (row,) = pairs.take_asked()
    assert (row[:2], pairs.is_settled, place_of(pairs)) == ((SEQ, IN_DOUBT), False, "away")
    pairs.claimed([row], [int(State.INTENT)], 3.0)
    assert not pairs.is_settled, "somebody claimed the row just before, and comes to be added"
    ready(pairs)
    assert place_of(pairs) == "in doubt"
    for state, place in [(PENDING, "in doubt"), (CREATED, "away")]:
        pairs = new_pairs()
        told(PENDING)(pairs)
        pairs.claimed(pairs.take_asked(), [state], 3.0)
        assert (place_of(pairs), pairs.is_settled) == (place, True)


def test_a_doubt_that_is_recalled_waits_anew() -> None:
    pairs = new_pairs()
    in_doubt(pairs)
    assert pairs.doubts.next_due_at() == 1.0 + 65.0
    pairs.recalled([(intent(), PENDING)], 40.0, floor=3)
    assert pairs.doubts.next_due_at() == 40.0 + 65.0


def test_what_goes_back_to_pending_changes_its_state_alone() -> None:
    pairs = new_pairs()
    ready(pairs)
    assert [i.seq for i in pairs.taken_back(lambda i: True)] == [SEQ]
    assert flush(pairs) == [(SEQ, PENDING, STATE_ALONE, None, None, None)]


def test_only_those_that_are_wanted_are_taken_back() -> None:
    pairs = new_pairs()
    pairs.added([intent(seq) for seq in range(6)], 0.0)
    assert [i.seq for i in pairs.taken_back(lambda i: i.seq % 2 == 0)] == [0, 2, 4]
    assert [i.seq for i in pairs.ready] == [1, 3, 5]


def test_a_recall_of_many_beside_many_ready_ones_takes_a_pass_over_them() -> None:
    """15,000 told beside 5,000 ready took the loop 2.6 s when each was searched for."""
    pairs = new_pairs(most_rows=10**6)
    pairs.added([intent(seq) for seq in range(5_000)], 0.0)
    began = time.process_time()
    pairs.recalled([(intent(seq), PENDING) for seq in range(15_000)], 1.0, floor=None)
    assert time.process_time() - began < 0.8
    assert (len(pairs.ready), len(pairs.doubts), len(pairs.asked)) == (0, 5_000, 10_000)
    pairs.check()


def test_the_next_doubt_due_is_told_without_asking_each() -> None:
    pairs = new_pairs(most_rows=10**6)
    pairs.adopted([intent(seq) for seq in range(10_000)], 1.0)
    pairs.doubts.next_due_at()
    with patch.object(type(pairs.doubts), "due_at", autospec=True, side_effect=type(pairs.doubts).due_at) as due_at:
        for _ in range(100):
            assert pairs.doubts.next_due_at() == 66.0
        assert due_at.call_count <= 200
