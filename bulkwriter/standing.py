"""How a run stands: the summary that ends it, and the snapshot that progress is drawn from.

The summary counts only what is settled, that is durable; pairs on their way are doubts in it, since after it nobody
will know better.  In a snapshot they are pending, because the process lives.

Invariant: `pairs` is the sum of all states in both.  The exit code here is that of the counts or of the error that
stopped the run; what a signal makes of it is the command line's business.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from .engine.engine import Engine
from .errors import Exit
from .model import Counts, Snapshot, State, Summary


def summary_of(engine: Engine, *, elapsed_s: float) -> Summary:
    """How the run stands, with the exit code that this ending calls for."""
    counts = Counts.of(engine.ports.store.counts)
    error, journal = engine.error, engine.settings.journal
    return Summary(
        counts=counts,
        attempts=engine.stats.attempts,
        throttled=engine.stats.throttled,
        elapsed_s=elapsed_s,
        journal=str(journal) if journal else None,
        exit_code=int(error.exit_code if error else exit_for(counts)),
        reason=error.message if error else "",
        settled=engine.settled,
        reasons=engine.commits.reasons.top(),
    )


SHOWN_LIVE: Final = 1
"""Reasons a state in a snapshot, which is taken a few times a second."""


def exit_for(counts: Counts) -> Exit:
    """The exit code of a run that came to its end with these counts."""
    if counts.in_doubt:
        return Exit.DOUBTS
    if counts.rejected or counts.failed or counts.invalid:
        return Exit.INCOMPLETE
    return Exit.OK


def snapshot_of(engine: Engine, *, elapsed_s: float, total: int | None, is_total_exact: bool) -> Snapshot:
    """How the run stands this moment; `total` is the number of the source's rows, as far as it is known."""
    now = engine.ports.clock()
    by_state = Counter(engine.ports.store.counts)
    by_state[State.PENDING] += by_state.pop(State.INTENT, 0)
    counts = Counts.of(by_state)
    done = counts.pairs - counts.pending - counts.in_doubt
    rate = engine.stats.settled.per_s(now)
    held = engine.brake.now(now)
    under_way = counts.in_doubt + len(engine.pairs.in_flight)
    return Snapshot(
        counts=counts,
        done=done,
        total=total,
        is_total_exact=is_total_exact,
        in_flight=len(engine.pairs.in_flight),
        in_flight_limit=engine.dispatcher.limit(),
        attempts=engine.stats.attempts,
        throttled=engine.stats.throttled,
        rate_per_s=rate,
        elapsed_s=elapsed_s,
        eta_s=None if total is None else engine.eta.seconds(total - done, rate, now, under_way=under_way),
        latency_s=engine.stats.latency.quantiles(0.5, 0.95, 0.99),
        held_kind=held.kind,
        held_by=held.words,
        holds_until_s=held.more_s,
        believes=engine.parts.control.explain(now),
        reasons=engine.commits.reasons.top(SHOWN_LIVE),
    )
