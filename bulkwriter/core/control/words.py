"""Says what the controller believes, in a sentence for people; no decision.

    paused      the server asked for a pause: 4.2 s more
                the server takes nothing; one request tries again in 0.3 s
    canary      one request tries whether the server takes more
    starting    starting: 80/s, doubling each round trip until the server's limit shows
    a rate      the server allows about 98/s, some 800 of them at once; learnt 40 s ago; 3 throttles in 10 min
    a cap       the server takes 20 requests at a time; 3 throttles in 10 min
    a queue     the server answers slower with more than 24 requests in flight
    no limit    64 requests in flight at most, as set

It reads no clock and keeps nothing.
"""

from __future__ import annotations

from .crowd import Crowd
from .limit import Limit
from .pace import Pace
from .queueing import Queueing


def paused(left_s: float, throttles: int, *, is_stated: bool) -> str:
    """While nobody sends, or the canary is out."""
    if left_s <= 0:
        return "one request tries whether the server takes more"
    if is_stated:
        return f"the server asked for a pause: {span(left_s)} more{lately(throttles)}"
    return f"the server takes nothing; one request tries again in {span(left_s)}{lately(throttles)}"


def held_back(now: float, throttles: int, *, pace: Pace, limit: Limit, crowd: Crowd, queue: Queueing) -> str:
    """What keeps more from being sent while all is well."""
    at_once = int(min(crowd.limit, queue.limit))
    if crowd.is_capped:
        return f"the server takes {at_once:,} request{'s' * (at_once != 1)} at a time{lately(throttles)}"
    if queue.is_found:
        return f"the server answers slower with more than {at_once:,} requests in flight{lately(throttles)}"
    if pace.is_free:
        return f"{at_once:,} requests in flight at most, as set{lately(throttles)}"
    if pace.is_starting:
        return f"starting: {per_s(pace.rate)}, doubling each round trip until the server's limit shows"
    if not limit.safe:
        return f"looking for the server's limit: {per_s(pace.rate)} now{lately(throttles)}"
    burst = f", some {limit.credit:,.0f} of them at once" if limit.credit > limit.safe else ""
    learnt = f"learnt {span(now - limit.known_at)} ago"
    return f"the server allows about {per_s(limit.safe)}{burst}; {learnt}{lately(throttles)}"


def lately(throttles: int) -> str:
    return f"; {throttles:,} throttle{'s' * (throttles != 1)} in 10 min" if throttles else ""


def per_s(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def span(seconds: float) -> str:
    """0.3 s, 12 s, 5 min, 2.2 h."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
