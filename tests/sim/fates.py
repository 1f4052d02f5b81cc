"""What may happen to a request, and how often in one world: swarm testing, each seed with its own few kinds of trouble.

A fate has two halves: what the server does with the request, and what the client sees of it.  `KINDS` is the table; the
engine must be right about the first half from the second one and from looks alone.

Source: Groce et al., "Swarm Testing" (2012): leaving most kinds out of a run finds more than all kinds in every run.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from bulkwriter.model import Fault


class Does(Enum):
    """What the server does with a create."""

    TAKES = "takes it as always"
    DROPS = "never sees it"
    TAKES_LATE = "takes it after the client has lost it, within the promised time"
    MAY_TAKE = "one of these"


class Kind(NamedTuple):
    """One way for a create to go.  `status` 0 with `fault` None is silence."""

    does: Does
    fault: Fault | None = None
    status: int = 0
    body: bytes = b""
    retry_after: str | None = None


HTML: Final = b"<html><body>Bad gateway</body></html>"
ERROR: Final = b'{"Message":"An error has occurred."}'

# fmt: off
KINDS: Final[dict[str, Kind]] = {
    "reset before":        Kind(Does.DROPS, Fault.LOST),
    "reset after":         Kind(Does.TAKES, Fault.LOST),
    "reset, late":         Kind(Does.TAKES_LATE, Fault.LOST),
    "cut reply":           Kind(Does.TAKES, Fault.CUT),
    "garbage":             Kind(Does.MAY_TAKE, Fault.GARBLED),
    "oversized":           Kind(Does.TAKES, Fault.OVERSIZED),
    "silence":             Kind(Does.MAY_TAKE),
    "500 before":          Kind(Does.DROPS, status=500, body=ERROR),
    "500 after":           Kind(Does.TAKES, status=500, body=ERROR),
    "500, late":           Kind(Does.TAKES_LATE, status=500, body=ERROR),
    "502 page":            Kind(Does.MAY_TAKE, status=502, body=HTML),
    "504 page, late":      Kind(Does.TAKES_LATE, status=504, body=HTML),
    "408":                 Kind(Does.MAY_TAKE, status=408),
    "503 page":            Kind(Does.MAY_TAKE, status=503, body=HTML),
    "503 with a wait":     Kind(Does.MAY_TAKE, status=503, body=HTML, retry_after="2"),
    "200 of another kind": Kind(Does.MAY_TAKE, status=200, body=b'{"WasSuccessful":true,"Value":{}}'),
    "204":                 Kind(Does.MAY_TAKE, status=204),
    "409 without a word":  Kind(Does.DROPS, status=409),
    "429 with a wait":     Kind(Does.DROPS, status=429, retry_after="1"),
    "409 until a date":    Kind(Does.DROPS, status=409, retry_after="Mon, 23 Nov 2026 10:00:03 GMT"),
}
"""Fates besides the plain one.  A date counts from `DATE`, the reply's own."""
FORBIDDEN: Final[dict[str, Kind]] = {"403": Kind(Does.DROPS, status=403)}
"""Fates that end a source, so they are in no drawn world."""

DATE: Final = "Mon, 23 Nov 2026 10:00:00 GMT"

SHIFT: Final = "somebody else's reply"
LANE_EVENTS: Final = ("repeated reply", "stray bytes", "closed when idle", "close after the reply")
LIST_FATES: Final = (
    "lost", "silence", "500", "502 page", "429 with a wait", "garbage", "short page", "empty page", "old picture",
)
"""A 403 ends a run, so it is in no drawn world."""
CONNECT_FAULTS: Final = (Fault.REFUSED, Fault.UNREACHABLE, Fault.CONNECT_TIMEOUT)
# fmt: on


@dataclass(frozen=True, slots=True)
class Odds:
    """How often each kind comes, as shares of all requests, lanes or list calls; what is left over goes well."""

    creates: Mapping[str, float]
    lanes: Mapping[str, float]
    lists: Mapping[str, float]
    connects: float
    strangers_per_s: float
    """Records that others add and delete."""


CALM: Final = Odds({}, {}, {}, 0.0, 0.0)


def draw_odds(rng: random.Random) -> Odds:
    """A few kinds of trouble, together at most about half of all requests."""
    return Odds(
        creates=some_of(rng, tuple(KINDS), share=0.25, most=0.5),
        lanes=some_of(rng, LANE_EVENTS, share=0.3, most=0.2),
        lists=some_of(rng, LIST_FATES, share=0.25, most=0.5),
        connects=rng.choice((0.0, 0.0, 0.1, 0.4)),
        strangers_per_s=rng.choice((0.0, 0.0, 0.2, 5.0)),
    )


def draw_shifty_odds(rng: random.Random) -> Odds:
    """Somebody else's replies come on our lanes; besides them only what does not send a pair back to the queue."""
    odds = draw_odds(rng)
    creates = {name: share for name, share in odds.creates.items() if KINDS[name].status not in (409, 429)}
    return replace(odds, creates=creates, lanes={SHIFT: rng.uniform(0.01, 0.1)})


def some_of(rng: random.Random, names: tuple[str, ...], *, share: float, most: float) -> dict[str, float]:
    """About `share` of the names, with odds that add up to at most `most`."""
    chosen = {name: rng.uniform(0.05, 1.0) for name in names if rng.random() < share}
    total = rng.uniform(0.02, most)
    return {name: weight * total / sum(chosen.values()) for name, weight in chosen.items()}


def draw(rng: random.Random, odds: Mapping[str, float]) -> str | None:
    """One of the kinds by its odds, or None: all goes well."""
    at = rng.random()
    for name, share in odds.items():
        at -= share
        if at < 0:
            return name
    return None
