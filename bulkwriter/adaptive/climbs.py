"""How long a climb from below the limit to `top` lasts.  After it the surges begin, and the next throttle comes.

    at least    `MIN_S`, `TRIPS` round trips, and `COUNTED` requests, or nothing is measured
    wanted      `REQUESTS` for each throttle that an epoch costs, so that about 0.75 % are throttled; after stated
                pauses `COST` times what the last one cost
    unsure      less than wanted while trust is low, for a limit hardly known is worth a throttle: trust · `UNSURE_S`
    dear        where throttles cost a stated pause and the limit was not measured twice, the climb is straight, and
                doubles the rate in `DEAR_S`: so slow that most of a second is spent near the limit before it is
                crossed and the burst used

Invariant: an epoch costs at least one throttle.
"""

from __future__ import annotations

from typing import Final

MIN_S: Final = 2.4  # a doubled limit must be found within about 3 s
TRIPS: Final = 4.0
COUNTED: Final = 15.0
REQUESTS: Final = 135.0
COST: Final = 200.0  # pauses take half a percent of the time then
UNSURE_S: Final = 2.0
DEAR_S: Final = 1.0
DEAR_TRIPS: Final = 8.0
DEAR_TRUST: Final = 2.0


class Climbs:
    """Told of throttles, and of what a stated pause cost."""

    __slots__ = ("_accounted", "_pending", "_throttles", "cost_s")

    def __init__(self) -> None:
        self.cost_s = 0.0
        """What the last stated pause cost."""
        self._throttles = 1.0  # that an epoch costs
        self._accounted = self._pending = 0

    def account(self, refused: int, *, is_whole: bool) -> None:
        """A climb ended with so many throttles since the start; `is_whole` unless it was cut short by the next one."""
        spent, self._accounted = refused - self._accounted + self._pending, refused
        self._pending = 0 if is_whole else spent
        if is_whole:
            self._throttles = max(1.0, (self._throttles + spent) / 2)

    def span_s(self, top: float, *, trust: float, round_trip_s: float) -> float:
        wanted, counted_s = max(REQUESTS * self._throttles / top, COST * self.cost_s), COUNTED / top
        unsure = trust * max(UNSURE_S, counted_s)
        return max(MIN_S, counted_s, TRIPS * round_trip_s, min(unsure, wanted))

    def dear_s(self, rate: float, top: float, *, trust: float, round_trip_s: float) -> float:
        """How long to climb straight from `rate`; 0 if throttles are not dear."""
        is_dear = self.cost_s > 0 and trust < DEAR_TRUST
        return (top / rate - 1) * max(DEAR_S, DEAR_TRIPS * round_trip_s) if is_dear else 0.0

    def check(self) -> None:
        assert self._throttles >= 1.0
        assert self.cost_s >= 0.0
