"""A collector for prometheus_client over plain numbers: nothing is counted here, and nothing costs a pair.

    metrics = PrometheusMetrics()                     # once in a process
    BulkWriter(settings, observers=[metrics])         # any number of writers

The numbers are made when Prometheus asks for them, in whatever thread that is.  Their names, units and labels are in
the table of `instruments`.

Not here: how they are served.  A service does that already, or calls `prometheus_client.start_http_server(port)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..errors import UsageError
from ..events import Observer
from ..metrics import Metrics
from .instruments import EVENTS, HISTOGRAMS, INSTRUMENTS, Instrument, Numbers
from .text import cumulative
from .totals import WriterSums

FAMILIES: Final[dict[str, type[CounterMetricFamily] | type[GaugeMetricFamily]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}


class PrometheusMetrics(Collector):
    """The metrics of all writers that it is given to, for Prometheus.

    Making one registers it in `registry`, by default that of the process.  Raises `UsageError` if the registry has one
    already: give that one to every writer.  Counts of writers that have ended stay, so that counters only grow.
    """

    def __init__(self, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._totals = WriterSums()
        try:
            registry.register(self)
        except ValueError as error:
            hint = "make one PrometheusMetrics and give it to every writer, or give each a registry of its own"
            raise UsageError("the registry has metrics of bulkwriter already", hint=hint) from error

    def for_writer(self) -> Observer:
        """The observer of one writer; the writer asks for it."""
        return self._totals.for_writer()

    def describe(self) -> Iterator[Metric]:
        """All families without values: the registry asks for their names."""
        return families(Metrics(), {})

    def collect(self) -> Iterator[Metric]:
        """All families with their values at this moment; may be called in any thread."""
        return families(self._totals.read(), dict(self._totals.events))


def families(metrics: Metrics, events: Numbers) -> Iterator[Metric]:
    for instrument in INSTRUMENTS:
        yield family(instrument, instrument.read(metrics))
    counted = CounterMetricFamily(EVENTS[0], EVENTS[3], labels=["event"])
    for word, count in events.items():
        counted.add_metric([word], count)
    yield counted
    for durations in HISTOGRAMS:
        found = durations.read(metrics)
        yield HistogramMetricFamily(
            durations.prometheus, durations.text, buckets=cumulative(found), sum_value=found.total_s
        )


def family(instrument: Instrument, values: Numbers) -> Metric:
    labels = [instrument.label] if instrument.label else []
    made: CounterMetricFamily | GaugeMetricFamily
    made = FAMILIES[instrument.kind](instrument.prometheus, instrument.text, labels=labels)
    for key, value in values.items():
        made.add_metric([key] if labels else [], value)
    return made
