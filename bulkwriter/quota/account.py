"""The spending and the reservations of one account, decided inside the ledger's transaction, in the ledger's thread.

An exchange (`Ask` in, `Answer` out) does everything in one commit, in this order.  It books the requests that have
ended and gives back unused units.  It notes what throttles have shown.  Then it reserves as much of each kind as is
wanted and every long window has room for.  Counts stay in memory between exchanges.  They are read again if another
process has written.

The wall clock places rows of earlier boots on this boot's clock, but never later than the begin of this boot.  Until
that clock was compared with the server's, such rows count as spent when the boot began, and `is_guess` says so.

Invariant: a unit that was granted is in the transaction's rows, in the minute of its latest possible end.
Not here: sending, waiting (`quota.gate`), the file (`quota.ledger`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..model import QuotaWindow
from .forecast import DAY_S, KINDS, MINUTE_S, TAKEN, Grant, Spending, minute_of
from .ledger_book import Book, SpentRow
from .reserve import BLOCK, Lease, mark_of
from .throttles import Learnt, Spent, learn, stretched, tried
from .windows import SLACK, concerned, is_short

PLENTY: Final = 1 << 62
SHARE: Final = 50
"""A process holds more than a block only up to this part of the room of every window.  A process that falls silent
keeps no more than that from others, until its minute ends.
"""
KEEP_S: Final = 32 * DAY_S
"""A day more than the longest window."""
FORGET_EVERY_S: Final = 3_600.0
STEP_S: Final = 1.0
"""If the wall clock moves by more than this against the boot clock, it was set, or corrected by the server's."""


@dataclass(slots=True)
class Ask:
    """One side of an exchange.  `wall` is epoch seconds by the server's clock, as far as it is known (`is_sure`)."""

    now: float
    wall: float
    is_sure: bool
    leases: Mapping[str, Lease]  # how each kind stands
    wants: Mapping[str, int]  # how many more of each kind
    changes: Mapping[tuple[str, int], int]  # requests to count (or no longer) by kind (or refused kind) and minute
    spent: Mapping[str, Spent] = field(default_factory=dict)  # kinds of which throttles say that they are spent
    good: frozenset[str] = frozenset()  # kinds of which a try succeeded


@dataclass(slots=True)
class Answer:
    """The other side; `spending` is a copy."""

    grants: dict[str, Grant]
    tries: set[str]  # kinds of which the one request that was granted is a try
    shown: dict[str, QuotaWindow]  # what throttles have shown of the server's own windows, by kind
    stretched: set[str]  # kinds of which more than was shown is tried
    is_guess: bool
    spending: Spending
    not_before: dict[str, float] = field(default_factory=dict)  # by kind, until when (boot clock) nobody sends


class Account:
    """The account of one process.  `windows` are all of its quotas; `till` is the name of its till."""

    def __init__(self, windows: Sequence[QuotaWindow], till: str) -> None:
        self._till = till
        self._held: dict[str, tuple[int, int, int] | None] = {}  # as the ledger has it
        long = [window for window in windows if not is_short(window)]
        self._long = {kind: concerned(long, kind) for kind in KINDS}
        self._longest_s = longest_of(windows)
        self._spending = Spending(0, epoch=0.0, slack=SLACK)
        self._learnt: dict[str, Learnt] = {}
        self._changes: Counter[tuple[str, int]] = Counter()  # of this exchange, by kind and minute
        self._is_sure = False
        self._has_others = False
        self._forget_at = -math.inf

    def exchange(self, book: Book, ask: Ask) -> Answer:
        """Carry out `ask`.  To be called inside a transaction."""
        epoch = ask.wall - ask.now
        is_moved = self._has_others and (ask.is_sure != self._is_sure or abs(epoch - self._spending.epoch) > STEP_S)
        if book.has_changed or is_moved:
            self._read(book, ask)
        self._spending.epoch = epoch
        for (kind, minute), count in ask.changes.items():
            self._add(kind, minute, count)
        for kind in ask.good & self._learnt.keys():
            taken = self._spending.spent(surely_a_day(kind), ask.now)
            self._learn(book, kind, stretched(self._learnt[kind], taken=taken, wall=ask.wall))
        for kind, news in ask.spent.items():
            known = self._learnt.get(kind)
            self._learn(book, kind, learn(known, news, taken=self._taken(kind, ask), wall=ask.wall))
        tries: set[str] = set()
        grants = {kind: self._reserve(book, ask, kind, want, tries) for kind, want in ask.wants.items()}
        for kind, lease in ask.leases.items():
            self._lease(book, kind, lease, grants[kind].granted if kind in grants else 0)
        self._book(book, ask)
        self._forget(book, ask)
        is_guess = self._has_others and not ask.is_sure
        shown = {kind: day_of(kind, learnt.most) for kind, learnt in self._learnt.items()}
        stretched_now = {kind for kind, learnt in self._learnt.items() if learnt.stretch}
        later = {kind: learnt.until - epoch for kind, learnt in self._learnt.items() if learnt.until > ask.wall}
        return Answer(grants, tries, shown, stretched_now, is_guess, self._spending.copy(), later)

    def _read(self, book: Book, ask: Ask) -> None:
        """Take over what the ledger holds."""
        self._is_sure = ask.is_sure
        self._spending, self._has_others = placed(
            book.rows(), boot=book.boot, now=ask.now, wall=ask.wall, longest_s=self._longest_s, is_sure=ask.is_sure
        )
        self._learnt = {kind: Learnt(*row) for kind, row in book.learnt().items()}

    def _add(self, kind: str, minute: int, count: int) -> None:
        self._changes[kind, minute] += count
        self._spending.add(kind, minute, count)

    def _book(self, book: Book, ask: Ask) -> None:
        """Write down what changed: a block that replaces one of the same minute is no change."""
        for (kind, minute), count in self._changes.items():
            if count:
                book.add(kind, minute, count, ask.wall - ask.now + (minute + 1) * MINUTE_S)
        self._changes.clear()

    def _reserve(self, book: Book, ask: Ask, kind: str, want: int, tries: set[str]) -> Grant:
        grant = self._grant(book, ask, kind, want, tries)
        self._add(kind, ask.leases[kind].minute, grant.granted)
        return grant

    def _lease(self, book: Book, kind: str, lease: Lease, granted: int) -> None:
        """Write down what is booked for this process, and up to where it may use that without a word more."""
        booked = lease.booked + granted
        held = (lease.minute, booked, mark_of(booked, lease.used)) if booked > lease.used else None
        if held != self._held.get(kind):
            book.hold(self._till, kind, held)
            self._held[kind] = held

    def _grant(self, book: Book, ask: Ask, kind: str, want: int, tries: set[str]) -> Grant:
        """Grant as much as the windows allow, and as the server has shown."""
        now, wall = ask.now, ask.wall
        grant = self._spending.grant(self._long[kind], kind, PLENTY, now)
        if grant.window is not None:
            return grant
        held = ask.leases[kind].booked - ask.leases[kind].used
        grant = Grant(min(want, grant.granted, max(1, max(BLOCK, grant.granted // SHARE) - held)))
        learnt = self._learnt.get(kind)
        if learnt is None:
            return grant
        shown = day_of(kind, learnt.most)
        if wall < learnt.until:
            return Grant(0, now + learnt.until - wall, shown)
        room = learnt.most - self._spending.spent(shown, now)
        if room > 0:
            return Grant(min(room, grant.granted))
        if wall < learnt.try_at:
            return Grant(0, min(self._spending.opens_at(shown, now, learnt.most), now + learnt.try_at - wall), shown)
        self._learn(book, kind, tried(learnt, wall))
        tries.add(kind)
        return Grant(1)

    def _learn(self, book: Book, kind: str, learnt: Learnt) -> None:
        book.learn(kind, learnt)
        self._learnt[kind] = learnt

    def _taken(self, kind: str, ask: Ask) -> int:
        """How many requests the server took in the last day, at most: a minute or so of the day before counts."""
        return self._spending.spent(day_of(kind, 0), ask.now)

    def _forget(self, book: Book, ask: Ask) -> None:
        """Drop what no window can reach any more; other boots' rows only by a clock that was compared."""
        if ask.now < self._forget_at:
            return
        self._forget_at = ask.now + FORGET_EVERY_S
        self._spending.forget_before(first_minute(ask.now, self._longest_s))
        book.forget_before(minute_of(ask.now - KEEP_S), ask.wall - KEEP_S if ask.is_sure else None)


def day_of(kind: str, most: int) -> QuotaWindow:
    """The window that the server has shown: so many taken in any day."""
    return QuotaWindow(f"{kind}:{most}/day (as the server showed)", TAKEN + kind, most, DAY_S)


def surely_a_day(kind: str) -> QuotaWindow:
    """A window of which the server has surely forgotten nothing yet: shorter by a minute, and by a long latency."""
    return QuotaWindow(f"{kind} of a day", TAKEN + kind, 0, DAY_S - 2 * MINUTE_S)


def longest_of(windows: Sequence[QuotaWindow]) -> float:
    """How far back what was spent matters, a day at least: so long is what throttles may show."""
    return max((window.window_s for window in windows if not is_short(window)), default=DAY_S)


def first_minute(now: float, longest_s: float) -> int:
    return minute_of(now - max(longest_s, DAY_S) * (1 + SLACK)) - 1


def placed(
    rows: Sequence[SpentRow], *, boot: str, now: float, wall: float, longest_s: float, is_sure: bool
) -> tuple[Spending, bool]:
    """Rows of the ledger on the clock of this boot, and whether any of them are of another one.

    Those are as old as the wall clock says, if it is sure; else, and at the least, as old as this boot.
    """
    epoch = wall - now
    spending, has_others = Spending(first_minute(now, longest_s), epoch=epoch, slack=SLACK), False
    for row in rows:
        minute = row.minute
        if row.boot != boot or not boot:
            end = row.ended - epoch
            if boot:
                end = min(end, 0.0) if is_sure else 0.0
            minute = math.ceil(end / MINUTE_S) - 1
            has_others |= row.requests > 0
        spending.add(row.kind, minute, row.requests)
    return spending, has_others
