"""What this process may still send of one kind from what the ledger has reserved for it, and what it has to report.

A block belongs to the minute in which it was reserved.  It is booked in the minute of the latest end that a request
sent in that minute can have; when a request ends, it is moved to the minute in which it did.  What is not used when the
minute is over is given back.  Both are reported with the next exchange; until then the ledger counts more than was
spent, never less.

How much is asked for follows from how fast it goes: about `AHEAD_S` seconds' worth, at most `MOST` in hand.  So a slow
run keeps little from others, and a fast one does not wait for the disk.

What is left is also written into two `cells` that outlive this process if it is killed (`store.till`): the minute, and
how many.  They never say more than is booked.

Pure but for these cells; `now` is the boot clock.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Final

from ..core.spending import MINUTE_S, REFUSED, Grant, Spending, minute_of

MOST: Final = 20
"""Reserved and not sent, at most: what a power cut can waste of each kind."""
FIRST: Final = 2
LOW: Final = 4
"""More is asked for when a block is used up to this part: later would make a fast run wait for the disk, sooner makes
blocks smaller and commits more."""
AHEAD_S: Final = 1.0
"""A block lasts about so long; more is held back from other processes, less costs more commits."""
RECHECK_S: Final = 600.0
"""While a window is spent the ledger is asked so often: another process may have given back, or a try succeeded."""


class Reserve:
    """Units of one kind.  `hold_s` is the longest time from booking to the end of a request."""

    def __init__(self, kind: str, cells: memoryview[float], *, hold_s: float) -> None:
        self.kind = kind
        self._cells = cells
        self.left = 0
        self.is_try = False
        """Whether what is left is one request to see whether the server takes it again."""
        self.blocked: Grant | None = None
        self.recheck_at = -math.inf
        self.is_counted = True
        """False while no long window is there to be counted before sending: then it is reported afterwards."""
        self._hold_s = hold_s
        self._size = FIRST
        self._asked_at = -math.inf
        self._ends_at = -math.inf  # of the minute that `left` belongs to
        self._minute = 0  # in which it is booked
        self._on_way: deque[int | None] = deque()  # the booked minute of each request that has not ended, oldest first
        self.changes: Counter[tuple[str, int]] = Counter()
        """What the ledger has to count more or less, by kind and minute."""

    def has_some(self, now: float) -> bool:
        """Whether a request may go as far as long windows are concerned."""
        if not self.is_counted:
            return True
        if now >= self._ends_at:
            self.give_back()
        return self.left > 0

    def is_low(self) -> bool:
        return self.is_counted and self.left <= self._size // LOW

    @property
    def is_out(self) -> bool:
        """Whether any request is on its way."""
        return bool(self._on_way)

    def wants(self, now: float) -> int:
        """How many to ask for now; called once for each exchange that asks."""
        lasted_s = now - self._asked_at
        self._asked_at = now
        if lasted_s < AHEAD_S / 2:
            self._size = min(MOST, self._size * 2)
        elif lasted_s > AHEAD_S * 2:
            self._size = max(FIRST, self._size // 2)
        return min(self._size, MOST - self.left)

    def books_in(self, now: float) -> int:
        """The minute in which what is reserved now is booked."""
        return minute_of((minute_of(now) + 1) * MINUTE_S + self._hold_s)

    def granted(self, grant: Grant, asked_at: float, *, is_try: bool) -> None:
        """An exchange that was asked for at `asked_at` is durable."""
        self.blocked = grant if grant.window is not None else None
        self.recheck_at = min(grant.opens_at, asked_at + RECHECK_S) if self.blocked else -math.inf
        if grant.granted:
            self.left += grant.granted
            self.is_try = is_try
            self._ends_at = (minute_of(asked_at) + 1) * MINUTE_S
            self._minute = self.books_in(asked_at)
            self._cells[0], self._cells[1] = self._minute, self.left

    def give_back(self) -> None:
        """What is left will not be used."""
        if self.left:
            self._cells[1] = 0.0
            self.changes[self.kind, self._minute] -= self.left
            self.left = 0

    def take(self) -> None:
        if self.is_counted:
            self.left -= 1
            self._cells[1] = self.left
            self._on_way.append(self._minute)
        else:
            self._on_way.append(None)

    def untake(self) -> None:
        """The request taken last was not sent."""
        if self._on_way.pop() is not None:
            self.left += 1
            self._cells[1] = self.left

    def ended(self, now: float) -> None:
        """The oldest request on its way counts from now on in this minute."""
        booked, minute = self._on_way.popleft(), minute_of(now)
        if booked is not None:
            self.changes[self.kind, booked] -= 1
        self.changes[self.kind, minute] += 1

    def refused(self, now: float) -> None:
        """A request that ended was throttled: the server took it as little as it counts for what is learnt."""
        self.changes[self.kind + REFUSED, minute_of(now)] += 1

    def forget_in(self, spending: Spending) -> None:
        """Take out of a copy of the counts what is reserved and not used."""
        spending.add(self.kind, self._minute, -self.left)

    def check(self) -> None:
        assert 0 <= self.left <= MOST
