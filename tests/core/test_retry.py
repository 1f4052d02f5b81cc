"""Backoff, budget and breaker: tables by hand in virtual time, and properties over random events."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.core.retry import MOST_TRUST, Backoff, Breaker, RetryBudget, Silence
from tests.support.chance import Highest, Lowest

# ---- backoff


def test_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(0.5, 10.0, Highest())
    assert [backoff.delay(n) for n in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff.delay(10**9) == 10.0


@given(st.floats(1e-6, 100), st.floats(1e-6, 1e5), st.integers(0, 10_000), st.integers())
def test_a_delay_is_within_its_formula(base_s: float, cap_s: float, attempt: int, seed: int) -> None:
    delay_s = Backoff(base_s, cap_s, random.Random(seed)).delay(attempt)
    assert 0 <= delay_s <= cap_s
    assert delay_s <= base_s * 2.0 ** min(attempt, 64)


def test_the_same_seed_gives_the_same_delays() -> None:
    one, two = (Backoff(1, 60, random.Random(7)) for _ in range(2))
    assert [one.delay(n) for n in range(9)] == [two.delay(n) for n in range(9)]


# ---- budget


def test_a_spent_budget_refills_with_time_and_with_successes() -> None:
    budget = RetryBudget(capacity=2, per_s=10, per_success=0.5)
    assert [budget.take(0.0) for _ in range(3)] == [True, True, False]
    assert not budget.take(0.09)
    assert budget.take(0.11)
    budget.note_success()
    assert not budget.take(0.11)
    budget.note_success()
    assert budget.take(0.11)
    for _ in range(99):
        budget.note_success()
    assert [budget.take(0.11) for _ in range(3)] == [True, True, False]  # never above its capacity


@pytest.mark.parametrize("wrong", [{"capacity": 0.5}, {"per_s": 0}, {"per_success": -1}])
def test_a_budget_that_could_stay_empty_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="for ever"):
        RetryBudget(**wrong)


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from("tws")), max_size=60), st.floats(0.01, 1000))
@settings(max_examples=150)
def test_a_budget_is_never_empty_for_long_and_never_overspent(events: list[tuple[float, str]], per_s: float) -> None:
    budget, now, taken, successes = RetryBudget(capacity=5, per_s=per_s, per_success=0.5), 0.0, 0, 0
    for wait_s, event in events:
        now += wait_s
        if event == "t":
            taken += budget.take(now)
        elif event == "s":
            budget.note_success()
            successes += 1
        else:
            now += 1 / per_s + 1e-6
            assert budget.take(now)
            taken += 1
        budget.check()
        assert taken <= 5 + now * per_s + successes * 0.5 + 1e-6


# ---- breaker


def breaker(rng: random.Random | None = None, failures: int = 3) -> Breaker:
    return Breaker(failures, pause_s=0.5, cap_s=4.0, rng=rng or Highest())


def test_it_opens_after_so_many_bad_replies_in_a_row() -> None:
    b = breaker()
    assert [b.record_bad(t, "lost") for t in (1.0, 2.0)] == [False, False]
    b.record_good(2.5)
    assert [b.record_bad(t, "lost") for t in (3.0, 4.0, 5.0, 6.0)] == [False, False, True, False]
    assert b.is_open
    assert b.gone_since == 3.0
    assert b.gone_s(10.0) == 7.0
    assert b.reason == "lost"
    b.check()


def test_probes_go_one_at_a_time_with_growing_pauses() -> None:
    b = breaker(failures=1)
    b.record_bad(0.0, "refused")
    pauses, now = [], 0.0
    for _ in range(6):
        due = b.next_probe_at(now)
        pauses.append(due - now)
        assert not b.may_probe(due - 0.001)
        assert b.may_probe(due)
        assert not b.may_probe(due + 100)  # one is out
        assert b.next_probe_at(due) == math.inf
        now = due
        b.record_bad(now, "refused", began_at=due)
        b.check()
    assert pauses == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_probe_that_could_not_go_is_due_again() -> None:
    """Else nobody would ever send again: each waits for the end of a probe that nobody makes."""
    b = breaker(failures=1)
    b.record_bad(0.0, "lost")
    assert b.may_probe(0.5)
    b.unsent(0.5)
    assert b.may_probe(0.6)
    b.unsent(0.5)  # another one is out now
    assert not b.may_probe(0.7)
    b.record_bad(0.8, "lost", began_at=0.6)
    b.unsent(0.6)
    assert b.next_probe_at(0.8) > 0.8


def test_the_first_pause_is_between_a_quarter_and_half_a_second() -> None:
    b = breaker(Lowest(), failures=1)
    b.record_bad(0.0, "refused")
    assert b.next_probe_at(0.0) == 0.25


def test_a_left_over_neither_ends_the_probe_nor_lengthens_the_pause() -> None:
    b = breaker(failures=1)
    assert b.record_bad(0.0, "lost")
    assert not b.record_bad(0.1, "lost", began_at=-1.0)
    assert b.next_probe_at(0.1) == 0.5
    assert b.may_probe(0.5)
    assert not b.record_bad(0.6, "lost", began_at=-1.0)
    assert b.next_probe_at(0.6) == math.inf
    assert b.record_bad(0.7, "lost", began_at=0.5)
    assert b.next_probe_at(0.7) == 0.7 + 1.0


def test_any_good_reply_closes_it_and_the_next_outage_starts_afresh() -> None:
    b = breaker(failures=1)
    b.record_bad(1.0, "lost")
    assert b.may_probe(1.5)
    b.record_bad(2.0, "lost")
    assert b.record_good(3.0) == 2.0
    assert not b.is_open
    assert b.gone_since is None
    assert b.next_probe_at(3.0) == 3.0
    assert not b.may_probe(3.0)  # closed: no probes, everybody sends
    b.record_bad(10.0, "lost")
    assert b.next_probe_at(10.0) == 10.5
    assert b.record_good(11.0) == 1.0
    assert b.record_good(12.0) == 0.0


def test_a_long_quiet_between_two_losses_is_no_outage() -> None:
    b = breaker()
    b.record_bad(0.0, "lost")
    assert b.gone_s(86_400.0) == 0.0


def test_a_wait_in_which_nobody_asked_is_no_outage() -> None:
    b = breaker(failures=1)  # its longest pause is 4 s
    b.record_bad(0.0, "lost")
    assert b.gone_s(3.0) == 3.0
    assert b.gone_s(50_000.0) == 4.0  # a quota was spent, say
    assert b.may_probe(50_000.0)
    b.record_bad(50_090.0, "silent", began_at=50_000.0)
    assert b.gone_s(50_090.0) == 94.0
    b.check()
    assert b.record_good(50_100.0) == 50_100.0


def test_a_server_that_does_what_it_does_not_say_is_sent_more_from_look_to_look() -> None:
    b, now, borne = breaker(), 0.0, []
    for _ in range(4):
        sent_at = now
        while not b.is_open:
            now += 1
            b.record_bad(now, "unreadable")
            b.check()
        borne.append(now - sent_at)
        now += 1
        for ended_at in range(int(sent_at) + 1, int(now)):
            b.record_found(now, ended_at)
            b.check()
        assert b.gone_s(now) == 0.0
    assert borne == [3, 6, 18, 54]
    assert b.trust == 2 * (2 + 6 + 18 + 54)  # the first bad one may be as old as the last good one
    assert b.record_good(now) == 0.0
    assert [b.record_bad(now + i, "lost") for i in range(3)] == [False, False, True]


def test_a_record_that_was_made_before_the_trouble_says_nothing() -> None:
    b = breaker(failures=1)
    assert b.record_found(1.0, 0.5) is None
    b.record_bad(2.0, "lost")
    assert b.record_found(3.0, 1.9) is None
    assert b.is_open
    b.record_bad(4.0, "lost")
    assert b.record_found(5.0, 4.0) == 3.0
    assert not b.is_open


@pytest.mark.parametrize("is_unsent", [False, True])
def test_what_was_borne_ends_with_a_look_that_finds_nothing_or_without_a_connection(*, is_unsent: bool) -> None:
    b = breaker()
    for now in (1.0, 2.0):
        b.record_bad(now, "unreadable")
    b.record_found(3.0, 2.0)
    opened = [b.record_bad(now, "unreadable") for now in (4.0, 5.0)]
    if is_unsent:
        opened.append(b.record_bad(9.0, "refused", is_unsent=True))
    else:
        b.record_absent(9.0)
    assert opened == [False, False, True][: len(opened)]
    assert (b.is_open, b.trust, b.next_probe_at(9.0)) == (True, 0, 9.5)
    b.check()


def test_trust_has_an_end() -> None:
    b = breaker()
    for now in range(2 * MOST_TRUST):
        b.record_bad(now, "unreadable")
        b.record_found(now, now)
    assert b.trust == MOST_TRUST
    opened = [b.record_bad(now, "lost") for now in range(now, now + 3 + MOST_TRUST - 1)]
    assert opened == [False] * (3 + MOST_TRUST - 2) + [True]


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("bugpfa")), max_size=80), st.integers(0, 2**32))
@settings(max_examples=150)
def test_a_breaker_keeps_its_promises(events: list[tuple[float, str]], seed: int) -> None:
    b, now, is_out = breaker(random.Random(seed)), 0.0, False
    for wait_s, event in events:
        now += wait_s
        if event == "p":
            took = b.may_probe(now)
            assert not (took and is_out)
            is_out = is_out or took
        elif event in "bu":
            b.record_bad(now, "lost", is_unsent=event == "u")
            is_out = False
        elif event == "f":
            if b.record_found(now, now) is not None:
                assert not b.is_open or b.bad == 1
                is_out = False
        elif event == "a":
            b.record_absent(now)
        else:
            b.record_good(now)
            assert not b.is_open
            is_out = False
        b.check()
        assert is_out or b.next_probe_at(now) <= now + 4.0


def test_a_silence_is_long_after_three_replies_of_a_new_server_and_after_more_of_one_that_answered() -> None:
    silence, is_long = Silence(5), []
    for now in range(10):
        silence.bad(now)
        is_long.append(silence.is_long)
        if now == 4:
            assert (silence.since, silence.at) == (0, 4)
            silence.good()
            assert not silence.is_long
    assert is_long == [False, False, True, True, True, False, False, False, False, True]
    assert (silence.since, silence.at) == (5, 9)
