"""What may be reserved, decided in a transaction: windows, throttles, earlier boots, and what others have written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkwriter.quota.account import KEEP_S, Account, Answer, Ask, placed
from bulkwriter.quota.ledger import Ledger
from bulkwriter.quota.ledger_book import SpentRow
from bulkwriter.quota.reserve import BLOCK, Lease
from bulkwriter.quota.throttles import TRY_S, Spent
from bulkwriter.quota.windows import windows_of

WALL = 1_764_000_000.0
NOW = 50_000.0
MINUTE = int(NOW // 60)
HOUR_S = 3_600.0


class Desk:
    """One process at the ledger."""

    def __init__(self, folder: Path, *quota: str, boot: str = "boot-1") -> None:
        self.account = Account(windows_of(quota, is_loopback=False), "till")
        self.ledger = Ledger.open(folder / "ledger", account="a", boot=boot, synchronous="OFF")

    def ask(
        self,
        want: int = 0,
        *,
        booked: int = 0,
        used: int = 0,
        now: float = NOW,
        wall: float | None = None,
        is_sure: bool = True,
        **said: object,
    ) -> Answer:
        ask = Ask(
            now=now,
            wall=WALL + now - NOW if wall is None else wall,
            is_sure=is_sure,
            leases={"write": Lease(int(now // 60) + 2, booked, used)},
            wants={"write": want} if want else {},
            changes=said.pop("changes", {}),  # type: ignore[arg-type]
            **said,  # type: ignore[arg-type]
        )
        return self.ledger.exchange(lambda book: self.account.exchange(book, ask))

    def rows(self) -> Sequence[SpentRow]:
        return self.ledger.exchange(lambda book: book.rows())


def test_what_is_granted_is_booked_in_the_same_transaction(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:30/hour")
    assert desk.ask(20).grants["write"].granted == 20
    assert [(row.minute, row.requests) for row in desk.rows()] == [(MINUTE + 2, 20)]
    assert desk.ask(20).grants["write"].granted == 10
    refused = desk.ask(20).grants["write"]
    assert refused.granted == 0
    assert refused.window is not None
    assert refused.window.text == "write:30/hour"


def test_processes_share_what_there_is(tmp_path: Path) -> None:
    one, other = (Desk(tmp_path, "write:30/hour") for _ in range(2))
    got = [desk.ask(7).grants["write"].granted for desk in (one, other, one, other, one)]
    assert got == [7, 7, 7, 7, 2]


def test_what_was_not_used_is_there_for_others_at_once(tmp_path: Path) -> None:
    one, other = (Desk(tmp_path, "write:30/hour") for _ in range(2))
    one.ask(20)
    one.ask(changes={("write", MINUTE + 2): -20, ("write", MINUTE): 3})
    assert [other.ask(20).grants["write"].granted for _ in range(2)] == [20, 7]


def test_kinds_that_were_not_asked_for_are_not_reserved(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "any:100/hour")
    assert desk.ask().grants == {}
    assert desk.rows() == []


def test_more_than_a_block_is_leased_only_of_windows_with_a_lot_of_room(tmp_path: Path) -> None:
    wide, narrow = Desk(tmp_path, "write:100000/day"), Desk(tmp_path, "write:1500/day")
    assert wide.ask(1_000).grants["write"].granted == 1_000
    assert narrow.ask(1_000, changes={("write", MINUTE + 2): -1_000}).grants["write"].granted == 1_500 // 50
    assert narrow.ask(1_000, changes={("write", MINUTE): 1_000}).grants["write"].granted == BLOCK


def test_what_is_held_is_written_beside_it_with_its_mark(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:100000/day")

    def held() -> list[tuple[object, ...]]:
        asked = "SELECT till, kind, account, boot, minute, booked, mark FROM held"
        return desk.ledger.exchange(lambda book: book._db.execute(asked).fetchall())

    minute = MINUTE + 2
    desk.ask(100)
    assert held() == [("till", "write", "a", "boot-1", minute, 100, BLOCK)]
    desk.ask(50, booked=100, used=95)
    assert held() == [("till", "write", "a", "boot-1", minute, 150, 95 + BLOCK)]
    desk.ask(booked=120, used=120)
    assert held() == []


# ---- throttles


def test_a_spent_window_of_the_server_lets_nothing_go_until_the_stated_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:5000/day")
    desk.ask(changes={("write", MINUTE): 2_500})
    blocked = desk.ask(5, spent={"write": Spent(HOUR_S)}).grants["write"]
    assert blocked.granted == 0
    assert blocked.opens_at == pytest.approx(NOW + HOUR_S)
    assert blocked.window is not None
    assert "as the server showed" in blocked.window.text


def test_what_one_process_learnt_all_of_them_know(tmp_path: Path) -> None:
    one, other = (Desk(tmp_path, "write:5000/day") for _ in range(2))
    one.ask(changes={("write", MINUTE): 2_500}, spent={"write": Spent(None)})
    grant = other.ask(5)
    assert grant.grants["write"].granted == 0
    assert grant.shown["write"].count == 2_500


def test_after_half_an_hour_a_single_one_may_try_and_then_not_for_an_hour(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:5000/day")
    desk.ask(changes={("write", MINUTE): 2_500}, spent={"write": Spent(None)})
    tried = desk.ask(5, now=NOW + TRY_S)
    assert (tried.grants["write"].granted, tried.tries) == (1, {"write"})
    again = desk.ask(5, now=NOW + TRY_S + 1).grants["write"]
    assert again.granted == 0
    assert again.opens_at == pytest.approx(NOW + TRY_S + 2 * TRY_S)


def test_a_try_that_was_taken_lets_more_go(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:5000/day")
    desk.ask(changes={("write", MINUTE): 100}, spent={"write": Spent(None)})
    desk.ask(5, now=NOW + TRY_S)
    later = desk.ask(5, now=NOW + TRY_S + 1, good=frozenset({"write"}))
    assert later.stretched == {"write"}
    assert later.grants["write"].granted >= 1


def test_refused_requests_are_not_taken_for_what_the_server_allows(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:5000/day")
    changes = {("write", MINUTE): 110, ("write-refused", MINUTE): 10}
    assert desk.ask(changes=changes, spent={"write": Spent(None)}).shown["write"].count == 100


def test_our_own_window_still_holds_beside_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:10/hour")
    desk.ask(changes={("write", MINUTE): 10}, spent={"write": Spent(None)})
    grant = desk.ask(5, now=NOW + TRY_S).grants["write"]
    assert grant.window is not None
    assert grant.window.text == "write:10/hour"


# ---- earlier boots


def row(ended: float, *, boot: str = "boot-0", minute: int = 900_000, requests: int = 30) -> SpentRow:
    return SpentRow(boot, minute, "write", requests, ended)


def room(rows: Sequence[SpentRow], *, is_sure: bool, boot: str = "boot-1", at: float = NOW) -> int:
    window = windows_of(["write:100/day"], is_loopback=False)[0]
    spending, _ = placed(rows, boot=boot, now=at, wall=WALL, longest_s=86_400.0, is_sure=is_sure)
    return 100 - spending.spent(window, at)


@pytest.mark.parametrize(
    ("rows", "is_sure", "left"),
    [
        ([row(WALL - 90_000)], True, 100),  # older than a day, by a clock that was compared
        ([row(WALL - 90_000)], False, 70),  # the same by one that was not: as if spent when the boot began
        ([row(WALL - 80_000)], True, 70),
        ([row(WALL + 10**9)], True, 70),  # stamped in the future: never later than the boot began
        ([row(0.0)], True, 100),
        ([row(0.0)], False, 70),
        ([row(0.0, boot="boot-1", minute=MINUTE)], True, 70),  # of this boot: whatever a wall clock said
        ([row(0.0, boot="boot-1", minute=MINUTE), row(WALL - 10)], False, 40),
    ],
)
def test_earlier_boots_are_as_old_as_a_compared_clock_says(rows: list[SpentRow], is_sure: bool, left: int) -> None:
    assert room(rows, is_sure=is_sure) == left


def test_without_a_boot_id_the_wall_clock_counts() -> None:
    rows = [row(WALL - 90_000, boot=""), row(WALL - 100, boot="")]
    assert room(rows, is_sure=True, boot="") == 70


def test_a_guess_is_said_to_be_one_until_the_clock_is_known(tmp_path: Path) -> None:
    before = Desk(tmp_path, "write:100/day", boot="boot-0")
    before.ask(changes={("write", MINUTE): 100}, wall=WALL - 90_000)
    desk = Desk(tmp_path, "write:100/day")
    guess = desk.ask(5, is_sure=False)
    assert (guess.is_guess, guess.grants["write"].granted) == (True, 0)
    known = desk.ask(5, is_sure=True)
    assert (known.is_guess, known.grants["write"].granted) == (False, 5)


# ---- old rows


def test_what_no_window_can_reach_is_dropped_once_an_hour(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "write:100/hour")
    desk.ask(changes={("write", MINUTE): 5})
    assert len(desk.rows()) == 1
    desk.ask(now=NOW + KEEP_S + 120)
    assert desk.rows() == []


def test_rows_of_earlier_boots_are_dropped_only_by_a_clock_that_was_compared(tmp_path: Path) -> None:
    before = Desk(tmp_path, "write:100/day", boot="boot-0")
    before.ask(changes={("write", MINUTE): 5}, wall=WALL - 2 * KEEP_S)
    desk = Desk(tmp_path, "write:100/day")
    desk.ask(is_sure=False)
    assert len(desk.rows()) == 1
    desk.ask(is_sure=True, now=NOW + 2 * HOUR_S)
    assert desk.rows() == []
