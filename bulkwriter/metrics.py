"""`Metrics`: a writer in plain numbers, as observers read them.

`Metrics` holds what was counted since the writer was opened, and how things stand at this moment.  Every value is a
number or a small table of numbers.  Keys are bounded: those that a server chooses (a status, the name of a property)
are at most `MOST_LABELS`, then "other".  A server's text is never among them.

Counts only grow.  A pair counts under its outcome when that is durable.  If a connection turns out to have answered out
of step, its pairs are looked up, and they count a second time when they settle again.

Pure.  Not here: who counts (`core.measured`), and under which names the numbers are shown (`observe.instruments`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

MOST_LABELS: Final = 20
"""Values of a label that somebody else chooses; a monitoring system keeps a series for each, for ever."""
OTHER_LABEL: Final = "other"
LATENCY_S: Final = (
    2**-10, 1.25 * 2**-9, 1.25 * 2**-8, 1.25 * 2**-7, 1.5625 * 2**-6, 1.59375 * 2**-5, 1.59375 * 2**-4,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0,
)  # fmt: skip
"""Bounds of the buckets for a request's time, up to the usual deadline.  Each is an edge between two buckets of
`core.stats.Histogram`, so that nothing is counted twice; those below 0.25 are the edges next to 1, 2.5, 5, 10, 25, 50
and 100 ms.
"""
WAITING_S: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0)
"""Bounds of the buckets for the time before a request, up to a day: the quota's longest window."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations by bucket.  `counts[i]` is of those above `bounds_s[i - 1]` and up to `bounds_s[i]`; the last entry is
    of those above all bounds.
    """

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    total_s: float = 0.0

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts)

    def plus(self, other: Distribution) -> Distribution:
        """Both together; the bounds must be the same."""
        assert self.bounds_s == other.bounds_s
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Distribution(self.bounds_s, counts, self.total_s + other.total_s)


def no_durations(bounds_s: tuple[float, ...]) -> Distribution:
    return Distribution(bounds_s, (0,) * (len(bounds_s) + 1))


NO_LATENCIES: Final = no_durations(LATENCY_S)
NO_WAITS: Final = no_durations(WAITING_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """A writer in numbers.

    Counts since it was opened:

    `attempts` requests with at least one byte written · `exchanges` how they ended, by verdict · `responses` whole
    replies by HTTP status · `faults` requests without a whole reply, by kind · `outcomes` pairs by outcome, once that
    is durable · `rejections` rejected pairs by the property that the server named ("none": it named none) · `retries`
    pairs made ready again, by cause · `latency` time from a request to its reply · `waiting` time from a durable intent
    to its request.

    At this moment:

    `writers` open writers · `writers_well` those of them that are well (`BulkWriter.is_well`) · `in_flight`
    requests · `in_flight_limit` how many may be · `allowed_per_s` requests a second that pace and ceiling allow,
    None where nothing limits them · `ready` pairs that may be sent · `outstanding` pairs given one by one that are
    not settled · `doubts` pairs in doubt · `oldest_doubt_s` how long the oldest has been, 0 without doubts ·
    `quota_left` requests left in each long quota, by its text, as of the last exchange with the ledger ·
    `short_quota_left` requests that each quota of up to a minute has room for, by its text: what is free by that
    exchange and by the time that passed since; nothing is told of them a minute after it · `rows` rows of the journal
    by outcome, over all starts.
    """

    attempts: int = 0
    exchanges: Mapping[str, int] = field(default_factory=dict)
    responses: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    rejections: Mapping[str, int] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)
    latency: Distribution = NO_LATENCIES
    waiting: Distribution = NO_WAITS
    writers: int = 0
    writers_well: int = 0
    in_flight: int = 0
    in_flight_limit: int = 0
    allowed_per_s: float | None = None
    ready: int = 0
    outstanding: int = 0
    doubts: int = 0
    oldest_doubt_s: float = 0.0
    quota_left: Mapping[str, int] = field(default_factory=dict)
    short_quota_left: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    def closed(self) -> Metrics:
        """The same once the writer has ended: its counts, rows and long quotas stay, and nothing is under way."""
        return replace(
            self, writers=0, writers_well=0, in_flight=0, in_flight_limit=0, allowed_per_s=None, ready=0, outstanding=0,
            short_quota_left={},
        )  # fmt: skip

    def counts(self) -> Metrics:
        """What was counted, alone."""
        return replace(self.closed(), doubts=0, oldest_doubt_s=0.0, quota_left={}, rows={})

    def plus(self, other: Metrics) -> Metrics:
        """Two writers together.  Of a quota that both have the smaller rest counts, since they may share it."""
        rates = [rate for rate in (self.allowed_per_s, other.allowed_per_s) if rate is not None]
        return Metrics(
            attempts=self.attempts + other.attempts,
            exchanges=together(self.exchanges, other.exchanges),
            responses=bounded(together(self.responses, other.responses)),
            faults=together(self.faults, other.faults),
            outcomes=together(self.outcomes, other.outcomes),
            rejections=bounded(together(self.rejections, other.rejections)),
            retries=together(self.retries, other.retries),
            latency=self.latency.plus(other.latency),
            waiting=self.waiting.plus(other.waiting),
            writers=self.writers + other.writers,
            writers_well=self.writers_well + other.writers_well,
            in_flight=self.in_flight + other.in_flight,
            in_flight_limit=self.in_flight_limit + other.in_flight_limit,
            allowed_per_s=sum(rates) if rates else None,
            ready=self.ready + other.ready,
            outstanding=self.outstanding + other.outstanding,
            doubts=self.doubts + other.doubts,
            oldest_doubt_s=max(self.oldest_doubt_s, other.oldest_doubt_s),
            quota_left=least(self.quota_left, other.quota_left),
            short_quota_left=least(self.short_quota_left, other.short_quota_left),
            rows=together(self.rows, other.rows),
        )


def least(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """The smaller value by key."""
    return {key: min(one[key] for one in (a, b) if key in one) for key in {**a, **b}}


def together(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """Sums by key."""
    return {key: a.get(key, 0) + b.get(key, 0) for key in {**a, **b}}


def bounded(counts: Mapping[str, int]) -> dict[str, int]:
    """The first `MOST_LABELS` keys, and the sum of the others under `OTHER_LABEL`."""
    found: dict[str, int] = {}
    for key, count in counts.items():
        add_bounded(found, key, count)
    return found


def add_bounded(counts: dict[str, int], key: str, count: int = 1) -> None:
    """Add to the count of `key`, or of "other" where there are `MOST_LABELS` keys already."""
    if key not in counts and len(counts) - (OTHER_LABEL in counts) >= MOST_LABELS:
        key = OTHER_LABEL
    counts[key] = counts.get(key, 0) + count
