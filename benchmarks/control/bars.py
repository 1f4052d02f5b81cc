"""What is good enough: the bars of the matrix, each with the cells that it concerns.

Steady efficiency, throttles and the total are asked of cells that are `is_clean`: elsewhere the limit moves, is shared,
or is told falsely, and the figures are told without a bar.  Convergence is asked for limits from 10 to 1,000 a second.
The total of a sliding log has a lower bar: what it admits at once at the start counts for a whole window.

Not here: the figures (`measure`), and what is done with a miss (`matrix`, the short matrix in tests).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .cells import Cell
from .measure import Figures

STEADY, THROTTLED, TOTAL, TOTAL_OF_LOGS = 0.97, 0.01, 0.95, 0.90
CONVERGED_S, CONVERGED_TRIPS, REMEMBERED_S = 2.0, 20, 1.0
P95, DROPPED, RAISED_S, RAISED_TENFOLD_S, JAIN, FLOOR = 1.6, 0.04, 3.0, 10.0, 0.95, 1.0
IN_20_S, IN_20_S_DROP, IN_300_S, IN_HOUR, THROTTLED_20_S = 0.90, 0.80, 0.96, 0.985, 0.02
NEARLY = 1e-9


@dataclass(frozen=True, slots=True)
class Bar:
    """`of(cell)` is the bar for a cell, or None where it has none; `is_least` says which side of it is good."""

    key: str
    of: Callable[[Cell], float | None]
    is_least: bool = False

    def is_met(self, value: float, bar: float) -> bool:
        return value >= bar - NEARLY if self.is_least else value <= bar + NEARLY


def total(cell: Cell) -> float | None:
    if not cell.is_clean:
        return None
    return TOTAL_OF_LOGS if "log" in cell.name or "counter" in cell.name else TOTAL


def converged(cell: Cell) -> float | None:
    if not cell.is_clean or not 10 <= cell.limit_per_s <= 1_000:
        return None
    return REMEMBERED_S if cell.remembered else max(CONVERGED_S, CONVERGED_TRIPS * cell.timing.mean_s)


def raised(cell: Cell) -> float | None:
    if cell.raises_at is None:
        return None
    before = next(rate for since, rate in reversed(cell.changes) if since < cell.raises_at)
    return RAISED_TENFOLD_S if cell.raised_to >= 10 * before else RAISED_S


def in_20_s(cell: Cell) -> float:
    return IN_20_S_DROP if cell.changes else IN_20_S


BARS = (
    Bar("steady", lambda cell: STEADY if cell.is_clean else None, is_least=True),
    Bar("throttled", lambda cell: THROTTLED if cell.is_clean else None),
    Bar("total", total, is_least=True),
    Bar("converged_s", converged),
    Bar("p95_ratio", lambda cell: P95 if cell.queue and cell.is_clean else None),
    Bar("dropped", lambda cell: DROPPED if cell.drops_at is not None else None),
    Bar("raised_s", raised),
    Bar("jain", lambda cell: JAIN if cell.clients > 1 else None, is_least=True),
    Bar("floor", lambda cell: FLOOR if cell.min_rate else None, is_least=True),
    Bar("in_20_s", in_20_s, is_least=True),
    Bar("throttled_20_s", lambda cell: THROTTLED_20_S),
    Bar("in_300_s", lambda cell: IN_300_S, is_least=True),
    Bar("in_hour", lambda cell: IN_HOUR, is_least=True),
    Bar("too_early", lambda cell: 0),
)


def misses(cell: Cell, figures: Figures) -> Iterator[str]:
    """The keys of the bars that one run misses."""
    for bar in BARS:
        wanted, value = bar.of(cell), getattr(figures, bar.key)
        if wanted is not None and value is not None and not bar.is_met(value, wanted):
            yield bar.key


def distance(cell: Cell, figures: Figures) -> float:
    """How far a run is from full speed without throttles: what is lost of the limit, and throttles once more."""
    return max(0.0, 1 - figures.steady) + figures.throttled
