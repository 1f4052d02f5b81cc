"""One process as a client of the ledger: makes its asks from what it holds, and takes up the answers.

An ask carries everything since the last one: requests that have ended, slots that are of no use, what throttles have
shown.  While an exchange is on its way, sending goes on from what is held.

Pure.  Not here: when to ask (`quota.exchanges`), what is granted (`quota.account`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..model import QuotaWindow
from .exchange import Answer, Ask, ClockReadings, HeldUnits, KeptSlots
from .forecast import KINDS
from .leases import Share, Units
from .throttles import Spent
from .windows import concerned, tightest


class Client:
    """`name` is unique.  `hold_s` is the longest time from the use of a unit to the end of its request."""

    def __init__(self, windows: Sequence[QuotaWindow], *, name: str, hold_s: float) -> None:
        shares = {window: Share(window) for window in tightest(windows)}
        self._shares = list(shares.values())
        self.units = {kind: Units(kind, [shares[window] for window in concerned(shares, kind)]) for kind in KINDS}
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
            units.settle(now)
            units.expire(now)
            if is_last or (spent and kind in spent):  # else what was granted would count as taken by the server
                units.give_back()
        wants = {kind: self.units[kind].wants(now) for kind in wanted}
        kept = {}
        for share in self._shares:
            is_idle = not any(units.left for units in self.units.values() if share in units.shares)
            given = share.give_back(now, is_all=is_idle)
            kept[share.key] = KeptSlots(share.slots, given)
        return Ask(
            client=self._name, number=self._number, now=now, hold_s=self._hold_s,
            clocks=clocks, wants=wants, kept=kept,
            next_at=max(units.next_at for units in self.units.values()),
            held={kind: HeldUnits(units.left, units.on_way, units.until) for kind, units in self.units.items()},
            ended={key: count for units in self.units.values() for key, count in units.spent().items()},
            spent=spent or {}, good=frozenset(good), is_last=is_last,
        )  # fmt: skip

    def take_up(self, ask: Ask, answer: Answer) -> None:
        """What `answer` grants is ours."""
        for kind, lease in answer.leases.items():
            self.units[kind].granted(lease.units, lease.until, ask.now)
        for share in self._shares:
            grant = answer.shares[share.key]
            share.granted(grant.slots, grant.cooling, grant.limit)
            if not grant.limit:  # it is another client's turn
                for units in self.units.values():
                    if share in units.shares:
                        units.give_back()

    @property
    def until(self) -> float:
        """From then on no unit may be used."""
        return max(units.until for units in self.units.values())

    @property
    def is_over(self) -> bool:
        """Whether it has slots that others should have."""
        return any(share.is_over for share in self._shares)

    def has_ended(self, now: float, kind: str) -> bool:
        """Book ends of requests of this kind.  Whether all units are used or void, all requests have ended, and this
        is still to be reported.
        """
        self.units[kind].settle(now)
        for units in self.units.values():
            units.expire(now)
            if units.left or units.on_way:
                return False
        return any(units.is_unreported for units in self.units.values()) or any(share.slots for share in self._shares)

    def check(self) -> None:
        """Invariants, for tests."""
        for units in self.units.values():
            units.check()
        for share in self._shares:
            share.check()
