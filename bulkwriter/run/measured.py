"""Where a run is measured, if somebody measures it, and its numbers at any moment.

A run that nobody measures is made of plain parts, and pays nothing.  A measured one has these in their place:

    MeasuredStats (core)   counts outcomes, statuses and reasons of each committed group, and durations in buckets
    TimedPairs             notes how long each pair waited from its durable intent to its request
    CountedDeliveries      passes each committed group to the counters

`metrics_of` only reads.  It may be called by another thread, such as that of a metrics server: it changes nothing, and
a count may be as old as the last commit.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..core.measured import MeasuredStats
from ..core.pairs import Pairs
from ..core.stats import Stats
from ..events import Sampled
from ..metrics import NO_LATENCIES, NO_WAITS, Metrics
from ..model import Counts, Intent, State, VerdictKind
from ..quota.view import left_of, short_left_of
from ..rows import AppendRow, SettleRow
from .delivery import Deliveries
from .run_loop import RunLoop

if TYPE_CHECKING:
    from .engine import Engine

RETRIED: Final = (VerdictKind.THROTTLED, VerdictKind.UNSENT, VerdictKind.UNAUTHORIZED)
"""Verdicts after which the pair goes back to the head of the queue."""


class TimedPairs(Pairs):
    """Pairs that note how long they waited to be sent for the first time.

    Intents become ready a chunk at a time, at the end of the queue, and are sent from its head.  So a chunk has one
    time, and after each turn of the loop the number of pairs that left the queue tells how many of which chunk were
    sent.  Pairs that come back go to the head.  They leave first, and are not timed again.
    """

    def __init__(self, stats: MeasuredStats, **bounds: Any) -> None:
        super().__init__(**bounds)
        self._stats = stats
        self._waits = stats.waits.add
        self._chunks: deque[tuple[float, int]] = deque()  # when they became ready, and how many are left
        self._ready_at, self._left = 0.0, 0  # the same of the chunk at the head, which is none of `_chunks`
        self._length = 0  # of the ready queue, after the last turn, and with what came since
        self._again = 0  # pairs at the head that came back

    def added(self, intents: Iterable[Intent], now: float) -> None:
        before = len(self.ready)
        super().added(intents, now)
        if count := len(self.ready) - before:
            if self._left or self._chunks:
                self._chunks.append((now, count))
            else:
                self._ready_at, self._left = now, count
            self._length += count

    def back(self, intent: Intent, now: float) -> None:
        before = len(self.ready)
        super().back(intent, now)
        self._came_back(len(self.ready) - before)

    def freed(self) -> None:
        super().freed()
        self._came_back(1)
        self._stats.note_freed()

    def turned(self, now: float) -> None:
        """Count the waits of all pairs that left the queue since the last turn."""
        length = len(self.ready)
        sent, self._length = self._length - length, length
        if not self._left and self._chunks:
            self._ready_at, self._left = self._chunks.popleft()
        if 0 < sent <= self._left and not self._again:  # nearly always
            self._left -= sent
            self._waits(now - self._ready_at, sent)
            return
        if again := min(sent, self._again):
            self._again -= again
            sent -= again
        while sent > 0 and (self._left or self._chunks):
            if not self._left:
                self._ready_at, self._left = self._chunks.popleft()
            count = min(sent, self._left)
            self._left -= count
            self._waits(now - self._ready_at, count)
            sent -= count

    def _came_back(self, count: int) -> None:
        self._length += count
        self._again += count

    def _take_out(self, seqs: Collection[int]) -> None:
        """Pairs are taken from the middle of the queue.  Nobody knows of which chunk, so what is left is not timed."""
        super()._take_out(seqs)
        self._chunks.clear()
        self._left = 0
        self._length = self._again = len(self.ready)


class CountedDeliveries(Deliveries):
    """Deliveries that pass each committed group to the counters."""

    def __init__(self, run: RunLoop, stats: MeasuredStats) -> None:
        super().__init__(run)
        self._stats, self._settled = stats, stats.settled

    def deliver(self, intents: list[Intent], rows: list[SettleRow]) -> None:
        self._settled(rows)
        super().deliver(intents, rows)

    def deliver_row(self, row: AppendRow) -> None:
        self._stats.settled_at_once(row[4])
        super().deliver_row(row)


def stats_for(now: float, *, is_measured: bool) -> Stats:
    """The counters of a run that begins now."""
    return MeasuredStats(now) if is_measured else Stats(now)


def pairs_for(stats: Stats, **bounds: Any) -> Pairs:
    """The pairs of a run, timed where the run is measured."""
    return TimedPairs(stats, **bounds) if isinstance(stats, MeasuredStats) else Pairs(**bounds)


def deliveries_for(run: RunLoop, stats: Stats) -> Deliveries:
    """The deliveries of a run, counted where the run is measured."""
    return CountedDeliveries(run, stats) if isinstance(stats, MeasuredStats) else Deliveries(run)


def sample_of(stats: Stats, now: float) -> Sampled | None:
    """Some durations of a measured run, if it is time for them."""
    found = stats.sample(now) if isinstance(stats, MeasuredStats) else None
    return Sampled(*found) if found else None


def metrics_of(engine: Engine, is_well: Callable[[], bool]) -> Metrics:
    """The run in numbers, at this moment."""
    stats, pairs, admission = engine.sender.stats, engine.pairs, engine.admission
    measured = stats if isinstance(stats, MeasuredStats) else None
    now = engine.ports.clock()
    kinds = {kind.name.lower(): count for kind, count in stats.by_kind().items()}
    ended_at = [doubt.ended_at for doubt in pairs.doubts if not doubt.is_refused]
    return Metrics(
        attempts=stats.attempts,
        exchanges=kinds,
        responses=dict(stats.responses),
        faults={fault.name.lower(): count for fault, count in stats.faults.copy().items()},
        outcomes=dict(measured.outcomes) if measured else {},
        rejections=dict(measured.rejections) if measured else {},
        retries={
            **{kind.name.lower(): kinds[kind.name.lower()] for kind in RETRIED},
            "not_applied": measured.freed if measured else 0,
        },
        latency=measured.latency.read() if measured else NO_LATENCIES,
        waiting=measured.waits.read() if measured else NO_WAITS,
        writers=1,
        writers_well=int(is_well()),
        in_flight=len(pairs.in_flight),
        in_flight_limit=admission.limit(),
        allowed_per_s=allowed_per_s(engine),
        ready=len(pairs.ready),
        outstanding=engine.committer.entrance.outstanding,
        doubts=len(ended_at),
        oldest_doubt_s=max(0.0, now - min(ended_at)) if ended_at else 0.0,
        quota_left=left_of(admission.quotas) if admission.quotas else {},
        short_quota_left=short_left_of(admission.quotas) if admission.quotas else {},
        rows=rows_of(engine.ports.store.counts),
    )


def allowed_per_s(engine: Engine) -> float | None:
    """Requests a second that pace and ceiling allow; None where neither limits them."""
    control, ceiling = engine.admission.control, engine.admission.ceiling
    rate = min(control.allowed_per_s, ceiling.rate_per_s if ceiling else math.inf)
    return rate if rate < math.inf else None


def rows_of(by_state: Mapping[State, int]) -> dict[str, int]:
    """Rows of the journal by the words of `--json`.  An intent is `pending` while its process lives."""
    counts = Counter(by_state)
    counts[State.PENDING] += counts.pop(State.INTENT, 0)
    return {word: count for word, count in Counts.of(counts).to_json().items() if word != "pairs"}
