"""Shows a writer at work to those who run a service: in their log, their metrics and their traces.

    from bulkwriter.observe import OpenTelemetry, PrometheusMetrics

    BulkWriter(settings, observers=[PrometheusMetrics()])    # needs the extra "prometheus"
    BulkWriter(settings, observers=[OpenTelemetry()])        # needs the extra "otel"

The log needs neither: every writer tells its events to the loggers `bulkwriter.*`.

Events (`events`) are the one source.  Everything here is an observer, or serves one:

    sentences      events in words
    audience       tells every observer of each event, and drops one that raises
    logs           events as records of the standard library's `logging`
    totals         the numbers of all writers that share an observer
    instruments    one table of all metrics: names, units, what each says, where its number comes from
    text           the metrics in Prometheus' text format
    prometheus     a collector for prometheus_client
    otel           instruments and spans of OpenTelemetry
    metrics_file   a file for node_exporter's textfile collector, for `run --metrics-file`

Nothing here sends, waits or decides.  Nothing here is global, and no logging is set up.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .otel import OpenTelemetry as OpenTelemetry
    from .prometheus import PrometheusMetrics as PrometheusMetrics

_EXTRAS = {"PrometheusMetrics": ("prometheus", "prometheus"), "OpenTelemetry": ("otel", "otel")}
__all__ = ["OpenTelemetry", "PrometheusMetrics"]


def __getattr__(name: str) -> Any:
    if name not in _EXTRAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _EXTRAS[name]
    try:
        return getattr(import_module(f".{module}", __name__), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"{name} needs {error.name}; install bulkwriter[{extra}]") from error
