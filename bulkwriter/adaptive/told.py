"""A number for people only: how many throttles came in the last ten minutes.

They are counted by slots of `SLOT_S`, so that a bad hour needs little memory.  A count is exact to one slot.  Every
throttle counts, even if it ended no epoch.

Invariant: slots are in order.  No decision depends on them.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LATELY_S: Final = 600.0
SLOT_S: Final = 10.0


class Told:
    """The throttle counts of one controller."""

    __slots__ = ("_throttles",)

    def __init__(self) -> None:
        self._throttles: deque[list[int]] = deque(maxlen=round(LATELY_S / SLOT_S))  # slot, count

    def throttled(self, now: float) -> None:
        slot = int(now / SLOT_S)
        if not self._throttles or self._throttles[-1][0] != slot:
            self._throttles.append([slot, 0])
        self._throttles[-1][1] += 1

    def throttles(self, now: float) -> int:
        """How many came lately."""
        return sum(count for slot, count in self._throttles if slot > (now - LATELY_S) / SLOT_S - 1)
