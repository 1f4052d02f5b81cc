"""Admission control: whether a request may be sent now, and what replies and looks show of the server.

Six parts are asked before each send, in this order, since a question to the last two begins a wait:

    fence      where several machines share a job: whether this process still holds its part
    suspension an error of the server, a token or a setting: then one request tries now and then
    control    the send rate, and a pause after throttles
    breaker    a server that does not answer: then one probe at a time
    ceiling    the user's maximum rate
    quotas     the server's limits over time; a unit is used with each request that is written

Admission hears of every request, of every reply (`created`, `heard`), of looks (`found`, `absent`) and of failed
connections.  It passes the news to these parts, and returns what observers should be told.  What happens in one turn of
the event loop comes together, with one instant.

Invariants: each request that was `sent` ends in one of `created`, `bad` and `heard`.  Only one request is in flight
until something was created (the canary), while the breaker is open, and while sending is suspended.  Not here: pairs,
lanes, when a run stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ..adaptive import Controller
from ..core.retry import Breaker, Silence
from ..core.rulings import News
from ..core.suspension import Suspension
from ..events import ConnectionTrouble, Event, Recovered, ServerBusy, Throttled, Well
from ..model import Reply, Verdict, VerdictKind
from ..quota.ceiling import Ceiling
from ..quota.gate import Quotas
from ..settings import Settings
from .holding import Fence
from .ports import Ports

NOTHING: Final[Sequence[Event]] = ()


class Admission:
    """Fence, suspension, control, breaker, ceiling and quotas of one run.  They are public for readers only."""

    def __init__(
        self,
        suspension: Suspension,
        control: Controller,
        breaker: Breaker,
        silence: Silence,
        ceiling: Ceiling | None,
        quotas: Quotas | None,
        *,
        fence: Fence | None = None,
        give_up_after_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.fence = fence
        self.suspension = suspension
        self.control, self.breaker, self.ceiling, self.quotas = control, breaker, ceiling, quotas
        self.silence = silence
        self._next_send_at = control.next_send_at
        self._give_up_after_s = give_up_after_s
        self._clock = clock
        self.has_created = False
        """Whether this process has created a record.  Until then only the canary may go."""
        self._has_probe = False  # a probe was taken from the breaker and waits for its lane to open

    # before a send

    def limit(self) -> int:
        """How many requests may be in flight right now."""
        is_alone = not self.has_created or self.breaker.is_open or self.suspension.error
        return 1 if is_alone else self.control.in_flight_limit

    def opens_at(self, now: float) -> float:
        """When the next request may go.  A time up to `now` means at once; infinity means that an event will tell."""
        if self.fence and self.fence.over_s():
            return math.inf
        at = self._next_send_at(now)
        if self.suspension.error:
            at = max(at, self.suspension.opens_at(now))
        if self.breaker.is_open and not self._has_probe:
            at = max(at, self.breaker.next_probe_at(now))
        if at <= now and self.ceiling:
            at = self.ceiling.opens_at(now)
        if at <= now and self.quotas:
            at = self.quotas.opens_at(now)
        return at

    def room(self, now: float, most: int) -> int:
        """How many of `most` requests may go together, once `opens_at` lets one go.  0: a unit is void meanwhile."""
        if self.suspension.error or self.breaker.is_open:
            most = 1
        most = min(most, self.control.room())
        if self.ceiling:
            most = self.ceiling.room(now, most)
        return self.quotas.room(now, most) if self.quotas else most

    def take_probe(self, now: float) -> None:
        """Take the breaker's probe while it is open: the next request is the probe, even if its lane must be opened
        first.
        """
        if self.breaker.is_open and not self._has_probe:
            self._has_probe = self.breaker.may_probe(now)

    def sent(self, now: float, count: int) -> None:
        """So many requests were written, no more than there was room for."""
        if not count:
            return
        if self.quotas:
            self.quotas.spent(count)
        self._has_probe = False
        if self.suspension.error:
            self.suspension.tried(now)
        self.control.on_sent(now, count)
        if self.ceiling:
            self.ceiling.book(self._clock(), count)  # which in a slow turn is later than `now`

    # after a reply

    def ended(self, count: int) -> None:
        """So many requests were answered or given up: their units of quota are spent."""
        if self.quotas:
            self.quotas.ended(count=count)

    def saw(self, reply: Reply, took_s: float) -> None:
        """A reply came `took_s` after its request.  Its Date may be new."""
        quotas = self.quotas
        if quotas:
            if reply.date is not None:
                quotas.saw(reply.date, took_s=took_s, age_s=reply.age_s)
            elif not quotas.is_told and reply.fault is None:
                quotas.saw(None)

    def created(self, now: float, together: Mapping[float, int]) -> Sequence[Event]:
        """Records were created by requests that were sent at these times, so many at each."""
        if not self.has_created:
            self.has_created = True
            self.silence.good()
        self.control.on_all_good(now, together)
        if self.quotas and self.quotas.is_wary:
            for _ in range(sum(together.values())):
                self.quotas.good()
        return self._recovered(now) if self.breaker.bad or self.suspension.is_unproven else NOTHING

    def heard(self, news: News, verdict: Verdict, *, sent_at: float, now: float, is_whole: bool) -> Sequence[Event]:
        """Any other reply came, whole or not."""
        match news:
            case News.GOOD:
                self.control.on_good(now, sent_at, now - sent_at)
                if self.quotas and self.quotas.is_wary:
                    self.quotas.good()
                return self._recovered(now, is_proof=verdict.kind is VerdictKind.REJECTED)
            case News.THROTTLED:
                return self._throttled(verdict, sent_at, now)
            case News.BAD:
                return self.bad(verdict.message, sent_at=sent_at, now=now, is_whole=is_whole, is_busy=verdict.is_busy)

    def bad(
        self, reason: str, *, sent_at: float, now: float, is_whole: bool = False, is_busy: bool = False
    ) -> Sequence[Event]:
        """An exchange was lost, or ended in doubt.  A whole reply to it may say that the server is busy."""
        control, events = self.control, NOTHING
        self.silence.bad(now)
        if is_whole and self.breaker.trust:
            control.on_good(now, sent_at, now - sent_at)
        elif not is_busy:
            control.note_error(now, sent_at)
        elif control.on_busy(now, sent_at):
            events = (ServerBusy(max(0.0, control.paused_until - now), None, control.in_flight_limit),)
        return *events, *self._trouble(self.breaker.record_bad(now, reason, began_at=sent_at), reason, now)

    def unconnected(self, reason: str, now: float) -> Sequence[Event]:
        """A connection could not be made."""
        self._has_probe = False
        return self._trouble(self.breaker.record_bad(now, reason, is_unsent=True), reason, now)

    # after a look

    def found(self, now: float, ended_at: float) -> Sequence[Event]:
        """A look found the record of an attempt that had ended in doubt at `ended_at`: the server seems to work."""
        gone_s = self.breaker.record_found(now, ended_at)
        if gone_s is None:
            return NOTHING
        self.has_created = True
        return (Recovered(gone_s),) if gone_s else NOTHING

    def absent(self, now: float) -> None:
        """A look found no record of an attempt that had ended in doubt."""
        self.breaker.record_absent(now)

    def _throttled(self, verdict: Verdict, sent_at: float, now: float) -> Sequence[Event]:
        control, stated_s = self.control, verdict.retry_after_s
        recovered = self._recovered(now, is_proof=False)
        until = control.on_throttle(now, sent_at, stated_s)
        is_refused = verdict.kind is VerdictKind.THROTTLED  # else the pair may have been taken
        if self.quotas and is_refused:
            self.quotas.throttled(now, sent_at, stated_s)
        kind = Throttled if is_refused else ServerBusy
        return *recovered, kind(max(0.0, until - now), stated_s, control.in_flight_limit)

    def answered(self, now: float) -> Sequence[Event]:
        """A list call was answered.  The server is back; whether it takes writes, the next pair shows."""
        return *self._recovered(now, is_proof=False), *self.resumed(now, is_proven=False)

    def resumed(self, now: float, *, is_proven: bool) -> Sequence[Event]:
        """Sending is suspended no more."""
        suspension = self.suspension
        unwell_s = now - suspension.since if suspension.error else None
        if suspension.is_refusing and self.quotas:
            self.quotas.reopen()
        suspension.end(is_proven=is_proven)
        return NOTHING if unwell_s is None else (Well(unwell_s),)

    def _recovered(self, now: float, *, is_proof: bool = True) -> Sequence[Event]:
        """The server answers.  `is_proof`: it took or refused a pair, so it takes writes."""
        self.silence.good()
        gone_s = self.breaker.record_good(now)
        recovered = (Recovered(gone_s),) if gone_s else NOTHING
        if is_proof and self.suspension.is_unproven and not self.suspension.is_refusing:  # no reply spends its time
            return *recovered, *self.resumed(now, is_proven=True)
        return recovered

    def _trouble(self, has_opened: bool, reason: str, now: float) -> Sequence[Event]:
        if not has_opened:
            return NOTHING
        pause_s, gone_s = max(0.0, self.breaker.next_probe_at(now) - now), self.breaker.gone_s(now)
        return (ConnectionTrouble(pause_s, reason, gone_s, max(0.0, self._give_up_after_s - gone_s)),)

    def check(self) -> None:
        """Invariants, for simulation."""
        self.suspension.check()
        self.control.check()
        self.breaker.check()


def admission_for(settings: Settings, ports: Ports) -> Admission:
    """The admission control of a run that begins now."""
    limits, rng = settings.limits, ports.rng
    in_flight = int(min(settings.in_flight, ports.most_lanes))
    return Admission(
        Suspension(rng=rng, has_password=settings.username is not None),
        Controller(in_flight, pause_cap_s=limits.throttle_pause_s, rng=rng, min_rate=settings.min_rate),
        Breaker(limits.breaker_failures, cap_s=limits.probe_pause_s, rng=rng),
        Silence(limits.breaker_failures),
        Ceiling(settings.rate) if settings.rate else None,
        ports.quotas,
        fence=ports.fence,
        give_up_after_s=settings.give_up_after_s,
        clock=ports.clock,
    )
