"""How a run stands: the summary at its end, and the snapshot behind the progress line.

Both count the rows of the journal.  An intent is a pair that this process sends or is about to send.  While the process
lives it counts as `pending`, and as `under_way` in a summary.  After the end nobody will know better, so it is a doubt.

Invariants: `pairs` is the sum of all states in both.  The total of rows is the rows read and the rows not read.  The
exit code follows from the counts, from the error that stopped the run, or from the signal that the caller reported.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..core.writes import writes_to_come
from ..errors import Exit, TryLater
from ..model import Counts, Ended, Rows, Snapshot, State, Summary
from ..quota.view import WorkAhead
from ..wording import Worded
from .bottleneck import waits_until
from .engine import Engine
from .source_run import SourceRun

ALL_DONE: Final = "every pair was written or found, by the journal"
NO_ROWS: Final = "the source has no rows"
AT_LIMIT: Final = "as many pairs were sent as --limit allows"
LEFT_EARLY: Final = "left before the end of the source"
SHOWN_LIVE: Final = 1
"""Reasons a state in a snapshot.  A snapshot is taken a few times a second, so there are few."""
CLOSED: Final = "the writer was closed; it took no source"
UNSENT: Final = "left before every pair was sent"
ENDINGS: Final = {
    Exit.OK: ALL_DONE,
    Exit.INCOMPLETE: "ended, with some pairs rejected, failed or invalid",
    Exit.DOUBTS: "ended, with some pairs in doubt",
}


def summary_of(engine: Engine, *, elapsed_s: float, rows: Rows, ended: Ended | None) -> Summary:
    """How the run stands.  `ended` is None while it goes on."""
    by_state = Counter(engine.ports.store.counts)
    under_way = 0 if ended else by_state.pop(State.INTENT, 0)
    by_state[State.PENDING] += under_way
    counts = Counts.of(by_state)
    journal = engine.settings.journal
    return Summary(
        counts=counts,
        attempts=engine.sender.stats.attempts,
        throttled=engine.sender.stats.throttled,
        creates=engine.sender.stats.created,
        elapsed_s=elapsed_s,
        journal=str(journal) if journal else None,
        exit_code=ended.exit_code if ended else int(exit_for(counts)),
        settled=engine.committer.settled,
        reasons=engine.intents.deliveries.reasons.top(),
        rows=rows,
        ended=ended,
        under_way=under_way,
    )


def ended_of(engine: Engine, source_run: SourceRun, asked: Ended | None) -> Ended:
    """Why this start ends now: an error, a request to stop, or the end of its work.  Nothing is in flight any more."""
    counts = Counts.of(engine.ports.store.counts)
    is_short = bool(counts.pending) or (source_run.has_begun and not source_run.has_read_all)
    exit_code = int(exit_for(counts))
    early = int(Exit.TRY_LATER) if is_short else exit_code
    at, is_theirs = waits_until(engine)
    if error := engine.run.error or source_run.error:
        if isinstance(error, TryLater) and error.retry_at is not None:
            at, is_theirs = error.retry_at, error.code == "stated_wait"
        return Ended(error.code, error.message, int(error.exit_code), at, is_theirs)
    if asked:
        return Ended(asked.code, asked.reason, asked.exit_code or early, at, is_theirs)
    if source_run.has_used_limit:
        return Ended("limit", AT_LIMIT, exit_code, at, is_theirs)
    if not source_run.has_begun:
        return Ended("closed", CLOSED, early, at, is_theirs)
    if is_short:
        return Ended("left", UNSENT if source_run.has_read_all else LEFT_EARLY, early, at, is_theirs)
    is_empty = not counts.pairs and source_run.rows().total == 0
    return Ended("done", NO_ROWS if is_empty else ENDINGS[Exit(exit_code)], exit_code)


def exit_for(counts: Counts) -> Exit:
    """The exit code of a run that came to its end with these counts."""
    if counts.in_doubt:
        return Exit.DOUBTS
    if counts.rejected or counts.failed or counts.invalid:
        return Exit.INCOMPLETE
    return Exit.OK


def snapshot_of(engine: Engine, *, elapsed_s: float, rows: Rows) -> Snapshot:
    """How the run stands this moment."""
    now, counts = engine.ports.clock(), counts_now(engine)
    done = counts.pairs - counts.pending - counts.in_doubt - counts.failed
    held = engine.bottleneck.now(now)
    return Snapshot(
        counts=counts,
        done=done,
        total=rows.total,
        is_total_exact=rows.is_exact,
        not_read=rows.not_read,
        in_flight=len(engine.pairs.in_flight),
        in_flight_limit=engine.admission.limit(),
        attempts=engine.sender.stats.attempts,
        throttled=engine.sender.stats.throttled,
        rate_per_s=engine.sender.stats.creates.per_s(now),
        elapsed_s=elapsed_s,
        eta_s=eta_of(engine, counts, rows),
        latency_s=engine.sender.stats.latency.quantiles(0.5, 0.95, 0.99),
        held_kind=held.kind,
        held_by=Worded(held.words),
        holds_until_s=held.more_s,
        believes=engine.admission.control.explain(now),
        reasons=engine.intents.deliveries.reasons.top(SHOWN_LIVE),
    )


def counts_now(engine: Engine) -> Counts:
    """The rows of the journal by state.  An intent counts as pending."""
    by_state = Counter(engine.ports.store.counts)
    by_state[State.PENDING] += by_state.pop(State.INTENT, 0)
    return Counts.of(by_state)


def eta_of(engine: Engine, counts: Counts, rows: Rows) -> float | None:
    """For how many more seconds the source takes, where its length is known.  `counts` are those of now."""
    if rows.total is None:
        return None
    now = engine.ports.clock()
    return engine.bottleneck.eta.seconds(work_ahead(engine, counts, rows, now), now)


def work_ahead(engine: Engine, counts: Counts, rows: Rows, now: float) -> WorkAhead:
    """The work from which the remaining time follows.  Pairs in flight need no write any more.

    A pair that looks did not see is still in doubt in the journal: it is to be sent, if no look is to tell of it.
    """
    held, doubts, settings = engine.bottleneck.now(now), engine.looker.doubts, engine.settings
    writes = writes_to_come(counts, rows.not_read, unmet=engine.unmet(counts), is_alive=True)
    writes += max(0, counts.in_doubt - sum(not doubt.is_refused for doubt in doubts))
    settled_at = doubts.settled_at()
    if engine.run.is_stopping and doubts:  # in the next start their wait begins again
        settled_at = now + settings.late_apply_s + 2 * settings.list_lag_s
    return WorkAhead(
        writes=max(0, writes - len(engine.pairs.in_flight)),
        rate_per_s=engine.sender.stats.writes.per_s(now),
        held=held.kind,
        pause_s=max(0.0, engine.admission.control.paused_until - now),
        doubts_s=0.0 if settled_at is None else settled_at - now,
        doubts=sum(not doubt.intent.attempts for doubt in doubts),
        not_read=rows.not_read or 0,
    )
