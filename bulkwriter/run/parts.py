"""The deciding objects of a run, made by the engine and put to work by the sender and what acts on replies.

Each decides from what it is told and an instant, and is ignorant of the others: the control of throttles, the breaker
of losses, the ceiling of the user's rate, the budget of re-sends.  Statistics and record ids are what they leave
behind, `pairs` knows where every pair is; the quotas are made outside, because calls obey them too.  They stand
together so that simulation can look at each after every event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..adaptive import Controller
from ..core.pairs import Pairs
from ..core.retry import Breaker, RetryBudget
from ..core.stats import Stats
from ..quota.ceiling import Ceiling
from ..quota.gate import Quotas
from ..settings import Settings
from .ports import Ports, Stored
from .record_ids import RecordIds


@dataclass(slots=True)
class Parts:
    """The deciding objects that a sender puts to work."""

    control: Controller
    breaker: Breaker
    ceiling: Ceiling | None
    stats: Stats
    pairs: Pairs
    record_ids: RecordIds
    budget: RetryBudget
    quotas: Quotas | None
    create_role: str
    """What a user lacks whose fresh token is refused."""


def parts_for(settings: Settings, ports: Ports, stored: Stored, *, on_first_row: Callable[[], None]) -> Parts:
    """The parts of a run that begins now, with what an earlier start has left."""
    limits, rng = settings.limits, ports.rng
    in_flight = int(min(settings.in_flight, ports.most_lanes))
    return Parts(
        control=Controller(in_flight, pause_cap_s=limits.throttle_pause_s, rng=rng, min_rate=settings.min_rate),
        breaker=Breaker(limits.breaker_failures, cap_s=limits.probe_pause_s, rng=rng),
        ceiling=Ceiling(settings.rate) if settings.rate else None,
        stats=Stats(ports.clock()),
        pairs=Pairs(
            late_apply_s=settings.late_apply_s,
            list_lag_s=settings.list_lag_s,
            max_attempts=settings.max_attempts,
            most_rows=limits.outcome_rows,
            on_first_row=on_first_row,
        ),
        record_ids=RecordIds(stored.record_ids, are_rising=stored.has_rising_ids),
        budget=RetryBudget(),
        quotas=ports.quotas,
        create_role=ports.entity.create_role,
    )
