"""What holds a run back right now, in words, and for how much longer, where that is known.

What lasts is told at once, in the order in which the sender asks: a stop, doubts that wait to be looked up, a
server that is gone, a spent quota, a pause after throttles.  What holds back a run at speed changes from one request to
the next; so at each tick it is looked at which condition keeps the next pair from being sent, and the one seen most
often in the last `SEEN` looks counts:

    nothing is ready   the source, lists of what exists, the disk, whoever takes the outcomes, or it is the end
    no lane is free    the server's limit on requests at once, its queue, or latency × in-flight
    not yet            the server's limit, the ceiling, a short quota

Where the event loop used or waited for the processor nearly all the time (`BUSY`), it is this machine's CPU instead:
then replies wait for us, and every lane is busy whatever the latency is.

It only reads.  A spent quota of hours is also why the engine may rest (`quiet_s`).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from ..core.retry import RESENDS_PER_S
from ..events import HeldBack
from ..model import began, moment
from ..quota.eta import Eta
from ..quota.view import blocked_by, paced_by, quiet_for
from .existing_records import OUTWAITING

if TYPE_CHECKING:
    from .engine import Engine

QUIET_S: Final = 60.0
"""Longest rest; a minute of a day is soon enough for whatever else may come up."""
SEEN: Final = 8
"""Looks, one a tick: two seconds."""
BUSY: Final = 0.8
OTHERS: Final = 0.2
"""Share of the time that the loop waited for the processor from which other programs are named."""
REASON_CHARS: Final = 80
"""Of what the last bad reply said: progress shows it every few seconds, and the events have said it whole."""
CLOCK_S: Final = 60.0
"""Of a longer pause the end is told as a time of day."""
TELL_S: Final = 5.0
"""Shortest time between two events."""
WAIT_S: Final = 60.0
"""A longer wait is told to who comes later.  Pauses of our own are no longer (`Limits.throttle_pause_s`), so a longer
one is what the server asked for."""
SLACKEN: Final = frozenset({"source", "end", "in flight", "crowd", "queue", "disk", "connecting"})
"""What may be no more than our own slowness."""


class Held(NamedTuple):
    """What holds back: its kind in a word or two, in words, and for how many more seconds."""

    kind: str
    words: str
    more_s: float | None = None


class Bottleneck:
    """Finds what holds one run back.  `look` at each tick; ask `now` at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.eta = Eta(engine.admission.quotas, engine.admission.ceiling)
        """How much longer it takes, by what held it back so far."""
        self._seen: deque[Held] = deque(maxlen=SEEN)
        self._cpu: deque[tuple[float, float, float]] = deque(maxlen=SEEN)
        self._told = ""
        self._told_at = -math.inf

    def look(self, now: float) -> None:
        """Look once, and tell an observer when it has become something else."""
        engine = self._engine
        self._seen.append(at_speed(engine, now))
        self._cpu.append((now, *engine.ports.cpu_times()))
        held = self.now(now)
        self.eta.note(engine.sender.stats.writes.per_s(now), held.kind, now)
        if held.kind != self._told and now >= self._told_at + TELL_S:
            self._told, self._told_at = held.kind, now
            engine.run.tell(HeldBack(held.kind, held.words, held.more_s, engine.admission.control.explain(now)))

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
    """What holds the run back for a while, and is so at this moment."""
    admission = engine.admission
    if engine.run.is_stopping:
        return Held("stopping", f"stopping: {len(engine.pairs.in_flight)} requests may still end")
    if engine.resolution.is_winding_up() and (again := len(engine.pairs.released)):
        waiting = f"{again:,} pairs wait" if again > 1 else "1 pair waits"
        return Held("again", f"{waiting} to be sent again: after losses at most {RESENDS_PER_S:g}/s and two a success")
    if engine.resolution.is_winding_up() and engine.pairs.doubts:
        return looks(engine, now)
    if admission.breaker.is_open:
        return gone(engine, now)
    if admission.quotas and (block := blocked_by(admission.quotas)):
        return Held("quota", *block)
    if more_s := engine.known.outwaits_s(now):
        return Held("loss", OUTWAITING, more_s)
    if engine.known.is_listing and not engine.pairs.ready and not len(engine.pairs.in_flight):
        return listing(engine)
    if admission.control.paused_until > now:
        return paused(engine, now)
    return None


def looks(engine: Engine, now: float) -> Held:
    """Pairs that wait for a look: until it is due, while it is under way, or while looks fail."""
    kind, words = looked_up(engine)
    if engine.looker.failures.since is not None:
        reason = engine.looker.failures.reason[:REASON_CHARS]
        return Held("lists", f"{words}, the last look in vain: {reason}")
    due = engine.pairs.doubts.next_due_at()
    return Held(kind, words, due - now if due and due > now else None)


def looked_up(engine: Engine) -> tuple[str, str]:
    """Which pairs wait for a look: doubts, or refused ones, that are surely not applied; as kind and words."""
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
        f"no good reply{lasts}, so one request at a time tries, and the run gives up at {moment(wall + left_s)}: "
        f"{breaker.reason[:REASON_CHARS]}",
        max(0.0, at - now) if at < math.inf else None,
    )


def paused(engine: Engine, now: float) -> Held:
    """A pause after throttles; of a long one the end is told as a time of day, as that of a spent quota is."""
    control = engine.admission.control
    (kind, words), more_s = control.holding(now, is_full=False), control.paused_until - now
    until = f" until {moment(engine.ports.wall() + more_s)}" if more_s >= CLOCK_S else ""
    return Held(kind, words + until, more_s)


def at_speed(engine: Engine, now: float) -> Held:
    """What keeps the next pair from being sent at this very moment."""
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
    """Nothing is ready: what brings no more."""
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
    """What exists is being listed, or nothing can be listed now."""
    words, trouble = f"listing what exists: {engine.known.calls:,} calls so far", engine.known.trouble
    return Held("lists", f"{words}, the last in vain: {trouble[:REASON_CHARS]}" if trouble else words)


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
    """Until when (epoch seconds) surely nothing will be sent, and whether the server has said so; (None, False) where
    that is within `WAIT_S`, or not known."""
    quotas, stated_s = engine.admission.quotas, engine.admission.control.paused_until - engine.ports.clock()
    block = blocked_by(quotas) if quotas else None
    quota_s = (block[1] or 0.0) if block else 0.0
    wait_s = max(stated_s, quota_s)
    return (None, False) if wait_s <= WAIT_S else (engine.ports.wall() + wait_s, stated_s >= quota_s)


def quiet_s(engine: Engine) -> float:
    """For how long nothing can need a tick: a spent quota or a stated wait holds every pair, no lane is open, no doubt
    waits to be looked up."""
    quotas, paused_until = engine.admission.quotas, engine.admission.control.paused_until
    if quotas is None or engine.pairs.doubts or engine.pairs.released or not engine.sender.lanes.is_empty:
        return 0.0
    return min(QUIET_S, max(quiet_for(quotas), paused_until - engine.ports.clock()))
