"""What a process holds of its quotas between two exchanges with the ledger, spent in memory: no lock, no file.

A *lease* is some units of one kind, each with its time: unit i may be used from `first + i * spacing` on, within
`grace_s`.  After that it is void, also for a process that was stopped meanwhile: the clock is read at each `take`.

    Units    the leases of one kind.  Each request takes a unit before it is sent.  Once all units of a lease are used
             or void, and all its requests have ended, it is finished, and is reported with the next exchange
    Share    slots of a window shorter than `slots.REUSE_S`, for both kinds together.  Here they are used again and
             again, each one window after the request before it ended

Requests end in any order.  Each end is booked to the request that was sent first of those on their way.  That is safe,
since all that matters is how many are on their way and how many ended within a window.

Pure: `now` is the boot clock.  Not here: what is granted (`quota.account`), when to ask (`quota.exchanges`).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..model import QuotaWindow
from .forecast import REFUSED, minute_of
from .slots import span_of

GRACE_S: Final = 1.0
"""So late a unit may be used.  More would let an idle process send more of them at once, and delay their slots."""
LEASE_S: Final = 2.0
"""A lease lasts about so long.  A longer one keeps more from others, and a dead process wastes more; a shorter one
costs more exchanges."""
FIRST: Final = 20
"""Units asked for first, where no window says how many two seconds can spend."""
LEAST: Final = 4
MOST: Final = 1 << 20
"""Bounds of that number later, when it follows what was used: twice that, so that a faster run finds enough."""
CATCH_UP: Final = 1 / 20
"""Share of a quick window that is caught up after a late wake-up; more is less even, less loses throughput."""
LATE_S: Final = 0.2
"""A busy machine may wake us so late, however short the window is.  This is caught up in ..."""
MOST_CATCH_UP: Final = 1 / 4
"""... at most this share of it."""
GROUPS: Final = 512
"""The ends of so many parts of a window are kept apart.  More would cost memory, fewer would lose more than 0.2%."""


class Lease(NamedTuple):
    """Granted units; `number` is unique for this client."""

    number: int
    first: float
    spacing: float
    units: int
    grace_s: float = GRACE_S

    @property
    def last(self) -> float:
        """When the last unit is planned."""
        return self.first + (self.units - 1) * self.spacing

    @property
    def until(self) -> float:
        """From then on none may be used."""
        return self.last + self.grace_s


class Run(NamedTuple):
    """Units of a lease in a row: used, each at most `late_s` after its time to its end; or unused (None)."""

    first: float
    spacing: float
    units: int
    late_s: float | None


class HeldLease:
    """One lease, and what was used of it."""

    __slots__ = ("ended", "late_s", "lease", "place", "taken", "used")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.place = 0
        """The unit to use next."""
        self.used: list[list[int]] = []
        """Places of used units, from each first one to before each second one."""
        self.taken = self.ended = 0
        self.late_s = 0.0

    def due(self, now: float) -> float:
        """When the next unit may be used, void ones passed over; infinity where none is left."""
        _, first, spacing, count, grace_s = self.lease
        place = self.place
        at = first + place * spacing
        if at + grace_s < now and place < count:
            place = min(count, math.ceil((now - grace_s - first) / spacing) if spacing else count)
            self.place = place
            at = first + place * spacing
        return at if place < count else math.inf

    def take(self) -> None:
        place, used = self.place, self.used
        if used and used[-1][1] == place:
            used[-1][1] += 1
        else:
            used.append([place, place + 1])
        self.place = place + 1
        self.taken += 1

    def untake(self) -> None:
        used = self.used[-1]
        used[1] -= 1
        self.place = used[1]
        self.taken -= 1
        if used[0] == used[1]:
            self.used.pop()

    def runs(self) -> list[Run]:
        """What became of all units."""
        found, place = [], 0
        for begin, end in (*self.used, (self.lease.units, self.lease.units)):
            if begin > place:
                found.append(self._run(place, begin, None))
            if end > begin:
                found.append(self._run(begin, end, self.late_s))
            place = end
        return found

    def _run(self, begin: int, end: int, late_s: float | None) -> Run:
        return Run(self.lease.first + begin * self.lease.spacing, self.lease.spacing, end - begin, late_s)


class Share:
    """Slots of a quick window.  They are more or fewer from one exchange to the next."""

    def __init__(self, window: QuotaWindow) -> None:
        self.window = window
        self._span_s = span_of(window)
        self._catch_up_s = min(self._span_s * MOST_CATCH_UP, max(self._span_s * CATCH_UP, LATE_S))
        self._group_s = self._span_s / GROUPS
        self.slots = 0
        self._limit = 0  # so many of them may be used
        self._gap_s = math.inf
        self._next_at = -math.inf
        self._on_way = 0
        self._cooling: deque[list[float]] = deque()  # when free, how many, and until when others join them
        self._cold = 0  # all of these

    def opens_at(self, now: float) -> float:
        """When the next request may go, as far as is known; infinity: once one ended, or more is granted."""
        cooling = self._cooling
        while cooling and cooling[0][0] <= now:
            self._cold -= int(cooling.popleft()[1])
        if self._on_way + self._cold < self._limit:
            return self._next_at
        return max(cooling[0][0], self._next_at) if cooling and self._limit else math.inf

    def take(self, now: float) -> None:
        self._on_way += 1
        self._next_at = max(self._next_at, now - self._catch_up_s) + self._gap_s

    def untake(self) -> None:
        self._on_way -= 1
        self._next_at -= self._gap_s

    def ended(self, now: float) -> None:
        free_at, cooling = now + self._span_s, self._cooling
        self._on_way -= 1
        self._cold += 1
        if cooling and now < cooling[-1][2]:
            group = cooling[-1]
            group[1] += 1
            if free_at > group[0]:
                group[0] = free_at
        else:
            cooling.append([free_at, 1, now + self._group_s])

    def granted(self, slots: int, more: int, free_at: float, limit: int, now: float) -> None:
        """So many slots are ours, `more` of them new and free at `free_at`; only `limit` of all are to be used."""
        self.slots = slots
        self._limit = min(limit, slots)
        self._gap_s = self._span_s / self._limit if self._limit else math.inf
        if more and free_at > now:
            self._cooling = deque(sorted([*self._cooling, [free_at, more, -math.inf]]))
            self._cold += more

    def give_back(self, now: float, *, is_all: bool) -> tuple[int, float]:
        """How many slots go back to the ledger, and when all are free: those too many, or all that are not in use."""
        self.opens_at(now)
        if is_all:
            count = self.slots - self._on_way
            free_at = max((group[0] for group in self._cooling), default=now)
            self._cooling.clear()
            self._cold = 0
        else:
            count, free_at = min(self.slots - self._limit, self.slots - self._on_way - self._cold), now
        self.granted(self.slots - max(0, count), 0, now, self._limit, now)
        return max(0, count), free_at

    def check(self) -> None:
        """Invariants, for tests."""
        assert self._on_way >= 0
        assert self.slots >= self._limit >= 0
        assert self._cold == sum(group[1] for group in self._cooling)


class Units:
    """What one kind may spend; `shares` are those of its quick windows."""

    def __init__(self, kind: str, shares: Sequence[Share]) -> None:
        self.kind = kind
        self._shares = shares
        self._leases: deque[HeldLease] = deque()
        self._open: HeldLease | None = None  # the one to take from
        self._on_way: deque[tuple[HeldLease, float]] = deque()  # each request with its unit's time
        self._ended: Counter[tuple[str, int]] = Counter()
        self._size = FIRST
        self._counted_at = math.inf
        self._used = 0  # since then
        self._low = 0  # when so few units are left, or it ends so soon, it is time to ask for more
        self._renew_s = 0.0

    # for each request

    def opens_at(self, now: float) -> float:
        """When the next request may go; infinity where no unit is left, or no slot is known to get free."""
        held = self._open
        if held is None:
            return math.inf
        at = held.due(now)
        if at == math.inf:
            self._next()
            return self.opens_at(now)
        for share in self._shares:
            share_at = share.opens_at(now)
            if share_at > at:
                at = share_at
        return at

    def take(self, now: float) -> bool:
        """Use a unit for a request that is sent now; False where none may be used any more, or not yet."""
        if self.opens_at(now) > now:
            return False
        held = self._open
        assert held is not None
        lease = held.lease
        self._on_way.append((held, lease.first + held.place * lease.spacing))
        held.take()
        for share in self._shares:
            share.take(now)
        self._used += 1
        return True

    def untake(self) -> None:
        """The request taken last was not sent."""
        held, _ = self._on_way.pop()
        held.untake()
        self._open = held
        for share in self._shares:
            share.untake()
        self._used -= 1

    def ended(self, now: float) -> None:
        """One request was answered, or was given up at its deadline."""
        held, planned_at = self._on_way.popleft()
        held.ended += 1
        if now - planned_at > held.late_s:
            held.late_s = now - planned_at
        for share in self._shares:
            share.ended(now)
        self._ended[self.kind, minute_of(now)] += 1

    def refused(self, now: float) -> None:
        """A request that ended was throttled: the server did not take it."""
        self._ended[self.kind + REFUSED, minute_of(now)] += 1

    # for exchanges

    @property
    def left(self) -> int:
        """How many units are not used."""
        return sum(held.lease.units - held.place for held in self._leases)

    @property
    def is_unreported(self) -> bool:
        """Whether the ledger has not heard yet what became of some units."""
        return bool(self._leases or self._ended)

    def shares(self, share: Share) -> bool:
        """Whether requests of this kind count in the window of `share`."""
        return share in self._shares

    @property
    def is_out(self) -> bool:
        """Whether any request is on its way."""
        return bool(self._on_way)

    def is_low(self, now: float) -> bool:
        """Whether it is time to ask for more, while there is something left to send from."""
        held = self._open
        if held is None:
            return True
        if self._leases[-1] is not held:
            return False
        lease = held.lease
        return lease.units - held.place <= self._low or now > lease.until - GRACE_S - self._renew_s

    @property
    def until(self) -> float:
        """From then on no unit may be used."""
        return max((held.lease.until for held in self._leases if held.place < held.lease.units), default=-math.inf)

    def wants(self, now: float) -> int:
        """How many units to ask for: what is missing to twice of what two seconds needed lately."""
        self._counted_at = min(self._counted_at, now)
        lasted_s, left = now - self._counted_at, self.left
        if lasted_s >= LEASE_S and (left or self._used):  # who had nothing to use may need as much as before
            self._size = max(LEAST, math.ceil(2 * LEASE_S * self._used / lasted_s))
        if not left:  # it may have needed more
            self._size = max(self._size, 2 * self._used)
        self._size = min(self._size, MOST)
        if lasted_s >= LEASE_S or not left:
            self._counted_at, self._used = now, 0
        return max(1, self._size - left)

    def granted(self, lease: Lease) -> None:
        held = HeldLease(lease)
        self._leases.append(held)
        self._low = lease.units // 2
        self._renew_s = min(LEASE_S, lease.until - GRACE_S - lease.first) / 2
        if self._open is None:
            self._open = held

    def give_back(self) -> None:
        """The units that are left will not be used."""
        for held in self._leases:
            held.place = held.lease.units
        self._open = None

    def expire(self, now: float) -> None:
        """Pass over void units."""
        for held in self._leases:
            held.due(now)

    def finished(self, now: float) -> list[tuple[int, list[Run]]]:
        """Leases of which nothing is left and nothing is on its way, by number; each is told once."""
        found, leases = [], self._leases
        self.expire(now)
        for held in list(leases):
            if held.place >= held.lease.units and held.ended == held.taken:
                found.append((held.lease.number, held.runs()))
                leases.remove(held)
        if self._open is not None and self._open not in leases:
            self._open = None
        if self._open is None or self._open.place >= self._open.lease.units:
            self._next()
        return found

    def spent(self) -> Counter[tuple[str, int]]:
        """Requests that ended since the last call, by kind (or refused kind) and minute."""
        ended, self._ended = self._ended, Counter()
        return ended

    @property
    def held(self) -> int:
        """How many units the ledger must still count for us: unused ones, and those on their way."""
        return self.left + len(self._on_way)

    def check(self) -> None:
        """Invariants, for tests."""
        assert sum(held.taken - held.ended for held in self._leases) == len(self._on_way)
        assert all(0 <= held.ended <= held.taken <= held.place <= held.lease.units for held in self._leases)

    def _next(self) -> None:
        self._open = next((held for held in self._leases if held.place < held.lease.units), None)
