"""The numbers of all writers that share an observer: those that are open, and what the others counted.

A service may open one writer after another, or several at once, and monitoring wants one set of numbers that only grow.
So the counts of an ended writer are kept.  What stands at this moment comes from the open writers alone.  While none is
open, the rows, doubts and quotas that the last one left are told: that is what an operator looks for after a run.

Invariant: a reader in another thread sees one state, never half of a change.  The state is one tuple, replaced whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from ..events import Closed, Event, Observer, Opened
from ..metrics import Metrics
from .sentences import name

ReadMetrics = Callable[[], Metrics]
NOTHING: Final = Metrics()
LEFT: Final = ("rows", "doubts", "oldest_doubt_s", "quota_left")
"""What an ended writer leaves."""
TRIES: Final = 3
"""A table that grows while another thread copies it makes the copy fail; it grows seldom."""


class Known(NamedTuple):
    """The open writers, the counts of the others, and what the last of those left."""

    open: tuple[ReadMetrics, ...] = ()
    counted: Metrics = NOTHING
    left: Metrics = NOTHING


class WriterSums:
    """Numbers over writers.  `for_writer` makes the observer of one of them."""

    def __init__(self) -> None:
        self._known = Known()
        self.events: dict[str, int] = {}
        """Events by name."""

    def for_writer(self) -> Observer:
        return OneWriter(self)

    def read(self) -> Metrics:
        """All numbers, at this moment, in any thread."""
        known = self._known
        if not known.open:
            return known.counted.plus(known.left)
        total = known.counted
        for read in known.open:
            total = total.plus(read_whole(read))
        return total

    def opened(self, read: ReadMetrics) -> None:
        self._known = self._known._replace(open=(*self._known.open, read))

    def ended(self, read: ReadMetrics) -> None:
        last, known = read().closed(), self._known
        left = replace(NOTHING, **{field: getattr(last, field) for field in LEFT})
        others = tuple(other for other in known.open if other is not read)
        self._known = Known(others, known.counted.plus(last.counts()), left)


class OneWriter:
    """The observer of one writer: it counts events, and knows when the writer is open."""

    wants_metrics = True

    def __init__(self, totals: WriterSums) -> None:
        self._totals = totals
        self._read: ReadMetrics | None = None

    def __call__(self, event: Event) -> None:
        events, word = self._totals.events, name(event)
        events[word] = events.get(word, 0) + 1
        if isinstance(event, Opened) and event.metrics:
            self._read = event.metrics
            self._totals.opened(self._read)
        elif isinstance(event, Closed) and self._read:
            self._totals.ended(self._read)
            self._read = None


def read_whole(read: ReadMetrics) -> Metrics:
    """Read, and once more if a table changed meanwhile."""
    for _ in range(TRIES - 1):
        try:
            return read()
        except RuntimeError:  # "dictionary changed size during iteration"
            continue
    return read()
