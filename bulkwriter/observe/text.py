"""The metrics in Prometheus' text format, version 0.0.4, as a file or an HTTP answer has it.

Source: prometheus.io, "Exposition formats".  A line `# HELP`, a line `# TYPE`, then a line for each value; buckets are
cumulative and end with `+Inf`.  In a label's value, backslash, double quote and line feed are escaped.

A test holds this writer to prometheus_client's parser, and to what its collector says of the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..metrics import Distribution, Metrics
from .instruments import EVENTS, HISTOGRAMS, INSTRUMENTS, NO_LABEL, Numbers


def text_of(metrics: Metrics, events: Mapping[str, int]) -> str:
    """All metrics, each line ended."""
    return "".join(f"{line}\n" for line in lines(metrics, events))


def lines(metrics: Metrics, events: Mapping[str, int]) -> Iterator[str]:
    for metric in INSTRUMENTS:
        name = metric.prometheus + ("_total" if metric.kind == "counter" else "")
        yield from family(name, metric.kind, metric.text, metric.label, metric.read(metrics))
    yield from family(f"{EVENTS[0]}_total", "counter", EVENTS[3], "event", dict(events))
    for durations in HISTOGRAMS:
        yield from histogram(durations.prometheus, durations.text, durations.read(metrics))


def family(name: str, kind: str, text: str, label: str, values: Numbers) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for key, value in values.items():
        labels = "" if key == NO_LABEL and not label else f'{{{label}="{escaped(key)}"}}'
        yield f"{name}{labels} {float(value)!r}"


def histogram(name: str, text: str, found: Distribution) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} histogram"
    for bound, count in cumulative(found):
        yield f'{name}_bucket{{le="{bound}"}} {float(count)!r}'
    yield f"{name}_count {float(found.count)!r}"
    yield f"{name}_sum {found.total_s!r}"


def cumulative(found: Distribution) -> list[tuple[str, int]]:
    """Counts of durations up to each bound, the last for all of them: [("0.1", 2), ("+Inf", 3)]."""
    total, pairs = 0, []
    for bound, count in zip((*map(repr, found.bounds_s), "+Inf"), found.counts, strict=True):
        total += count
        pairs.append((bound, total))
    return pairs


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
