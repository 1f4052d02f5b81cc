"""What a run notes in its journal for `status`: how large its source is, how fast it goes, and which quotas it obeys.

One row of `meta`, key `run`, JSON: `rows` (of the source; estimated unless `is_exact`, null where unknown),
`rate_per_s` and when it was measured (`at`, epoch seconds), `held_kind` and `held_by` (what holds it back),
`holds_until` (epoch seconds, or null), `believes` (of the server), `quota`, `quota_share` and `ledger` as they were
set.  Written a second after the start and then at growing intervals up to a minute when a number changed by more than a
hundredth; within `HELD_S` when something else holds the run back; and once more at the end.  A run that waits for days
writes nothing.

Invariant: nothing depends on it; a run without it goes on as well.  Nothing in it is secret.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import orjson

from ..errors import JournalError, is_of_journal

if TYPE_CHECKING:
    from ..store.journal import Journal
    from .engine import Engine
    from .held import Held

Noted = tuple[str, int | None, bool, float]
"""What is compared: the kind of what holds back, rows if known, whether they are exact, and the rate."""

KEY: Final = "run"
FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
HELD_S: Final = 5.0
"""Shortest time between two notes for the sake of what holds back, which may change with every window."""


async def keep_notes(engine: Engine, total: Callable[[], tuple[int | None, bool]]) -> None:
    """Note for ever how the run stands; `total` gives the rows of the source, and whether that is exact."""
    store, noted, pause_s = engine.ports.store, None, FIRST_S
    clock = engine.ports.clock
    noted_at = clock()
    while store.is_durable:
        await anyio.sleep(min(pause_s, HELD_S))
        now, (rows, is_exact) = clock(), total()
        held, rate = engine.brake.now(now), engine.stats.settled.per_s(now)
        if noted and not is_due(noted, (held.kind, rows, is_exact, rate), now - noted_at, pause_s):
            continue
        noted, noted_at, pause_s = (held.kind, rows, is_exact, rate), now, min(LONGEST_S, pause_s * 2)
        text = orjson.dumps(facts(engine, held, rows, is_exact=is_exact, rate=rate)).decode()
        await store.run(partial(write, text=text))


async def note_at_end(engine: Engine, total: Callable[[], tuple[int | None, bool]]) -> None:
    """Note it a last time, so that a start of less than a second tells `status` as much."""
    if not engine.ports.store.is_durable or is_of_journal(engine.error):
        return
    now, (rows, is_exact) = engine.ports.clock(), total()
    told = facts(engine, engine.brake.now(now), rows, is_exact=is_exact, rate=engine.stats.settled.per_s(now))
    with contextlib.suppress(JournalError):  # nothing depends on it
        await engine.ports.store.run(partial(write, text=orjson.dumps(told).decode()))


def write(journal: Journal, *, text: str) -> None:
    journal.meta_set(KEY, text)


def facts(engine: Engine, held: Held, rows: int | None, *, is_exact: bool, rate: float) -> dict[str, Any]:
    settings, wall = engine.settings, engine.ports.wall()
    return {
        "rows": rows,
        "is_exact": is_exact,
        "rate_per_s": round(rate, 3),
        "at": round(wall, 1),
        "held_kind": held.kind,
        "held_by": held.words,
        "holds_until": None if held.more_s is None else round(wall + held.more_s, 1),
        "believes": engine.parts.control.explain(engine.ports.clock()),
        "quota": settings.quota,
        "quota_share": settings.quota_share,
        "ledger": str(settings.ledger) if settings.ledger else None,
    }


def is_due(noted: Noted, now: Noted, since_s: float, pause_s: float) -> bool:
    """Whether to note anew: something else holds the run back, or the interval is over and a number changed."""
    if noted[0] != now[0]:
        return since_s >= HELD_S
    close = all(abs(a - b) <= abs(a) / 100 for a, b in ((noted[1] or 0, now[1] or 0), (noted[3], now[3])))
    return since_s >= pause_s and not (close and noted[2] == now[2])
