"""The units of one kind that the ledger has booked for this process: how many are left, and what to report.

A *lease* belongs to the minute in which it was asked for.  It is booked in the minute of the latest possible end of a
request sent then.  When a request ends, its unit moves to the minute of that end.  Units that are not used when the
minute is over are given back.  Both are reported with the next exchange.  Until then the ledger counts more than was
spent, never less.

    booked   of this minute's units the ledger holds so many for us
    mark     so far they may be used: at most `BLOCK` more than are used, and durable before the first of them is
    used     so many were

A commit of the ledger books a lease and sets the mark.  Later the mark moves block by block in the till, by one write
of a few bytes to the disk instead of a transaction.  So a power cut wastes a block, a kill wastes nothing
(`quota.till`), and a fast run does not wait for the ledger at every block.

The size of a lease follows the rate of the run: about `AHEAD_S` seconds' worth.  So a slow run keeps little from
others.  Pure, except for the till's `cells` (minute, used, mark), which outlive this process.  `now` is the boot clock.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Final, NamedTuple

from .forecast import MINUTE_S, REFUSED, Grant, Spending, minute_of

BLOCK: Final = 20
"""The most units that may be used and are not.  A power cut can waste so many of each kind."""
MOST: Final = 1_000
"""The most units that are booked and not used.  If a window is nearly spent there are fewer, see `quota.account`."""
FIRST: Final = 2
LOW: Final = 4
"""More is asked for when this part of a lease is left.  Later would make a fast run wait for the disk; sooner would
mean smaller leases and more commits.
"""
BLOCK_LOW: Final = 2
"""The mark moves when so few units are left below it.  A higher number would make blocks smaller."""
AHEAD_S: Final = 1.0
"""A lease lasts about so long.  A longer one holds back more from other processes, a shorter one costs more commits."""
RECHECK_S: Final = 600.0
"""While a window is spent, the ledger is asked so often: another process may have given units back, or a try may have
succeeded.
"""


class Lease(NamedTuple):
    """The state of a reserve for the ledger: so many of the units booked in `minute` are used."""

    minute: int
    booked: int
    used: int


class Reserve:
    """Units of one kind.  `hold_s` is the longest time from booking to the end of a request."""

    def __init__(self, kind: str, cells: memoryview[float], *, hold_s: float) -> None:
        self.kind = kind
        self._cells = cells
        self._booked = self._mark = self._used = 0
        self._is_drawing = False
        self._drawing = 0
        """The mark that is being made durable; 0 if it is no longer wanted."""
        self.is_try = False
        """Whether the only unit left is a try: one request that tests whether the server takes it again."""
        self.blocked: Grant | None = None
        self.recheck_at = -math.inf
        self.is_counted = True
        """False while no long window must be counted before a send.  The spending is then reported afterwards."""
        self._hold_s = hold_s
        self._size = FIRST
        self._asked_at = -math.inf
        self._ends_at = -math.inf  # of the minute that the lease belongs to
        self._minute = 0  # in which it is booked
        self._on_way: deque[int | None] = deque()  # the booked minute of each request that has not ended, oldest first
        self._changes: Counter[tuple[str, int]] = Counter()
        self._ended_as: tuple[int | None, int] = 0, 0  # the minutes in which the latest were booked, and in which ended
        self._ended = 0  # so many of these are not in `_changes` yet: counting each by itself would cost 0.4 µs more

    @property
    def changes(self) -> Counter[tuple[str, int]]:
        """The changes of the ledger's counts, by kind and minute.  The caller clears them."""
        self._tally()
        return self._changes

    def has_some(self, now: float) -> bool:
        """Whether the long windows allow a request."""
        if not self.is_counted:
            return True
        if now >= self._ends_at:
            self.give_back()
        return self._used < self._mark

    @property
    def is_block_low(self) -> bool:
        """Whether it is time to `draw`, and to ask the ledger for more if it `is_low`."""
        return self._mark - self._used <= BLOCK_LOW and self.is_counted

    @property
    def is_low(self) -> bool:
        """Whether so little is booked that it is time to ask the ledger for more."""
        return self.is_counted and self._booked - self._used <= self._size // LOW

    @property
    def is_out(self) -> bool:
        """Whether any request is on its way."""
        return bool(self._on_way)

    @property
    def unused(self) -> int:
        """How many are booked and not used."""
        return self._booked - self._used

    def wants(self, now: float) -> int:
        """How many to ask for now; called once for each exchange that asks."""
        lasted_s = now - self._asked_at
        self._asked_at = now
        if lasted_s < AHEAD_S / 2:
            self._size = min(MOST, self._size * 2)
        elif lasted_s > AHEAD_S * 2:
            self._size = max(FIRST, self._size // 2)
        return min(self._size, MOST - (self._booked - self._used))

    def books_in(self, now: float) -> int:
        """The minute in which what is reserved now is booked."""
        return minute_of((minute_of(now) + 1) * MINUTE_S + self._hold_s)

    def lease(self, now: float) -> Lease:
        """How it stands, for an exchange that begins now."""
        minute = self.books_in(now)
        return Lease(minute, self._booked, self._used) if minute == self._minute else Lease(minute, 0, 0)

    def granted(self, grant: Grant, lease: Lease, asked_at: float, *, is_try: bool) -> None:
        """An exchange that began with `lease` at `asked_at` is durable, and its mark with it."""
        self.blocked = grant if grant.window is not None else None
        self.recheck_at = min(grant.opens_at, asked_at + RECHECK_S) if self.blocked else -math.inf
        if grant.granted:
            self.is_try = is_try
            self._size = max(FIRST, min(self._size, grant.granted))
            self._ends_at = (minute_of(asked_at) + 1) * MINUTE_S
            self._open(lease.minute)
            self._booked += grant.granted
            self._mark = max(self._mark, mark_of(self._booked, lease.used))

    @property
    def has_more(self) -> bool:
        """Whether more is booked than may be used as yet."""
        return self._booked > self._mark

    def draw(self) -> bool:
        """Move the mark in the till, unless it is at its end or already being moved.  It counts once it is durable
        (`drawn`).
        """
        if self._is_drawing or not self.has_more:
            return False
        self._is_drawing = True
        self._cells[2] = self._drawing = mark_of(self._booked, self._used)
        return True

    def drawn(self) -> None:
        """The till is durable."""
        self._mark = max(self._mark, self._drawing)
        self._is_drawing, self._drawing = False, 0

    def give_back(self) -> None:
        """The remaining units will not be used."""
        if self._booked > self._used:
            self.changes[self.kind, self._minute] -= self._booked - self._used
            self._booked = self._mark = self._used
            self._cells[2], self._drawing = self._used, 0

    def take(self) -> None:
        if self.is_counted:
            self._used += 1
            self._cells[1] = self._used
            self._on_way.append(self._minute)
        else:
            self._on_way.append(None)

    def untake(self) -> None:
        """The request taken last was not sent."""
        booked = self._on_way.pop()
        if booked == self._minute:
            self._used -= 1
            self._cells[1] = self._used
        elif booked is not None:
            self.changes[self.kind, booked] -= 1

    def ended(self, now: float) -> None:
        """The oldest request on its way counts from now on in this minute."""
        ended_as = self._on_way.popleft(), minute_of(now)
        if ended_as != self._ended_as:
            self._tally()
            self._ended_as = ended_as
        self._ended += 1

    def refused(self, now: float) -> None:
        """A request that ended was throttled: the server did not take it, so it does not count for what is learnt."""
        self.changes[self.kind + REFUSED, minute_of(now)] += 1

    def forget_in(self, spending: Spending) -> None:
        """Take out of a copy of the counts what is booked and not used."""
        spending.add(self.kind, self._minute, self._used - self._booked)

    def check(self) -> None:
        assert 0 <= self._used <= self._mark <= self._booked
        assert self._mark - self._used <= BLOCK

    def _tally(self) -> None:
        if self._ended:
            booked, minute = self._ended_as
            if booked is not None:
                self._changes[self.kind, booked] -= self._ended
            self._changes[self.kind, minute] += self._ended
            self._ended = 0

    def _open(self, minute: int) -> None:
        """Begin the lease of another minute, unless it is the same."""
        if minute != self._minute:
            self._booked = self._mark = self._used = 0
            self._cells[1] = self._cells[2] = 0.0
            self._cells[0] = self._minute = minute


def mark_of(booked: int, used: int) -> int:
    """The mark: a block beyond the used units, at most all booked ones."""
    return min(booked, used + BLOCK)
