"""What every ledger owes its clients: the same questions to those on disk, in PostgreSQL and in memory.

Each exchange is one transaction; what one client is granted all others know of; a client that dies loses its lease.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import BootPlace
from bulkwriter.quota.leases import SOON_S
from bulkwriter.quota.ledger import Ledger, SqliteLedger
from bulkwriter.quota.throttles import Spent
from tests.support.memory_ledger import MemoryBook, MemoryLedger
from tests.support.postgres_desk import DeskLedger, SetClock
from tests.support.quota_desk import HOLD_S, MINUTE, NOW, WALL, Desk, Opening, holding

Made = Callable[..., Desk]


@pytest.fixture(params=["disk", "memory", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    book, ledgers = MemoryBook(), contextlib.ExitStack()
    clock = None
    if request.param == "postgres":
        clock = ledgers.enter_context(contextlib.closing(SetClock(request.getfixturevalue("postgres"))))

    def on_disk(account: Account, place: BootPlace) -> Ledger:
        return SqliteLedger.open(tmp_path / "ledger", "a", account, place, synchronous="OFF")

    def in_memory(account: Account, place: BootPlace) -> Ledger:
        return MemoryLedger(book, account, place)

    def in_postgres(account: Account, place: BootPlace) -> Ledger:
        assert clock is not None
        return ledgers.enter_context(contextlib.closing(DeskLedger(clock, account, place)))

    openings: dict[str, Opening] = {"disk": on_disk, "memory": in_memory, "postgres": in_postgres}
    with ledgers:
        yield lambda *quota, **how: Desk(openings[request.param], *quota, **how)


def test_clients_share_a_long_window(desk: Made) -> None:
    one, other = desk("write:300/hour"), desk("write:300/hour")
    for _ in range(50):
        assert one.lease().units == other.lease().units == 3  # a hundredth of it
        one.spend(3)
        other.spend(3)
    blocked = other.ask(True).blocked["write"]
    assert (blocked.granted, blocked.window and blocked.window.text) == (0, "write:300/hour")


def test_a_lease_that_was_not_used_is_there_for_others_at_once(desk: Made) -> None:
    one, other = desk("write:1/hour"), desk("write:1/hour")
    assert one.lease().units == 1
    assert not other.ask(True).leases
    one.ask()  # holds nothing any more
    assert other.lease().units == 1


def test_a_client_that_dies_loses_its_lease_until_its_time_is_over(desk: Made) -> None:
    dead, other = desk("write:1/hour"), desk("write:1/hour")
    until = dead.lease().until
    ends = (int((until + HOLD_S) // 60) + 1) * 60 + 3_600 * 1.0002
    assert not other.ask(True, now=ends - 1).leases
    assert other.ask(True, now=ends + 1).leases


STEP_S = 10.002 / 512


def ended(at: float) -> dict[tuple[str, float], int]:
    """The only request ended then."""
    return {("write", at): 1}


def test_slots_of_a_short_window_go_to_one_client_each(desk: Made) -> None:
    one, other, third = desk("write:3/10s"), desk("write:3/10s"), desk("write:3/10s")
    assert (one.lease().units, other.lease().units, third.lease().units) == (1, 1, 1)
    assert not one.ask(True, held=holding(1, NOW + 1)).leases


def test_slots_are_free_a_window_after_the_reported_end(desk: Made) -> None:
    one, other = desk("write:1/10s"), desk("write:1/10s")
    one.lease()
    one.ask(ended=ended(NOW + 0.5), now=NOW + 0.5)
    blocked = other.ask(True, now=NOW + 1).blocked["write"]
    assert blocked.opens_at == pytest.approx(NOW + 10.502 - SOON_S, abs=0.03)
    ((free_at, count),) = other.lease(now=NOW + 9).coming
    assert count == 1
    assert NOW + 10.502 <= free_at < NOW + 10.502 + STEP_S


def test_slots_of_a_dead_client_are_free_when_no_request_of_its_can_arrive(desk: Made) -> None:
    dead, other = desk("write:1/10s"), desk("write:1/10s")
    free_at = dead.lease().until + HOLD_S + 10.002
    assert not other.ask(True, now=free_at - 3.1).leases
    assert other.lease(now=free_at + 0.1).units == 1
    dead.ask(ended=ended(NOW + 0.1), now=free_at + 1)
    assert not desk("write:1/10s").ask(True, now=free_at + 2).leases  # a late report gives nothing back twice


def test_who_was_stopped_for_too_long_has_its_slots_no_more(desk: Made) -> None:
    stopped, other = desk("write:1/10s"), desk("write:1/10s")
    later = stopped.lease().until + HOLD_S + 10.1
    other.lease(now=later)
    assert stopped.ask(True, now=later + 0.1, held=holding(0, on_way=1)).leases == {}


def test_who_wait_for_one_slot_have_it_in_turns(desk: Made) -> None:
    clients = [desk("write:1/10s") for _ in range(3)]
    due, ends, served = [NOW] * 3, [dict[tuple[str, float], int]()] * 3, [0] * 3
    while (now := min(due)) < NOW + 89.0:
        who = due.index(now)
        answer = clients[who].ask(True, now=now, ended=ends[who])
        ends[who] = {}
        if lease := answer.leases.get("write"):
            served[who] += 1
            due[who] = max(now, lease.coming[0][0]) + 0.05
            ends[who] = ended(due[who])
        else:
            due[who] = answer.blocked["write"].opens_at
    assert sum(served) == 9
    assert min(served) >= 2  # the first comers begin


def test_what_is_reported_twice_under_one_number_is_counted_once(desk: Made) -> None:
    """Whoever does not learn whether an exchange was carried out repeats it."""
    one, other = desk("write:100/hour", "write:3/10s"), desk("write:100/hour", "write:3/10s")
    one.lease()
    one.ask(True, now=NOW + 1, ended=ended(NOW))
    assert one.lease(now=NOW + 2, repeats=True, ended=ended(NOW)).units == 1
    other.ask()
    assert [row.requests for row in other.rows().spent.values() if not row.client] == [1]
    assert other.ask(True, now=NOW + 2).blocked["write"].granted == 0  # one ended, one granted, one that was lost
    assert other.ask(True, now=NOW + 10).leases["write"].units == 1


def test_what_throttles_teach_all_clients_know(desk: Made) -> None:
    one, other = desk("write:5000/day"), desk("write:5000/day")
    one.spend(2_500, spent={"write": Spent(None)})
    answer = other.ask(True)
    assert not answer.leases
    assert answer.learnt["write"].most == 2_500


def test_rows_of_another_place_are_as_old_as_the_server_s_clock_says(desk: Made) -> None:
    elsewhere = desk("write:100/day", place=BootPlace("other", "boot-0"))
    elsewhere.spend(100, wall=WALL - 90_000)
    here = desk("write:100/day")
    guess = here.ask(True, is_known=False)
    assert (guess.is_guess, guess.leases) == (True, {})
    assert here.ask(True).leases


def test_without_the_server_s_clock_they_last_a_window_from_when_they_were_first_seen(desk: Made) -> None:
    elsewhere = desk("write:100/day", place=BootPlace("other", "boot-0"))
    elsewhere.spend(100, wall=WALL - 900_000)
    seen = desk("write:100/day")
    seen.ask(True, is_known=False)
    for now, has_room in ((NOW + 86_000, False), (NOW + 86_600, True)):
        assert bool(desk("write:100/day").ask(True, is_known=False, now=now).leases) == has_room


def test_slots_of_another_boot_wait_as_long_as_they_had_to(desk: Made) -> None:
    before = desk("write:1/10s", place=BootPlace("machine", "boot-0"))
    before.lease(now=9 * NOW)
    after = desk("write:1/10s")
    assert not after.ask(True).leases
    free_s = 1.0 + HOLD_S + 10.002
    assert not after.ask(True, now=NOW + free_s - 3.1).leases
    assert after.lease(now=NOW + free_s + 0.1).units == 1


def test_another_quota_for_the_same_account_does_not_begin_at_nothing(desk: Made) -> None:
    desk("write:2/10s").lease()
    assert desk("write:3/10s").lease().units == 1
    assert not desk("write:2/10s").ask(True).leases  # of both
    longer = desk("write:3/15s")
    assert not longer.ask(True).leases
    assert longer.lease(now=NOW + 1.0 + HOLD_S + 15.1).units == 1


def test_counts_of_one_minute_add_up(desk: Made) -> None:
    one, other = desk("write:100/hour"), desk("write:100/hour")
    one.spend(3)
    other.spend(4)
    other.spend(2, kind="read")
    one.ask()
    found = {(row.kind, row.minute): row.requests for row in one.rows().spent.values()}
    assert found == {("write", MINUTE): 7, ("read", MINUTE): 2}


def test_what_is_told_of_a_minute_long_past_leaves_there_what_others_counted(desk: Made) -> None:
    """Of one that no window of its own reaches a client knows nothing: a machine slept for two days before it said."""
    one, other = desk("write:100/day"), desk("write:3000/31day")
    later = NOW + 2 * 86_400.0
    other.spend(5)
    one.ask(now=later)
    one.ask(now=later + 1, ended=ended(NOW))
    other.ask(now=later + 2)
    assert sum(row.requests for row in other.rows().spent.values()) == 6
