"""How many requests the server's window takes, and how long the last so many took: what a log allows, exactly.

Between two refusals a log gives back what was sent one window ago, with every gap and every rush of then.  Measured so
its rate is off by a third and more; each wrong rate makes the next gap; and a surge that meets a gap finds no refusal,
triples each round trip and fills it at once, so that the gap comes back with each window.  But whenever a log refuses
it holds exactly the last `requests` that it took.  So these divided by the time since the first of them are its rate,
however they were spread and however long the window is; a pace so measured leaves no gap behind.

    requests   taken from the first request, or from the end of a hold, until a throttle that begins a hold of at least
               `HOLD_SHARE` of the whole time.  The first time may have met two windows: the least of them counts, but
               none that is less than half of the first
    length_s   the longest of those times, hold and all: a surge has so long to show what it does
    marks      when how many had been taken: at throttles, at ends of holds, and every 1/`STEPS` of a window between

Measured is over `USED` of the requests: one more or less must not reach back into the hold before.  A window that is
fixed refuses only when it is used up, and then this is what was taken since it began.

Invariants: marks are in order; nothing is measured across a time in which few pairs came.  0 means not known.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from .recent import Mark

HOLD_SHARE: Final = 0.15
HOLD_SHARE_FIRST: Final = 0.3  # one of eight clients of a bucket sees a fifth by chance
COUNTED: Final = 30  # requests; fewer are a trickle and no window
SHORTER: Final = 3.0  # a hold of a third is another limit's, met within the window
USED: Final = 0.95
STEPS: Final = 32
KEPT: Final = 256


class Window:
    """The window of a server that has one."""

    __slots__ = ("_first", "_holds", "_is_whole", "_marks", "length_s", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.length_s = 0.0
        self._first = 0  # what `requests` was at first
        self._marks: deque[Mark] = deque(maxlen=KEPT)
        self._holds: list[tuple[Mark, float]] = [(Mark(0.0, 0), math.inf)]  # their ends, each longer than the next one
        self._is_whole = True  # counted from a beginning: the first request, or the end of a hold

    def forget(self) -> None:
        """The limit is another."""
        self.requests, self.length_s = 0, 0.0

    def begin(self, mark: Mark) -> None:
        """Count from here: before, few pairs came, or none."""
        self._is_whole = mark.taken == 0
        self._holds = [(mark, math.inf)]
        self._start(mark)

    def since(self, mark: Mark, held_s: float) -> Mark:
        """A hold of `held_s` ended at `mark`.  Returns the end of the last one that was no shorter, by and large."""
        while SHORTER * self._holds[-1][1] < held_s:
            self._holds.pop()
        since, _ = self._holds[-1]
        self._holds.append((mark, held_s))
        return since

    def note(self, mark: Mark) -> None:
        """A throttle, or the end of a hold."""
        if not self._marks or mark.at > self._marks[-1].at:
            self._marks.append(mark)

    def passed(self, mark: Mark) -> None:
        """A round trip went well."""
        if self.requests and mark.taken - self._marks[-1].taken >= self.requests / STEPS:
            self._marks.append(mark)

    def held(self, mark: Mark, taken: int, span_s: float, held_s: float) -> None:
        """A hold of `held_s` ended at `mark`; so many were taken in `span_s`, since the end of the one before."""
        is_whole, self._is_whole = self._is_whole, True
        share = HOLD_SHARE if self.requests else HOLD_SHARE_FIRST
        if not is_whole or taken < COUNTED or held_s < share * span_s:
            return
        if not self.requests:
            self.requests = self._first = taken
            self._start(mark)
        if taken >= self._first / 2:
            self.requests = min(self.requests, taken)
        self.length_s = max(self.length_s, span_s)

    def rate(self, mark: Mark) -> float:
        """Taken a second in the window that ends at `mark`."""
        if not self.requests:
            return 0.0
        count, after = USED * self.requests, mark
        for one in reversed(self._marks):
            if one.at < mark.at and mark.taken - one.taken > count:
                share = (mark.taken - count - one.taken) / (after.taken - one.taken)  # of the time between the two
                return count / (mark.at - one.at - share * (after.at - one.at))
            after = min(after, one)
        return 0.0

    def check(self) -> None:
        assert len(self._marks) < 2 or self._marks[-2].at <= self._marks[-1].at
        assert self._first / 2 <= self.requests <= self._first or not self.requests

    def _start(self, mark: Mark) -> None:
        self._marks.clear()
        self._marks.append(mark)
