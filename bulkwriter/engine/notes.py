"""What a run notes in its journal for `status`: how large its source is, how fast it goes, and which quotas it obeys.

One row of `meta`, key `run`, JSON: `rows` (of the source; estimated unless `is_exact`), `rate_per_s` and when it was
measured (`at`, epoch seconds), `quota`, `quota_share` and `ledger` as they were set.  Written a second after the start,
then at growing intervals up to a minute, and only when something changed by more than a hundredth: a run that waits
for days writes nothing.

Invariant: nothing depends on it; a run without it goes on as well.  Nothing in it is secret.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import orjson

if TYPE_CHECKING:
    from .engine import Engine

KEY: Final = "run"
FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0


async def keep_notes(engine: Engine, total: Callable[[], tuple[int | None, bool]]) -> None:
    """Note for ever how the run stands; `total` gives the rows of the source, and whether that is exact."""
    store, noted, pause_s = engine.ports.store, None, FIRST_S
    while store.is_durable:
        await anyio.sleep(pause_s)
        pause_s = min(LONGEST_S, pause_s * 2)
        rows, is_exact = total()
        rate = engine.stats.settled.per_s(engine.ports.clock())
        if rows is None or (noted and is_same(noted, (rows, is_exact, rate))):
            continue
        noted = rows, is_exact, rate
        await store.run(partial(write, text=orjson.dumps(facts(engine, rows, is_exact=is_exact, rate=rate)).decode()))


def write(journal: Any, *, text: str) -> None:
    journal.meta_set(KEY, text)


def facts(engine: Engine, rows: int, *, is_exact: bool, rate: float) -> dict[str, Any]:
    settings = engine.settings
    return {
        "rows": rows,
        "is_exact": is_exact,
        "rate_per_s": round(rate, 3),
        "at": round(engine.ports.wall()),
        "quota": settings.quota,
        "quota_share": settings.quota_share,
        "ledger": str(settings.ledger) if settings.ledger else None,
    }


def is_same(noted: tuple[int, bool, float], now: tuple[int, bool, float]) -> bool:
    """Whether what was noted is still right to a hundredth."""
    close = all(abs(a - b) <= abs(a) / 100 for a, b in ((noted[0], now[0]), (noted[2], now[2])))
    return close and noted[1] == now[1]
