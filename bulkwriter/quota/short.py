"""The short windows of an account: which of their slots are free from when on, and which a client holds.

A window of N requests in W seconds has N *slots*.  A request uses a free slot.  It is free again W after that request
ended, since the server counts at arrival, which lies between send and reply.  So the server sees at most N requests in
any span of W.

    held      a client's: it may use them without a word more until its lease is over, each as often as it can.  If it
              never reports, they count as used until its last request has surely ended
    cooling   used, by the end of the request.  Ends are rounded up to a `GROUPS`th of the window, and counted by these
              steps, so that a window of thousands costs no more than one of a few
    free      the rest

All of it is one value of an account (`packed`), which each exchange reads and writes as a whole.

Pure: `now` is the boot clock.  Not here: who may have the slots (`quota.account`), and how a client spends them
(`quota.leases`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ..model import QuotaWindow
from .windows import ANY, READ, SLACK, WRITE

GROUPS: Final = 512
"""So many steps a window has.  More would cost memory, fewer would lose more than 0.2% of a window to rounding."""
TIME_MAX: Final = 1e12
COUNT_MAX: Final = 10**12
KEYS_MAX: Final = 64
"""Windows of quotas that nobody has any more are kept up to so many."""

Cooling = dict[int, int]
"""How many slots were used last in a request that ended in each step."""


class ClientRow(NamedTuple):
    """What a client has, as of its last exchange.  `slots` and `waits` are by the key of a window."""

    number: int  # of that exchange
    until: float  # from then on it sends nothing
    ended_by: float  # and by then its last request has ended
    slots: Mapping[str, int]
    waits: Mapping[str, tuple[float, float]]  # it waits for a slot since then, and promised to ask again then


@dataclass(slots=True)
class ShortWindows:
    """See the module.  Changed in memory, and kept as a whole."""

    cooling: dict[str, Cooling] = field(default_factory=dict)
    holders: dict[str, ClientRow] = field(default_factory=dict)

    def free(self, window: QuotaWindow, by: float) -> int:
        """How many slots are nobody's and free at `by`; below 0 where other quotas allowed more."""
        key, span_s = key_of(window), span_of(window)
        cooled = cooled_step(key, by)
        used = sum(count for step, count in self.cooling.get(key, {}).items() if step > cooled)
        held = sum(one.slots.get(key, 0) for one in self.holders.values() if one.ended_by + span_s > by)
        return window.count - used - held

    def take(self, window: QuotaWindow, count: int, now: float, *, own: int) -> Cooling:
        """Take the slots that are free first for a client that has `own` already and is no holder now; there must be
        so many.  Those that are not free yet, by step.
        """
        key = key_of(window)
        count -= min(count, max(0, self.free(window, now) - own))
        cooling, cooled, taken = self.cooling.setdefault(key, {}), cooled_step(key, now), {}
        for step in sorted(step for step in cooling if step > cooled):
            if not count:
                break
            part = taken[step] = min(count, cooling[step])
            cooling[step] -= part
            count -= part
            if not cooling[step]:
                del cooling[step]
        return taken

    def put(self, key: str, step: int, count: int) -> None:
        """Slots that were used in requests that ended by then."""
        if count > 0:
            cooling = self.cooling.setdefault(key, {})
            cooling[step] = cooling.get(step, 0) + count

    def lapse(self, now: float) -> None:
        """What clients held that never reported is used; old steps and old clients are forgotten."""
        for name, one in list(self.holders.items()):
            if one.ended_by <= now and one.slots:
                for key, count in one.slots.items():
                    self.put(key, step_at(key, one.ended_by), count)
                self.holders[name] = one = one._replace(slots={})
            if not one.slots and max([one.until, *(at for _, at in one.waits.values())]) < now - KEEP_S:
                del self.holders[name]
        for key, cooling in self.cooling.items():
            cooled = cooled_step(key, now)
            for step in [step for step in cooling if step <= cooled]:
                del cooling[step]

    def begin(self, windows: Iterable[QuotaWindow], ended: float, now: float) -> None:
        """Windows that were not counted before begin as used by whatever has been sent until `ended`."""
        new = [window for window in windows if key_of(window) not in self.cooling]
        if self.cooling:
            known = [step * step_of(key) for key, cooling in self.cooling.items() for step in cooling]
            ended = max([-math.inf, *known, *(one.ended_by for one in self.holders.values() if one.slots)])
        for window in new:
            key = key_of(window)
            self.cooling[key] = {}
            if ended + span_of(window) > now:
                self.put(key, step_at(key, ended), window.count)
        while len(self.cooling) > KEYS_MAX:
            del self.cooling[next(iter(self.cooling))]

    def moved(self, later_s: float) -> ShortWindows:
        """The same on a clock that shows so much more."""
        return ShortWindows(
            {key: moved_steps(key, cooling, later_s) for key, cooling in self.cooling.items()},
            {
                name: one._replace(
                    until=one.until + later_s, ended_by=one.ended_by + later_s, waits={}
                )
                for name, one in self.holders.items()
            },
        )  # fmt: skip

    def opens_at(self, window: QuotaWindow, client: str, now: float) -> float:
        """When a slot may be free that is not `client`'s: when one has cooled, or when a client may have reported.

        Whoever is late with that, or dead, is asked after more and more seldom, until its slots free themselves.
        """
        key, span_s = key_of(window), span_of(window)
        cooled = cooled_step(key, now)
        at = step_free_at(key, min((step for step in self.cooling.get(key, ()) if step > cooled), default=math.inf))
        for name, one in self.holders.items():
            if name != client and one.slots.get(key):
                late_s = now - one.until
                look_at = min(one.until, now + LOOK_S) if late_s < 0 else now + late_s / 2
                at = min(at, one.ended_by + span_s, look_at)
        return at

    def packed(self) -> str:
        """As the ledger keeps it: JSON."""
        cooling = {key: list(cooling.items()) for key, cooling in self.cooling.items()}
        return json.dumps({"cooling": cooling, "holders": self.holders}, separators=(",", ":"))


LOOK_S: Final = 0.25
"""Who waits asks again at least so often: a client may give back some of its slots during its lease."""
KEEP_S: Final = 120.0
"""So long a client's last exchange is remembered, so that a repeat of it is not counted twice."""


def unpacked(text: str) -> ShortWindows:
    """What `packed` gave.  Raises `ValueError` for anything else."""
    if not text:
        return ShortWindows()
    try:
        found: dict[str, Any] = json.loads(text)
        cooling = {checked(key): {int(step): int(n) for step, n in steps} for key, steps in found["cooling"].items()}
        holders = {
            name: ClientRow(
                int(number), float(until), float(ended_by),
                {checked(key): int(n) for key, n in slots.items()},
                {checked(key): (float(since), float(at)) for key, (since, at) in waits.items()},
            )
            for name, (number, until, ended_by, slots, waits) in found["holders"].items()
        }  # fmt: skip
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as e:
        raise ValueError(f"slots that are not as they were written: {e}") from None
    counts = [n for steps in cooling.values() for n in steps.values()]
    counts += [n for one in holders.values() for n in (one.number, *one.slots.values())]
    times = [step * step_of(key) for key, steps in cooling.items() for step in steps]
    times += [t for one in holders.values() for t in (one.until, one.ended_by, *sum(one.waits.values(), ()))]
    if not all(0 <= n <= COUNT_MAX for n in counts) or not all(abs(t) <= TIME_MAX for t in times):
        raise ValueError("slots that are not as they were written: a number that cannot be")
    return ShortWindows(cooling, holders)


def key_of(window: QuotaWindow) -> str:
    """The name under which the slots of a window are kept; windows that differ in their count alone share it."""
    return f"{window.kind}/{window.window_s!r}"


def span_of(window: QuotaWindow) -> float:
    return window.window_s * (1 + SLACK)


def span_in(key: str) -> float:
    """The length of the window that has this key."""
    return float(key.rpartition("/")[2]) * (1 + SLACK)


def step_of(key: str) -> float:
    return span_in(key) / GROUPS


def step_at(key: str, at: float) -> int:
    """The step that is over at `at`, or soon after."""
    return math.ceil(at / step_of(key))


def step_free_at(key: str, step: float) -> float:
    """When the slots that cool since this step are free."""
    return step * step_of(key) + span_in(key)


def cooled_step(key: str, at: float) -> float:
    """The slots that cool since this step, or an earlier one, are free at `at`."""
    return (at - span_in(key)) / step_of(key)


def moved_steps(key: str, cooling: Cooling, later_s: float) -> Cooling:
    moved: Cooling = {}
    for step, count in cooling.items():
        to = step_at(key, step * step_of(key) + later_s)
        moved[to] = moved.get(to, 0) + count
    return moved


def checked(key: str) -> str:
    """A key that `key_of` can have made.  Raises `ValueError`."""
    kind, _, window_s = key.partition("/")
    if kind not in (WRITE, READ, ANY) or not 1e-3 <= float(window_s) <= 60.0:
        raise ValueError(f"no window is like {key[:40]!r}")
    return key
