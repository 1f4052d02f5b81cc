"""Asks and answers between two clocks: what ended is later there, what is free is later here, a lease is shorter."""

from __future__ import annotations

from bulkwriter.postgres.times import as_repeat, to_client, to_ledger
from bulkwriter.quota.exchange import Answer, Ask, ClockReadings, Lease
from bulkwriter.quota.forecast import Grant, Spending
from bulkwriter.quota.throttles import Spent
from bulkwriter.quota.windows import windows_of

(WINDOW,) = windows_of(["write:5/min"], is_loopback=False)
ASK = Ask(
    client="c", number=3, now=1_000.0, clocks=ClockReadings(5_000.0, 5_002.0, 5_001.0, 0.5), hold_s=20.0,
    wants=frozenset({"write"}), held={"write": Lease(2, 1, 1_003.0, 1_001.0, [(1_000.5, 2)])},
    ended={("write", 975.0): 7}, spent={"write": Spent(None)}, good=frozenset({"read"}),
)  # fmt: skip
ANSWER = Answer(
    {"write": Lease(3, 0, 1_004.0, 1_002.0, [(1_001.0, 3)])}, {"read": Grant(0, 1_010.0)}, set(), {},
    is_guess=False, spending=Spending(epoch=None, slack=0.0), spread_s=0.0, free={WINDOW: [(1_000.0, 2)]},
)  # fmt: skip


def test_clocks_move_with_the_time() -> None:
    told = to_ledger(ASK, 1_000.5, ahead_s=0.0, behind_s=0.25)
    assert told.now == 1_000.5
    assert told.clocks == ClockReadings(5_000.25, 5_002.5, 5_001.5, 0.5)
    assert (told.wants, told.number, told.hold_s) == (ASK.wants, 3, 20.0)


def test_what_ended_counts_for_later_by_as_much_as_the_clock_may_be_behind() -> None:
    told = to_ledger(ASK, 1_000.0, ahead_s=0.25, behind_s=0.5)
    assert told.ended == {("write", 975.5): 7}
    assert told.held["write"] == Lease(2, 1, 1_003.5, 1_000.75, [(1_000.25, 2)])


def test_what_is_free_is_later_here_and_a_lease_ends_earlier() -> None:
    here = to_client(ANSWER, ahead_s=0.25, behind_s=0.5)
    assert here.leases["write"] == Lease(3, 0, 1_003.5, 1_002.25, [(1_001.25, 3)])
    assert here.blocked["read"].opens_at == 1_010.25
    assert here.free == {WINDOW: [(1_000.25, 2)]}


def test_a_repeat_reports_nothing_again_but_what_it_holds() -> None:
    again = as_repeat(ASK)
    assert (again.ended, again.spent, again.good) == ({}, {}, frozenset())
    assert (again.number, again.held, again.wants) == (3, ASK.held, ASK.wants)
