"""Says in words what the server did, what this run does since, and which part of it holds the run back.  No decisions.

    believes   the server asked for less 3 times in 10 min, last at a pace of 104/s 40 s ago; the pace is 98/s now
               ..., taken for a window of 10 s;  ..., in a crowd; 20 requests at a time may be sent now
               an earlier run ended at a pace of 98/s, 3 h ago
    held       the kinds and sentences of `Holding` below

What the server allows is a guess, so it is not told: throttles may come by chance, or for reasons of others.  It "asks
for less" by throttles and by 503s that state a wait, which may have been applied and are no throttles.  It reads no
clock.  All it keeps is how many throttles came lately, in slots of `SLOT_S`: every throttle counts, even if it ended
no epoch; and when and at which pace the last one of an epoch came.  The rest of a pause is told beside these words, not
in them.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

from .crowd import Crowd
from .limit import Limit
from .memory import Memory
from .pace import Pace
from .queueing import Queueing
from .window import USUAL_S

NEAR = 0.15  # a hold's end is known to some percent
LATELY_S: Final = 600.0
SLOT_S: Final = 10.0  # a bad hour needs little memory; a count is exact to one slot


class Told:
    """How many throttles came lately, and how the last of them came."""

    def __init__(self) -> None:
        self.at = self.per_s = 0.0
        self._throttles: deque[list[int]] = deque(maxlen=round(LATELY_S / SLOT_S))  # slot, count

    def throttled(self, now: float) -> None:
        slot = int(now / SLOT_S)
        if not self._throttles or self._throttles[-1][0] != slot:
            self._throttles.append([slot, 0])
        self._throttles[-1][1] += 1

    def refused(self, now: float, per_s: float) -> None:
        """One came at this pace, and not to a canary."""
        self.at, self.per_s = now, per_s

    def throttles(self, now: float) -> int:
        """How many came lately."""
        return sum(count for slot, count in self._throttles if slot > (now - LATELY_S) / SLOT_S - 1)


class Holding(NamedTuple):
    """A cause that holds the run back: one of the kinds above, and a sentence."""

    kind: str
    words: str


FIRST = Holding("start", "one request goes first")
CLIMB = Holding("start", "the start: faster each round trip until the server's limit shows")
STATED = Holding("pause", "the server asked for a pause")
REFUSED = Holding("pause", "the server takes nothing; one request tries again")
CANARY = Holding("pause", "one request tries whether the server takes more")
TRIAL = Holding("busy", "the server says 503: whether less often when asked less is being tried")
LIMIT = Holding("limit", "the pace since the server asked for less")
CROWD = Holding("crowd", "how many requests at a time may be sent since the server asked for less")
QUEUE = Holding("queue", "how many requests the server works on at a time: more would wait there")
IN_FLIGHT = Holding("in flight", "latency × in-flight")


def paused(left_s: float, *, is_stated: bool, has_begun: bool) -> Holding:
    """While nobody sends, or the canary is out."""
    if left_s <= 0:
        return CANARY if has_begun else FIRST
    return STATED if is_stated else REFUSED


def held(pace: Pace, crowd: Crowd, queue: Queueing, *, is_full: bool) -> Holding:
    """While all is well; `is_full`: as many are in flight as may be."""
    if is_full:
        return CROWD if crowd.is_capped and crowd.limit <= queue.limit else QUEUE if queue.is_found else IN_FLIGHT
    return CLIMB if pace.is_starting else LIMIT


def believed(now: float, told: Told, memory: Memory, pace: Pace, limit: Limit, crowd: Crowd, queue: Queueing) -> str:
    """What the server did, and what this run does since."""
    throttles, at_once = told.throttles(now), int(min(crowd.limit, queue.limit))
    asked = f"the server asked for less {'once' if throttles == 1 else f'{throttles:,} times'} in 10 min"
    if not throttles and memory.rate and pace.is_starting:
        return f"an earlier run ended at a pace of {per_s(memory.rate)}, {span(memory.age_s)} ago"
    if queue.is_found and not crowd.is_capped:
        slower = f"the server answers slower with more than {at_once:,} requests in flight"
        return f"{slower}; {asked}" if throttles else slower
    if pace.is_free or not told.per_s:
        return asked if throttles else "the server has shown no limit"
    latest = f"{asked}, last" if throttles else "the server last asked for less"
    latest = f"{latest} at a pace of {per_s(told.per_s)} {span(now - told.at)} ago"
    if crowd.is_capped:
        return f"{latest}, in a crowd; {at_once:,} request{'s' * (at_once != 1)} at a time may be sent now"
    return f"{latest}{shape(limit)}; the pace is {per_s(pace.rate)} now"


def shape(limit: Limit) -> str:
    """What it is taken for, where that says more than the pace."""
    if limit.is_shared:
        return ", at another one each time, as where others use the same limit"
    return f", taken for a window of {span(rounded(limit.window.length_s))}" if limit.window.length_s else ""


def rounded(window_s: float) -> float:
    """The usual length that is near: a hold's end is known to some percent."""
    near = min(USUAL_S, key=lambda s: abs(math.log(window_s / s)))
    return near if abs(math.log(window_s / near)) < NEAR else window_s


def per_s(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def span(seconds: float) -> str:
    """0.3 s, 12 s, 5 min, 2.2 h, 3 days."""
    if seconds < 10 and seconds != int(seconds):
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 172_800:
        return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.0f} days"
