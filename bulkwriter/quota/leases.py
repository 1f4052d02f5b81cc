"""What a process holds of its quotas between two exchanges with the ledger, spent in memory: no lock, no file.

A *lease* is some units of one kind.  Each may be used from its own time on, and all `until` the same one; then they are
void, also for a process that was stopped meanwhile.  `Units` are those of one kind; `Client` has both kinds, makes the
asks and takes up the answers.  Requests end in any order: all that matters is how many are on their way, and how many
ended when.

Pure: `now` is the boot clock.  Not here: what is granted (`quota.account`), when to ask (`quota.exchanges`).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ..model import QuotaWindow
from .exchange import Answer, Ask, ClockReadings, Lease
from .forecast import KINDS, MINUTE_S, PARTS, REFUSED
from .short import key_of, step_of
from .throttles import Spent
from .windows import concerned, tightest

GRACE_S: Final = 1.0  # so late the last unit may be used.  More would let a dead process keep its slots for longer.
LEASE_S: Final = 2.0  # a lease lasts about so long.  Longer keeps and wastes more, shorter costs more exchanges.
SOON_S: Final = 0.1
"""So long before its time a unit is asked for where each needs an exchange, which takes milliseconds.  More would keep
a slot from others for nothing, and a process that dies meanwhile wastes it."""
BATCH_S: Final = 0.001  # units and ends that lie closer are told together; less costs CPU in fast runs


class Units:
    """What one kind may spend; `windows` are its short ones."""

    def __init__(self, kind: str, windows: Sequence[QuotaWindow]) -> None:
        self.kind = kind
        self.left = self.on_way = 0
        self.next_at = -math.inf  # when the next unit after those that are left goes by even pacing
        self._until = -math.inf
        self._coming: deque[tuple[float, int]] = deque()  # units that may be used from a time on: these times, how many
        self._early = 0  # all of these
        self._ready_at = -math.inf  # when the first of the others came
        self._tick_s = min([MINUTE_S / PARTS, *(max(BATCH_S, step_of(key_of(window))) for window in windows)])
        self.unreported: Counter[tuple[str, float]] = Counter()  # requests that ended: by (refused) kind, and when
        self._low, self._renew_at = 0, math.inf  # when so few units are left, or it ends so soon, more are asked for

    # for each request

    def ready(self, now: float) -> int:
        """How many units may be used now, as far as windows go."""
        if now > self._until:
            self.give_back()
        while self._coming and self._coming[0][0] <= now:
            at, count = self._coming.popleft()
            if self.left == self._early:
                self._ready_at = at
            self._early -= count
        return self.left - self._early

    def opens_at(self, now: float) -> float:
        """When the next request may or might have gone; infinity where no unit is left."""
        if self.ready(now) > 0:
            return self._ready_at
        return self._coming[0][0] if self.left else math.inf

    def take(self, count: int) -> None:
        """Use units for requests that are sent now, no more than are `ready`."""
        self.left -= count
        self.on_way += count

    def ended(self, count: int, now: float) -> None:
        """So many requests were answered, or given up at their deadline."""
        self.on_way -= count
        self.unreported[self.kind, self._tick(now)] += count

    def refused(self, now: float) -> None:
        """A request that ended was throttled: the server did not take it."""
        self.unreported[self.kind + REFUSED, self._tick(now)] += 1

    # for exchanges

    @property
    def held(self) -> int:
        """Units that others cannot have: left, or on their way."""
        return self.left + self.on_way

    @property
    def told(self) -> Lease:
        """As an ask tells them."""
        return Lease(self.left, self.on_way, self.until, self.next_at, list(self._coming))

    @property
    def until(self) -> float:
        """From then on no unit may be used."""
        return self._until if self.left else -math.inf

    def is_low(self, now: float) -> bool:
        """Whether it is time to ask for more, while there is something left to send from."""
        if self.left:
            return self.left <= self._low or now > self._renew_at
        return self.next_at <= now + SOON_S

    def granted(self, lease: Lease, now: float) -> None:
        """More units, or none, and a longer time for all."""
        self.ready(now)
        self.left += lease.units
        self._until, self.next_at = lease.until, lease.next_at
        self._coming = deque(sorted([*self._coming, *lease.coming]))
        self._early += lease.units
        if lease.units:
            self._low = lease.units * 3 // 4  # or clients that share a short window take its slots too late
        self._renew_at = now + (lease.until - GRACE_S - now) / 2 if self.left > 1 else math.inf

    def give_back(self) -> None:
        """The units that are left will not be used; the next one may go when they might have gone."""
        if self.left:
            self.next_at = self._ready_at if self.left > self._early else self._coming[0][0]
        self.left = self._early = 0
        self._coming.clear()

    def reported(self) -> Counter[tuple[str, float]]:
        """What is unreported, which is so no more."""
        ended, self.unreported = self.unreported, Counter()
        return ended

    def check(self) -> None:
        """Invariants, for tests."""
        assert self.on_way >= 0
        assert 0 <= self._early <= self.left
        assert self._early == sum(count for _, count in self._coming)

    def _tick(self, now: float) -> float:
        """Ends are told by ticks, so that a fast run has few of them to tell."""
        return math.ceil(now / self._tick_s) * self._tick_s


class Client:
    """`name` is unique.  `hold_s` is the longest time from the use of a unit to the end of its request."""

    def __init__(self, windows: Sequence[QuotaWindow], *, name: str, hold_s: float) -> None:
        self._short = {kind: concerned(tightest(windows), kind) for kind in KINDS}
        self.units = {kind: Units(kind, self._short[kind]) for kind in KINDS}
        self._name, self._hold_s = name, hold_s
        self._number = 0

    def ask(
        self,
        now: float,
        *,
        clocks: ClockReadings,
        wanted: Iterable[str] = (),
        spent: Mapping[str, Spent] | None = None,
        good: Iterable[str] = (),
        is_last: bool = False,
    ) -> Ask:
        """The next ask, for more units of the kinds `wanted`.

        What it reports is reported once: the exchange must be carried out, or be the end.
        """
        self._number += 1
        for kind, units in self.units.items():
            units.ready(now)
            if is_last or (spent and kind in spent):  # else what was granted would count as taken by the server
                units.give_back()
        return Ask(
            client=self._name, number=self._number, now=now, hold_s=self._hold_s, clocks=clocks,
            wants=frozenset(wanted),
            held={kind: units.told for kind, units in self.units.items()},
            ended={key: count for units in self.units.values() for key, count in units.reported().items()},
            spent=spent or {}, good=frozenset(good), is_last=is_last,
        )  # fmt: skip

    def take_up(self, ask: Ask, answer: Answer) -> None:
        """What `answer` grants is ours."""
        for kind, lease in answer.leases.items():
            self.units[kind].granted(lease, ask.now)

    @property
    def until(self) -> float:
        """From then on no unit may be used."""
        return max(units.until for units in self.units.values())

    def is_full(self, kind: str) -> bool:
        """Whether all slots of a short window are ours: more can be free only once a request has ended."""
        return any(
            window.count <= sum(units.held for units in self.units.values() if window in self._short[units.kind])
            for window in self._short[kind]
        )

    def give_way(self, kind: str) -> None:
        """Units of the other kind that are left will not be used, where both kinds need the same slots."""
        for other, units in self.units.items():
            if other != kind and not set(self._short[kind]).isdisjoint(self._short[other]):
                units.give_back()

    def has_ended(self, now: float) -> bool:
        """Whether all units are used or void, all requests have ended, and this is still to be reported."""
        both = self.units.values()
        is_held = any(units.ready(now) or units.held for units in both)
        return not is_held and any(units.unreported for units in both)

    def check(self) -> None:
        """Invariants, for tests."""
        for units in self.units.values():
            units.check()
