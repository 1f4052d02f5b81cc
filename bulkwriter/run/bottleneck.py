"""What holds a run back right now, in words, and for how much longer, where that is known.

Some causes last.  They are told at once, in the order in which the sender asks: a stop, doubts that wait for looks, a
server that does not answer, a spent quota, a pause after throttles.  In a fast run the cause changes from one request
to the next.  So each tick notes which condition keeps the next pair from being sent, and the one seen most often in the
last `SEEN` ticks counts:

    nothing is ready   the source, lists of existing records, the disk, the consumer of outcomes, or the end
    no lane is free    the server's limit on requests at once, its queue, or latency × in-flight
    too early          the server's rate limit, the ceiling, a short quota

The cause is this machine's CPU instead if the event loop used the processor, or waited for it, nearly all the time
(`BUSY`).  Replies then wait for us, and every lane is busy whatever the latency is.

This module only reads.  It also tells the engine how long it may rest (`quiet_s`), for example during a spent quota.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from ..core.reasons import escaped
from ..core.retry import RESENDS_PER_S
from ..events import HeldBack
from ..model import began, moment
from ..quota.view import Eta, blocked_by, calls_wait_for, ledger_away, paced_by, quiet_for
from ..wording import Worded
from .existing_records import OUTWAITING
from .holding import GONE

if TYPE_CHECKING:
    from .engine import Engine

QUIET_S: Final = 60.0
"""Longest rest.  During a wait of a day a minute is soon enough for anything else."""
SEEN: Final = 8
"""Observations, one a tick: two seconds."""
BUSY: Final = 0.8
OTHERS: Final = 0.2
"""Other programs are named as the cause if the loop waited for the processor for this share of the time."""
REASON_CHARS: Final = 80
"""The most that is quoted of the last bad reply.  Progress shows it every few seconds; events have told it whole."""
CLOCK_S: Final = 60.0
"""The end of a longer pause is told as a time of day."""
TELL_S: Final = 5.0
"""Shortest time between two events."""
WAIT_S: Final = 60.0
"""A longer wait is noted for `status`.  Our own pauses are never longer (`Limits.throttle_pause_s`), so the server
asked for it.
"""
SLACKEN: Final = frozenset({"source", "end", "in flight", "crowd", "queue", "disk", "connecting"})
"""Causes that may only reflect our own slowness."""


class Held(NamedTuple):
    """A cause that holds the run back: its kind in a word or two, a sentence, and for how many more seconds."""

    kind: str
    words: str
    more_s: float | None = None


class Bottleneck:
    """Finds what holds one run back.  `look` at each tick; ask `now` at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.eta = Eta(engine.admission.quotas, engine.admission.ceiling)
        """How much longer the run takes, by the causes so far."""
        self._seen: deque[Held] = deque(maxlen=SEEN)
        self._cpu: deque[tuple[float, float, float]] = deque(maxlen=SEEN)
        self._told = ""
        self._told_at = -math.inf

    def look(self, now: float) -> None:
        """Look once, and tell observers if the cause has changed."""
        engine = self._engine
        self._seen.append(at_speed(engine, now))
        self._cpu.append((now, *engine.ports.cpu_times()))
        held = self.now(now)
        self.eta.note(engine.sender.stats.writes.per_s(now), held.kind, now)
        if held.kind != self._told and now >= self._told_at + TELL_S:
            self._told, self._told_at = held.kind, now
            engine.run.tell(HeldBack(held.kind, Worded(held.words), held.more_s, engine.admission.control.explain(now)))

    def now(self, now: float) -> Held:
        """The first thing that keeps more pairs from being sent."""
        if lasting := lasts(self._engine, now):
            return lasting
        current = at_speed(self._engine, now)
        kind = Counter(held.kind for held in self._seen).most_common(1)[0][0] if self._seen else current.kind
        if kind in SLACKEN and (cpu := self._at_cpu()):
            return cpu
        return next((held for held in (current, *reversed(self._seen)) if held.kind == kind), current)

    def _at_cpu(self) -> Held | None:
        if len(self._cpu) < 2:
            return None
        (since, used, waited), (now, used_now, waited_now) = self._cpu[0], self._cpu[-1]
        span_s, waited_s = now - since, waited_now - waited
        busy_s = used_now - used + waited_s
        if span_s <= 0 or busy_s < BUSY * span_s:
            return None
        others = ", which other programs use as well" if waited_s > OTHERS * span_s else ""
        return Held("cpu", f"this machine's CPU{others}: busy {min(1.0, busy_s / span_s):.0%} of the time")


def lasts(engine: Engine, now: float) -> Held | None:
    """The lasting cause at this moment, if there is one."""
    admission = engine.admission
    if engine.run.is_ending:
        return Held("stopping", f"stopping: {len(engine.pairs.in_flight)} requests may still end")
    if admission.fence and admission.fence.over_s():
        return Held("lease", GONE)
    if error := admission.suspension.error:
        return Held("unwell", escaped(error.message, REASON_CHARS), max(0.0, admission.suspension.opens_at(now) - now))
    if engine.resolution.is_winding_up() and (again := len(engine.pairs.released)):
        waiting = f"{again:,} pairs wait" if again > 1 else "1 pair waits"
        return Held("again", f"{waiting} to be sent again: after losses at most {RESENDS_PER_S:g}/s and two a success")
    if engine.resolution.is_winding_up() and engine.pairs.doubts:
        return looks(engine, now)
    if admission.breaker.is_open:
        return gone(engine, now)
    if admission.quotas and (block := blocked_by(admission.quotas)):
        return Held("quota", *block)
    if admission.quotas and (words := ledger_away(admission.quotas)):
        return Held("ledger", words)
    if more_s := engine.known.outwaits_s(now):
        return Held("loss", OUTWAITING, more_s)
    if not engine.pairs.ready and not len(engine.pairs.in_flight):
        if admission.quotas and (words := calls_wait_for(admission.quotas)):
            return Held("lists", words)
        if engine.known.is_listing:
            return listing(engine)
    if admission.control.paused_until > now:
        return paused(engine, now)
    return None


def looks(engine: Engine, now: float) -> Held:
    """Pairs that wait for a look: until it is due, while it is under way, or while looks fail."""
    kind, words = looked_up(engine)
    if engine.looker.failures.since is not None:
        reason = escaped(engine.looker.failures.reason, REASON_CHARS)
        return Held("lists", f"{words}, the last look in vain: {reason}")
    due = engine.pairs.doubts.next_due_at()
    if due is not None and due <= now:
        return Held(kind, f"{words}: a look is under way")
    return Held(kind, words, None if due is None else due - now)


def looked_up(engine: Engine) -> tuple[str, str]:
    """The pairs that wait for a look, as kind and words.  Refused pairs are counted apart: they were surely not
    applied.
    """
    refused = len(engine.pairs.refusals)
    doubts = sum(not doubt.is_refused for doubt in engine.pairs.doubts)
    theirs = "1 refused pair" if refused == 1 else f"{refused:,} refused pairs"
    ours = "1 doubt" if doubts == 1 else f"{doubts:,} doubts"
    if not doubts:
        return "refused", f"{theirs} {'is' if refused == 1 else 'are'} looked up: perhaps there already"
    if not refused:
        return "doubts", f"{ours} {'waits' if doubts == 1 else 'wait'} to be looked up"
    return "doubts", f"{ours} and {theirs} wait to be looked up"


def gone(engine: Engine, now: float) -> Held:
    """The server is down: since when, and when the run gives up if it stays so."""
    breaker = engine.admission.breaker
    at, wall, since = breaker.next_probe_at(now), engine.ports.wall(), breaker.gone_since
    left_s = engine.settings.give_up_after_s - breaker.gone_s(now)
    lasts = "" if since is None else f" since {began(wall - now + since)}"
    return Held(
        "gone",
        f"no good reply{lasts}, so one request at a time tries, and the run gives up at {began(wall + left_s)}: "
        f"{escaped(breaker.reason, REASON_CHARS)}",
        max(0.0, at - now) if at < math.inf else None,
    )


def paused(engine: Engine, now: float) -> Held:
    """A pause after throttles.  The end of a long one is told as a time of day, like that of a spent quota."""
    control = engine.admission.control
    (kind, words), more_s = control.holding(now, is_full=False), control.paused_until - now
    until = f" until {moment(engine.ports.wall() + more_s)}" if more_s >= CLOCK_S else ""
    return Held(kind, words + until, more_s)


def at_speed(engine: Engine, now: float) -> Held:
    """The condition that keeps the next pair from being sent at this moment."""
    admission = engine.admission
    if engine.pairs.is_full:
        return Held("disk", "the disk: replies wait to be written down")
    if not engine.pairs.ready:
        return upstream(engine)
    if engine.token_refresh.since == math.inf:
        return Held("token", "a new token is awaited")
    if len(engine.pairs.in_flight) >= admission.limit():
        return crowded(engine, now)
    if admission.control.next_send_at(now) > now:
        return Held(*admission.control.holding(now, is_full=False))
    if admission.ceiling and admission.ceiling.is_waited_for(now):
        return Held("ceiling", f"the ceiling, --rate {admission.ceiling.rate_per_s:g}/s")
    if admission.quotas and (pace := paced_by(admission.quotas)):
        return Held("quota", pace)
    return Held("connecting", "connections are being made")


def upstream(engine: Engine) -> Held:
    """Nothing is ready.  Say which part brings no more pairs."""
    doubts = len(engine.pairs.doubts)
    if engine.known.is_listing:
        return listing(engine)
    if engine.intents.is_committing:
        return Held("disk", "the disk: what is to be sent next is written down first")
    if (stream := engine.intents.deliveries.stream) and stream.is_full:
        return Held("taker", "whoever takes the outcomes")
    if doubts >= engine.settings.limits.outcome_rows:
        return Held("doubts", f"{looked_up(engine)[1]}, and no more are risked")
    if not engine.resolution.is_source_ended:
        return Held("source", "the source: no pair is there to be sent")
    return Held("end", "nothing: the last requests are under way" if engine.pairs.in_flight else "nothing to send")


def listing(engine: Engine) -> Held:
    """Existing records are being listed, or cannot be listed now."""
    words, trouble = f"listing what exists: {engine.known.calls:,} calls so far", engine.known.trouble
    return Held("lists", f"{words}, the last in vain: {escaped(trouble, REASON_CHARS)}" if trouble else words)


def crowded(engine: Engine, now: float) -> Held:
    """As many requests are in flight as may be."""
    admission = engine.admission
    if not admission.has_created:
        return Held("start", "one request at a time until a first pair is created")
    held = Held(*admission.control.holding(now, is_full=True))
    latency_s = engine.sender.stats.latency.quantile(0.5)
    if held.kind != "in flight" or not latency_s:
        return held
    return Held(
        held.kind, f"{held.words}: {admission.limit():,} requests of about {span(latency_s)} each, as --in-flight says"
    )


def span(latency_s: float) -> str:
    return f"{latency_s * 1_000:.2g} ms" if latency_s < 0.0995 else f"{latency_s:.2g} s"


def waits_until(engine: Engine) -> tuple[float | None, bool]:
    """Until when (epoch seconds) nothing will surely be sent, and whether the server said so.

    (None, False) if that is within `WAIT_S`, or not known.
    """
    quotas, stated_s = engine.admission.quotas, engine.admission.control.paused_until - engine.ports.clock()
    block = blocked_by(quotas) if quotas else None
    quota_s = (block[1] or 0.0) if block else 0.0
    wait_s = max(stated_s, quota_s)
    return (None, False) if wait_s <= WAIT_S else (engine.ports.wall() + wait_s, stated_s >= quota_s)


def quiet_s(engine: Engine) -> float:
    """For how long no tick is needed.

    This is the case while a spent quota or a stated wait holds every pair, no lane is open, and no doubt waits for a
    look.
    """
    quotas, paused_until = engine.admission.quotas, engine.admission.control.paused_until
    if quotas is None or engine.pairs.doubts or engine.pairs.released or not engine.sender.lanes.is_empty:
        return 0.0
    return min(QUIET_S, max(quiet_for(quotas), paused_until - engine.ports.clock()))
