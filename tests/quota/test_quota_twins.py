"""Broken twins of the quotas: each leaves out one thing that keeps windows whole, and the property of them must notice.

The same worlds as in `test_quota_property.py`, seed by seed; nothing in production code knows of these twins.
"""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bulkwriter.quota import account, others
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Lease
from bulkwriter.quota.forecast import Spending
from bulkwriter.quota.leases import Units
from bulkwriter.quota.ledger import SqliteLedger
from bulkwriter.quota.short import ClientRow, ShortWindows
from tests.quota.test_quota_property import QUOTAS, machine_for, spend
from tests.sim.loop import run_virtual
from tests.support.quota_stage import ACCOUNT, Machine, broken_windows

Twin = Callable[[], list[Any]]
TWINS: dict[str, tuple[Sequence[str], Twin]] = {}
"""By name: the quotas that it is tried with, and what makes its patches."""
SEEDS = 15
"""At most."""
FIRST = {"a_unit_is_never_void": 45}
"""The seed to begin with; this one shows in one of six, and seldom before."""


def twin(*quotas: str) -> Callable[[Twin], Twin]:
    def keep(make: Twin) -> Twin:
        TWINS[make.__name__] = quotas, make
        return make

    return keep


@twin("a long one", "a day")
def ledger_not_persisted() -> list[Any]:
    """Each process begins with an empty ledger."""

    def ledger(self: Machine) -> SqliteLedger:
        path = self.folder / f"ledger-{self.rng.random()}"
        return SqliteLedger.open(path, ACCOUNT, Account(self.windows, self.place), self.place, synchronous="OFF")

    return [patch.object(Machine, "ledger", ledger)]


@twin("a long one", "a day")
def nothing_booked_before_it_is_sent() -> list[Any]:
    """A lease is only promised; what was sent is counted when it ends."""

    def add(self: Account, client: str, kind: str, minute: int, count: int) -> None:
        if not client:
            real(self, client, kind, minute, count)

    real = Account._add
    return [patch.object(Account, "_add", add)]


@twin("short ones", "short and long")
def a_short_unit_is_free_a_window_after_its_time() -> list[Any]:
    """The server counts at arrival, which comes later."""

    def take(self: Units, count: int) -> None:
        real_take(self, count)
        real_ended(self, count, self._ready_at)

    real_take, real_ended = Units.take, Units.ended
    return [patch.object(Units, "take", take), patch.object(Units, "ended", lambda self, count, now: None)]


@twin("short ones", "short and long")
def a_short_lease_is_free_when_it_is_over() -> list[Any]:
    """Of a dead client's lease some requests may still be on their way."""

    def row(number: int, until: float, ended_by: float, *more: Any) -> ClientRow:
        return ClientRow(number, until, until, *more)

    return [patch.object(account, "ClientRow", row)]


@twin("a long one", "many at once")
def a_long_unit_is_booked_when_it_is_leased() -> list[Any]:
    """A request on its way counts in the minute of its lease, and stays there."""

    real = Units._tick
    return [
        patch.object(Units, "_tick", lambda self, now: real(self, now - 120.0)),
        patch.object(Spending, "_span_s", lambda self, window: window.window_s - 60.0),
    ]


@twin("short ones")
def a_unit_is_never_void() -> list[Any]:
    """A lease is used up whenever there is something to send, long after others may have its slots."""

    def granted(self: Units, lease: Lease, now: float) -> None:
        real(self, lease, now)
        self.ends_at, self._until = lease.until, math.inf  # type: ignore[attr-defined]

    real = Units.granted
    told = property(lambda self: getattr(self, "ends_at", -math.inf) if self.left else -math.inf)
    return [patch.object(Units, "granted", granted), patch.object(Units, "until", told)]


@twin("short ones", "short and long")
def short_windows_begin_afresh() -> list[Any]:
    """No process knows what another one sent a second ago."""

    def begin(self: ShortWindows, windows: Any, ended: float, now: float) -> None:
        self.used, self.holders = {}, {}
        real(self, windows, -math.inf, now)

    real = ShortWindows.begin
    return [patch.object(ShortWindows, "begin", begin)]


@twin("a day", "many at once")
def an_earlier_boot_is_forgotten() -> list[Any]:
    """Only what was spent since the machine came up counts."""

    def placed(row: Any, place: Any, **how: Any) -> float:
        return real(row, place, **how) if row.place == place else -(10**6)

    real = others.placed
    return [patch.object(account, "placed", placed)]


@twin("a day", "many at once")
def an_earlier_boot_is_judged_by_our_wall() -> list[Any]:
    """`Date` is our own clock's, so that a clock stepped during a reboot makes old what is young."""
    return [patch.object(Machine, "date", wall_date)]


@twin("calendar days")
def a_day_begins_when_our_wall_says_so() -> list[Any]:
    """`Date` is our own clock's."""
    return [patch.object(Machine, "date", wall_date)]


def wall_date(self: Machine) -> str:
    return email.utils.formatdate(self.wall(), usegmt=True)


def is_caught(quotas: Sequence[str], folder: Path, first: int) -> bool:
    for seed in range(first, first + SEEDS):
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
        assert is_caught(quotas, tmp_path, FIRST.get(name, 0)), make.__doc__
    finally:
        for step in patches:
            step.stop()
