"""Records that a list must show if it is as new as it seems.  Pure.

What is not in a list is absent only if the list is not an old one.  A record which the run had made more than the
longest lag of lists before a look began must be in it: that record is the look's witness.

    noted, a few times in a lag     ... | 12 s: record 700 | 13 s: record 740 | 15 s: record 790
    a look begins at 18 s, lag 5 s      its witness is 740

Invariant: times rise, and but for one all that is kept is younger than a lag.  Ids must rise as records are made; who
knows that they do not notes 0.
"""

from __future__ import annotations

from collections import deque
from typing import Final

NOTES_PER_LAG: Final = 4


class Witnesses:
    """`note` what was made by now, ask `at` a time for the witness of a look that begins then."""

    def __init__(self, lag_s: float) -> None:
        self._lag_s = lag_s
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, now: float, record_id: int) -> None:
        """The highest id of a record that the run has made by `now`.  What no later look can ask for is forgotten."""
        noted = self._noted
        if not noted or now >= noted[-1][0] + self._lag_s / NOTES_PER_LAG:
            noted.append((now, record_id))
        while len(noted) > 1 and noted[1][0] <= now - self._lag_s:
            noted.popleft()

    def at(self, began_at: float) -> int:
        """A record that a list begun then shows, if it is as new as it seems; 0: none is known."""
        return max((record_id for at, record_id in self._noted if at <= began_at - self._lag_s), default=0)
