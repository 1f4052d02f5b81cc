"""The history of a run as functions of time: totals between two rows, rates, causes, days and starts.

Rows hold totals so far, so between two rows of a start a total is taken to grow evenly.  Between the last row of a
start and the first one of the next nothing ran, and it stays as it is.  A clock that was set back is taken to have
stood still.

A process that was killed has written rows of the journal after its last row of history.  Those are known from the first
row of the next start, or from the journal as it is now (`Series.of`): the last row is then continued to that moment.
Its requests are known as far as the rows prove them: one for each record made or refused.  So they are a lower bound,
and `is_whole` is False.  An undo takes records away; those that were made by then stay counted as made.

Invariant: the sum over all parts of a span is the difference of the totals at its ends, whatever rows were thinned.
Pure.  Not here: how anything is shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Self

from ..store.history import COUNTS, HistoryRow

MOST_DAYS: Final = 62
"""Bars of a chart by day; a longer run is shown by groups of days."""
DAY_S: Final = 86_400.0
TAIL_S: Final = 61.0
"""The next row of history would have come by then, so rows of the journal after the last one are no later.  A journal
that was copied has a later time.
"""

TotalOf = Callable[[HistoryRow], float]


@dataclass(frozen=True, slots=True)
class StartSpan:
    """One start, from its first row to its last.  `ended` is a code, or "" where its end was not noted."""

    number: int
    began_at: float
    last_at: float
    ended: str
    attempts: int
    created: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the span: what was made and throttled in it, for which share of it a process ran, and what held it
    back most (a kind, or "" where nothing ran).
    """

    since: float
    until: float
    created: float
    throttled: float
    running: float
    held: str


@dataclass(frozen=True, slots=True)
class Day:
    """Requests and records of some days (UTC), from `since` to before `until`."""

    since: datetime
    until: datetime
    attempts: int
    created: int


class Series:
    """The history of one run; `rows` in the order of writing, at least one.

    `told_at` is when its last row was written, `is_whole` whether no process did anything after its last row.
    """

    def __init__(self, rows: Sequence[HistoryRow], *, tail: HistoryRow | None = None) -> None:
        self.told_at = rows[-1].moment.at
        self.is_whole = tail is None and all(
            before.moment.ended for before, after in pairwise(rows) if before.moment.start != after.moment.start
        )
        self.rows = proven([*rows, tail] if tail else rows)
        self._times: list[float] = []
        for row in self.rows:
            self._times.append(max(row.moment.at, self._times[-1] if self._times else row.moment.at))
        self.since, self.until = self._times[0], self._times[-1]

    @classmethod
    def of(cls, facts: Mapping[str, Any], rows: Sequence[HistoryRow]) -> Self:
        """The history up to the facts of `status --json`, where its last start noted no end."""
        last = rows[-1]
        if last.moment.ended or facts["undone_at"]:
            return cls(rows)
        at = min(datetime.fromisoformat(facts["written_at"]).timestamp(), last.moment.at + TAIL_S)
        # Only the process itself can tell its doubts from what it is about to send.
        counts = last.counts._replace(**{name: facts[name] for name in COUNTS if name not in ("in_doubt", "pending")})
        return cls(rows, tail=last._replace(moment=last.moment._replace(at=at), counts=counts))

    @property
    def last(self) -> HistoryRow:
        return self.rows[-1]

    def total(self, get: TotalOf, at: float) -> float:
        """The total that `get` takes from a row, at any time of the span."""
        i = bisect_right(self._times, at) - 1
        if i < 0:
            return get(self.rows[0])
        if i + 1 == len(self.rows) or not self._runs(i):
            return get(self.rows[i])
        before, after = self._times[i], self._times[i + 1]
        share = (at - before) / (after - before) if after > before else 1.0
        return get(self.rows[i]) + (get(self.rows[i + 1]) - get(self.rows[i])) * share

    def parts(self, count: int) -> list[Part]:
        """The span in `count` equal parts; fewer where it is short."""
        span = self.until - self.since
        count = max(1, min(count, int(span) or 1))
        edges = [self.since + span * i / count for i in range(count + 1)]
        kinds = sorted({kind for row in self.rows for kind in row.moment.held_s})
        found = []
        for since, until in pairwise(edges):
            held = {kind: self._grown(held_of(kind), since, until) for kind in kinds}
            most = max(held, key=lambda kind: held[kind]) if held else ""
            found.append(
                Part(
                    since,
                    until,
                    created=self._grown(created_of, since, until),
                    throttled=self._grown(throttled_of, since, until),
                    running=self._ran(since, until),
                    held=most if held.get(most, 0) > 0 else "",
                )
            )
        return found

    def held_s(self) -> dict[str, float]:
        """For how many seconds each cause held the run back, longest first."""
        held = self.last.moment.held_s
        return dict(sorted(held.items(), key=lambda item: -item[1]))

    def days(self) -> list[Day]:
        """Requests by UTC day, or by groups of days; their sum is the number of all requests."""
        first = datetime.fromtimestamp(self.since, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        count = int((self.until - first.timestamp()) // DAY_S) + 1
        each = next(days for days in (1, 7, 30, 90, 365, 3_650) if count <= days * MOST_DAYS or days == 3_650)
        found, attempts, created = [], 0, 0
        for at in range(0, min(count, each * MOST_DAYS), each):
            since = first + timedelta(days=at)
            until = since + timedelta(days=each)
            end = until.timestamp()
            is_last = at + each >= count
            attempts_now = round(self.total(attempts_of, end)) if not is_last else self.last.moment.attempts
            created_now = round(self.total(created_of, end)) if not is_last else self.last.counts.created
            found.append(Day(since, until, attempts_now - attempts, created_now - created))
            attempts, created = attempts_now, created_now
        return found

    def starts(self) -> list[StartSpan]:
        """All starts, in their order.  What the first row of the next one tells more was done by the one before."""
        firsts = [i for i in range(len(self.rows)) if not i or not self._runs(i - 1)]
        found = []
        for first, after in zip(firsts, [*firsts[1:], len(self.rows)], strict=True):
            begin, last, end = self.rows[first], self.rows[after - 1], self.rows[min(after, len(self.rows) - 1)]
            attempts, created = (begin.moment.attempts, begin.counts.created) if first else (0, 0)
            found.append(
                StartSpan(
                    last.moment.start, self._times[first], self._times[after - 1], last.moment.ended or "",
                    end.moment.attempts - attempts, end.counts.created - created,
                )
            )  # fmt: skip
        return found

    def _grown(self, get: TotalOf, since: float, until: float) -> float:
        return max(0.0, self.total(get, until) - self.total(get, since))

    def _runs(self, i: int) -> bool:
        """Whether one process ran from row i to the next."""
        return self.rows[i].moment.start == self.rows[i + 1].moment.start

    def _ran(self, since: float, until: float) -> float:
        """The share of this time in which some process ran."""
        if until <= since:
            return 1.0
        ran, i = 0.0, max(0, bisect_right(self._times, since) - 1)
        while i + 1 < len(self.rows) and self._times[i] < until:
            if self._runs(i):
                ran += max(0.0, min(until, self._times[i + 1]) - max(since, self._times[i]))
            i += 1
        return min(1.0, ran / (until - since))


def proven(rows: Sequence[HistoryRow]) -> list[HistoryRow]:
    """Rows whose records made never fall, and whose requests are at least as many as rows by state prove."""
    found: list[HistoryRow] = []
    made = attempts = noted = 0
    before = rows[0].counts.created
    for row in rows:
        made = made + max(0, row.counts.created - before) if found else before
        before = row.counts.created
        # What a start has noted comes on top of what is proven of those before it.
        attempts = max(attempts + max(0, row.moment.attempts - noted), made + row.counts.rejected)
        noted = row.moment.attempts
        moment, counts = row.moment._replace(attempts=attempts), row.counts._replace(created=made)
        found.append(row._replace(moment=moment, counts=counts))
    return found


def created_of(row: HistoryRow) -> float:
    return row.counts.created


def attempts_of(row: HistoryRow) -> float:
    return row.moment.attempts


def throttled_of(row: HistoryRow) -> float:
    return row.moment.throttled


def held_of(kind: str) -> TotalOf:
    """Seconds of one cause."""
    return lambda row: row.moment.held_s.get(kind, 0.0)


def daily_limit(spent: Mapping[str, int]) -> int | None:
    """The smallest quota of a day that writes count in, by the texts of the quotas, such as "write:2500/day"."""
    limits = []
    for text in spent:
        kind, _, rest = text.partition(":")
        count, _, window = rest.partition("/")
        if kind in ("write", "any") and count.isdigit() and window.partition("@")[0] == "day":
            limits.append(int(count))
    return min(limits, default=None)
