"""What a process holds of its quotas between two exchanges with the ledger, spent in memory: no lock, no file.

A *lease* is some units of one kind, which may be used `until` a time; then they are void, also for a process that was
stopped meanwhile.  A request needs a unit, and a slot of each short window.

    Units    the units of one kind: left, and on their way
    Share    the slots of one short window, for both kinds together.  Each is used again and again, one window after the
             request before it ended, evenly: at the pace of the process's part of the window

Requests end in any order, and nobody need say which one: all that matters is how many are on their way and how many
ended within a window.  So ends are only counted, and booked together, at the latest before the next request
(`Units.settle`).  That is safe, since it is never too early.

Pure: `now` is the boot clock.  Not here: what is granted (`quota.account`), when to ask (`quota.exchanges`).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Final

from ..model import QuotaWindow
from .forecast import REFUSED, part_of
from .short import key_of, span_of, step_of

GRACE_S: Final = 1.0
"""So late the last unit may be used.  More would let a dead process keep its slots for longer."""
LEASE_S: Final = 2.0
"""A lease lasts about so long.  A longer one keeps more from others, and a dead process wastes more; a shorter one
costs more exchanges."""
AHEAD_S: Final = 3.0
"""Slots are granted so long before they are free, and kept: during a lease, and half of the next one."""
SOON_S: Final = 0.25
"""Where the pace is slower than an exchange a request, so long before its time it is asked for.  An exchange takes
milliseconds, on a busy disk a tenth of a second; more would keep a slot from others for nothing."""
BATCH_S: Final = 0.001
"""So much later a slot may be free because ends are booked together; less costs CPU in fast runs."""
FIRST: Final = 20
"""Units asked for first, where no window says how many two seconds can spend."""
LEAST: Final = 4
MOST: Final = 1 << 20
"""Bounds of that number later, when it follows what was used: twice that, so that a faster run finds enough."""
MEASURE_S: Final = 0.05
"""No rate is told from less time: one exchange and its requests may be over sooner, and would promise too much."""
CATCH_UP: Final = 1 / 20
"""Share of a short window that is caught up after a late wake-up; more is less even, less loses throughput."""
LATE_S: Final = 0.2
"""A busy machine may wake us so late, however short the window is.  This is caught up in ..."""
MOST_CATCH_UP: Final = 1 / 4
"""... at most this share of it."""


class Share:
    """Slots of a short window.  They are more or fewer from one exchange to the next."""

    def __init__(self, window: QuotaWindow) -> None:
        self.key = key_of(window)
        self._span_s, self._step_s = span_of(window), step_of(key_of(window))
        self._catch_up_s = min(self._span_s * MOST_CATCH_UP, max(self._span_s * CATCH_UP, LATE_S))
        self.slots = 0
        self._limit = 0  # so many of them may be used
        self.gap_s = math.inf
        self.next_at = -math.inf
        """When the next request goes by even pacing."""
        self.on_way = 0
        self._cooling: deque[list[int]] = deque()  # steps in which requests ended, and how many
        self._cold = 0  # all of these

    def room(self, now: float) -> int:
        """How many requests may go now."""
        next_at = self.next_at
        if next_at > now:
            return 0
        idle = self._idle(now)
        if idle > 0 and next_at > now - self._catch_up_s:
            return min(idle, int((now - next_at) / self.gap_s) + 1)
        return min(idle, int(self._catch_up_s / self.gap_s) + 1)

    def opens_at(self, now: float) -> float:
        """When the next request may go, as far as is known; infinity: once one ended, or more is granted."""
        if self._idle(now) > 0:
            return self.next_at
        return max(self._free_at(self._cooling[0][0]), self.next_at) if self._cooling and self._limit else math.inf

    def take(self, now: float, count: int) -> None:
        self.on_way += count
        self.next_at = max(self.next_at, now - self._catch_up_s) + count * self.gap_s

    def ended(self, now: float, count: int) -> None:
        self.on_way -= count
        self._cold += count
        step, cooling = math.ceil(now / self._step_s), self._cooling
        if cooling and step <= cooling[-1][0]:
            cooling[-1][1] += count
        else:
            cooling.append([step, count])

    # for exchanges

    @property
    def is_over(self) -> bool:
        """Whether it has slots that it may not use, and that can be given back."""
        return self.slots > self._limit and self.slots > self.on_way

    def give_back(self, now: float, *, is_all: bool) -> dict[int, int]:
        """Give back what is of no use: all that is not on its way, or what is not free soon, or too much.

        The slots that are cooling, by step; the others are just not held any more.
        """
        self._idle(now)
        given: dict[int, int] = {}
        idle = max(0, self.slots - self.on_way - self._cold)
        surplus = self.slots if is_all else max(0, self.slots - self._limit)
        part = min(idle, surplus)
        self.slots -= part
        surplus -= part
        while self._cooling and (surplus or self._free_at(self._cooling[-1][0]) > now + AHEAD_S):
            step, count = self._cooling[-1]
            part = count if self._free_at(step) > now + AHEAD_S else min(count, surplus)
            given[step] = given.get(step, 0) + part
            self.slots -= part
            self._cold -= part
            surplus = max(0, surplus - part)
            self._cooling[-1][1] -= part
            if not self._cooling[-1][1]:
                self._cooling.pop()
        return given

    def granted(self, slots: int, cooling: Mapping[int, int], limit: int) -> None:
        """So many slots are ours, these of them new and not free yet; only `limit` of all are to be used."""
        if slots < self.slots:  # the lease was over, and others have them
            self._cooling.clear()
            self._cold = 0
        self.slots, self._limit = slots, limit
        self.gap_s = self._span_s / limit if limit else math.inf
        if cooling:
            self._cooling = deque(sorted([*self._cooling, *(list(item) for item in cooling.items())]))
            self._cold += sum(cooling.values())

    def check(self) -> None:
        """Invariants, for tests."""
        assert self.on_way >= 0
        assert self.slots >= 0
        assert self._cold == sum(count for _, count in self._cooling)

    def _idle(self, now: float) -> int:
        """How many slots are free and may be used."""
        cooling = self._cooling
        while cooling and self._free_at(cooling[0][0]) <= now:
            self._cold -= cooling.popleft()[1]
        return min(self.slots, self._limit) - self.on_way - self._cold

    def _free_at(self, step: int) -> float:
        return step * self._step_s + self._span_s


class Units:
    """What one kind may spend; `shares` are those of its short windows."""

    def __init__(self, kind: str, shares: Sequence[Share]) -> None:
        self.kind = kind
        self.shares = shares
        self.left = 0
        self.on_way = 0
        self._until = -math.inf
        self._over = 0  # requests that ended and are not booked yet,
        self._batch = 1  # fewer than so many, which at full pace end within `BATCH_S`
        self._ended: Counter[tuple[str, float]] = Counter()
        self._low = 0  # when so few units are left, or it ends so soon, it is time to ask for more
        self._renew_at = math.inf
        self._size = FIRST
        self._counted_at = math.inf
        self._used = 0  # since then

    # for each request

    def room(self, now: float, most: int) -> int:
        """How many of `most` requests may go now."""
        if self._over:
            self.settle(now)
        if now > self._until:
            self.left = 0
        most = min(most, self.left)
        for share in self.shares:
            if most <= 0:
                return 0
            most = min(most, share.room(now))
        return most

    def opens_at(self, now: float) -> float:
        """When the next request may or might have gone; infinity where no unit is left, or no slot is known to get
        free.
        """
        if self._over:
            self.settle(now)
        if now > self._until:
            self.left = 0
        if not self.left:
            return math.inf
        return max((share.opens_at(now) for share in self.shares), default=-math.inf)

    def take(self, now: float, count: int) -> None:
        """Use units for requests that are sent now, no more than `room` said."""
        self.left -= count
        self.on_way += count
        self._used += count
        for share in self.shares:
            share.take(now, count)

    def ended(self, count: int) -> bool:
        """So many requests were answered, or given up at their deadline.  Whether that is to be booked at once."""
        self._over += count
        return self._over >= self._batch or self._over == self.on_way

    def settle(self, now: float) -> None:
        """Book the requests that have ended."""
        count, self._over = self._over, 0
        if count:
            self.on_way -= count
            for share in self.shares:
                share.ended(now, count)
            self._ended[self.kind, part_of(now)] += count

    def refused(self, now: float) -> None:
        """A request that ended was throttled: the server did not take it."""
        self._ended[self.kind + REFUSED, part_of(now)] += 1

    # for exchanges

    @property
    def is_unreported(self) -> bool:
        """Whether the ledger has not heard yet what became of some units."""
        return bool(self._over or self._ended)

    @property
    def until(self) -> float:
        """From then on no unit may be used."""
        return self._until if self.left else -math.inf

    @property
    def waits_for_end(self) -> bool:
        """Whether a slot may be free once a request has ended."""
        return any(share.on_way for share in self.shares)

    @property
    def next_at(self) -> float:
        """When the next request goes by even pacing."""
        return max((share.next_at for share in self.shares), default=-math.inf)

    def is_low(self, now: float) -> bool:
        """Whether it is time to ask for more, while there is something left to send from."""
        if self.left:
            return self.left <= self._low or now > self._renew_at
        return self.next_at <= now + SOON_S

    def wants(self, now: float) -> int:
        """How many units to ask for: what is missing to twice of what two seconds need, at the rate of late."""
        self._counted_at = min(self._counted_at, now)
        lasted_s = now - self._counted_at
        need = math.ceil(2 * LEASE_S * self._used / max(lasted_s, MEASURE_S))
        if lasted_s < LEASE_S:
            self._size = min(MOST, max(self._size, need))
        else:
            if self.left or self._used:  # who had nothing to use may need as much as before
                self._size = min(MOST, max(LEAST, need))
            self._counted_at, self._used = now, 0
        return max(1, self._size - self.left)

    def granted(self, units: int, until: float, now: float) -> None:
        """More units, and a longer time for all."""
        self.expire(now)
        self.left += units
        self._until = until
        self._batch = max(1, int(BATCH_S / max((share.gap_s for share in self.shares), default=BATCH_S)))
        self._low = units // 2
        self._renew_at = now + (until - GRACE_S - now) / 2 if self.left > 1 else math.inf

    def give_back(self) -> None:
        """The units that are left will not be used."""
        self.left = 0

    def expire(self, now: float) -> None:
        """Void units are not left."""
        if now > self._until:
            self.left = 0

    def spent(self) -> Counter[tuple[str, float]]:
        """Requests that ended since the last call, by kind (or refused kind) and part of a minute."""
        ended, self._ended = self._ended, Counter()
        return ended

    def check(self) -> None:
        """Invariants, for tests."""
        assert self.left >= 0
        assert 0 <= self._over <= self.on_way
