"""Broken twins of the quotas: each leaves out one thing that keeps windows whole, and the property of them must notice.

The same worlds as in `test_quota_property.py`, seed by seed; nothing in production code knows of these twins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bulkwriter.quota import account
from bulkwriter.quota.account import Account
from bulkwriter.quota.forecast import Grant, Spending, minute_of
from bulkwriter.quota.ledger import Ledger
from bulkwriter.quota.ledger_book import Book
from bulkwriter.quota.page import MemoryPage, Page
from bulkwriter.quota.reserve import Reserve
from bulkwriter.quota.short_window import ShortWindow
from tests.quota.test_quota_property import QUOTAS, machine_for, spend
from tests.sim.loop import run_virtual
from tests.support import quota_stage
from tests.support.quota_stage import ACCOUNT, Machine, broken_windows

Twin = Callable[[], list[Any]]
TWINS: dict[str, tuple[Sequence[str], Twin]] = {}
"""By name: the quotas that it is tried with, and what makes its patches."""
SEEDS = 25


def twin(*quotas: str) -> Callable[[Twin], Twin]:
    def keep(make: Twin) -> Twin:
        TWINS[make.__name__] = quotas, make
        return make

    return keep


@twin("a long one", "a day")
def ledger_not_persisted() -> list[Any]:
    """Each process begins with an empty ledger."""

    def ledger(self: Machine, boot: str) -> Ledger:
        path = self.folder / f"ledger-{self.rng.random()}"
        return Ledger.open(path, account=ACCOUNT, boot=boot, synchronous="OFF")

    return [patch.object(Machine, "ledger", ledger)]


@twin("a long one", "a day")
def nothing_booked_before_it_is_sent() -> list[Any]:
    """A grant is only promised; what was sent is counted when it ends."""

    def reserve(self: Account, book: Any, ask: Any, kind: str, want: int, tries: set[str]) -> Grant:
        return self._grant(book, ask, kind, want, tries)

    def ended(self: Reserve, now: float) -> None:
        self._on_way.popleft()
        self.changes[self.kind, minute_of(now)] += 1

    def give_back(self: Reserve) -> None:
        self._booked = self._mark = self._used

    return [
        patch.object(Account, "_reserve", reserve),
        patch.object(Reserve, "ended", ended),
        patch.object(Reserve, "give_back", give_back),
    ]


@twin("a long one", "many at once")
def a_kill_gives_everything_back() -> list[Any]:
    """The next process takes all that is booked ahead for a rest that the dead one did not use."""

    def settle(self: Book, dead: Any, *, is_there: Any) -> None:
        for _ in dead:
            self._db.execute("UPDATE spent SET count = 0 WHERE minute = (SELECT max(minute) FROM spent)")

    return [patch.object(Book, "settle", settle)]


@twin("short ones", "short and long")
def a_short_unit_is_free_a_window_after_its_sending() -> list[Any]:
    """The server counts at arrival, which comes later."""

    def take(self: ShortWindow, now: float) -> None:
        real(self, now)
        self._free[self._open] = now + self._span_s

    def ended(self: ShortWindow, now: float) -> None:
        self._in_use.popleft()

    real = ShortWindow.take
    return [patch.object(ShortWindow, "take", take), patch.object(ShortWindow, "ended", ended)]


@twin("a long one", "many at once")
def a_long_unit_is_booked_when_it_is_sent() -> list[Any]:
    """A request on its way counts in the minute of its sending, and stays there."""

    def ended(self: Reserve, now: float) -> None:
        self._on_way.popleft()

    return [
        patch.object(Reserve, "books_in", lambda self, now: minute_of(now)),
        patch.object(Reserve, "ended", ended),
        patch.object(Spending, "_span_s", lambda self, window: window.window_s - 60.0),
    ]


@twin("short ones", "short and long")
def short_windows_begin_afresh() -> list[Any]:
    """No process knows what another one sent a second ago."""

    def opened(*_: Any, cells: int, clear: Any, **__: Any) -> MemoryPage:
        page = MemoryPage(cells)
        clear(page.cells, -math.inf)
        return page

    return [patch.object(Page, "open", opened), patch.object(quota_stage, "Page", Page)]


@twin("a day", "many at once")
def an_earlier_boot_is_forgotten() -> list[Any]:
    """Only what was spent since the machine came up counts."""

    def placed(rows: Any, *, boot: str, **how: Any) -> Any:
        return real([row for row in rows if row.boot == boot], boot=boot, **how)

    real = account.placed
    return [patch.object(account, "placed", placed)]


@twin("a day", "many at once")
def an_earlier_boot_is_judged_by_our_wall() -> list[Any]:
    """`Date` is not looked at, so that a clock stepped during a reboot makes old what is young."""
    return [patch.object(Machine, "date", lambda self: "")]


@twin("calendar days")
def a_day_begins_when_our_wall_says_so() -> list[Any]:
    """`Date` is not looked at."""
    return [patch.object(Machine, "date", lambda self: "")]


def is_caught(quotas: Sequence[str], folder: Path) -> bool:
    for seed in range(SEEDS):
        for name in quotas:
            lasts_s = QUOTAS[name][1]
            own = folder / f"{seed}-{name}"
            own.mkdir()
            machine = machine_for(name, own, seed)
            run_virtual(partial(spend, machine, 2, lasts_s, reboots=seed % 2 == 1), most_s=100 * lasts_s)
            if broken_windows(machine.windows, machine.sent) or broken_windows(machine.windows, machine.arrived):
                return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_a_broken_twin_is_caught(name: str, tmp_path: Path) -> None:
    quotas, make = TWINS[name]
    for step in (patches := make()):
        step.start()
    try:
        assert is_caught(quotas, tmp_path), make.__doc__
    finally:
        for step in patches:
            step.stop()
