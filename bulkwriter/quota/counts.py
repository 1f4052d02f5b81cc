"""How many requests ended when: what every window, short or long, is counted from.

A request that is on its way, or that a lease still allows, counts at the latest time at which it can end.  So whoever
dies need not be asked: its requests are over when that time is.

Pure, without a clock and without a unit: whoever adds rounds times up, so that there are few of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class EndCounts:
    """EndCounts by the time of the end, in order."""

    __slots__ = ("_counts", "_times")

    def __init__(self) -> None:
        self._times: list[float] = []
        self._counts: list[int] = []

    def copy(self) -> EndCounts:
        other = EndCounts()
        other._times, other._counts = list(self._times), list(self._counts)
        return other

    def add(self, at: float, count: int) -> None:
        """So many more, or fewer."""
        place = bisect_left(self._times, at)
        if place == len(self._times) or self._times[place] != at:
            self._times.insert(place, at)
            self._counts.insert(place, 0)
        self._counts[place] += count

    def after(self, at: float) -> int:
        """How many ended later than `at`."""
        return sum(self._counts[bisect_right(self._times, at) :])

    def rows(self, after: float = float("-inf")) -> list[tuple[float, int]]:
        """Times later than `after`, and how many ended then."""
        first = bisect_right(self._times, after)
        return [row for row in zip(self._times[first:], self._counts[first:], strict=True) if row[1]]

    def forget(self, until: float) -> None:
        """Drop what ended by then."""
        old = bisect_right(self._times, until)
        del self._times[:old], self._counts[:old]
