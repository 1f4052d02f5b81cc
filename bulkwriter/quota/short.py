"""The short windows of an account: which of their slots are free from when on, and what a client holds of them.

A window of N requests in W seconds has N *slots*.  A slot is free again W after the request that used it ended, since
the server counts at arrival, which lies between send and reply: so it sees at most N in any span of W.  A unit of a
lease has a slot from its time on, and counts as ended when its request can end at the latest; with the next exchange
its client tells when that was.

Ends are rounded up to a `STEPS`th of the window, and counted by these steps, so that a window of thousands costs no
more than one of a few.  All of it is one value of an account (`packed`), which each exchange reads and writes whole.

Pure: `now` is the boot clock.  Not here: who may have the slots (`quota.account`), and how a client spends its units
(`quota.leases`).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..model import QuotaWindow
from .forecast import EndCounts
from .windows import ANY, READ, SLACK, WRITE

STEPS: Final = 512  # of a window.  More would cost memory, fewer would lose more than 0.2% of it to rounding.
ROUNDING: Final = 1e-3  # of a step: what floats are off by, with 10 ms and a clock of years; a hundredth of `SLACK`
NUMBER_MAX: Final = 10**18  # no time, step or count is more
LOOK_S: Final = 0.25  # who waits asks again at least so often: a client may give back slots during its lease
KEEP_S: Final = 120.0  # so long a client's last exchange is remembered, so that a repeat of it is not counted twice
KEYS_MAX: Final = 64  # windows of quotas that nobody has any more are kept up to so many


class ClientRow(NamedTuple):
    """What a client has, as of its last exchange.  `slots` and `waits` are by the key of a window.

    `slots`: how many it has from which steps on; at the latest at `ended_by` their requests have ended.
    """

    number: int  # of that exchange
    until: float  # from then on it sends nothing
    ended_by: float  # and by then its last request has ended
    slots: Mapping[str, Sequence[tuple[int, int]]]
    waits: Mapping[str, tuple[float, float]]  # it asked for a slot then, and promised to ask again then


@dataclass(slots=True)
class ShortWindows:
    """See the module.  Changed in memory, and kept as a whole.  `used`: ends in steps, by the key of a window."""

    used: dict[str, EndCounts] = field(default_factory=dict)
    holders: dict[str, ClientRow] = field(default_factory=dict)

    def openings(self, window: QuotaWindow, now: float, held: Iterable[tuple[float, int]]) -> list[tuple[float, int]]:
        """From when on how many more slots may be used for good, beside those that are `held` from these times on.

        In whole steps: a unit takes its slot in the very step in which that is free, and leaves the others as they are.
        """
        key, changes = key_of(window), Counter[float]()
        for step, count in self.used[key].rows(step_over(key, now)):
            changes[step + STEPS] += count
        room = window.count - changes.total()
        for at, count in held:
            changes[step_in(key, at)] -= count
        for one in self.holders.values():
            for step, count in one.slots.get(key, ()):
                changes[step] -= count
                changes[step_at(key, one.ended_by) + STEPS] += count
        rooms = [(now, room)]
        for step, more in sorted(changes.items()):
            room += more
            if (at := step * step_of(key)) <= now:
                rooms = [(now, room)]
            else:
                rooms.append((at, room))
        found, least = [], room
        for at, room in reversed(rooms):  # what is free later as well
            least = min(least, room)
            found.append((at, least))
        found.reverse()
        given = [0, *(max(0, room) for _, room in found)]
        return [(at, more - less) for (at, _), less, more in zip(found, given, given[1:], strict=False) if more > less]

    def use(self, key: str, ended: float, count: int) -> None:
        """So many slots are used by requests that end then."""
        if count:
            self.used[key].add(step_at(key, ended), count)

    def release(self, client: str, now: float) -> ClientRow:
        """Take back what a client has, until it is booked anew.  If it says so too late, it has used all of it."""
        row = self.holders.pop(client, ClientRow(0, 0.0, 0.0, {}, {}))
        if row.ended_by > now:
            return row
        for key, steps in row.slots.items():
            self.use(key, row.ended_by, sum(count for _, count in steps))
        return row._replace(slots={})

    def forget(self, now: float) -> None:
        """Drop old ends, and clients that are gone."""
        for name, one in list(self.holders.items()):
            if one.ended_by < now - KEEP_S and not any(at > now - KEEP_S for _, at in one.waits.values()):
                del self.holders[name]
        for key, counts in self.used.items():
            counts.forget(step_over(key, now))

    def begin(self, windows: Iterable[QuotaWindow], ended: float, now: float) -> None:
        """Windows that were not counted before begin as used by whatever was sent: until `ended`, if nothing is known
        here.
        """
        known = self.ended_by()
        ended = known if known > -math.inf else ended
        for window in windows:
            key = key_of(window)
            if key not in self.used:
                self.used[key] = EndCounts()
                if ended + span_of(key) > now:
                    self.use(key, ended, window.count)
        while len(self.used) > KEYS_MAX:
            del self.used[next(iter(self.used))]

    def ended_by(self) -> float:
        """When the last request that is known here ends, or can end; minus infinity where none is."""
        known = [step * step_of(key) for key, counts in self.used.items() for step, _ in counts.rows()]
        return max([-math.inf, *known, *(one.ended_by for one in self.holders.values() if one.slots)])

    def opens_at(self, window: QuotaWindow, now: float) -> float:
        """When a slot may be free: when one is known to be, or when a client may have reported; soon, where neither is
        known, since the requests of the asker itself have the slots.

        Whoever is late with that, or dead, is asked after more and more seldom, until its slots free themselves.
        """
        key = key_of(window)
        times = [(step + STEPS) * step_of(key) for step, _ in self.used[key].rows(step_over(key, now))[:1]]
        for one in self.holders.values():
            if any(count for _, count in one.slots.get(key, ())):
                times += one.ended_by + span_of(key), now + max(LOOK_S, (now - one.until) / 2)
        return min(times, default=now + LOOK_S)

    def packed(self) -> str:
        """As the ledger keeps it: JSON."""
        used = {key: counts.rows() for key, counts in self.used.items()}
        return json.dumps({"used": used, "holders": self.holders}, separators=(",", ":"))


def unpacked(text: str) -> ShortWindows:
    """What `packed` gave.  Raises `ValueError` for anything else."""
    short = ShortWindows()
    if not text:
        return short
    try:
        found: dict[str, Any] = json.loads(text)
        for key, rows in found["used"].items():
            short.used[checked(key)] = EndCounts()
            for step, count in rows:
                short.used[key].add(believed(step), believed(count, least=0))
        for name, (number, until, ended_by, slots, waits) in found["holders"].items():
            held = {
                checked(key): [(believed(step), believed(n, least=0)) for step, n in steps]
                for key, steps in slots.items()
            }
            waiting = {checked(key): (believed(since), believed(at)) for key, (since, at) in waits.items()}
            numbers = believed(number, least=0), believed(until), believed(ended_by)
            short.holders[name] = ClientRow(*numbers, held, waiting)
    except (TypeError, KeyError, AttributeError, RecursionError) as e:
        raise ValueError(f"slots that are not as they were written: {e}") from None
    return short


def believed(number: Any, *, least: float = -NUMBER_MAX) -> Any:
    """A number that can be.  Raises `ValueError`."""
    if not isinstance(number, int | float) or not least <= number <= NUMBER_MAX:
        raise ValueError("slots that are not as they were written: a number that cannot be")
    return number


def key_of(window: QuotaWindow) -> str:
    """The name under which the slots of a window are kept; windows that differ in their count alone share it."""
    return f"{window.kind}/{window.window_s!r}"


@lru_cache(maxsize=64)
def span_of(key: str) -> float:
    """The length of the window that has this key."""
    return float(key.rpartition("/")[2]) * (1 + SLACK)


@lru_cache(maxsize=64)  # asked for each unit that is booked
def step_of(key: str) -> float:
    return span_of(key) / STEPS


def step_at(key: str, at: float) -> int:
    """The step that is over at `at`, or soon after."""
    return math.ceil(at / step_of(key) - ROUNDING)


def step_in(key: str, at: float) -> int:
    """The step in which `at` lies, or which begins then."""
    return math.floor(at / step_of(key) + ROUNDING)


def step_over(key: str, at: float) -> float:
    """The slots of requests that ended in this step, or in an earlier one, are free at `at`."""
    return (at - span_of(key)) / step_of(key)


def checked(key: str) -> str:
    """A key that `key_of` can have made.  Raises `ValueError`."""
    kind, _, window_s = key.partition("/")
    if kind not in (WRITE, READ, ANY) or not 1e-3 <= float(window_s) <= 60.0:
        raise ValueError(f"no window is like {key[:40]!r}")
    return key
