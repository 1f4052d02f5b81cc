"""The least rate that the user wants beside impolite neighbours (`--min-rate`), counted in requests that are *taken*.

While fewer are taken than that, a refused request is made up for by another at once, outside the pace.  So that a
server that takes nothing is not stormed, each one taken allows `MADE_UP` such requests, and never more than
`MADE_UP_MAX` are allowed: with nine of ten refused the floor still holds, with none taken it ends after a hundred.

Invariant: 0 <= owed.  Without a floor (0) nothing of this happens.  A stated Retry-After stands above it.
"""

from __future__ import annotations

from typing import Final

MADE_UP: Final = 20
MADE_UP_MAX: Final = 100
NEAR: Final = 1.1  # of the floor is taken now: enough


class Floor:
    """`owed` requests may go at once, whatever the pace says."""

    __slots__ = ("_allowed", "owed", "per_s")

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self.owed = 0
        self._allowed = MADE_UP_MAX

    def in_flight(self, round_trip_s: float, most: int) -> float:
        """How many must be allowed in flight for it: twice what it needs on average."""
        return min(float(most), 1.0 + 2 * self.per_s * round_trip_s)

    def taken(self) -> None:
        self._allowed = min(MADE_UP_MAX, self._allowed + MADE_UP)

    def refused(self, taken_per_s: float) -> None:
        """One request was refused while so many a second are taken."""
        if self._allowed and taken_per_s < NEAR * self.per_s:
            self._allowed -= 1
            self.owed += 1

    def check(self) -> None:
        assert self.owed >= 0
        assert 0 <= self._allowed <= MADE_UP_MAX
