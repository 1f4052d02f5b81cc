"""Asks and answers between two clocks: what ended is later there, what is free is later here, a lease is shorter."""

from __future__ import annotations

import pytest

from bulkwriter.postgres.times import as_repeat, to_client, to_ledger
from bulkwriter.quota.exchange import Answer, Ask, ClockReadings, HeldUnits, KeptSlots, Lease, ShareGrant
from bulkwriter.quota.forecast import Grant, Spending
from bulkwriter.quota.throttles import Spent

KEY = "write/10.0"
STEP_S = 10.002 / 512
ASK = Ask(
    client="c", number=3, now=1_000.0, clocks=ClockReadings(5_000.0, 5_002.0, 5_001.0, 0.5), hold_s=20.0,
    next_at=1_001.0, wants={"write": 5}, held={"write": HeldUnits(2, 1, 1_003.0)},
    kept={KEY: KeptSlots(4, {50_000: 2})}, ended={("write", 16.25): 7}, spent={"write": Spent(None)},
    good=frozenset({"read"}),
)  # fmt: skip
ANSWER = Answer(
    {"write": Lease(5, 1_004.0)}, {"read": Grant(0, 1_010.0)}, {KEY: ShareGrant(6, {50_100: 3}, 9)}, set(), {}, set(),
    is_guess=False, spending=Spending(0, epoch=None, slack=0.0), not_before={"write": 1_020.0}, spread_s=0.0,
)  # fmt: skip


def test_a_difference_within_the_slack_moves_the_clocks_alone() -> None:
    told = to_ledger(ASK, 1_000.5, behind_s=0.0005)
    assert (told.now, told.ended, told.kept) == (1_000.5, ASK.ended, ASK.kept)
    assert told.clocks == ClockReadings(5_000.4995, 5_002.5, 5_001.5, 0.5)
    assert told.held["write"].until == 1_003.0005
    assert (told.wants, told.number, told.next_at, told.hold_s) == (ASK.wants, 3, 1_001.0, 20.0)
    here = to_client(ANSWER, ahead_s=0.0005, behind_s=0.0005)
    assert here.shares == ANSWER.shares
    assert here.leases["write"] == Lease(5, 1_003.9995)


def test_what_ended_counts_for_later_by_as_much_as_the_clock_may_be_behind() -> None:
    told = to_ledger(ASK, 1_000.0, behind_s=0.1)
    ((step, count),) = told.kept[KEY].given.items()
    assert count == 2
    assert 0.1 <= (step - 50_000) * STEP_S < 0.1 + STEP_S
    (((kind, part), ended),) = told.ended.items()
    assert (kind, ended) == ("write", 7)
    assert 0.1 <= (part - 16.25) * 60 < 0.1 + 60 / 64
    assert told.held["write"] == HeldUnits(2, 1, 1_003.1)


def test_what_is_free_is_later_here_and_a_lease_ends_earlier() -> None:
    here = to_client(ANSWER, ahead_s=0.2, behind_s=0.3)
    ((step, count),) = here.shares[KEY].cooling.items()
    assert count == 3
    assert 0.2 <= (step - 50_100) * STEP_S < 0.2 + STEP_S
    assert here.leases["write"] == Lease(5, 1_003.7)
    assert here.blocked["read"].opens_at == pytest.approx(1_010.2)
    assert here.not_before["write"] == pytest.approx(1_020.2)


def test_a_repeat_reports_nothing_again_but_what_it_holds() -> None:
    again = as_repeat(ASK)
    assert (again.ended, again.spent, again.good) == ({}, {}, frozenset())
    assert again.kept == {KEY: KeptSlots(4)}
    assert (again.number, again.held, again.wants) == (3, ASK.held, ASK.wants)
