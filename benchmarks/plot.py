"""Draws a result as an SVG for the README: bars, one a row, longest first or in the order of the rows.

Written by hand, since a bar chart is rectangles and text, and a plotting library would be the largest dependency of the
project.  The picture takes its colours from the reader's light or dark mode, its paper too: the page around it may have
another mode than the system, which is all that a picture is told.  Every label is escaped.  What is drawn for which
benchmark stands in `CHARTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from . import record
from .control import heatmap
from .figures import FIGURES, Row

WIDTH, LABEL_WIDTH, VALUE_WIDTH = 860, 270, 240
BAR, GAP, TOP = 20, 8, 54
STYLE = """
  svg { background: #ffffff }
  text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 }
  .note { font-size: 11px; fill: #57606a } .bar { fill: #8c959f } .ours { fill: #1f6feb }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117 }
    text { fill: #e6edf3 } .note { fill: #9198a1 } .bar { fill: #6e7681 } .ours { fill: #4493f8 }
  }
"""


@dataclass(frozen=True, slots=True)
class Chart:
    """Which figure the bars show, which are written behind them, and the title above."""

    title: str
    bar: str
    behind: tuple[str, ...] = ()
    is_sorted: bool = False


CHARTS = {
    "peers": Chart("Pairs a second, 64 in flight, one core", "pairs_per_s", ("cpu_us",), is_sorted=True),
    "parts": Chart("CPU a pair, by stage", "stage_us"),
    "scale": Chart("CPU a pair", "cpu_us", ("pairs_per_s", "rss_bytes")),
    "resume": Chart("Time to reopen", "took_s"),
    "startup": Chart("Time from the command", "took_s"),
    "workbooks": Chart("CPU to read 100,000 rows of .xlsx", "cpu_s"),
    "singles": Chart("CPU a pair, by the way in which it is given", "stage_us", ("p50_ms",)),
    "quota": Chart("What quotas cost a request", "stage_us"),
    "machines": Chart("CPU a pair of jobs in PostgreSQL", "stage_us", ("pairs_per_s",)),
    "resolve": Chart("What looking ids up takes", "calls"),
    "ceiling": Chart("Issued of what --rate allows", "issued", ("worst",)),
    "real": Chart("Reached of a limit that is really enforced", "steady", ("simulated",)),
}


def draw(source: Path | None, output: Path | None) -> Path:
    """Draw a result (the newest of *peers* where none is named) and return the SVG's path."""
    source = source or record.newest("peers")
    if source is None:
        raise record.NotComparable("there is no result of peers yet: python -m benchmarks peers")
    result = record.load(source)
    output = output or source.with_name(f"{result['benchmark']}.svg")
    output.write_text(svg(result), encoding="utf-8")
    return output


def svg(result: record.Result) -> str:
    """The chart of one result."""
    if result["benchmark"] == "control":
        return heatmap.svg(result)
    chart = CHARTS[result["benchmark"]]
    rows: list[Row] = [row for row in result["rows"] if isinstance(row.get(chart.bar), int | float)]
    if chart.is_sorted:
        rows.sort(key=lambda row: number(row, chart.bar), reverse=FIGURES[chart.bar].better == "more")
    longest = max((number(row, chart.bar) for row in rows), default=0.0) or 1.0
    where, server = result["machine"], result["settings"].get("server", "")
    note = (
        f"medians of {result['settings']['rounds']} runs in turns, commit {result['commit']}, {where['processor']}"
        f"{f', against {server}' if server else ''}"
    )
    height = TOP + len(rows) * (BAR + GAP) + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f"<title>{escape(chart.title)}</title>",
        f'<text class="title" x="0" y="18">{escape(chart.title)}</text>',
        f'<text class="note" x="0" y="36">{escape(note)}</text>',
    ]
    for i, row in enumerate(rows):
        lines += bar(row, chart, longest, y=TOP + i * (BAR + GAP))
    return "\n".join([*lines, "</svg>", ""])


def bar(row: Row, chart: Chart, longest: float, *, y: int) -> Sequence[str]:
    value = number(row, chart.bar)
    length = max(1.0, value / longest * (WIDTH - LABEL_WIDTH - VALUE_WIDTH))
    kind = "ours" if str(row["name"]).startswith("bulkwriter") else "bar"
    figures = [
        f"{FIGURES[key].text(number(row, key))} {unit(key)}".strip() for key in (chart.bar, *chart.behind) if key in row
    ]
    middle = y + BAR * 0.72
    return (
        f'<text x="{LABEL_WIDTH - 10}" y="{middle:.0f}" text-anchor="end">{escape(str(row["name"]))}</text>',
        f'<rect class="{kind}" x="{LABEL_WIDTH}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
        f'<text x="{LABEL_WIDTH + length + 8:.1f}" y="{middle:.0f}">{escape(" · ".join(figures))}</text>',
    )


def number(row: Row, key: str) -> float:
    value = row[key]
    assert isinstance(value, int | float)
    return value


def unit(key: str) -> str:
    """The unit as it stands behind a number."""
    figure = FIGURES[key]
    return {"1/s": "a second", "µs": "µs CPU"}.get(figure.unit, figure.unit)
