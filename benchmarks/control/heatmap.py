"""Draws the result of *control* as a heat map: a row a cell, the worst of ours first, a column a controller.

In each field stand the share of the limit that was reached and the share of throttles, in percent.  It is green where
both bars are met, and the redder the more is lost of the limit or throttled.
"""

from __future__ import annotations

from html import escape
from typing import Any

from .bars import STEADY, THROTTLED

LABEL, FIELD, HEIGHT, TOP = 210, 104, 24, 84
STYLE = """
  svg { background: #ffffff }
  text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 }
  .note { font-size: 11px; fill: #57606a } .in { fill: #1f2328 }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117 }
    text { fill: #e6edf3 } .note { fill: #9198a1 } .in { fill: #1f2328 }
  }
"""


def svg(result: dict[str, Any]) -> str:
    """The heat map of one result."""
    others: dict[str, dict[str, list[float]]] = result["settings"]["others"]
    names = list(others)
    cells = [name for name in result["settings"]["worst_first"] if name in others[names[0]]]
    width, height = LABEL + FIELD * len(names), TOP + HEIGHT * len(cells) + 8
    title = "Of the server's limit reached / throttled, %"
    note = f"medians of up to {result['settings']['rounds']} seeds in virtual time, commit {result['commit']}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        f"<title>{title}</title>",
        f'<text class="title" x="0" y="18">{title}</text>',
        f'<text class="note" x="0" y="36">{escape(note)}</text>',
    ]
    for column, name in enumerate(names):
        for line, word in enumerate(in_two(name)):
            x = LABEL + FIELD * column + FIELD / 2
            lines.append(f'<text x="{x:.0f}" y="{58 + 15 * line}" text-anchor="middle">{escape(word)}</text>')
    for row, cell in enumerate(cells):
        y = TOP + HEIGHT * row
        lines.append(f'<text x="{LABEL - 8}" y="{y + 16}" text-anchor="end">{escape(cell)}</text>')
        for column, name in enumerate(names):
            lines += field(*others[name][cell], x=LABEL + FIELD * column, y=y)
    return "\n".join([*lines, "</svg>", ""])


def in_two(name: str) -> tuple[str, ...]:
    """A heading of at most two lines."""
    words = name.split()
    return (name,) if len(name) < 14 else (" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :]))


def field(steady: float, throttled: float, *, x: int, y: int) -> tuple[str, str]:
    words, fill = f"{steady * 100:.0f} / {throttled * 100:.1f}", colour(steady, throttled)
    return (
        f'<rect x="{x + 1}" y="{y + 1}" width="{FIELD - 2}" height="{HEIGHT - 2}" rx="2" fill="{fill}"/>',
        f'<text class="in" x="{x + FIELD / 2:.0f}" y="{y + 16}" text-anchor="middle">{words}</text>',
    )


def colour(steady: float, throttled: float) -> str:
    if round(steady, 3) >= STEADY and round(throttled, 4) <= THROTTLED:
        return "#aceebb"
    lost = min(1.0, max(0.0, 1 - steady) * 2 + throttled * 2)
    return f"hsl({48 - 48 * lost:.0f} 90% {82 - 14 * lost:.0f}%)"
