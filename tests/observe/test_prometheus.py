"""Our metrics as Prometheus sees them: by its own parser, from the collector and from our text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bulkwriter.errors import UsageError
from bulkwriter.events import Closed, Observer, Opened, Throttled
from bulkwriter.metrics import LATENCY_S, WAITING_S, Distribution, Metrics
from bulkwriter.observe import PrometheusMetrics
from bulkwriter.observe.instruments import HISTOGRAMS, INSTRUMENTS
from bulkwriter.observe.text import text_of
from bulkwriter.observe.totals import WriterSums

from ..support.measured_run import PAIRS, measured_run

HOSTILE = 'read:5/day"} 1\nbulkwriter_attempts_total 7 \\'
FULL = Metrics(
    attempts=5, exchanges={"created": 3, "throttled": 2}, responses={"200": 3, "429": 2}, faults={"silent": 1},
    outcomes={"created": 3}, rejections={"CourseMemberId": 1}, retries={"throttled": 2},
    latency=Distribution(LATENCY_S, tuple(range(len(LATENCY_S) + 1)), 12.5),
    waiting=Distribution(WAITING_S, (1,) * (len(WAITING_S) + 1), 1e6 / 3),
    writers=1, writers_well=1, in_flight=2, in_flight_limit=8, allowed_per_s=0.1, ready=7, outstanding=4, doubts=1,
    oldest_doubt_s=61.5,
    quota_left={"write:2500/day": 2_400, HOSTILE: 1}, short_quota_left={"write:60/min": 7},
    rows={"created": 3, "in_doubt": 1},
)  # fmt: skip
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """All values of an exposition, as prometheus_client's own parser reads it."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, "twice"
            found[key] = sample.value
    return found


class Given(PrometheusMetrics):
    """A collector with an open writer of these numbers."""

    def __init__(self, metrics: Metrics, registry: CollectorRegistry) -> None:
        super().__init__(registry=registry)
        tell = self.for_writer()
        tell(Opened("https://h", None, lambda: metrics))
        tell(Throttled(1.0, None, 4))


@pytest.mark.parametrize("metrics", [Metrics(writers=1), FULL], ids=["empty", "full"])
def test_our_text_says_what_the_collector_says(metrics: Metrics) -> None:
    registry = CollectorRegistry()
    Given(metrics, registry)
    theirs, ours = generate_latest(registry).decode(), text_of(metrics, {"opened": 1, "throttled": 1})
    assert samples(ours) == samples(theirs)
    assert [line for line in theirs.splitlines() if line.startswith("#")] == [
        line for line in ours.splitlines() if line.startswith("#")
    ]


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    found = samples(text_of(FULL, {}))
    assert found["bulkwriter_attempts_total", ()] == 5
    assert found["bulkwriter_quota_left_requests", (("quota", HOSTILE),)] == 1
    assert found["bulkwriter_quota_left_requests", (("quota", "write:60/min"),)] == 7


def test_buckets_are_cumulative_and_end_with_all() -> None:
    found = samples(text_of(FULL, {}))
    name = "bulkwriter_request_duration_seconds"
    counts = [found[f"{name}_bucket", (("le", repr(bound)),)] for bound in LATENCY_S]
    assert counts == sorted(counts)
    assert found[f"{name}_bucket", (("le", "+Inf"),)] == found[f"{name}_count", ()] == FULL.latency.count
    assert found[f"{name}_sum", ()] == 12.5


def test_names_and_units_are_by_the_conventions() -> None:
    names = [instrument.prometheus for instrument in (*INSTRUMENTS, *HISTOGRAMS)]
    assert len(set(names)) == len(names)
    for instrument in (*INSTRUMENTS, *HISTOGRAMS):
        assert re.fullmatch(r"bulkwriter(_[a-z]+)+", instrument.prometheus)
        assert not instrument.prometheus.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_info"))
        assert instrument.text.endswith(".")
    for instrument in INSTRUMENTS:
        assert instrument.prometheus.endswith("_seconds") == (instrument.unit == "s")
        assert bool(instrument.label) == bool(instrument.attribute)


def test_a_second_collector_in_one_registry_is_refused() -> None:
    registry = CollectorRegistry()
    PrometheusMetrics(registry=registry)
    with pytest.raises(UsageError, match="already"):
        PrometheusMetrics(registry=registry)


def test_counts_of_ended_writers_stay_and_gauges_are_of_open_ones() -> None:
    totals = WriterSums()

    def ended(observer: Observer) -> None:
        observer(Closed("done", 0))

    first, second = totals.for_writer(), totals.for_writer()
    first(Opened("https://h", None, lambda: FULL))
    second(Opened("https://h", None, lambda: FULL))
    both = totals.read()
    assert (both.attempts, both.writers, both.in_flight, both.rows) == (10, 2, 4, {"created": 6, "in_doubt": 2})
    ended(first)
    one = totals.read()
    assert (one.attempts, one.writers, one.in_flight, one.rows) == (10, 1, 2, {"created": 3, "in_doubt": 1})
    ended(second)
    none = totals.read()
    assert (none.attempts, none.writers, none.in_flight, none.doubts, none.rows) == (10, 0, 0, 1, FULL.rows)
    assert (none.quota_left, none.short_quota_left) == (FULL.quota_left, {})
    third = totals.for_writer()
    third(Opened("https://h", None, Metrics))
    assert (totals.read().attempts, totals.read().rows, totals.read().doubts) == (10, {}, 0)
    assert not totals.read().quota_left


def test_a_table_that_changes_while_it_is_read_is_read_again() -> None:
    totals, calls = WriterSums(), []

    def read() -> Metrics:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("dictionary changed size during iteration")
        return FULL

    totals.for_writer()(Opened("https://h", None, read))
    assert totals.read().attempts == 5


@pytest.mark.slow
def test_a_rough_run_is_told_as_it_was(tmp_path: Path) -> None:
    """The numbers are those of the summary, and hang together."""
    registry = CollectorRegistry()
    summary = measured_run(tmp_path, [PrometheusMetrics(registry=registry)])
    found = samples(generate_latest(registry).decode())

    def table(name: str) -> dict[str, float]:
        return {labels[0][1]: value for (of, labels), value in found.items() if of == name and labels}

    outcomes, exchanges = table("bulkwriter_outcomes_total"), table("bulkwriter_exchanges_total")
    assert outcomes["created"] == summary.counts.created == PAIRS
    assert found["bulkwriter_attempts_total", ()] == summary.attempts == sum(exchanges.values())
    assert exchanges["throttled"] == summary.throttled > 0
    assert sum(table("bulkwriter_responses_total").values()) + sum(table("bulkwriter_faults_total").values()) == sum(
        exchanges.values()
    )
    assert table("bulkwriter_faults_total")["lost"] > 0
    assert table("bulkwriter_retries_total")["throttled"] == summary.throttled
    assert found["bulkwriter_request_duration_seconds_count", ()] == summary.attempts
    assert found["bulkwriter_wait_duration_seconds_count", ()] == PAIRS, "each pair once"
    assert table("bulkwriter_journal_rows")["created"] == PAIRS
    assert found["bulkwriter_writers", ()] == found["bulkwriter_in_flight_requests", ()] == 0
    assert table("bulkwriter_events_total")["opened"] == table("bulkwriter_events_total")["closed"] == 1
