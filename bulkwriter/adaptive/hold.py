"""How long nothing is sent when the server takes nothing: until a stated time, or until a canary is taken.

    stated     what Retry-After says, never less, and up to 2 % or 2 s more, so that clients come back one by one; from
               the fourth canary refused at its stated time on, our own delay if that is longer
    unstated   0.03 s (up to 0.1 s at low rates) · 1.3**n, ±10 %, and never above the user's cap; but none goes past the
               end of the known window, or of one of a usual length that began with the run

Invariant: `until` of a stated hold is never before the stated time.  Not here: whether there is a hold, and which
request is the canary (the controller).
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

FIRST_S: Final = 0.03
FIRST_MAX_S: Final = 0.1
GROWTH: Final = 1.3
LEVEL_MAX: Final = 60  # 1.3**60 is above any cap
JITTER: Final = 0.1
STATED_JITTER: Final = 0.02
STATED_JITTER_MAX_S: Final = 2.0
STATED_TRIES: Final = 4
NEAR: Final = 4.0  # a usual end so much nearer than the own delay is not waited for: the hold began just before it
STEP: Final = 0.01
LONG_S: Final = 0.2  # shorter ones are a bucket that fills again
LONG_GAPS: Final = 3.0
LONG_TRIPS: Final = 2.0


class EndedHold(NamedTuple):
    """A hold that is over."""

    lasted_s: float
    cost_s: float
    """How long nothing was sent: until the first taken request was answered."""
    unsure_s: float
    """How long before the first taken request it may have ended: then the last refused canary went."""
    is_stated: bool
    is_long: bool
    """Longer than a bucket takes to fill again, or a crowd to leave."""
    is_idle: bool
    """Its first canary was taken: it was expected, and there was none."""


class Hold:
    """One hold at a time; `since` is None while there is none."""

    def __init__(self, cap_s: float, rng: random.Random) -> None:
        self._cap_s, self._rng = cap_s, rng
        self.since: float | None = None
        self.refused = 0
        """Canaries refused in this hold."""
        self.refused_at = 0.0
        self.is_stated = False
        self._level = 0

    def refuse(self, now: float, sent_at: float, *, gap_s: float, stated_s: float | None, ends_at: float) -> float:
        """A throttle of a request sent at `sent_at`: returns when the next canary may go."""
        if self.since is None:
            self.since, self.refused, self.refused_at, self._level = now, 0, now, 0
        else:
            self.refused, self.refused_at = self.refused + 1, sent_at
        self.is_stated = stated_s is not None
        delay_s = self._next_s(gap_s, ends_at - now)
        if stated_s is None:
            return now + delay_s
        extra_s = self._rng.uniform(0.0, min(STATED_JITTER * stated_s, STATED_JITTER_MAX_S))
        own_s = delay_s if self.refused >= STATED_TRIES else 0.0
        return now + max(stated_s + extra_s, own_s)

    def _next_s(self, gap_s: float, left_s: float) -> float:
        own_s = max(FIRST_S, min(2 * gap_s, FIRST_MAX_S)) * GROWTH ** min(self._level, LEVEL_MAX)
        own_s = min(self._cap_s, own_s * self._rng.uniform(1 - JITTER, 1 + JITTER))
        if own_s / NEAR < left_s < own_s:
            return min(self._cap_s, left_s * (1 + STEP))
        self._level += 1
        return own_s

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
