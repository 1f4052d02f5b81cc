"""One short window, kept in every span of its length and paced evenly, over cells that several processes share.

A window of N requests in W seconds is N units.  A request takes a free unit.  The unit is free again one window after
the reply, or after the deadline without a reply: the server counts at arrival, which lies between send and reply.  So
the server sees at most N requests in any span of W.  In steady state N requests take W plus one round trip.  Two
requests also keep W/N between them, so that N do not go at once when all units are free.  Only a part of the time lost
to late wake-ups is caught up (`catch_up_s`).

    cells[0]     the slot to try first         cells[1]   when the next request would go by even pacing
    cells[2:]    when each slot is free again  (seconds on the boot clock; one number per slot)

A slot is one unit, or above `MOST_SLOTS` units in a window a few together: whoever opens it may use them all for
`open_s`, and it is free when the last of them is.  A slot in use says "deadline + W" from before its request is sent,
so a process that is killed leaves the truth behind, and the next one can go on from there at once.

Requests end in any order, and each end frees the slot taken first.  The slots still in use then have later deadlines
than their requests, which is safe.  A slot is ours while its cell has our last value and that time is still to come.  A
process that was idle or stopped for longer may find its slot taken by another, and leaves it alone.

The caller holds the lock of the cells while it calls `open`, after it has seen that `opens_at` is past.  Everything
else needs no lock: while a slot `is_open`, nobody else can take it.  Pure: `now` and the cells are arguments.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final

from ..model import QuotaWindow

MOST_SLOTS: Final = 1_024
"""More would make a look at all slots slow (10 µs here); fewer would lose more than 0.1 % by using them together."""
CATCH_UP: Final = 1 / 20
"""Share of a window that may be caught up after a late wake-up; more is less even, less loses throughput."""
LATE_S: Final = 0.2
"""A busy machine may wake us so late, however short the window is.  This is caught up in ..."""
MOST_CATCH_UP: Final = 1 / 4
"""... at most this share of it."""
OPEN: Final = 1 / 16
"""Share of a window for which the units of a slot may be used after it was opened.  Less would waste them: processes
that together are as fast as the window allows need a slot's time (W / `MOST_SLOTS`, or twice that) times their number
for one.  More would let nobody know how long this process may still be sending; see `quota.page`, cell 1."""
HEAD: Final = 2


class ShortWindow:
    """One window as this process sees it.  `hold_s` is how long a request may be on its way, from `take` to its end."""

    __slots__ = ("_busy_s", "_catch_up_s", "_cells", "_free", "_gap_s", "_in_use", "_left", "_open", "_open_until",
                 "_per_slot", "_slots", "_span_s", "_wrote", "open_s", "window")  # fmt: skip

    def __init__(self, window: QuotaWindow, cells: memoryview[float], *, slack: float, hold_s: float) -> None:
        self.window = window
        self._per_slot = -(-window.count // MOST_SLOTS)
        self._slots = window.count // self._per_slot
        assert len(cells) == HEAD + self._slots
        self._cells = cells
        self._free = cells[HEAD:]  # a view, not a copy
        self._wrote = array("d", bytes(8 * self._slots))  # what this process wrote last into each of them
        self._span_s = window.window_s * (1 + slack)
        self._gap_s = self._span_s / self._slots
        self._busy_s = hold_s + self._span_s
        self._catch_up_s = catch_up_s(self._span_s)
        self.open_s = self._span_s * OPEN
        self._in_use: deque[int] = deque()  # the slot of each request that has not ended, oldest first
        self._open = 0  # the slot opened last
        self._open_until = 0.0
        self._left = 0  # its units that are not used yet

    @staticmethod
    def cells_for(window: QuotaWindow) -> int:
        """How many cells a window needs."""
        return HEAD + window.count // -(-window.count // MOST_SLOTS)

    @staticmethod
    def clear(cells: memoryview[float], free_at: float) -> None:
        """Make cells of which every slot is free at `free_at`."""
        cells[0] = 0.0
        for i in range(1, len(cells)):
            cells[i] = free_at

    def is_open(self, now: float) -> bool:
        """Whether there is a unit left of the slot opened last."""
        return self._left > 0 and now < self._open_until

    def opens_at(self, now: float) -> float:
        """When to ask next; at or before `now`: the next request may go, unless another process is faster."""
        if self._left > 0 and now < self._open_until:  # as in `is_open`: a call would cost as much again
            return now
        cells, free = self._cells, self._free
        at = cells[1]
        first = free[int(cells[0])]
        if first > now:  # replies do not come in order: another slot may be free before
            # A request on its way may end at this moment, and nobody tells other processes: so it is asked again then.
            first = min(min(free), now + self._span_s)
        return max(at, first)

    def open(self, now: float) -> None:
        """Make the next slot ours, with the cells locked and `opens_at(now)` not after `now`."""
        cells, free = self._cells, self._free
        slot = int(cells[0])
        if free[slot] > now:
            slot = min(range(self._slots), key=free.__getitem__)
        cells[0] = float((slot + 1) % self._slots)
        cells[1] = max(cells[1], now - self._catch_up_s) + self._gap_s
        free[slot] = self._wrote[slot] = now + self._busy_s
        self._open, self._open_until = slot, now + self.open_s
        self._left = self._per_slot

    def take(self, now: float) -> None:
        """Use one unit of the slot, which `is_open(now)`, for a request that is sent now."""
        slot = self._open
        self._left -= 1
        self._free[slot] = self._wrote[slot] = now + self._busy_s
        self._in_use.append(slot)

    def give_back(self) -> None:
        """The unit taken last was not used: nothing was sent."""
        slot = self._in_use.pop()
        self._left += 1
        if slot not in self._in_use and self._left == self._per_slot:
            self._left = 0
            self._free[slot] = self._wrote[slot] = 0.0
            self._cells[1] -= self._gap_s

    def ended(self, now: float) -> None:
        """One request was answered, or its deadline is past."""
        slot = self._in_use.popleft()
        if (not self._in_use or self._in_use[0] != slot) and now < self._free[slot] == self._wrote[slot]:
            self._free[slot] = self._wrote[slot] = now + self._span_s

    def check(self, now: float) -> None:
        """Invariants, for simulation: what this process has on its way is not free."""
        assert 0 <= self._left < self._per_slot or not self._in_use
        assert all(self._free[slot] > now for slot in self._in_use)
        assert 0 <= int(self._cells[0]) < self._slots


def catch_up_s(span_s: float) -> float:
    """How much of a window may be caught up; first values: 3 s of a minute, 0.2 s of a second, 25 ms of 100 ms."""
    return min(span_s * MOST_CATCH_UP, max(span_s * CATCH_UP, LATE_S))
