"""All metrics in one table: names, units, what each says, and where its number comes from.

Prometheus and OpenTelemetry have conventions of their own, so each metric has two names.  Prometheus: base units as the
end of the name, `_total` on counters, one word as a label.  OpenTelemetry: names with dots, units in UCUM (`{pair}` is
an annotation), attributes of its semantic conventions where there is one.

Every label has few values.  Those that a server or a setting chooses are bounded where they are counted (`metrics`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ..metrics import Distribution, Metrics

Numbers = Mapping[str, float]
"""Values by label; the key of a metric without a label is ""."""
NO_LABEL: Final = ""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric.  `prometheus` is its name there, without `_total`; `label` and `attribute` name the same thing."""

    prometheus: str
    otel: str
    kind: Literal["counter", "gauge"]
    unit: str
    text: str
    read: Callable[[Metrics], Numbers]
    label: str = ""
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Durations:
    """One histogram of seconds."""

    prometheus: str
    otel: str
    text: str
    read: Callable[[Metrics], Distribution]


def one(value: float | None) -> Numbers:
    return {} if value is None else {NO_LABEL: value}


# fmt: off
INSTRUMENTS: Final = (
    Instrument("bulkwriter_attempts", "bulkwriter.attempts", "counter", "{request}", "Requests with at least one byte written.", lambda m: one(m.attempts)),
    Instrument("bulkwriter_exchanges", "bulkwriter.exchanges", "counter", "{request}", "Requests by what their reply, or its loss, means for the pair.", lambda m: m.exchanges, "verdict", "bulkwriter.verdict"),
    Instrument("bulkwriter_responses", "bulkwriter.responses", "counter", "{response}", "Whole replies to creates by HTTP status.", lambda m: m.responses, "code", "http.response.status_code"),
    Instrument("bulkwriter_faults", "bulkwriter.faults", "counter", "{request}", "Requests without a whole reply, by what happened.", lambda m: m.faults, "fault", "error.type"),
    Instrument("bulkwriter_outcomes", "bulkwriter.outcomes", "counter", "{pair}", "Pairs by outcome, counted when it is durable.", lambda m: m.outcomes, "outcome", "bulkwriter.outcome"),
    Instrument("bulkwriter_rejections", "bulkwriter.rejections", "counter", "{pair}", "Rejected pairs by the property that the server named.", lambda m: m.rejections, "reason", "bulkwriter.reason"),
    Instrument("bulkwriter_retries", "bulkwriter.retries", "counter", "{pair}", "Pairs that were made ready again, by cause.", lambda m: m.retries, "cause", "bulkwriter.cause"),
    Instrument("bulkwriter_writers", "bulkwriter.writers.count", "gauge", "{writer}", "Open writers.", lambda m: one(m.writers)),
    Instrument("bulkwriter_well_writers", "bulkwriter.writers.well", "gauge", "{writer}", "Open writers that can send, as far as they know; fewer than bulkwriter_writers is worth an alert.", lambda m: one(m.writers_well)),
    Instrument("bulkwriter_in_flight_requests", "bulkwriter.requests.in_flight", "gauge", "{request}", "Requests on their way.", lambda m: one(m.in_flight)),
    Instrument("bulkwriter_in_flight_limit_requests", "bulkwriter.requests.limit", "gauge", "{request}", "Requests that may be on their way at once, as adapted to the server.", lambda m: one(m.in_flight_limit)),
    Instrument("bulkwriter_allowed_requests_per_second", "bulkwriter.requests.allowed", "gauge", "{request}/s", "Rate that pace and ceiling allow; absent where neither limits it.", lambda m: one(m.allowed_per_s)),
    Instrument("bulkwriter_ready_pairs", "bulkwriter.pairs.ready", "gauge", "{pair}", "Pairs that may be sent and were not yet.", lambda m: one(m.ready)),
    Instrument("bulkwriter_outstanding_pairs", "bulkwriter.pairs.outstanding", "gauge", "{pair}", "Pairs given one by one that are not settled.", lambda m: one(m.outstanding)),
    Instrument("bulkwriter_in_doubt_pairs", "bulkwriter.doubts.count", "gauge", "{pair}", "Pairs that may have been applied and wait for a look.", lambda m: one(m.doubts)),
    Instrument("bulkwriter_oldest_doubt_seconds", "bulkwriter.doubts.oldest", "gauge", "s", "How long the oldest pair in doubt has been; 0 without doubts.", lambda m: one(m.oldest_doubt_s)),
    Instrument("bulkwriter_quota_left_requests", "bulkwriter.quota.left", "gauge", "{request}", "Requests left in each quota, as of the last exchange with the ledger. Of one of up to a minute: what is free by now, by that exchange; absent a minute after it.", lambda m: {**m.quota_left, **m.short_quota_left}, "quota", "bulkwriter.quota"),
    Instrument("bulkwriter_journal_rows", "bulkwriter.journal.rows", "gauge", "{row}", "Rows of the journal by outcome, over all starts.", lambda m: m.rows, "outcome", "bulkwriter.outcome"),
)
"""Counters and gauges, in the order in which they are shown."""
REQUEST_DURATION: Final = Durations("bulkwriter_request_duration_seconds", "bulkwriter.request.duration", "Time from a request to its reply or its loss.", lambda m: m.latency)
WAIT_DURATION: Final = Durations("bulkwriter_wait_duration_seconds", "bulkwriter.wait.duration", "Time that a pair waited from its durable intent to its request.", lambda m: m.waiting)
# fmt: on
HISTOGRAMS: Final = (REQUEST_DURATION, WAIT_DURATION)
EVENTS: Final = ("bulkwriter_events", "bulkwriter.events", "{event}", "Events by name.")
"""Names, unit and text of the counter that the observers keep themselves: label and attribute are the event's name."""
