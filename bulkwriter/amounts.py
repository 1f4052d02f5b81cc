"""How counts, durations and rates are written for people: on a terminal, in a log, in a report.

Pure: a number in, a text out.  Durations show their two largest units, since nobody acts on the third: "41 s",
"3 min 20 s", "2 h 05 min", "12 d 4 h".

Not here: tables and states (`cli.describe`), and text from outside (`shell`).
"""

from __future__ import annotations

from typing import Final

RETRY_AFTER_MAX_S: Final = 1e11  # 3,000 years: far above any stop rule, and still a date that datetime can hold


def quantity(value: int, noun: str) -> str:
    """A count with its noun: "1 pair", "2,000 pairs"."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def duration(seconds: float) -> str:
    """First value below a minute: "0.4 s", "12 s"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit_s, unit, small_s, small, digits in (
        (86_400, "d", 3_600, "h", 1),
        (3_600, "h", 60, "min", 2),
        (60, "min", 1, "s", 2),
    ):
        if whole >= unit_s:
            return f"{whole // unit_s:,} {unit} {whole % unit_s // small_s:0{digits}d} {small}"
    return f"{whole} s"


def per_second(rate: float) -> str:
    """Three digits are enough to see a change: "0.85/s", "12.3/s", "1,234/s"."""
    if rate >= 99.95:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 9.995 else f"{rate:.2f}/s"


def wait_words(stated_s: float) -> str:
    """A stated wait for people, in seconds.  If it was cut to `RETRY_AFTER_MAX_S`, the text says so."""
    return f"{stated_s:,.0f} s{' or more' if stated_s >= RETRY_AFTER_MAX_S else ''}"
