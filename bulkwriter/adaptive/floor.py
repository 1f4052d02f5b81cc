"""The user's minimum rate beside greedy neighbours (`--min-rate`), counted in requests that the server *takes*.

    debt     grows by `AHEAD` · floor each second, falls by 1 with each request that is taken; no more than `DEBT_S` of
             it is kept, either way, and a quiet of more than `QUIET_S` makes none
    owed     while the debt is 1 or more, requests go outside the pace as well
    gap      between those: share taken / (`AIM` · floor); not at once, for where neighbours take whatever is free the
             very next one is refused again

A server that takes nothing must not be stormed.  So each request that was taken allows `MADE_UP` such requests, up to
`MADE_UP_MAX`: if nine of ten are refused, the floor still holds; if none is taken, it ends after a hundred.

Invariant: the number of allowed requests is never negative.  A stated Retry-After overrides the floor.
"""

from __future__ import annotations

from typing import Final

MADE_UP: Final = 30
MADE_UP_MAX: Final = 100
DEBT_S: Final = 2.0
QUIET_S: Final = 0.5
AHEAD: Final = 1.02  # the floor is kept in any time of 200 requests
AIM: Final = 1.5
WEIGHT: Final = 64
CATCH_UP_S: Final = 0.004  # as in `pace`


class Floor:
    """While `owed`, requests may go from `next_at` on, whatever the pace says."""

    __slots__ = ("_allowed", "_at", "_debt", "_share", "next_at", "owed", "per_s")

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self.owed = False
        self.next_at = 0.0
        self._allowed = MADE_UP_MAX
        self._at = 0.0
        self._debt = 0.0
        self._share = 1.0

    def in_flight(self, round_trip_s: float, most: int) -> float:
        """How many must be allowed in flight for it: twice what it needs on average."""
        return min(float(most), 1.0 + 2 * self.per_s * round_trip_s / self._share)

    def sent(self, now: float) -> None:
        """One that was owed went."""
        self.next_at = max(self.next_at, now - CATCH_UP_S) + self._share / (AIM * self.per_s)
        self._allowed -= 1
        self.owed = self._allowed > 0

    def taken(self, now: float) -> None:
        self._allowed = min(MADE_UP_MAX, self._allowed + MADE_UP)
        self._share += (1.0 - self._share) / WEIGHT
        self._settle(now, 1.0)

    def refused(self, now: float) -> None:
        self._share = max(1.0 / MADE_UP, self._share * (1.0 - 1.0 / WEIGHT))
        self._settle(now, 0.0)

    def _settle(self, now: float, paid: float) -> None:
        most = DEBT_S * self.per_s + 1.0
        debt = self._debt + min(now - self._at, QUIET_S) * AHEAD * self.per_s - paid
        self._debt, self._at = max(-most, min(most, debt)), now
        self.owed = self._debt >= 1.0 and self._allowed > 0

    def check(self) -> None:
        assert 0 <= self._allowed <= MADE_UP_MAX
        assert 0.0 < self._share <= 1.0
