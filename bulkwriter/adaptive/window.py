"""Measures the server's window: how many requests it takes, and how long it is.

A log of requests that refuses holds exactly the last `requests` that it took.  It has room again when the *first* of
these is as old as the window is long.  A fixed window refuses when that many were taken since it began, and ends a
window's length after its begin.  So both are measured, and their holds foretold, from the first of the last `requests`
on, however these were spread.

    requests   taken from the first request, or from the end of a hold, until a throttle that begins a hold of at least
               `HOLD_SHARE` of the whole time.  The first time may have met two windows: where it holds one usual length
               that is no shorter than the hold, what went in that time counts.  Later the least counts, but none that
               is less than half of the first; and no more than went in a usual length before a throttle
    bounds     of the length: the last canary that was refused, and the first that was taken, were so long after the
               first of the last `requests`.  The beginning of a fixed window is itself known no better than the end of
               the hold before.  A hold that contradicts the bounds replaces them where it is longer
    length_s   where one length that people choose (`USUAL_S`) is within the bounds, and no other, it is that one, and
               the limit is known exactly
    marks      when how many had been taken: at throttles, at ends of holds, and every 1/`STEPS` of a window between

Invariants: marks are in order; nothing is measured across a time in which few pairs came.  0 means not known.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from .recent import Mark

HOLD_SHARE: Final = 0.15
HOLD_SHARE_FIRST: Final = 0.25  # one of eight clients of a bucket sees a fifth by chance
COUNTED: Final = 15  # requests; fewer are a trickle and no window
SHORTER: Final = 3.0  # a hold of a third is another limit's, met within the window
USED: Final = 0.95  # of the requests tell the rate: one more or less must not reach back into the hold before
MOST: Final = 0.75  # of a start, which grows, is in the last window; or it began before, and is longer
STEPS: Final = 32
KEPT: Final = 256
USUAL_S: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600)
USUAL_OFF: Final = 0.01  # clocks and networks are not exact


class Window:
    """The window of a server that has one."""

    def __init__(self) -> None:
        self.requests = 0
        self.shortest_s = self.longest_s = 0.0
        self._first = 0  # what `requests` was at first
        self._marks: deque[Mark] = deque(maxlen=KEPT)
        self._holds: list[tuple[Mark, float]] = [(Mark(0.0, 0), math.inf)]  # their ends, each longer than the next one
        self._start_unsure_s = 0.0  # the last hold may have ended so long before its end was noticed
        self._is_whole = True  # counted from a beginning: the first request, or the end of a hold

    @property
    def length_s(self) -> float:
        """The likeliest length, 0 if there is no window."""
        return self.usual_s or math.sqrt(self.shortest_s * self.longest_s)

    @property
    def usual_s(self) -> float:
        """The one usual length within the bounds, or 0."""
        usual = [s for s in USUAL_S if self.shortest_s * (1 - USUAL_OFF) <= s <= self.longest_s * (1 + USUAL_OFF)]
        return float(usual[0]) if len(usual) == 1 else 0.0

    @property
    def exact(self) -> float:
        """The limit, where the length is a usual one; else 0."""
        usual_s = self.usual_s
        return self.requests / usual_s if usual_s else 0.0

    def forget(self) -> None:
        """The limit is another."""
        self.requests, self.shortest_s, self.longest_s = 0, 0.0, 0.0

    def begin(self, mark: Mark) -> None:
        """Count from here: before, few pairs came, or none."""
        self._is_whole = mark.taken == 0
        self._holds = [(mark, math.inf)]
        self._start(mark)

    def since(self, mark: Mark, held_s: float) -> Mark:
        """A hold of `held_s` ended at `mark`.  Returns the end of the last hold of about that length or longer."""
        while SHORTER * self._holds[-1][1] < held_s:
            self._holds.pop()
        since, _ = self._holds[-1]
        self._holds.append((mark, held_s))
        return since

    def note(self, mark: Mark) -> None:
        """A throttle, or the end of a hold."""
        if not self._marks or mark.at > self._marks[-1].at:
            self._marks.append(mark)

    def refused(self, mark: Mark) -> None:
        """A throttle: as many as a window allows went within its length before."""
        while self._marks and self._marks[-1].at >= mark.at:
            self._marks.pop()  # it counts requests as taken that are refused with this one
        self.note(mark)
        if self.usual_s and (since := self._before(mark, self.usual_s)) is not None:
            taken = mark.taken - since
            if max(self._first / 2, USED * self.requests) <= taken < self.requests:
                self.requests = taken

    def passed(self, mark: Mark) -> None:
        """A round trip went well."""
        if self._marks and mark.taken - self._marks[-1].taken >= self.requests / STEPS:
            self._marks.append(mark)

    def held(self, mark: Mark, since: Mark, held_s: float, unsure_s: float) -> bool:
        """A hold ended at `mark`, or up to `unsure_s` earlier; the one before it ended at `since`.  Returns whether it
        was the window's, so that `requests` in `length_s` is the limit."""
        taken, span_s = mark.taken - since.taken, mark.at - since.at
        is_whole, self._is_whole = self._is_whole, True
        share = HOLD_SHARE if self.requests else HOLD_SHARE_FIRST
        is_long = is_whole and taken >= COUNTED and held_s >= share * span_s
        is_found = is_long and not self.requests
        if is_found:
            if since.taken == 0:
                taken, span_s = self._within(mark, taken, span_s, held_s, unsure_s)
            self._first = taken
            self._start(mark)
        if is_found or (is_long and self._first / 2 <= taken < self.requests):
            if is_found or taken < USED * self.requests:
                self.shortest_s, self.longest_s = span_s - unsure_s, span_s
            self.requests = taken
        is_found = is_found or (self.requests > 0 and self._bound(mark, unsure_s))
        if is_found and (first := self._first_at(mark)) is not None:
            earliest = first - self._start_unsure_s + (self.usual_s or self.shortest_s)
            unsure_s = max(0.0, min(unsure_s, mark.at - earliest))
        self._start_unsure_s = unsure_s
        return is_found

    def _within(self, mark: Mark, taken: int, span_s: float, held_s: float, unsure_s: float) -> tuple[int, float]:
        """The count and length of the first window, which may have begun after the first request: where one usual
        length alone is as long as the hold, and no longer than all, and few went before it, it is that one."""
        usual = [s for s in USUAL_S if max(held_s - unsure_s, 2 * unsure_s) <= s <= span_s]
        before = [one for one in self._marks if one.at <= mark.at - unsure_s - usual[0]] if len(usual) == 1 else []
        count = taken - before[-1].taken if before else 0
        return (count, float(usual[0])) if count > MOST * taken else (taken, span_s)

    def _before(self, mark: Mark, span_s: float) -> int | None:
        """How many had been taken so long before."""
        return next((one.taken for one in reversed(self._marks) if one.at <= mark.at - span_s), None)

    def _bound(self, mark: Mark, unsure_s: float) -> bool:
        first = self._first_at(mark)
        if first is None:
            return False
        shortest_s, longest_s = mark.at - unsure_s - first, mark.at - first + self._start_unsure_s
        if longest_s < self.shortest_s:
            return False  # it is not the window that refused
        if shortest_s > self.longest_s:
            self.shortest_s, self.longest_s = shortest_s, longest_s
        else:
            self.shortest_s, self.longest_s = max(self.shortest_s, shortest_s), min(self.longest_s, longest_s)
        return True

    def ends_at(self, mark: Mark) -> float:
        """When a hold that begins with a throttle at `mark` ends at the latest; where no window is known, when one of a
        usual length would that began with what is counted."""
        first = self._first_at(mark)
        if first is not None:
            return first + (self.usual_s or self.longest_s)
        since = self._holds[0][0].at
        return next((since + s for s in USUAL_S if since + s > mark.at), math.inf)

    def _first_at(self, mark: Mark) -> float | None:
        """When the first of the last `requests` before `mark` went."""
        if not self.requests:
            return None
        count, after = mark.taken - self.requests, mark
        for one in reversed(self._marks):
            if one.at < mark.at:
                if abs(one.taken - count) <= (1 - USED) * self.requests and one == self._holds[-1][0]:
                    return one.at
                if one.taken <= count:
                    share = (count - one.taken) / max(1, after.taken - one.taken)
                    return one.at + share * (after.at - one.at)
            after = min(after, one)
        return None

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
        assert 0.0 <= self.shortest_s <= self.longest_s

    def _start(self, mark: Mark) -> None:
        self._marks.clear()
        self._marks.append(mark)
