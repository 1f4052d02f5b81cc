"""Metrics and spans of OpenTelemetry, with its API package alone.  Without an SDK all of it does nothing.

    telemetry = OpenTelemetry()                       # once in a process
    BulkWriter(settings, observers=[telemetry])       # any number of writers

An instrument costs 7 to 31 µs a call, more than a pair.  So none is called for a pair:

    counters and gauges   observable: asked at each collection, from the plain numbers (`instruments`)
    histograms            a sample of durations, at most 20 a second each: right in shape, not in count
    spans                 one for each start of a writer, and one for chunks, at most one a second; never one for a pair

A start may last for days, and a span is exported when it ends.  So the spans of chunks are no children of the start's:
each is a trace of its own, with a link to it.  A chunk's span lasts until the next one begins.  What happened meanwhile
(throttles, doubts, trouble) are its events, by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer, TracerProvider

from .. import __version__
from ..errors import Exit
from ..events import ChunkReady, Closed, Event, Observer, Opened, Sampled
from ..metrics import Metrics
from .instruments import (
    EVENTS,
    HISTOGRAMS,
    INSTRUMENTS,
    NO_LABEL,
    REQUEST_DURATION,
    WAIT_DURATION,
    Durations,
    Instrument,
)
from .sentences import name
from .totals import WriterSums

SCOPE: Final = "bulkwriter"
SPAN_S: Final = 1.0
"""Shortest time between the beginnings of two spans of chunks.  With single writes a chunk can be one pair."""
FAULTY: Final = (Exit.CONFIGURATION, Exit.JOURNAL, Exit.SOURCE, Exit.BUG)
"""Codes with which a start counts as an error.  The others are outcomes, or "come back later"."""


class OpenTelemetry:
    """Metrics and spans of all writers that it is given to.

    Without providers those of the process are used, `opentelemetry.metrics.set_meter_provider` and its like.  Counts of
    writers that have ended stay, so that counters only grow.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._totals = WriterSums()
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
        self._clock = clock
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        for instrument in INSTRUMENTS:
            observe(meter, instrument, self._totals.read)
        meter.create_observable_counter(EVENTS[1], [self._events], EVENTS[2], EVENTS[3])
        self._durations = {durations: histogram(meter, durations) for durations in HISTOGRAMS}

    def for_writer(self) -> Observer:
        """The observer of one writer; the writer asks for it."""
        latencies, waits = self._durations[REQUEST_DURATION], self._durations[WAIT_DURATION]
        return WriterTelemetry(self._totals.for_writer(), Spans(self._tracer, self._clock), latencies, waits)

    def _events(self, options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"bulkwriter.event": word}) for word, count in dict(self._totals.events).items()]


class WriterTelemetry:
    """The observer of one writer."""

    wants_metrics = True

    def __init__(self, totals: Observer, spans: Spans, latencies: Histogram, waits: Histogram) -> None:
        self._totals, self._spans = totals, spans
        self._latencies, self._waits = latencies, waits

    def __call__(self, event: Event) -> None:
        self._totals(event)
        if isinstance(event, Sampled):
            for duration_s in event.latencies_s:
                self._latencies.record(duration_s)
            for duration_s in event.waits_s:
                self._waits.record(duration_s)
        else:
            self._spans.take(event)


class Spans:
    """The span of a start, and those of its chunks, one after another."""

    def __init__(self, tracer: Tracer, clock: Callable[[], float]) -> None:
        self._tracer = tracer
        self._clock = clock
        self._start: Span | None = None
        self._chunk: Span | None = None
        self._began_at = 0.0
        self._pairs = 0

    def take(self, event: Event) -> None:
        match event:
            case Opened(base_url):
                around = trace.get_current_span().get_span_context()
                links = [Link(around)] if around.is_valid else []
                host = urlsplit(base_url).hostname or ""
                attributes = {"server.address": host}
                self._start = self._tracer.start_span("bulkwriter.start", Context(), links=links, attributes=attributes)
            case ChunkReady(_, rows):
                self._begin_chunk()
                self._pairs += rows
            case Closed(reason, exit_code):
                self._end_chunk()
                self._end_start(reason, exit_code)
            case _:
                if span := self._chunk or self._start:
                    span.add_event(f"bulkwriter.{name(event)}")

    def _begin_chunk(self) -> None:
        """A chunk is ready.  Within a second of the last one it counts to the same span."""
        now = self._clock()
        if self._start is None or (self._chunk and now < self._began_at + SPAN_S):
            return
        self._end_chunk()
        self._began_at = now
        link = Link(self._start.get_span_context())
        self._chunk = self._tracer.start_span("bulkwriter.chunk", Context(), links=[link])

    def _end_chunk(self) -> None:
        if self._chunk:
            self._chunk.set_attribute("bulkwriter.pairs", self._pairs)
            self._chunk.end()
        self._chunk, self._pairs = None, 0

    def _end_start(self, reason: str, exit_code: int) -> None:
        if self._start:
            self._start.set_attribute("bulkwriter.exit_code", exit_code)
            if exit_code in FAULTY:
                self._start.set_status(Status(StatusCode.ERROR, reason))
            self._start.end()
        self._start = None


def observe(meter: Meter, instrument: Instrument, read: Callable[[], Metrics]) -> None:
    """Make an observable instrument that reads the plain numbers."""

    def callback(options: CallbackOptions) -> Iterable[Observation]:
        values = instrument.read(read())
        return [Observation(value, attributes_of(instrument, key)) for key, value in values.items()]

    counter, gauge = meter.create_observable_counter, meter.create_observable_gauge
    make = counter if instrument.kind == "counter" else gauge
    make(instrument.otel, [callback], instrument.unit, instrument.text)


def attributes_of(instrument: Instrument, key: str) -> dict[str, str | int]:
    if key == NO_LABEL and not instrument.attribute:
        return {}
    is_status = instrument.attribute == "http.response.status_code" and key.isdigit()
    return {instrument.attribute: int(key) if is_status else key}


def histogram(meter: Meter, durations: Durations) -> Histogram:
    bounds = durations.read(Metrics()).bounds_s
    text = f"{durations.text}  Sampled, at most 20 a second."
    return meter.create_histogram(durations.otel, "s", text, explicit_bucket_boundaries_advisory=bounds)
