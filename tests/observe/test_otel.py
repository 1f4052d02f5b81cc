"""Our metrics and spans as the SDK of OpenTelemetry sees them, with its readers in memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bulkwriter.events import ChunkReady, Closed, Opened, Sampled, Throttled
from bulkwriter.metrics import LATENCY_S
from bulkwriter.observe import OpenTelemetry
from bulkwriter.observe.instruments import HISTOGRAMS, INSTRUMENTS

from ..support.measured_run import PAIRS, measured_run
from .test_prometheus import FULL


class Seen:
    """An `OpenTelemetry` and all that its SDK collected."""

    def __init__(self) -> None:
        self.reader, self.exporter = InMemoryMetricReader(), InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.now = 0.0
        self.telemetry = OpenTelemetry(
            meter_provider=MeterProvider([self.reader]), tracer_provider=tracers, clock=lambda: self.now
        )

    def metrics(self) -> dict[str, Any]:
        found = self.reader.get_metrics_data()
        assert found is not None
        return {m.name: m for r in found.resource_metrics for s in r.scope_metrics for m in s.metrics}

    def values(self, name: str) -> dict[Any, Any]:
        """Values by the one attribute, or by None."""
        points = self.metrics()[name].data.data_points
        return {next(iter(point.attributes.values()), None): point.value for point in points}

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


def test_names_and_units_are_by_the_conventions() -> None:
    names = [instrument.otel for instrument in (*INSTRUMENTS, *HISTOGRAMS)]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"bulkwriter(\.[a-z_]+)+", name)
        assert not any(other.startswith(f"{name}.") for other in names), "a name is no namespace of another"
    assert {instrument.unit for instrument in INSTRUMENTS} <= {
        "s", "{request}", "{request}/s", "{response}", "{pair}", "{writer}", "{row}",
    }  # fmt: skip


def test_every_number_is_observed() -> None:
    seen = Seen()
    tell = seen.telemetry.for_writer()
    tell(Opened("https://h", None, lambda: FULL))
    for instrument in INSTRUMENTS:
        metric = seen.metrics()[instrument.otel]
        assert metric.unit == instrument.unit
        points = {tuple(p.attributes.values()): p.value for p in metric.data.data_points}
        expected = instrument.read(FULL)
        keys = {(int(k) if k.isdigit() else k,) if instrument.label else () for k in expected}
        assert points.keys() == keys
        assert sorted(points.values()) == sorted(expected.values())
        is_sum = instrument.kind == "counter"
        assert hasattr(metric.data, "is_monotonic") == is_sum
        assert not is_sum or metric.data.is_monotonic
    assert seen.values("bulkwriter.responses") == {200: 3, 429: 2}
    assert seen.values("bulkwriter.events") == {"opened": 1}


def test_sampled_durations_go_into_our_buckets() -> None:
    seen = Seen()
    tell = seen.telemetry.for_writer()
    tell(Sampled((0.004, 0.02), (3.0,)))
    latency = seen.metrics()["bulkwriter.request.duration"]
    (point,) = latency.data.data_points
    assert (latency.unit, tuple(point.explicit_bounds), point.count) == ("s", LATENCY_S, 2)
    (point,) = seen.metrics()["bulkwriter.wait.duration"].data.data_points
    assert (point.count, point.sum) == (1, 3.0)


def test_a_chunk_is_a_trace_of_its_own_with_a_link_to_its_start() -> None:
    seen = Seen()
    tell = seen.telemetry.for_writer()
    tell(Opened("https://h:8/x", "secret-name.journal", lambda: FULL))
    for seen.now in (0.0, 0.5, 0.9, 1.0, 3.0):  # those within a second share a span
        tell(ChunkReady(0, 10))
    tell(Throttled(1.0, None, 4))
    tell(Closed("done", 0))
    (start,) = seen.spans("bulkwriter.start")
    chunks = seen.spans("bulkwriter.chunk")
    assert [dict(chunk.attributes or {}) for chunk in chunks] == [
        {"bulkwriter.pairs": 30}, {"bulkwriter.pairs": 10}, {"bulkwriter.pairs": 10},
    ]  # fmt: skip
    assert [[link.context for link in chunk.links] for chunk in chunks] == [[start.context]] * 3
    assert len({chunk.context.trace_id for chunk in chunks} | {start.context.trace_id}) == 4
    assert [event.name for event in chunks[-1].events] == ["bulkwriter.throttled"]
    assert dict(start.attributes or {}) == {"server.address": "h", "bulkwriter.exit_code": 0}
    assert start.status.is_unset


@pytest.mark.parametrize(
    ("exit_code", "is_error"), [(0, False), (1, False), (75, False), (3, False), (4, True), (70, True)]
)
def test_a_start_is_an_error_only_where_somebody_must_act(exit_code: int, is_error: bool) -> None:
    seen = Seen()
    tell = seen.telemetry.for_writer()
    tell(Opened("https://h", None, lambda: FULL))
    tell(Closed("so", exit_code))
    (start,) = seen.spans("bulkwriter.start")
    assert start.status.is_unset is not is_error


@pytest.mark.slow
def test_a_rough_run_is_told_as_it_was(tmp_path: Path) -> None:
    seen = Seen()
    summary = measured_run(tmp_path, [seen.telemetry])
    assert seen.values("bulkwriter.outcomes")["created"] == PAIRS == summary.counts.created
    assert seen.values("bulkwriter.attempts") == {None: summary.attempts}
    (point,) = seen.metrics()["bulkwriter.request.duration"].data.data_points
    assert 0 < point.count <= 20 * (summary.elapsed_s + 1)
    assert len(seen.spans("bulkwriter.start")) == 1
    chunks = seen.spans("bulkwriter.chunk")
    pairs = [dict(chunk.attributes or {})["bulkwriter.pairs"] for chunk in chunks]
    assert sum(count for count in pairs if isinstance(count, int)) == PAIRS
    assert len(chunks) <= summary.elapsed_s + 1


def test_the_api_alone_is_enough() -> None:
    code = """
import sys
sys.modules["opentelemetry.sdk"] = None
from bulkwriter.events import ChunkReady, Closed, Opened, Sampled
from bulkwriter.metrics import Metrics
from bulkwriter.observe import OpenTelemetry
tell = OpenTelemetry().for_writer()
for event in (Opened("https://h", None, Metrics), ChunkReady(0, 1), Sampled((0.1,), (0.1,)), Closed("done", 0)):
    tell(event)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("name", "package", "extra"), [
    ("PrometheusMetrics", "prometheus_client", "prometheus"), ("OpenTelemetry", "opentelemetry", "otel"),
])  # fmt: skip
def test_a_missing_extra_is_named(name: str, package: str, extra: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\nfrom bulkwriter.observe import {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert f"ImportError: {name} needs {package}" in done.stderr
    assert f"bulkwriter[{extra}]" in done.stderr
