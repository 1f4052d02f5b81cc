"""The counters of a run that somebody measures: `Stats`, and more that costs a little for each pair.

    WaitCounts       waits in fixed buckets, all pairs of a turn of the loop at once
    SummedHistogram  latencies with their sum; their fixed buckets are groups of the histogram's own
    MeasuredStats    outcomes, statuses and reasons beside what `Stats` counts; a sample of durations

A run that nobody measures has plain `Stats` and none of this.  Nothing is done for one pair: rows are counted a commit
at a time, in two passes in C.  By the shortest of many short loops of each part, on and off, it costs 0.08 µs a pair
where 20 are sent in a turn of the loop, and 0.16 with 5.  Where each comes alone it was 0.59; a single row and a chunk
of one pair have ways of their own since, which take 0.57 times as much.

Invariants: counts only grow.  Labels that a server chooses are bounded (`metrics.add_bounded`).  Pure.  Not here: the
places where a run counts (`run.measured`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import orjson

from ..metrics import LATENCY_S, OTHER_LABEL, WAITING_S, Distribution, add_bounded
from ..model import State
from ..rows import SettleRow
from .stats import LONGEST_S, SHORTEST_S, Histogram, Stats, place_of

SAMPLES: Final = 5
"""Durations of each kind in one sample."""
SAMPLE_S: Final = 0.25
"""Shortest time between two samples, so that they have at most 20 durations of a kind a second."""
STATE_OF: Final = itemgetter(1)
STATUS_OF: Final = itemgetter(4)
CREATED, REJECTED = int(State.CREATED), int(State.REJECTED)
SETTLED_WORDS: Final = {
    int(state): state.word
    for state in (State.CREATED, State.EXISTING, State.REJECTED, State.FAILED, State.INVALID, State.DUPLICATE)
}
OK: Final = "200"
CREATED_WORD: Final = SETTLED_WORDS[CREATED]
PROPERTY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
"""The name of a property of the API.  Anything else in its place is the server's text, and no label."""
NONE_NAMED: Final = "none"


class WaitCounts:
    """Waits in fixed buckets."""

    __slots__ = ("_counts", "_total_s", "recent")

    def __init__(self) -> None:
        self._counts = [0] * (len(WAITING_S) + 1)
        self._total_s = 0.0
        self.recent: deque[float] = deque(maxlen=SAMPLES)

    def add(self, wait_s: float, count: int) -> None:
        """`count` pairs waited for so long."""
        self._counts[bisect_left(WAITING_S, wait_s)] += count
        self._total_s += wait_s * count
        self.recent.append(wait_s)

    def read(self) -> Distribution:
        """All waits so far; another thread may call it."""
        return Distribution(WAITING_S, tuple(self._counts), self._total_s)


class SummedHistogram(Histogram):
    """A histogram that knows the sum of its latencies, and the last few of them: one of each group that is recorded."""

    __slots__ = ("_total_s", "recent")

    def __init__(self) -> None:
        super().__init__()
        self._total_s = 0.0
        self.recent: deque[float] = deque(maxlen=SAMPLES)

    def record(self, latency_s: float, count: int = 1) -> None:
        self._total_s += latency_s * count
        self.recent.append(latency_s)
        self._counts[place_of(min(LONGEST_S, max(SHORTEST_S, latency_s)))] += count  # as `super`, without the call

    def read(self) -> Distribution:
        """All latencies so far; another thread may call it."""
        return Distribution(LATENCY_S, self.below(LATENCY_S), self._total_s)


class MeasuredStats(Stats):
    """The counters of a run that somebody measures."""

    __slots__ = ("_sampled_at", "freed", "outcomes", "rejections", "waits")

    latency: SummedHistogram

    def __init__(self, started_at: float) -> None:
        super().__init__(started_at)
        self.latency = SummedHistogram()
        self.waits = WaitCounts()
        self.outcomes: dict[str, int] = dict.fromkeys(SETTLED_WORDS.values(), 0)
        self.rejections: dict[str, int] = {}
        self.freed = 0
        """Pairs that are sent again since looks saw no record of them."""
        self._sampled_at = started_at

    def note_freed(self) -> None:
        """A pair that was in doubt is sent again."""
        self.freed += 1

    def settled(self, rows: Sequence[SettleRow]) -> None:
        """These rows are durable."""
        if len(rows) == 1 and rows[0][1] == CREATED:  # a third of what the passes would take
            self._created(rows[0][4], 1)
            return
        states, statuses = [*map(STATE_OF, rows)], set(map(STATUS_OF, rows))
        if len(statuses) == 1 and states.count(CREATED) == len(rows):  # nearly always
            self._created(statuses.pop(), len(rows))
            return
        for state, row in zip(states, rows, strict=True):
            if state == CREATED:
                self._created(row[4], 1)
            elif word := SETTLED_WORDS.get(state):
                self.outcomes[word] += 1
                if state == REJECTED:
                    add_bounded(self.rejections, property_of(row[5]))

    def _created(self, status: int | None, count: int) -> None:
        self.outcomes[CREATED_WORD] += count
        if status == 200 and OK in self.responses:  # nearly always
            self.responses[OK] += count
        elif status is not None:  # else a look found the record
            add_bounded(self.responses, str(status), count)

    def settled_at_once(self, state: int) -> None:
        """A row that is no pair, or repeats another one, is durable."""
        self.outcomes[SETTLED_WORDS[state]] += 1

    def sample(self, now: float) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Some of the latencies and waits since the last sample; None if that was just now or there are none."""
        latencies, waits = self.latency.recent, self.waits.recent
        if now < self._sampled_at + SAMPLE_S or not (latencies or waits):
            return None
        found = tuple(latencies), tuple(waits)
        latencies.clear()
        waits.clear()
        self._sampled_at = now
        return found


def property_of(detail: str | None) -> str:
    """The property that a rejection names first, as a label."""
    return property_in(orjson.loads(detail).get("errors") if detail else None)


def property_in(errors: Sequence[Sequence[str]] | None) -> str:
    """The property that the first of these errors names, as a label."""
    name = errors[0][0] if errors else ""
    if not name:
        return NONE_NAMED
    return name if PROPERTY.fullmatch(name) else OTHER_LABEL
