"""One process as a client of the ledger: makes its asks from what it holds, and takes up the answers.

An ask carries everything since the last one: requests that have ended, finished leases, slots that are too many, what
throttles have shown.  While an exchange is on its way, sending goes on from what is held.

Pure.  Not here: when to ask (`quota.exchanges`), what is granted (`quota.account`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..model import QuotaWindow
from .exchange import Answer, Ask, ClockReadings
from .forecast import KINDS
from .leases import Share, Units
from .slots import REUSE_S, key_of
from .throttles import Spent
from .windows import concerned, is_short


class Client:
    """`name` is unique.  `hold_s` is the longest time from the use of a unit to the end of its request."""

    def __init__(self, windows: Sequence[QuotaWindow], *, name: str, hold_s: float) -> None:
        quick = [window for window in windows if is_short(window) and window.window_s < REUSE_S]
        self._shares = {key_of(window): Share(window) for window in quick}
        self.units = {
            kind: Units(kind, [self._shares[key_of(window)] for window in concerned(quick, kind)]) for kind in KINDS
        }
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
            if is_last or (spent and kind in spent):  # else what was granted would count as taken by the server
                units.give_back()
        finished = [found for units in self.units.values() for found in units.finished(now)]
        wants = {kind: self.units[kind].wants(now) for kind in wanted}
        return Ask(
            client=self._name, number=self._number, now=now, hold_s=self._hold_s,
            clocks=clocks, wants=wants,
            held={kind: units.held for kind, units in self.units.items()},
            until=max(units.until for units in self.units.values()),
            ended={key: count for units in self.units.values() for key, count in units.spent().items()},
            finished=finished,
            given=self._given(now, wants),
            spent=spent or {}, good=frozenset(good), is_last=is_last,
        )  # fmt: skip

    def take_up(self, ask: Ask, answer: Answer) -> None:
        """What `answer` grants is ours."""
        for kind, lease in answer.leases.items():
            self.units[kind].granted(lease)
        for key, share in self._shares.items():
            if grant := answer.shares.get(key):
                share.granted(grant.slots, grant.more, grant.free_at, grant.limit, ask.now)
            else:
                share.granted(0, 0, 0.0, 0, ask.now)

    @property
    def until(self) -> float:
        """From then on no unit may be used."""
        return max(units.until for units in self.units.values())

    def has_ended(self, now: float) -> bool:
        """Whether all units are used or void, all requests have ended, and this is still to be reported."""
        for units in self.units.values():
            units.expire(now)
            if units.left or units.is_out:
                return False
        return any(units.is_unreported for units in self.units.values()) or any(
            share.slots for share in self._shares.values()
        )

    def check(self) -> None:
        """Invariants, for tests."""
        for units in self.units.values():
            units.check()
        for share in self._shares.values():
            share.check()

    def _given(self, now: float, wants: Mapping[str, int]) -> dict[str, tuple[int, float]]:
        """Slots of quick windows that go back: those too many; all, where nothing is left to use them for.

        One slot alone goes back even if more units are wanted: somebody may wait for it.
        """
        given = {}
        for key, share in self._shares.items():
            kinds = [kind for kind, units in self.units.items() if units.shares(share)]
            is_over = not any(self.units[kind].left for kind in kinds)
            is_all = is_over and (share.slots == 1 or not any(kind in wants for kind in kinds))
            back, free_at = share.give_back(now, is_all=is_all)
            if back:
                given[key] = back, free_at
        return given
