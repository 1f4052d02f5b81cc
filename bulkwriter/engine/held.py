"""What holds a run back right now, in words for progress lines, and for how much longer, where that is known.

Asked in the order in which the dispatcher asks: a stop, doubts that wait to be looked up, a server that is gone, a
pause after throttles, the ceiling, the quotas; else whatever shapes the number in flight.  It only reads, a few times a
second, and says nothing that is not so at this moment.  A spent quota of hours is also why the engine may rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from .quota_view import blocked_by, paced_by, quiet_for

if TYPE_CHECKING:
    from .engine import Engine

QUIET_S: Final = 60.0
"""Longest rest; a minute of a day is soon enough for whatever else may come up."""


def held_by(engine: Engine, now: float) -> tuple[str, float | None]:
    """The first thing, in the order in which the dispatcher asks, that keeps more pairs from being sent."""
    d, parts = engine.dispatcher, engine.parts
    if engine.is_stopping:
        return f"stopping: {d.in_flight} requests may still end", None
    if engine.settlement.is_winding_up() and engine.looker.doubts:
        due = engine.looker.doubts.next_due_at()
        return f"{len(engine.looker.doubts)} doubts wait to be looked up", max(0.0, due - now) if due else None
    if parts.breaker.is_open:
        at = parts.breaker.next_probe_at(now)
        return f"the server is gone: {parts.breaker.reason}", max(0.0, at - now) if at < math.inf else None
    if parts.quotas and (block := blocked_by(parts.quotas)):
        return block
    if parts.control.paused_until > now:
        return parts.control.explain(now), parts.control.paused_until - now
    if engine.known.is_listing and not d.ready and not d.in_flight:
        return f"listing what exists: {engine.known.calls:,} calls so far", None
    if parts.ceiling and d.ready:
        return f"--rate {parts.ceiling.rate_per_s:g}/s", None
    if parts.quotas and d.ready and (pace := paced_by(parts.quotas)):
        return pace, None
    return parts.control.explain(now), None


def quiet_s(engine: Engine) -> float:
    """For how long nothing can need a tick: a spent quota or a stated wait holds every pair, no lane is open, no doubt
    waits to be looked up."""
    quotas, paused_until = engine.parts.quotas, engine.parts.control.paused_until
    if quotas is None or engine.looker.doubts or engine.settlement.released or not engine.dispatcher.lanes.is_empty:
        return 0.0
    return min(QUIET_S, max(quiet_for(quotas), paused_until - engine.ports.clock()))
