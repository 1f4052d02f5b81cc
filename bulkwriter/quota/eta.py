"""The remaining time of a run, from its present rate; `quota.forecast` spends forward through every window.

    ceiling or short quota      its own rate, exactly, while it holds the run back
    anything else               the recent rate of answered writes, but never more than these two allow
    long quotas                 every wait to come, also of days; others of the account go on as they do now
    a pause                     its end, then the rate before it
    doubts                      until the last of them may be settled either way; a look that is due may take any time
    server gone, lists, token   no time is told, since nobody knows how long that takes

While something long holds the run, the recent rate is near 0 and says nothing.  The last rate before it counts then.  A
limit that throttles have shown counts as one of any 24 hours: if the server counts by days, the answer is off by up to
one of them until two or three have passed.

Only writes take time (`core.writes` says how many are to come).  A forecast costs milliseconds, so a new one is made
only every `ANEW_S`, or when the number of writes left differs from the expected one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .forecast import finish
from .view import blocked_by, long_windows
from .windows import WRITE, pace_of

if TYPE_CHECKING:
    from .ceiling import Ceiling
    from .gate import Quotas

ANEW_S: Final = 10.0
STEADY_S: Final = 20.0
"""A rate counts once so much time has passed since the last hold."""
UNKNOWN: Final = frozenset({"gone", "lists", "token"})
"""Causes that hold the run for an unknown time."""
PACED: Final = frozenset({"ceiling", "quota"})
"""Causes that hold the run at a known rate."""
NO_MEASURE: Final = UNKNOWN | {"pause", "stopping", "doubts", "refused", "again", "end", "source", "start"}
"""Causes under which the recent rate says nothing about the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkAhead:
    """How a run stands: the writes to come, those that were answered a second lately, the kind of what holds it back,
    for how much longer nothing is sent because of a pause, for how much longer doubts wait (below 0: they are
    due), and how many of them may be sent then: those of which no attempt is known."""

    writes: int
    rate_per_s: float
    held: str = ""
    pause_s: float = 0.0
    doubts_s: float = 0.0
    doubts: int = 0


class Eta:
    """Answers for one run; `quotas` and `ceiling` None mean that there are none."""

    def __init__(self, quotas: Quotas | None, ceiling: Ceiling | None = None) -> None:
        self._quotas = quotas
        self._ceiling = ceiling.reached_per_s if ceiling else math.inf
        self._rate: float | None = None
        self._is_steady = False
        self._steady_since: float | None = None
        self._known: tuple[float, WorkAhead, float, float] | None = None  # made when, for what, by which rate; the end

    @property
    def _most(self) -> float:
        """Writes a second that the ceiling, and our part of the short windows, allow."""
        if self._quotas is None:
            return self._ceiling
        latest = self._quotas.latest
        return min(self._ceiling, latest.pace_per_s if latest else pace_of(self._quotas.windows))

    @property
    def others(self) -> float:
        """Writes that others of the account make for each of ours."""
        return self._quotas.latest.others if self._quotas and self._quotas.latest else 0.0

    @property
    def rate_per_s(self) -> float:
        """Writes a second as they go while nothing long holds them; infinity while nothing is known."""
        return min(self._rate or math.inf, self._most)

    def seconds(self, ahead: WorkAhead, now: float) -> float | None:
        """How many more seconds the run takes; None if nobody can know."""
        is_held = self.note(ahead.rate_per_s, ahead.held, now)
        if ahead.held in UNKNOWN:
            return None
        doubts_s = ahead.doubts_s + ahead.doubts / self.rate_per_s
        if ahead.writes <= 0:
            return None if doubts_s < 0 else doubts_s
        if self._known is None or not is_near(self._known, ahead, now, self.rate_per_s):
            seconds = self._forecast(ahead, is_held=is_held)
            if seconds is None:
                return None
            self._known = now, ahead, self.rate_per_s, now + seconds
        return max(0.0, self._known[3] - now, doubts_s)

    def note(self, rate_per_s: float, held: str, now: float) -> bool:
        """Keep the rate of times when nothing long held the run; whether something does.  Called at each tick."""
        is_held = self._quotas is not None and blocked_by(self._quotas) is not None
        if held in PACED and not is_held and self._most < math.inf:
            self._rate, self._is_steady = self._most, True
        if is_held or rate_per_s <= 0 or held in NO_MEASURE:
            self._steady_since = None
        elif self._steady_since is None:
            self._steady_since = now
        if self._steady_since is None or held in PACED:
            return is_held
        is_steady = now > self._steady_since + STEADY_S
        if is_steady or not self._is_steady:
            self._rate, self._is_steady = rate_per_s, is_steady
        return is_held

    def _forecast(self, ahead: WorkAhead, *, is_held: bool) -> float | None:
        rate, quotas = self.rate_per_s, self._quotas
        if quotas is None or quotas.latest is None:
            return None if rate == math.inf else max(0.0, ahead.pause_s) + ahead.writes / rate
        if rate == math.inf and not is_held:  # held from the start: the windows alone tell
            return None
        boot, one, learnt = quotas.boot(), quotas.classes[WRITE], quotas.latest.learnt.get(WRITE)
        begin = max(boot + ahead.pause_s, one.hold_until)
        if learnt:  # the server may have said until when it wants nothing
            begin = max(begin, boot + learnt.until - quotas.exchanges.wall())
        leased = min(ahead.writes, one.units.left)  # these count as spent already
        begin += leased / rate
        end = finish(
            quotas.latest.spending, long_windows(quotas), ahead.writes - leased, begin, rate_per_s=rate,
            others=self.others,
        ).at  # fmt: skip
        return None if end == math.inf else end - boot


def is_near(known: tuple[float, WorkAhead, float, float], ahead: WorkAhead, now: float, rate: float) -> bool:
    """Whether a forecast still holds: it is fresh, for about as many writes, by about the same rate."""
    at, was, rate_was, end = known
    if now > at + ANEW_S or abs(ahead.writes - was.writes) > ahead.writes / 50:
        return False
    return abs(rate - rate_was) <= rate / 50 and end >= now + ahead.pause_s
