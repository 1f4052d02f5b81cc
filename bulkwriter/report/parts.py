"""Pieces of the report's HTML: escaped text, bars, charts, tables.

All text goes through `esc`: what comes from a server, a source, a path or the journal is never markup.  A chart is an
SVG that is stretched to its place, with its labels beside it as text, so that they stay readable on a phone and can be
selected, read aloud and printed.  Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Final

from ..shell import visible
from .series import Part

HEIGHT: Final = 1_000
"""Height of a chart in its own units: thousandths of the largest value."""


def esc(text: object) -> str:
    """Text as it may stand in a page or in an attribute; what a screen would not show becomes its escape."""
    return escape(visible(str(text)))


def number(value: float) -> str:
    return f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """Rounded down, so that 100% is never shown before the end; a decimal below 1%."""
    share = 100 * part / whole if whole else 100.0
    if 0 < share < 0.1:
        return "below 0.1%"
    return f"{math.floor(share * 10) / 10:.1f}%" if 0 < share < 1 else f"{math.floor(share)}%"


def section(title: str, body: str, *, note: str = "") -> str:
    """A part of the page with its heading; `body` is markup, `note` is text."""
    below = f'<p class="soft small">{esc(note)}</p>' if note else ""
    return f"<section><h2>{esc(title)}</h2>{below}{body}</section>"


def facts_list(rows: Iterable[tuple[str, str]]) -> str:
    """Words and what they are, as text."""
    items = "".join(f"<dt>{esc(word)}</dt><dd>{esc(text)}</dd>" for word, text in rows)
    return f'<dl class="facts">{items}</dl>'


def table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """A table.  `heads` are class and text of each column; the cells of `rows` are markup."""
    head = "".join(f'<th scope="col" class="{kind}">{esc(text)}</th>' for kind, text in heads)
    lines = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{cell}</td>' for (kind, _), cell in zip(heads, row, strict=True))
        + "</tr>"
        for row in rows
    )
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="group" aria-label="table">{whole}</div>'


def meter(share: float, colour: str) -> str:
    """A bar of this share (0 to 1) of its cell."""
    return (
        f'<span class="meter" style="width:{100 * min(1.0, max(0.0, share)):.1f}%;background:var(--{colour})"></span>'
    )


def stacked(values: Sequence[tuple[str, int]], rest: int) -> str:
    """One bar of shares by colour; `rest` is what is left of the whole."""
    whole = sum(value for _, value in values) + rest
    if not whole:
        return ""
    spans = "".join(
        f'<span style="width:{100 * value / whole:.3f}%;background:var(--{name})"></span>'
        for name, value in values
        if value
    )
    return f'<div class="bar" aria-hidden="true">{spans}</div>'


def nice(value: float) -> float:
    """The next value of 1, 2, 2.5, 5 times a power of ten that is not smaller: the top of an axis."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999)


def short(value: float) -> str:
    """A label of an axis: "0", "2.5", "1,250"."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def chart(svg: str, *, top: float, unit: str, xs: Sequence[str], label: str, is_low: bool = False) -> str:
    """A chart: its plot, labels of both axes, and a sentence for those who do not see it."""
    ys = [short(top), "0"] if is_low else [short(top), short(top / 2), "0"]
    y = "".join(f"<span>{esc(text)}</span>" for text in ys)
    x = "".join(f"<span>{esc(text)}</span>" for text in xs)
    kind = "chart low" if is_low else "chart"
    return (
        f'<p class="soft small" style="margin-top:.8rem">{esc(unit)}</p><div class="{kind}" style="margin-top:.6rem">'
        f'<div class="y" aria-hidden="true">{y}</div>'
        f'<div class="plot" role="img" aria-label="{esc(label)}">{svg}</div><div class="x">{x}</div></div>'
    )


def _svg(width: int, inside: str) -> str:
    return f'<svg viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{inside}</svg>'


def height_of(value: float, top: float) -> int:
    return round(HEIGHT * min(1.0, value / top)) if top > 0 else 0


def rate_area(rates: Sequence[float | None], top: float) -> str:
    """Rates of equal parts of time, as steps with an area below; nothing is drawn where there is none."""
    areas, edges, since = [], [], 0
    for is_gap, group in groupby(rates, key=lambda rate: rate is None):
        steps = [f"L{i} {HEIGHT - height_of(rate or 0.0, top)}H{i + 1}" for i, rate in enumerate(group, since)]
        if not is_gap:
            path = "M" + "".join(steps).removeprefix("L")
            edges.append(path)
            areas.append(f"{path}V{HEIGHT}H{since}Z")
        since += len(steps)
    return _svg(len(rates), f'<path class="area" d="{"".join(areas)}"/><path class="edge" d="{"".join(edges)}"/>')


def columns(values: Sequence[float], top: float, kind: str, *, limit: float | None = None, gap: float = 0.15) -> str:
    """Columns, and a dashed line at `limit`."""
    bars = "".join(
        f'<rect class="{kind}" x="{i + gap / 2:g}" y="{HEIGHT - high}" width="{1 - gap:g}" height="{high}"/>'
        for i, value in enumerate(values)
        if (high := max(12 if value > 0 else 0, height_of(value, top)))
    )
    line = ""
    if limit is not None:
        y = HEIGHT - height_of(limit, top)
        line = f'<path class="limit" d="M0 {y}H{len(values)}"/>'
    return _svg(len(values), bars + line)


PATTERNS: Final = (
    "<defs>"
    '<pattern id="p-server" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" class="server"/><rect width="2" height="6" fill="#fff" fill-opacity=".45"/></pattern>'
    '<pattern id="p-doubts" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="6" class="doubts"/><circle cx="3" cy="3" r="1.3" fill="#fff" fill-opacity=".7"/></pattern>'
    '<pattern id="p-trouble" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="6" class="trouble"/><path d="M0 0L6 6M6 0L0 6" stroke="#fff" stroke-opacity=".5"/>'
    "</pattern>"
    '<pattern id="p-here" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" class="here"/><rect width="5" height="1.5" fill="#fff" fill-opacity=".5"/></pattern>'
    "</defs>"
)
STRIP: Final = 900
"""Width of the strip in its own units, near its width on a screen, so that its patterns keep their shape."""


def fill_of(group: str) -> str:
    return f'fill="url(#p-{group})"' if group in ("server", "doubts", "trouble", "here") else f'class="{group}"'


def strip(parts: Sequence[Part], groups: Sequence[str]) -> str:
    """A strip of time: what held each part back; empty where nothing ran."""
    rects, since = [], 0
    for i in range(1, len(parts) + 1):
        if i == len(parts) or groups[i] != groups[since]:
            x, width = STRIP * since / len(parts), STRIP * (i - since) / len(parts)
            rects.append(f'<rect {fill_of(groups[since])} x="{x:.1f}" y="0" width="{width:.1f}" height="20"/>')
            since = i
    return (
        f'<svg class="strip" viewBox="0 0 {STRIP} 20" preserveAspectRatio="none" role="img" '
        f'aria-label="what held the run back over time; the table below has figures">{PATTERNS}{"".join(rects)}</svg>'
    )


def legend(items: Iterable[tuple[str, str]]) -> str:
    """Groups with their pattern and their words."""
    return (
        '<ul class="legend">'
        + "".join(
            f'<li><svg viewBox="0 0 19 16" aria-hidden="true"><rect {fill_of(group)} width="19" height="16"/></svg>'
            f"{esc(words)}</li>"
            for group, words in items
        )
        + "</ul>"
    )
