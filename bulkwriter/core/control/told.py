"""What only people are told: throttles of late, and how long the server's window is.

A window that is used up early refuses until it ends, a log until its oldest request is as old as the window.  So a hold
that was a good part of the time since the one before (`SHARE`) shows the window twice: from the end of one hold to the
end of the next is its length, of which the shortest of the last `KEPT` counts; and what was taken between them is all
that it allows, so that divided by the limit it is the length as well.  The first hold of a run shows only the latter,
since the run began anywhere in the window.  A run that stays just below the limit is held only at the very end of some
later window, which says nothing.  Nor does a short pause that was stated: buckets round up to a second or two.

    holds that ended at 10.1 s and 20.1 s, the second after 7 s: a window of 10 s
    1,000 taken before the first hold, a limit of 100/s measured later: a window of 10 s

Invariant: every length is positive; 0 means that none is known.  Nothing is decided by any of this.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

SHARE: Final = 0.15
KEPT: Final = 4
LATELY_S: Final = 600.0
STATED_LONG_S: Final = 3.5
SLOT_S: Final = 10.0  # throttles are counted by so much, or a bad hour would fill a memory


class Told:
    """Notes of one controller."""

    __slots__ = ("_at_once", "_ended_at", "_holds", "_lengths", "_taken", "_throttles")

    def __init__(self) -> None:
        self._ended_at = -math.inf
        self._at_once = self._taken = self._holds = 0
        self._lengths: deque[float] = deque(maxlen=KEPT)
        self._throttles: deque[list[int]] = deque(maxlen=round(LATELY_S / SLOT_S))  # slot, count

    def window_s(self, rate: float) -> float:
        """How long the server's window is where it allows `rate`; 0.0 while that is not known."""
        if self._lengths:
            return min(self._lengths)
        return self._at_once / rate if self._holds > 1 else 0.0

    def throttled(self, now: float) -> None:
        slot = int(now / SLOT_S)
        if not self._throttles or self._throttles[-1][0] != slot:
            self._throttles.append([slot, 0])
        self._throttles[-1][1] += 1

    def throttles(self, now: float) -> int:
        """How many came lately."""
        return sum(count for slot, count in self._throttles if slot > (now - LATELY_S) / SLOT_S - 1)

    def hold_ended(self, at: float, lasted_s: float, taken: int, *, is_stated: bool) -> None:
        """A long hold ended; `taken`: requests that the server took so far."""
        if is_stated and lasted_s < STATED_LONG_S:
            return
        since_s = at - self._ended_at
        if since_s == math.inf or SHARE * since_s <= lasted_s:
            self._at_once = taken - self._taken
            if since_s < math.inf:
                self._lengths.append(since_s)
        self._ended_at, self._taken = at, taken
        self._holds += 1

    def check(self) -> None:
        assert all(length_s > 0.0 for length_s in self._lengths)
