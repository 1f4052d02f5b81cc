"""Counts what really happened, for tests and benchmarks to judge a client by.

`GET /stub/truth` shows it as JSON; `FIELDS` says what each key means.  Times of arrival are those at which a request
was whole at the stub, and requests to /stub/ itself are never counted.  A *sliding* window is judged at each arrival:
the arrivals in the half-open span (t - window, t], so its worst is the worst of any window of that length.

Pure: `now` is an argument.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from .records import Records

EXAMPLES = 100

FIELDS = {
    "records": "records there now; always distinct_pairs + doubles",
    "distinct_pairs": "different (lesson, member) pairs among them",
    "doubles": "records beyond the first of their pair",
    "double_examples": f"up to {EXAMPLES} doubled pairs, each with its ids",
    "seeded": "records that the scenario put there (`existing`)",
    "creates_applied": "records made by requests, whether or not the client was told",
    "deletes_applied": "records deleted by requests",
    "requests": "whole requests by method",
    "by_resource": "whole requests for each kind of record, by operation",
    "operations": "whole requests by operation: create, list, read, delete, token, other",
    "statuses": "replies by status; none: no reply or one without sense",
    "worst_second": "most POSTs that arrived within any second",
    "worst_in_window": "the same for each of watch_windows_s, by its length in seconds",
    "in_flight": "requests being served now",
    "peak_in_flight": "most requests served at the same time",
    "connections": "connections open now",
    "peak_connections": "most connections open at the same time",
    "connections_made": "connections accepted so far",
    "faults": "faults dealt, by kind",
    "throttles": "requests throttled",
    "list_calls": "lists asked for, ?id=[...] among them",
    "token_calls": "requests to the token endpoint",
    "bad_requests": "requests that were not HTTP, or too long",
    "people": "null without people, else how many enrolments there are, were seeded, created, deleted and doubled (with"
    " examples), are blocked and unapproved, and how many coworkers, courses and lessons",
    "elapsed_s": "seconds since start or reset",
}


class SlidingMax:
    """The most arrivals in any span of `window_s`."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque()
        self.worst = 0

    def arrived(self, now: float) -> None:
        times = self._times
        times.append(now)
        start = now - self._window_s
        while times[0] <= start:
            times.popleft()
        if len(times) > self.worst:
            self.worst = len(times)


class Truth:
    """The counters.  Requests that are served at once, without latency, are in flight one at a time and not `begun`."""

    def __init__(self, windows_s: Sequence[float], *, now: float) -> None:
        self._started_at = now
        self.second = SlidingMax(1.0)
        self._windows: dict[float, SlidingMax] = {}
        self.watch(windows_s)
        self.requests: Counter[tuple[bytes, str, str]] = Counter()  # by method, operation and resource
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.in_flight = self.peak_in_flight = 0
        self.throttles = self.bad_requests = 0
        self.peak_connections = self.connections_made = 0

    def arrived(self, kind: tuple[bytes, str, str], now: float) -> None:
        """A whole request came in; `kind` is its method, its operation and its resource."""
        self.requests[kind] += 1
        if kind[0] == b"POST":
            self.second.arrived(now)
            for window in self._windows.values():
                window.arrived(now)

    def watch(self, windows_s: Sequence[float]) -> None:
        """Watch these windows too; those watched already go on."""
        for window_s in windows_s:
            self._windows.setdefault(window_s, SlidingMax(window_s))

    def begun(self) -> None:
        self.in_flight += 1
        if self.in_flight > self.peak_in_flight:
            self.peak_in_flight = self.in_flight

    def ended(self) -> None:
        self.in_flight -= 1
        assert self.in_flight >= 0, "ended more requests than were begun"

    def connected(self, open_now: int) -> None:
        self.connections_made += 1
        self.peak_connections = max(self.peak_connections, open_now)

    def describe(
        self, records: Records, people: dict[str, Any] | None = None, *, connections: int, now: float
    ) -> dict[str, Any]:
        """Everything, with the keys of `FIELDS`."""
        operations = _summed((operation, n) for (_, operation, _), n in self.requests.items())
        by_resource: dict[str, dict[str, int]] = {}
        for (_, operation, resource), n in self.requests.items():
            if resource:
                counts = by_resource.setdefault(resource, {})
                counts[operation] = counts.get(operation, 0) + n
        extra, examples = doubled(records)
        return {
            "records": len(records),
            "distinct_pairs": len(records) - extra,
            "doubles": extra,
            "double_examples": examples,
            "seeded": records.seeded,
            "creates_applied": records.created,
            "deletes_applied": records.deleted,
            "requests": _summed((method.decode("latin-1"), n) for (method, _, _), n in self.requests.items()),
            "by_resource": by_resource,
            "operations": operations,
            "statuses": {str(status) if status else "none": n for status, n in sorted(self.statuses.items())},
            "worst_second": self.second.worst,
            "worst_in_window": {f"{window_s:g}": w.worst for window_s, w in self._windows.items()},
            "in_flight": self.in_flight,
            "peak_in_flight": max(self.peak_in_flight, 1 if self.requests else 0),
            "connections": connections,
            "peak_connections": self.peak_connections,
            "connections_made": self.connections_made,
            "faults": dict(self.faults),
            "throttles": self.throttles,
            "list_calls": operations.get("list", 0),
            "token_calls": operations.get("token", 0),
            "bad_requests": self.bad_requests,
            "people": people,
            "elapsed_s": now - self._started_at,
        }


def doubled(records: Records) -> tuple[int, list[dict[str, Any]]]:
    """How many records are beyond the first of their pair, and some of these pairs with their ids."""
    doubles = iter(records.doubles())
    examples = list(islice(doubles, EXAMPLES))
    extra = sum(len(d.ids) - 1 for d in examples) + sum(len(d.ids) - 1 for d in doubles)
    return extra, [{"pair": list(d.pair), "ids": list(d.ids)} for d in examples]


def _summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Counts by name, added up."""
    sums: Counter[str] = Counter()
    for name, n in counts:
        sums[name] += n
    return dict(sums)
