"""How long nothing is sent when the server takes nothing: until a stated time, or until a canary is taken.

    stated     what Retry-After says, never less, and up to 2 % or 2 s more, so that clients come back one by one; when
               the fourth canary in a row is refused at its stated time, our own delay if that is longer
    unstated   0.03 s (up to 0.1 s at low rates) · 1.3**n, ±10 %, and never above the user's cap: 0.03, 0.04, 0.05, …;
               but none goes past the moment at which a window of a usual length would end that began with the run
    expected   where the server's window is known, so is its end (`window.py`): the first canary goes when it may end at
               the earliest, some more until the latest, and after that at growing distances, from 1 % of the window on

Invariant: `until` of a stated hold is never before the stated time.  The controller decides whether there is a hold,
and which request is the canary.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from .window import Ends

FIRST_S: Final = 0.03
FIRST_MAX_S: Final = 0.1
GROWTH: Final = 1.3
LEVEL_MAX: Final = 60  # 1.3**60 is above any cap
JITTER: Final = 0.1
STATED_JITTER: Final = 0.02
STATED_JITTER_MAX_S: Final = 2.0
STATED_TRIES: Final = 4
NEAR: Final = 4.0  # a usual end so much nearer than the own delay is not waited for: the hold began just before it
STEPS: Final = 4  # canaries between the earliest and the latest end
STEP: Final = 0.01
LATE: Final = 0.002  # of the window: clocks and networks are not exact
LONG_S: Final = 0.2  # shorter ones are a bucket that fills again
LONG_GAPS: Final = 3.0
LONG_TRIPS: Final = 2.0


class EndedHold(NamedTuple):
    """A hold that is over."""

    lasted_s: float
    cost_s: float
    """How long nothing was sent: until the first taken request was answered."""
    unsure_s: float
    """How long before the first taken request it may have ended."""
    is_stated: bool
    is_long: bool
    """Longer than a bucket takes to fill again, or a crowd to leave."""
    is_idle: bool
    """Its first canary was taken: it was expected, and there was none."""


class Hold:
    """One hold at a time; `since` is None while there is none."""

    __slots__ = ("_cap_s", "_level", "_rng", "is_stated", "refused", "refused_at", "since")

    def __init__(self, cap_s: float, rng: random.Random) -> None:
        self._cap_s, self._rng = cap_s, rng
        self.since: float | None = None
        self.refused = 0
        """Canaries refused in this hold."""
        self.refused_at = 0.0
        self.is_stated = False
        self._level = 0

    def refuse(self, now: float, *, gap_s: float, stated_s: float | None, ends: Ends) -> float:
        """A throttle: returns when the next canary may go."""
        if self.since is None:
            self.since, self.refused, self._level = now, 0, 0
        else:
            self.refused += 1
        self.refused_at, self.is_stated = now, stated_s is not None
        delay_s = self._expected_s(now, ends) if ends.length_s else self._next_s(gap_s, ends.latest_at - now)
        if stated_s is None:
            return now + delay_s
        extra_s = self._rng.uniform(0.0, min(STATED_JITTER * stated_s, STATED_JITTER_MAX_S))
        own_s = delay_s if self.refused >= STATED_TRIES else 0.0
        return now + max(stated_s + extra_s, own_s)

    def _next_s(self, gap_s: float, usual_s: float) -> float:
        own_s = max(FIRST_S, min(2 * gap_s, FIRST_MAX_S)) * GROWTH ** min(self._level, LEVEL_MAX)
        own_s = min(self._cap_s, own_s * self._rng.uniform(1 - JITTER, 1 + JITTER))
        if own_s / NEAR < usual_s < own_s:
            return min(self._cap_s, usual_s * (1 + STEP))
        self._level += 1
        return own_s

    def _expected_s(self, now: float, ends: Ends) -> float:
        step_s, late_s = STEP * ends.length_s, LATE * ends.length_s
        if now < ends.earliest_at:
            delay_s = ends.earliest_at - now + late_s
        elif now < ends.latest_at:
            delay_s = max(step_s, min(ends.latest_at - now, (ends.latest_at - ends.earliest_at) / STEPS)) + late_s
        else:
            delay_s = step_s * GROWTH ** min(self._level, LEVEL_MAX)
            self._level += 1
        return min(self._cap_s, max(FIRST_S, delay_s))

    def end(self, now: float, sent_at: float, *, rate: float, round_trip_s: float) -> EndedHold:
        """A request sent at `sent_at` was taken, where at most `rate` is allowed."""
        since, self.since, is_tried = self.since, None, self.refused > 0
        lasted_s = 0.0 if since is None else sent_at - since
        unsure_s = 0.0 if since is None or self.is_stated else sent_at - self.refused_at
        is_long = lasted_s > max(LONG_S, LONG_GAPS / rate, LONG_TRIPS * round_trip_s)
        return EndedHold(
            lasted_s,
            lasted_s + (now - sent_at),
            unsure_s,
            self.is_stated,
            is_long=is_long and (is_tried or self.is_stated),
            is_idle=since is not None and not is_tried and not self.is_stated,
        )

    def check(self) -> None:
        assert self.refused >= 0
        assert self._level >= 0
