"""What is granted, decided from rows and an ask: parts of long windows, throttles, other boots, old rows."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from bulkwriter.quota.account import KEEP_S, later, steps_of
from bulkwriter.quota.exchange import BootPlace, LedgerRows, SpentRow
from bulkwriter.quota.forecast import minute_of
from bulkwriter.quota.others import at_work, placed, spending_in
from bulkwriter.quota.short import LOOK_S, ClientRow, ShortWindows, key_of, span_of
from bulkwriter.quota.throttles import TRY_S, Spent
from bulkwriter.quota.windows import parse
from tests.support.memory_ledger import MemoryBook, MemoryLedger
from tests.support.quota_desk import HERE, HOLD_S, MINUTE, NOW, WALL, Desk, clocks, holding

HOUR_S = 3_600.0
BEFORE = BootPlace("machine", "boot-0")
ELSEWHERE = BootPlace("other", "boot-9")
TWIN = BootPlace("machine", "boot-8")
BESIDE = BootPlace("other", HERE.boot)
Moments = list[tuple[float, int]]


def desks(*quota: str, count: int = 1, place: BootPlace = HERE, book: MemoryBook | None = None) -> list[Desk]:
    book = book or MemoryBook()
    return [Desk(lambda account, place: MemoryLedger(book, account, place), *quota, place=place) for _ in range(count)]


def test_a_lease_is_booked_where_its_last_request_can_end() -> None:
    (desk,) = desks("write:1000/hour")
    until = desk.lease().until
    (row,) = desk.ledger._book.rows.spent.values()  # type: ignore[attr-defined]
    assert (row.client, row.minute, row.requests) == (desk.name, minute_of(until + HOLD_S), 10)


def test_at_most_a_hundredth_of_a_long_window_is_granted_at_once() -> None:
    assert desks("write:100000/day")[0].lease().units == 1_000
    assert desks("write:40/day")[0].lease().units == 1


@pytest.mark.parametrize(
    ("quotas", "kind", "part", "most"),
    [
        (["write:2500/day"], "write", 25, 300),
        (["write:50/s", "any:2000/day"], "read", 20, 300),
        (["write:50/s", "any:2000/day"], "write", 20, 300),
        (["write:150/day"], "write", 1, 150),
    ],
)
def test_a_slow_client_never_holds_more_than_that_part(quotas: list[str], kind: str, part: int, most: int) -> None:
    (desk,) = desks(*quotas)
    client, sent = desk.client, 0
    units = client.units[kind]
    for turn in range(300):
        now = NOW + 0.7 * turn
        if units.is_low(now):
            ask = client.ask(now, clocks=clocks(now), wanted=[kind])
            client.take_up(ask, desk.ledger.exchange(ask))
        if units.ready(now):
            units.take(1)
            sent += 1
            units.ended(1, now)
        assert units.held <= part
    assert sent == most


def test_at_most_two_seconds_of_a_short_window_are_granted_at_once() -> None:
    assert desks("write:120/10s")[0].lease().units == 23
    assert desks("write:1/min")[0].lease().units == 1


def test_a_lease_lasts_as_long_as_its_units_need_at_even_pace() -> None:
    (desk,) = desks("write:120/10s")
    first = desk.lease()
    assert first.until == NOW + 2.0 + 1.0  # two seconds at least, and the grace
    second = desk.lease(held=holding(11, first.until, next_at=first.next_at))
    assert second.until == pytest.approx(first.next_at + (second.units - 1) * 10.002 / 120 + 1.0)
    slow = desks("write:60/min")[0]
    assert slow.lease(held=holding(0, next_at=NOW + 0.2)).until == pytest.approx(NOW + 1.2)


def test_kinds_that_were_not_asked_for_get_nothing() -> None:
    (desk,) = desks("any:100/hour")
    answer = desk.ask()
    assert (answer.leases, answer.blocked) == ({}, {})


def test_reads_are_granted_before_writes() -> None:
    (desk,) = desks("any:1/min")
    answer = desk.ledger.exchange(desk.client.ask(NOW, clocks=clocks(NOW), wanted=["write", "read"]))
    assert (set(answer.leases), set(answer.blocked)) == ({"read"}, {"write"})


def test_a_quick_window_is_shared_by_its_slots() -> None:
    one, other = desks("write:50/s", count=2)
    assert one.lease().units == 50
    blocked = other.ask(True, now=NOW + 0.1).blocked["write"]
    assert blocked.opens_at <= NOW + 0.1 + LOOK_S
    answer = one.ask(True, now=NOW + 0.2, held=holding(40, NOW + 2), ended={("write", NOW + 0.1): 10})
    assert answer.leases == {}  # it has more than its half
    lease = other.lease(now=NOW + 0.3)
    assert lease.units == 10
    assert [at for at, _ in lease.coming] == pytest.approx([NOW + 1.1] * 10, abs=0.005)


@pytest.mark.parametrize(("quota", "window_s"), [("write:1/100ms", 0.1), ("write:1/s", 1.0)])
def test_where_clients_are_more_than_slots_they_take_turns(quota: str, window_s: float) -> None:
    both = desks(quota, count=2)
    due: list[float] = [NOW, NOW]
    ended: list[dict[tuple[str, float], int]] = [{}, {}]
    served: list[int] = []
    while (now := min(due)) < NOW + 12.0:
        who = due.index(now)
        answer = both[who].ask(True, now=now, ended=ended[who])
        if lease := answer.leases.get("write"):
            ((at, _),) = lease.coming
            served.append(who)
            due[who] = max(at, now) + 0.05
            ended[who] = {("write", due[who]): 1}
        else:
            due[who], ended[who] = answer.blocked["write"].opens_at, {}
    assert len(served) > 0.95 * 12.0 / (window_s + 0.05)
    assert 5 <= sum(one != other for one, other in pairwise(served)) <= 7  # a turn lasts two seconds
    assert abs(served.count(0) - served.count(1)) <= 4


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ([(5.0, 3)], [(5.0, 1), (7.0, 2)], [(5.0, 1), (7.0, 2)]),
        ([(5.0, 2), (6.0, 1)], [(4.0, 1), (5.5, 2)], [(5.0, 1), (5.5, 1), (6.0, 1)]),
        ([(5.0, 1)], [(9.0, 1)], [(9.0, 1)]),
    ],
)
def test_a_unit_waits_for_its_slot_in_each_window(one: Moments, other: Moments, both: Moments) -> None:
    assert later(one, other) == both


# ---- throttles


def test_a_spent_window_of_the_server_lets_nothing_go_until_the_stated_time() -> None:
    (desk,) = desks("write:5000/day")
    desk.spend(2_500)
    blocked = desk.ask(True, spent={"write": Spent(HOUR_S)}).blocked["write"]
    assert blocked.opens_at == pytest.approx(NOW + HOUR_S)
    assert blocked.window is not None
    assert "as the server showed" in blocked.window.text


def test_after_half_an_hour_a_single_one_may_try_and_then_not_for_an_hour() -> None:
    (desk,) = desks("write:5000/day")
    desk.spend(2_500, spent={"write": Spent(None)})
    tried = desk.ask(True, now=NOW + TRY_S)
    assert (tried.leases["write"].units, tried.tries) == (1, {"write"})
    again = desk.ask(True, now=NOW + TRY_S + 1).blocked["write"]
    assert again.opens_at == pytest.approx(NOW + TRY_S + 2 * TRY_S)


def test_a_try_that_was_taken_lets_more_go() -> None:
    (desk,) = desks("write:5000/day")
    desk.spend(100, spent={"write": Spent(None)})
    desk.ask(True, now=NOW + TRY_S)
    ended = {("write", NOW + TRY_S): 1}
    later = desk.ask(True, now=NOW + TRY_S + 1, ended=ended, good=frozenset({"write"}))
    assert later.learnt == {}
    assert later.leases["write"].units > 1


def test_refused_requests_are_not_taken_for_what_the_server_allows() -> None:
    (desk,) = desks("write:5000/day")
    ended = {("write", NOW): 110, ("write-refused", NOW): 10}
    assert desk.ask(ended=ended, spent={"write": Spent(None)}).learnt["write"].most == 100


def test_our_own_window_still_holds_beside_it() -> None:
    (desk,) = desks("write:10/hour")
    desk.spend(10, spent={"write": Spent(None)})
    blocked = desk.ask(True, now=NOW + TRY_S).blocked["write"]
    assert blocked.window is not None
    assert blocked.window.text == "write:10/hour"


# ---- other boots and machines

ZERO = WALL - NOW


def row(place: BootPlace, ended: float | None, *, client: str = "", seen_at: float | None = None) -> SpentRow:
    seen_boot = "" if seen_at is None else HERE.boot
    return SpentRow(place, client, "write", 900_000, 30, ended, seen_boot, seen_at or 0.0)


@pytest.mark.parametrize(
    ("kept", "zero", "end"),
    [
        (row(HERE, None), ZERO, 900_001 * 60.0),  # of this boot: whatever a clock said
        (row(BEFORE, WALL - 90_000), ZERO, NOW - 90_000),  # by the server's clock
        (row(BEFORE, WALL + 10**9), ZERO, NOW),  # never later than now, though a clock said so
        (row(BEFORE, WALL + 10**9, seen_at=NOW - 500), ZERO, NOW - 500),  # nor than it was seen
        (row(TWIN, WALL - 10), ZERO, NOW - 10),  # a machine of the same image
        (row(BESIDE, None), ZERO, 900_001 * 60.0),  # a container of this host: its clock is ours
        (row(ELSEWHERE, WALL - 10), ZERO, NOW - 10),  # another machine may have been at work since
        (row(ELSEWHERE, WALL + 10**9), ZERO, NOW),
        (row(BEFORE, WALL - 90_000), None, NOW),  # the clock is unknown, and nobody has seen it before
        (row(BEFORE, None), ZERO, NOW),
        (row(BEFORE, None, seen_at=NOW - 500), ZERO, NOW - 500),
        (row(ELSEWHERE, WALL - 90_000, seen_at=NOW - 500), None, NOW - 500),
    ],
)
def test_where_a_row_counts(kept: SpentRow, zero: float | None, end: float) -> None:
    minute = placed(kept, HERE, now=NOW, zero=zero, hold_s=HOLD_S)
    assert (minute + 1) * 60 - 60 < end <= (minute + 1) * 60


def test_a_lease_that_was_first_seen_now_may_still_be_used() -> None:
    seen = placed(row(ELSEWHERE, None, client="x"), HERE, now=NOW, zero=None, hold_s=HOLD_S)
    assert (seen + 1) * 60 >= NOW + HOLD_S


def test_a_forecast_goes_by_the_server_s_clock_as_the_rows_of_this_boot_show_it() -> None:
    old = row(BEFORE, WALL - 90_000)
    told = SpentRow(HERE, "", "write", MINUTE, 1, ZERO + (MINUTE + 1) * 60)
    day = parse("write:50/day")
    for rows, wall, spent in (
        ([old, told], WALL - 86_400, 1),  # our own clock is a day late: it decides nothing
        ([old, told], WALL + 86_400, 1),
        ([old], WALL, 0),  # nothing is known but our own
        ([old], WALL - 86_400, 30),
    ):
        spending = spending_in(LedgerRows(spent={row[:4]: row for row in rows}), [day], HERE, now=NOW, wall=wall)
        assert spending.spent(day, NOW) == spent
    spread = spending_in(LedgerRows(spent={told[:4]: told}, spread_s=9.0), [day], HERE, now=NOW, wall=0.0)
    assert (spread.epoch, spread.spread_s) == (ZERO - 9.0, 9.0)


def test_a_calendar_day_counts_as_a_rolling_one_while_the_clock_is_unknown() -> None:
    (desk,) = desks("write:100/day@00:00")
    desk.spend(100, is_known=False)
    day_after = NOW + 86_400 - 600
    assert not desk.ask(True, now=day_after, is_known=False).leases
    assert desk.ask(True, now=day_after, is_known=True).leases


# ---- old rows


def test_what_no_window_can_reach_is_dropped_once_an_hour() -> None:
    book = MemoryBook()
    (desk,) = desks("write:100/hour", book=book)
    desk.spend(5)
    desk.ask(now=NOW + KEEP_S + 120)
    assert book.rows.spent == {}


def test_rows_of_other_places_are_dropped_only_by_a_clock_that_is_known() -> None:
    book = MemoryBook()
    (before,) = desks("write:100/day", place=BEFORE, book=book)
    before.spend(5, wall=WALL - 2 * KEEP_S)
    (desk,) = desks("write:100/day", book=book)
    desk.ask(is_known=False)
    assert len(book.rows.spent) == 1
    desk.ask(now=NOW + 2 * HOUR_S)
    assert book.rows.spent == {}


@pytest.mark.parametrize("quota", ["write:3/s", "any:3/10ms", "write:3/min"])
@pytest.mark.parametrize("boot_s", [0.0, 1e5 / 3, 1e6 / 7])
def test_a_unit_that_is_planned_hides_no_slot_that_is_free_before_its_own(quota: str, boot_s: float) -> None:
    """It took its slot a step too early, by a rounding: so long no slot seemed free for good."""
    window = parse(quota)
    span_s = span_of(key := key_of(window))
    for turn in range(50):
        now = boot_s + 100.0 + turn * span_s * 0.7371
        short = ShortWindows()
        short.begin([window], -math.inf, now)
        for part in (0.9, 0.5, 0.1):
            short.use(key, now - part * span_s, 1)
        first, second, third = (at for at, _ in short.openings(window, now, ()))
        assert now < first < second < third < now + span_s
        planned = steps_of(key, [(second, 1)])
        short.holders["client"] = ClientRow(1, second + 1.0, third + 1.0, {key: planned}, {})
        assert [at for at, _ in short.openings(window, now, ())][:2] == [first, third]
        assert [at for at, _ in short.openings(window, now, [(first, 1)])][:1] == [third]


def test_a_window_that_is_new_begins_as_used_where_the_others_have_forgotten_all() -> None:
    """The ledger has requests of this minute, though a window of a second knows nothing any more."""
    book = MemoryBook()
    (one,) = desks("write:5/s", book=book)
    one.lease()
    one.ask(now=NOW + 1.0, ended={("write", NOW + 1.0): 5})
    one.ask(now=NOW + 30.0, is_last=True)
    (other,) = desks("write:5/min", book=book)
    assert not other.ask(True, now=NOW + 30.0).leases
    assert other.ask(True, now=NOW + 91.0).leases


def test_what_others_write_is_told_for_each_of_our_writes_over_the_last_minutes() -> None:
    book = MemoryBook()
    one, other, _ = made = desks("write:60/min", "write:9000/day", count=3, book=book)
    for desk in made:
        answer = desk.ask(True)
    assert answer.pace_per_s == pytest.approx(60 / 60.012 / 3), "three that are at work share a short window alike"
    assert answer.others == pytest.approx(2.0)
    later = NOW + 180.0
    other.spend(90, minute=MINUTE + 2, now=later)
    answer = one.spend(30, minute=MINUTE + 2, now=later)
    assert answer.others == pytest.approx(3.0)
    assert answer.pace_per_s == pytest.approx(60 / 60.012)
    quiet = NOW + 1_800.0
    assert one.ask(now=quiet).others == 3.0, "while we wait, nothing new is known"
    assert one.spend(30, minute=MINUTE + 29, now=quiet).others == 0.0


def test_clients_at_work_are_those_that_have_units_now() -> None:
    book = MemoryBook()
    assert at_work(book.rows, HERE, NOW) == 0
    one, other = desks("write:60/min", count=2, book=book)
    one.ask(True)
    other.ask(True)
    assert [at_work(book.rows, place, NOW) for place in (HERE, BEFORE)] == [2, 0]
    other.ask(is_last=True, now=NOW + 0.2)
    assert [at_work(book.rows, HERE, NOW + later) for later in (0.5, 9.0)] == [1, 0]
    one.ask(is_last=True, now=NOW + 20.0)
    assert at_work(book.rows, HERE, NOW + 20.5) == 0


def test_a_client_whose_own_requests_have_its_part_of_a_window_asks_again_soon() -> None:
    """It was to wait for ten minutes: no slot was known to open, since nothing had ended in the last second."""
    one, other = desks("write:4/s", count=2, book=MemoryBook())
    assert other.lease().units == 4
    other.ask(now=NOW + 0.5)  # it gave all back, and is at work for a while yet
    assert one.lease(now=NOW + 0.6).units == 2
    blocked = one.ask(True, now=NOW + 2.0, held=holding(0, on_way=2)).blocked["write"]
    assert NOW + 2.0 < blocked.opens_at <= NOW + 2.0 + LOOK_S
