"""The figures that benchmarks tell: what each is called, its unit, how it is written, and which way is better.

A row of a result is a name and some of these; tables, comparisons and plots read this table and know nothing else about
a figure.  Medians are taken here too, so that there is one way of taking them.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Row = dict[str, float | str]
"""`name`, and figures by their keys.  The same shape serves one raw run and the medians of many."""


@dataclass(frozen=True, slots=True)
class Figure:
    """How one figure is shown.  `better` is "less", "more" or "" where neither is."""

    title: str
    unit: str
    digits: int
    better: str
    scale: float = 1.0

    def text(self, value: float) -> str:
        return f"{value * self.scale:,.{self.digits}f}"

    @property
    def heading(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title


FIGURES: dict[str, Figure] = {
    "cpu_us": Figure("CPU a pair", "µs", 1, "less"),
    "pairs_per_s": Figure("pairs", "1/s", 0, "more"),
    "running_us": Figure("without start", "µs", 1, "less"),
    "added_us": Figure("added CPU a pair", "µs", 2, "less"),
    "stage_us": Figure("CPU a pair", "µs", 2, "less"),
    "share_of_ideal": Figure("of the ideal", "%", 1, "more", 100.0),
    "rss_bytes": Figure("peak memory", "MB", 0, "less", 1e-6),
    "start_cpu_s": Figure("CPU of a start", "s", 2, "less"),
    "took_s": Figure("took", "s", 3, "less"),
    "commits": Figure("commits for 1,000 pairs", "", 0, "less"),
    "p50_ms": Figure("a call, median", "ms", 2, "less"),
    "p99_ms": Figure("p99", "ms", 2, "less"),
    "row_us": Figure("a row", "µs", 2, "less"),
    "wall_s": Figure("whole process", "s", 2, "less"),
    "cpu_s": Figure("whole CPU", "s", 2, "less"),
    "instructions": Figure("instructions a pair", "1,000", 1, "less", 1e-3),
    "steady": Figure("of the limit", "%", 1, "more", 100.0),
    "simulated": Figure("simulated", "%", 1, "", 100.0),
    "throttled": Figure("throttled", "%", 2, "less", 100.0),
    "simulated_throttled": Figure("simulated", "%", 2, "", 100.0),
    "total": Figure("from the start", "%", 1, "more", 100.0),
    "in_20_s": Figure("in 20 s", "%", 1, "more", 100.0),
    "throttled_20_s": Figure("throttled in 20 s", "%", 2, "less", 100.0),
    "in_60_s": Figure("in 60 s", "%", 1, "more", 100.0),
    "in_300_s": Figure("in 300 s", "%", 1, "more", 100.0),
    "in_hour": Figure("in an hour", "%", 1, "more", 100.0),
    "converged_s": Figure("converged", "s", 1, "less"),
    "p95_ratio": Figure("p95 ÷ alone", "", 2, "less"),
    "dropped": Figure("throttled after a drop", "%", 1, "less", 100.0),
    "raised_s": Figure("raise found", "s", 1, "less"),
    "jain": Figure("Jain", "", 3, "more"),
    "floor": Figure("of the floor", "%", 0, "more", 100.0),
    "sends": Figure("sends a pair", "", 3, "less"),
    "missed": Figure("missed a bar", "runs", 0, "less"),
    "of_runs": Figure("of", "runs", 0, ""),
    "issued": Figure("issued", "%", 1, "more", 100.0),
    "worst": Figure("in the worst second", "", 0, "less"),
    "allowed": Figure("allowed", "", 0, ""),
    "pairs": Figure("pairs", "", 0, ""),
    "calls": Figure("list calls", "", 0, "less"),
    "calls_again": Figure("the same again", "", 0, "less"),
}


def median_rows(runs: Sequence[Row]) -> list[Row]:
    """One row a name, in the order of first appearance: the median of each figure over the runs of that name."""
    names = dict.fromkeys(str(run["name"]) for run in runs)
    return [{"name": name, **medians([run for run in runs if run["name"] == name])} for name in names]


def medians(runs: Sequence[Mapping[str, float | str]]) -> dict[str, float]:
    """The median of each known figure that all of `runs` have."""
    found = {}
    for key in FIGURES:
        values = [value for run in runs if isinstance(value := run.get(key), int | float)]
        if values and len(values) == len(runs):
            found[key] = statistics.median(values)
    return found


def figure_of(rows: Sequence[Row], name: str, key: str) -> float | None:
    """A figure of the row of that name, or None."""
    for row in rows:
        if row["name"] == name and isinstance(value := row.get(key), int | float):
            return value
    return None


def ratio(rows: Sequence[Row], over: str, under: str, key: str) -> float | None:
    """The figure of row `over` divided by that of row `under`, or None where one is missing."""
    top, bottom = figure_of(rows, over, key), figure_of(rows, under, key)
    return None if top is None or not bottom else top / bottom


def turn_ratios(runs: Sequence[Row], over: str, under: str, key: str) -> list[float]:
    """The figure of `over` divided by that of `under`, turn by turn."""
    turns = dict.fromkeys(run["turn"] for run in runs if "turn" in run)
    by_turn = ([run for run in runs if run.get("turn") == turn] for turn in turns)
    return [found for rows in by_turn if (found := ratio(rows, over, under, key)) is not None]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text, the first column to the left and the others to the right."""
    cells = [list(headings), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    lines = []
    for row in cells:
        first, *rest = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join((first, *rest)).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def row_table(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """Rows with these figures, a dash where one is missing."""

    def cell(row: Row, key: str) -> str:
        value = row.get(key)
        return FIGURES[key].text(value) if isinstance(value, int | float) else "-"

    shown = [key for key in keys if any(key in row for row in rows)]
    return table(
        ["", *(FIGURES[key].heading for key in shown)],
        [[str(row["name"]), *(cell(row, key) for key in shown)] for row in rows],
    )
