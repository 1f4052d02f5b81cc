"""The spending by the minute: the room of long windows, when they have room again, and when a run ends.

Minutes count on the boot clock: minute m lasts from 60 m to 60 (m + 1) seconds after boot.  The spending of earlier
boots lies before minute 0.  A unit belongs to the minute in which its request ended, while it is on its way to that of
its deadline, and counts as having arrived at that minute's end.  So no span of a sliding window's length ever has more
than it allows, and it is spent to within one minute: 0.07 % of a day.

    any 24 hours     minute m counts until 60 (m + 1) + window
    a calendar day   minute m counts in a day if any of it lies in it by any clock of the server, give or take
                     `DAY_SKEW_S`.  Where those clocks are unknown, the day counts as any 24 hours

Where a day begins, a minute is told by its parts: what is spent just before midnight must not count in both days.  A
part is named by the minute that ends with it: 6.25 lasts until 60 x 7.25 seconds after boot, and lies in minute 7.

Pure.  Not here: durability (`quota.ledger`), short windows (`quota.short`).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..model import QuotaWindow
from .windows import SLACK

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
DAY_SKEW_S: Final = 2.0  # by how much the server's clock may differ from ours once compared: a Date tells whole seconds
READ_SHARE: Final = 0.02  # of windows over `any`, at least one: writes leave it to lists, so that looks cannot starve
PARTS: Final = 64  # of a minute: shorter than `DAY_SKEW_S`, and a power of two, so that their names are exact
NEAR_S: Final = 60.0  # so near to the beginning of a day minutes are told by their parts: it is known to some seconds
TAKEN: Final = "taken-"
ROUNDING_S: Final = 1e-6  # what floats of a boot clock of years may be off by: when `opens_at` says so, there is room
CYCLES: Final = 5  # lengths of the longest window whose spending `finish` takes for the pattern of the rest
KINDS: Final = ("write", "read")
REFUSED: Final = "-refused"
"""Added to a kind: its requests that the server throttled.  They count in our windows, but nobody can say that the
server took them; they are kept as negative numbers, so that a window over "taken-write" is the sum of two rows."""


def minute_of(at: float) -> int:
    return math.floor(at / MINUTE_S)


def part_of(at: float) -> float:
    """The minute that ends with the part in which `at` lies, or which `at` ends."""
    return math.ceil(at * PARTS / MINUTE_S) / PARTS - 1


def end_of(minute: float) -> float:
    """When a minute, or the part of one, is over."""
    return (minute + 1) * MINUTE_S


class Grant(NamedTuple):
    """How many requests may be made now; if none, from when on, and which window is spent."""

    granted: int
    opens_at: float = 0.0
    window: QuotaWindow | None = None


class Finish(NamedTuple):
    """When the last write is made (boot clock, infinity: never), and the window that was waited for longest."""

    at: float
    window: QuotaWindow | None


class Spending:
    """Counts by kind and minute, or part of one; `slack` makes windows longer, see `quota.windows`.

    `epoch` is what the server's earliest clock shows at the boot clock's zero, `spread_s` how far its clocks lie apart.
    """

    def __init__(self, *, epoch: float | None, spread_s: float = 0.0, slack: float = SLACK) -> None:
        self._counts = {kind: EndCounts() for kind in (*KINDS, *(kind + REFUSED for kind in KINDS))}
        self._slack = slack
        self.epoch, self.spread_s = epoch, spread_s

    def copy(self) -> Spending:
        other = Spending(epoch=self.epoch, spread_s=self.spread_s, slack=self._slack)
        other._counts = {kind: counts.copy() for kind, counts in self._counts.items()}
        return other

    def set_clock(self, epoch: float | None, spread_s: float) -> None:
        """What the server's clocks show now."""
        self.epoch, self.spread_s = epoch, spread_s

    def kept(self, part: float, windows: Sequence[QuotaWindow]) -> float:
        """Under which minute a part of one is counted: that part where one of `windows` begins, else all of it."""
        for window in windows:
            if window.day_at_s is not None and self.epoch is not None:
                begins = window.day_at_s - self.epoch - DAY_SKEW_S - self.spread_s
                if (end_of(part) - begins + NEAR_S) % DAY_S < 2 * NEAR_S:
                    return part
        return math.ceil(part)

    def add(self, kind: str, minute: float, count: int) -> None:
        """Count `count` more (or fewer) in a minute, or in a part of one."""
        self._counts[kind].add(end_of(minute), -count if kind.endswith(REFUSED) else count)

    def forget(self, until: float) -> None:
        """Drop what ended by then."""
        for counts in self._counts.values():
            counts.forget(until)

    def ended_by(self) -> float:
        """The end of the last minute in which anything was spent; minus infinity where nothing was."""
        return max((at for counts in self._counts.values() for at, _ in counts.rows()), default=-math.inf)

    def ended(self, kind: str, after: float, until: float) -> int:
        """How many requests of a kind ended later than `after`, up to `until`; these are ends of minutes."""
        return self._counts[kind].after(after) - self._counts[kind].after(until)

    def spent(self, window: QuotaWindow, now: float) -> int:
        """How many requests count in the window at `now`, those on their way included."""
        begins = self._begins(window, now)
        return sum(self._counts[kind].after(begins) for kind in kinds_of(window))

    def opens_at(self, window: QuotaWindow, now: float, most: int) -> float:
        """When fewer than `most` count in the window: `now`, or when enough of them have become free."""
        over = self.spent(window, now) - (most - 1)
        if over <= 0:
            return now
        if most < 1:
            return math.inf
        if window.day_at_s is not None and self.epoch is not None:
            return self._day_start(window, now, self.epoch) + DAY_S + DAY_SKEW_S
        begins, at = self._begins(window, now), now
        rows = sorted((row for kind in kinds_of(window) for row in self._counts[kind].rows(begins)), reverse=True)
        while over > 0:
            at, count = rows.pop()
            over -= count
        return at + self._span_s(window)

    def grant(self, windows: Sequence[QuotaWindow], kind: str, ask: int, now: float) -> Grant:
        """As many of `ask` requests as all `windows` (the long ones that concern `kind`) have room for."""
        count, blocked = ask, Grant(0)
        for window in windows:
            most = usable(window, kind)
            room = most - self.spent(window, now)
            if room <= 0:
                at = self.opens_at(window, now, most)
                blocked = max(blocked, Grant(0, at, window), key=lambda grant: grant.opens_at)
            count = min(count, room)
        return Grant(count) if count > 0 else blocked

    def may_bind(self, window: QuotaWindow, rate_per_s: float, now: float) -> bool:
        """Whether writes at this rate can ever spend the window."""
        most = rate_per_s * (self._span_s(window) + MINUTE_S) + self.spent(window, now)
        return most >= usable(window, "write")

    def _span_s(self, window: QuotaWindow) -> float:
        return window.window_s * (1 + self._slack)

    def _begins(self, window: QuotaWindow, now: float) -> float:
        """From when on what ended may count in the window at `now`, by any clock of the server."""
        if window.day_at_s is not None and self.epoch is not None:
            return self._day_start(window, now, self.epoch) - DAY_SKEW_S - self.spread_s
        return now - self._span_s(window) + ROUNDING_S

    def _day_start(self, window: QuotaWindow, now: float, epoch: float) -> float:
        """When the day began that by now is surely the server's as well, on the boot clock."""
        zero = epoch - (window.day_at_s or 0.0)
        return math.floor((now + zero - DAY_SKEW_S) / DAY_S) * DAY_S - zero


def kinds_of(window: QuotaWindow) -> tuple[str, ...]:
    """Which counts make up a window."""
    if window.kind == "any":
        return KINDS
    if window.kind.startswith(TAKEN):
        kind = window.kind.removeprefix(TAKEN)
        return kind, kind + REFUSED
    return (window.kind,)


def day_of(kind: str, most: int) -> QuotaWindow:
    """The window that the server has shown: so many taken in any day."""
    return QuotaWindow(f"{kind}:{most}/day (as the server showed)", TAKEN + kind, most, DAY_S)


def usable(window: QuotaWindow, kind: str) -> int:
    """How many requests of `kind` may count in the window: writes leave some of `any` to lists."""
    if kind == "read" or window.kind != "any" or window.count == 1:
        return window.count
    return window.count - max(1, math.ceil(window.count * READ_SHARE))


def finish(
    spending: Spending, windows: Sequence[QuotaWindow], need: int, now: float, *, rate_per_s: float = math.inf,
    others: float = 0.0
) -> Finish:  # fmt: skip
    """When `need` writes are made if each goes as early as the long `windows` and `rate_per_s` let it, and others of
    the account make `others` writes for each of them.  It spends forward minute by minute, by the rules above.

    First value: 5,000 at 2,500 a day, 1 a second and nothing spent end after 24 h 42 min.
    """
    spending = spending.copy()
    need, rate_per_s = round(max(0, need) * (1 + others)), rate_per_s * (1 + others)
    windows = [window for window in windows if spending.may_bind(window, rate_per_s, now)]
    if not windows:
        return Finish(now + need / rate_per_s, None)
    longest_s = max(window.window_s for window in windows)
    at, skipped_s, carry = now, 0.0, 0.0
    mark: tuple[float, int] | None = None  # the steady pattern is measured from here
    waited: dict[QuotaWindow, float] = {}
    while need > 0:
        grant = spending.grant(windows, "write", need, at)
        if grant.window is not None:
            if grant.opens_at == math.inf:
                return Finish(math.inf, grant.window)
            waited[grant.window] = waited.get(grant.window, 0.0) + grant.opens_at - at
            at = grant.opens_at
        else:
            end = (minute_of(at) + 1) * MINUTE_S
            whole = min(grant.granted, rate_per_s * (end - at) + carry)
            made = int(whole)
            is_paced = made < grant.granted
            carry = whole - made if is_paced else 0.0
            part = spending.kept(part_of(at + made / rate_per_s), windows)
            spending.add("write", min(part, minute_of(at)), made)
            need -= made
            at = end if is_paced else at + made / rate_per_s
        if mark is None:
            mark = (at, need) if at > now + longest_s else None
        elif at > mark[0] + CYCLES * longest_s:
            done = mark[1] - need
            times = max(0, need // done - 1) if done else 0
            skipped_s += times * (at - mark[0])
            need -= times * done
            mark = (at, need)
    return Finish(at + skipped_s, max(waited, key=waited.__getitem__, default=None))


class EndCounts:
    """How many requests ended when: what every window, short or long, is counted from.  Who adds rounds times up."""

    __slots__ = ("_counts", "_times")

    def __init__(self) -> None:
        self._times: list[float] = []
        self._counts: list[int] = []

    def copy(self) -> EndCounts:
        other = EndCounts()
        other._times, other._counts = list(self._times), list(self._counts)
        return other

    def add(self, at: float, count: int) -> None:
        """So many more, or fewer."""
        place = bisect_left(self._times, at)
        if place == len(self._times) or self._times[place] != at:
            self._times.insert(place, at)
            self._counts.insert(place, 0)
        self._counts[place] += count

    def after(self, at: float) -> int:
        """How many ended later than `at`."""
        return sum(self._counts[bisect_right(self._times, at) :])

    def rows(self, after: float = float("-inf")) -> list[tuple[float, int]]:
        """Times later than `after`, and how many ended then."""
        first = bisect_right(self._times, after)
        return [row for row in zip(self._times[first:], self._counts[first:], strict=True) if row[1]]

    def forget(self, until: float) -> None:
        """Drop what ended by then."""
        old = bisect_right(self._times, until)
        del self._times[:old], self._counts[:old]
