"""What a run notes in its journal for `status` and the next start: the size of its source, its rate, and why it ends.

The notes are two rows of `meta`, as JSON.  `store.starts` describes `last_start`, and `source`, which `intents` writes.
The row `run` holds:

    rows, is_exact              as `source` does; older versions look here
    rate_per_s, at              creates a second, and when that was measured (epoch seconds)
    writes_per_s                writes a second while nothing long holds them back, or null
    unmet                       listed records that no row has met yet, see `core.writes`
    doubt_wait_s                time until a doubt that is looked up anew may be settled either way
    doubted                     share of this start's requests that left their pair in doubt
    held_kind, held_by          what holds the run back
    holds_until                 when that ends (epoch seconds), or null
    resume_at, is_theirs        when going on makes sense (epoch seconds, or null); whether the server said so
    believes                    which throttles the server answered, and what the run does since
    quota, quota_share, ledger  the settings

`run` is written a second after the start, then at growing intervals up to a minute if the rate changed by more than a
hundredth.  It is written within `HELD_S` if another cause holds the run back, and once more at the end, together with
`last_start`.  A run that waits for days writes nothing.

Invariants: nothing that is sent depends on the notes; a run without them goes on as well.  They hold no secret.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from ..errors import JournalError, is_of_journal
from ..events import Note
from ..model import Counts, Ended, VerdictKind, whole_second
from ..store.starts import LAST_START, RUN, SOURCE, ended_text, source_text
from ..wording import Worded
from .bottleneck import quiet_s, waits_until
from .token_life import token_warning

if TYPE_CHECKING:
    from ..core.left import RowTotal
    from ..core.stats import Stats
    from ..store.journal import Journal
    from .bottleneck import Held
    from .engine import Engine

Noted = tuple[str, float]
"""The values that are compared: the kind of the cause that holds the run back, and the rate."""

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
HELD_S: Final = 5.0
"""Shortest time between two notes because of a changed cause; it may change with every window."""


class Notes:
    """The notes of one start.

    `began_at` is when the start began (epoch seconds).  `total` gives the rows of the current source, `eta_s` how much
    longer it takes.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        began_at: float,
        total: Callable[[], RowTotal],
        eta_s: Callable[[], float | None],
    ) -> None:
        self._engine = engine
        self._began_at = began_at
        self._total = total
        self._eta_s = eta_s
        self._has_warned = False
        self._grown_from: int | None = None

    async def keep(self) -> None:
        """Note how the run stands, again and again."""
        engine, clock = self._engine, self._engine.ports.clock
        noted: Noted | None = None
        noted_at, pause_s, idle_s = clock(), FIRST_S, FIRST_S
        while True:
            is_told = noted and noted[0] == engine.bottleneck.now(clock()).kind
            await engine.ports.clocks.idle(max(idle_s, quiet_s(engine)) if is_told else idle_s)
            now, idle_s = clock(), min(HELD_S, idle_s * 2)
            self._tell_growth()
            self._tell_token()
            held, rate = engine.bottleneck.now(now), engine.sender.stats.creates.per_s(now)
            if noted and not is_due(noted, (held.kind, rate), now - noted_at, pause_s):
                continue
            noted, noted_at, pause_s = (held.kind, rate), now, min(LONGEST_S, pause_s * 2)
            text = orjson.dumps(facts(engine, held, self._total(), rate)).decode()
            await engine.ports.store.run(partial(write, {RUN: text}))

    async def end(self, ended: Ended) -> None:
        """Note how the run stands a last time, and why the start ends."""
        engine = self._engine
        self._tell_growth()
        if is_of_journal(engine.run.error):
            return
        now = engine.ports.clock()
        told = facts(engine, engine.bottleneck.now(now), self._total(), engine.sender.stats.creates.per_s(now))
        texts = {RUN: orjson.dumps(told).decode(), LAST_START: ended_text(self._began_at, engine.ports.wall(), ended)}
        rows = self._total().rows(engine.ports.store.rows)
        if rows.total is not None:  # rows that were read but not stored at the end; the summary says the same
            texts[SOURCE] = source_text(rows.total, is_exact=rows.is_exact)
        with contextlib.suppress(JournalError):  # nothing depends on it
            await engine.ports.store.run(partial(write, texts))

    def _tell_growth(self) -> None:
        """Say once that the source has grown beyond the end that an earlier start saw."""
        was = self._total().grown_from
        if was is not None and was != self._grown_from:
            self._grown_from = was
            self._engine.run.tell(Note(f"the source has grown: it had {was:,} rows when it was last read to its end"))

    def _tell_token(self) -> None:
        """Say once that the token may expire before the run ends, as soon as the length of the run is known."""
        if self._has_warned or (eta_s := self._eta_s()) is None:
            return
        self._has_warned = True
        settings = self._engine.settings
        if warning := token_warning(settings, eta_s, is_kept=settings.journal is not None):
            self._engine.run.tell(Note(Worded(warning)))


def counts_of(engine: Engine) -> Counts:
    return Counts.of(engine.ports.store.counts)


def write(texts: dict[str, str], journal: Journal) -> None:
    with journal.transaction():
        for key, text in texts.items():
            journal.meta_set(key, text)


def facts(engine: Engine, held: Held, total: RowTotal, rate: float) -> dict[str, Any]:
    settings, wall = engine.settings, engine.ports.wall()
    resume_at, is_theirs = waits_until(engine)
    rows = total.rows(engine.ports.store.rows)
    return {
        "rows": rows.total,
        "is_exact": rows.is_exact,
        "rate_per_s": round(rate, 3),
        "writes_per_s": round(steady, 5) if (steady := engine.bottleneck.eta.rate_per_s) < math.inf else None,
        "others": round(engine.bottleneck.eta.others, 3),
        "unmet": engine.unmet(counts_of(engine)),
        "doubt_wait_s": settings.late_apply_s + 2 * settings.list_lag_s,
        "doubted": round(doubted(engine.sender.stats), 6),
        "at": round(wall, 1),
        "held_kind": held.kind,
        "held_by": held.words,
        "holds_until": None if held.more_s is None else round(wall + held.more_s, 1),
        "resume_at": None if resume_at is None else whole_second(resume_at),
        "is_theirs": is_theirs,
        "believes": engine.admission.control.explain(engine.ports.clock()),
        "quota": settings.quota,
        "quota_share": settings.quota_share,
        "ledger": str(settings.ledger) if settings.ledger else None,
    }


def is_due(noted: Noted, now: Noted, since_s: float, pause_s: float) -> bool:
    """Whether to note again: another cause holds the run back, or the interval is over and the rate changed."""
    (kind, rate), (kind_now, rate_now) = noted, now
    if kind != kind_now:
        return since_s >= HELD_S
    return since_s >= pause_s and abs(rate - rate_now) > rate / 100


def doubted(stats: Stats) -> float:
    """The share of requests that left their pair in doubt; 0 before the first."""
    return stats.by_kind()[VerdictKind.IN_DOUBT] / stats.attempts if stats.attempts else 0.0
