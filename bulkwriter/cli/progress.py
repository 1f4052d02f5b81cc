"""A snapshot of a run as lines of progress, for a terminal of any width and for a log.

Pure: a snapshot and a width in, lines out; `live` and `drive` decide when.  What is zero and says nothing is left
out, so that a quiet run fits one line.  A total that is only estimated carries "about", and no percentage is 100
before the end.
"""

from __future__ import annotations

from typing import Any

from ..model import Snapshot, reasons_json
from ..wording import typed
from . import describe, reason_lines

FIRST_LINE_S = 5.0
LAST_LINE_S = 60.0
LEAST_S = 0.05
"""What holds the run for less is over: it would be shown as 0.0 s."""


def pause_s(elapsed_s: float) -> float:
    """Time to the next plain line: a sixth of the time gone by, from 5 s up to 60 s; a day makes 1,500 lines."""
    return min(LAST_LINE_S, max(FIRST_LINE_S, elapsed_s / 6))


def fraction(s: Snapshot) -> float | None:
    """How much of the run is done, 0 to 1, or None while its size is unknown."""
    return min(1.0, s.done / s.total) if s.total else None


def headline(s: Snapshot) -> str:
    """How far the run is: "1,234 of 5,000 · 24%"."""
    if s.total is None:
        return f"{s.done:,} done"
    about = "" if s.is_total_exact else "about "
    return f"{s.done:,} of {about}{s.total:,} · {describe.percent(s.done, s.total)}"


def outcome_facts(s: Snapshot) -> list[str]:
    """Counts by state: created always, others where there are any."""
    facts = []
    for name, count in describe.by_state(s.counts).items():
        if name == "created" or (count and name != "pending"):
            facts.append(f"{describe.state(name)} {count:,}")
    return facts


def pace_facts(s: Snapshot) -> list[str]:
    """Speed and what is under way."""
    facts = [describe.creates_per_second(s.rate_per_s)]
    if s.eta_s is not None:
        facts.append(f"ETA {describe.duration(s.eta_s)}")
    facts.append(f"in flight {s.in_flight:,}/{s.in_flight_limit:,}")
    if s.throttled:
        facts.append(f"throttled {s.throttled:,}")
    return facts


def held_by(s: Snapshot) -> str:
    """What holds the run back right now and for how much longer, or ""."""
    words = typed(s.held_by)
    if s.holds_until_s is None or not words or s.holds_until_s < LEAST_S:
        return words
    return f"{words}, {describe.duration(s.holds_until_s)} more"


def plain_line(s: Snapshot) -> str:
    """One line for a log."""
    facts = [headline(s), *outcome_facts(s), *pace_facts(s)]
    if s.believes:
        facts.append(s.believes)
    if s.held_by:
        facts.append(f"held back: {held_by(s)}")
    if why := reason_lines.in_short(s.reasons):
        facts.append(why)
    return " · ".join(facts)


def live_lines(s: Snapshot, width: int) -> list[str]:
    """The lines under the bar of a live display, none longer than `width`."""
    lines = [*describe.wrap(outcome_facts(s), width), *describe.wrap(pace_facts(s), width)]
    if s.believes:
        lines += describe.wrap(s.believes.split(), width, between=" ")
    if s.held_by:
        lines += describe.wrap(f"held back: {held_by(s)}".split(), width, between=" ")
    if why := reason_lines.in_short(s.reasons):
        lines += describe.wrap([why], width)  # on one line, cut where need be: the summary tells it whole
    return lines


def json_facts(s: Snapshot) -> dict[str, Any]:
    """A snapshot as the facts of a JSON line."""
    return {
        "event": "progress",
        **s.counts.to_json(),
        "done": s.done,
        "rows_total": s.total,
        "rows_total_exact": None if s.total is None else s.is_total_exact,
        "not_read": s.not_read,
        "in_flight": s.in_flight,
        "in_flight_limit": s.in_flight_limit,
        "attempts": s.attempts,
        "throttled": s.throttled,
        "rate_per_s": round(s.rate_per_s, 3),
        "elapsed_s": round(s.elapsed_s, 3),
        "eta_s": None if s.eta_s is None else round(s.eta_s, 1),
        "latency_s": {f"{q:g}": round(v, 6) for q, v in s.latency_s.items()},
        "held_kind": s.held_kind,
        "held_by": typed(s.held_by),
        "holds_until_s": None if s.holds_until_s is None else round(s.holds_until_s, 1),
        "believes": s.believes,
        "reasons": reasons_json(s.reasons),
    }
