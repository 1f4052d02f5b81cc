"""Decides when to try again: backoff, a retry budget, and a circuit breaker for a server that does not answer.

    Backoff      how long to wait after the n-th failure of one thing
    RetryBudget  how many re-sends all pairs together may make
    Breaker      whether anything but one probe may be sent
    Silence      whether no reply can be read, though looks find what was written

Throttles are answers, so they do not count here; `adaptive` deals with them.  Whether a pair may be sent again at all
is decided by `core.classify` and by looks.  This module decides only when, and how many at once.

Invariants: a delay is within its documented range.  The budget is never below 0 or above its capacity, and never empty
for longer than 1 / `per_s`.  At most one probe is out while the breaker is open.  Time and chance are arguments.

Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015) for full jitter; the retry budget of Finagle and
of the AWS SDKs (in their Go edition it once never filled again); "Release It!" (Nygard) for the breaker.
"""

from __future__ import annotations

import math
import random
from typing import Final, NamedTuple

DOUBLINGS_MAX: Final = 64  # 2^64 times any base is above any cap; more would only overflow a float

RESENDS: Final = 100.0  # a burst of so many re-sends is always allowed: 64 lanes that die at once, and some
RESENDS_PER_S: Final = 10.0  # never empty for longer than 0.1 s, whatever happens
RESENDS_PER_SUCCESS: Final = 2.0  # a server that takes half of its re-sends gets them as fast as it takes them

FEW: Final = 3
"""So many are enough where no reply was ever good: a proxy before the server may change every one."""
TRUST: Final = 2
MOST_TRUST: Final = 1_000  # doubts at most if a server dies after looks had found its records


class Backoff(NamedTuple):
    """Full jitter: `delay(n)` is uniform in [0, min(cap_s, base_s * 2**n)]; the first, n = 0, is in [0, base_s]."""

    base_s: float
    cap_s: float
    rng: random.Random

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failure number `attempt`, counted from 0."""
        return self.rng.uniform(0.0, min(self.cap_s, math.ldexp(self.base_s, min(attempt, DOUBLINGS_MAX))))


class RetryBudget:
    """A token bucket of re-sends, full at first.  A first attempt is free, a re-send takes 1.

    It fills by `per_s` each second and by `per_success` with each success, up to `capacity`.
    """

    __slots__ = ("_at", "_capacity", "_left", "_per_s", "_per_success")

    def __init__(
        self, *, capacity: float = RESENDS, per_s: float = RESENDS_PER_S, per_success: float = RESENDS_PER_SUCCESS
    ) -> None:
        if capacity < 1 or per_s <= 0 or per_success < 0:
            raise ValueError("a budget that can stay empty would stop the run for ever")
        self._capacity, self._per_s, self._per_success = capacity, per_s, per_success
        self._left = capacity
        self._at = -math.inf

    def take(self, now: float) -> bool:
        """Take one re-send if there is one."""
        self._fill(now)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def note_success(self, count: int = 1) -> None:
        self._left = min(self._capacity, self._left + count * self._per_success)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._left = min(self._capacity, self._left + (now - self._at) * self._per_s)
            self._at = now

    def check(self) -> None:
        assert 0.0 <= self._left <= self._capacity


class Breaker:
    """Opens after `failures` bad exchanges in a row; then one probe at a time, with growing pauses, until a good one.

    A bad exchange was lost, ended in doubt, or found no connection.  A good one is any other whole reply.  A rejection
    and a throttle are good too: the server answers.  The pause before probe n = 0, 1, 2, … is uniform in [d/2, d] with
    d = min(cap_s, pause_s * 2**n); the first, for pause_s 0.5, is in [0.25 s, 0.5 s].  A shorter pause would leave more
    doubts, one a probe.  A longer one would waste time, since a gateway that restarts is back within a second or two.

    A server may do its work although its replies are lost.  When a look finds the record of a bad exchange, the breaker
    closes.  For each record found it then tolerates `TRUST` more bad exchanges.  This ends when a look finds none, or
    when no connection can be made.  So a run without useful replies sends more and more from look to look.

    While `is_open`, the caller asks `may_probe(now)`, which is true once a probe.  `record_bad` or `record_good` ends
    the probe; `unsent` gives back one that could not go.
    """

    __slots__ = ("_cap_s", "_failures", "_pause_s", "_probe_at", "_probe_out_at", "_probes", "_rng", "_tried_s",
                 "_tried_until", "bad", "gone_since", "is_open", "reason", "trust")  # fmt: skip

    def __init__(self, failures: int, *, pause_s: float = 0.5, cap_s: float, rng: random.Random) -> None:
        self._failures, self._pause_s, self._cap_s, self._rng = failures, pause_s, cap_s, rng
        self.bad = 0
        """Bad exchanges in a row, or since a look found a record of one."""
        self.trust = 0
        """So many more bad exchanges are tolerated."""
        self._probes = 0  # failed since it opened
        self._probe_at = -math.inf
        self._probe_out_at: float | None = None
        self._tried_s = 0.0  # of the time since `gone_since`, until `_tried_until`
        self._tried_until = 0.0
        self.is_open = False
        self.gone_since: float | None = None
        """When the first bad exchange since the last good one ended; None while all is well."""
        self.reason = ""
        """What the last bad exchange said."""

    def record_bad(self, now: float, reason: str, *, began_at: float | None = None, is_unsent: bool = False) -> bool:
        """Count a bad exchange.  True if it opened the breaker, or was its probe: then the next pause begins.

        `began_at` is when it was sent; without it the exchange counts as the probe.  An exchange that began before the
        probe is a left-over: it neither ends the probe nor lengthens the pause.
        """
        self.bad += 1
        self.reason = reason
        self.trust = 0 if is_unsent else self.trust
        if self.gone_since is None:
            self.gone_since = self._tried_until = now
            self._tried_s = 0.0
        out_s = now - began_at if began_at is not None else 0.0
        self._tried_s += min(now - self._tried_until, self._cap_s + out_s)
        self._tried_until = now
        if self.is_open:
            out_at = self._probe_out_at
            if out_at is not None and (began_at is None or began_at >= out_at):
                self._probe_out_at = None
                self._probes += 1
                self._probe_at = now + self._pause()
                return True
            return False
        return self._open(now)

    def _open(self, now: float) -> bool:
        """Open after too many bad exchanges; True if it opened."""
        if self.is_open or self.bad < self._failures + self.trust:
            return False
        self.is_open = True
        self._probes = 0
        self._probe_at = now + self._pause()
        return True

    def record_found(self, now: float, ended_at: float) -> float | None:
        """A look found the record of an exchange that ended in doubt at `ended_at`: close, but remember.

        Return how long the server seemed to be gone; None if nothing was bad, or nothing yet at `ended_at`.
        """
        if self.gone_since is None or ended_at <= self.gone_since:
            return None
        gone_s = self.gone_s(now)
        self.trust = min(MOST_TRUST, self.trust + TRUST)
        self._close(now)
        self.bad = 1  # not a good one: `gone_since` stays, and the doubts since then count
        return gone_s

    def record_absent(self, now: float) -> None:
        """A look found no record of an exchange that ended in doubt."""
        self.trust = 0
        self._open(now)

    def record_good(self, now: float) -> float:
        """The server answers: close.  Return how long it was gone; 0.0 if the breaker was closed."""
        if not self.bad:
            return 0.0
        gone_s = now - self.gone_since if self.is_open and self.gone_since is not None else 0.0
        self._close(now)
        self.bad = self.trust = 0
        self.gone_since = None
        return gone_s

    def _close(self, now: float) -> None:
        self.is_open = False
        self._probe_out_at = None
        self._tried_s, self._tried_until = 0.0, now

    def may_probe(self, now: float) -> bool:
        """Take the probe if it is due and none is out; the caller sends exactly one request then."""
        if not self.is_open or now < self.next_probe_at(now):
            return False
        self._probe_out_at = now
        return True

    def unsent(self, taken_at: float) -> None:
        """The probe that was taken then was not sent, or told nothing of the server: it is due again."""
        if self._probe_out_at == taken_at:
            self._probe_out_at = None

    def next_probe_at(self, now: float) -> float:
        """When the next probe may go: infinity while one is out, `now` while the breaker is closed."""
        if not self.is_open:
            return now
        return math.inf if self._probe_out_at is not None else self._probe_at

    def gone_s(self, now: float) -> float:
        """For how long the server was tried in vain; 0.0 while closed, since a few losses around a long quiet are no
        outage.

        A wait of hours for a quota is no outage either, since nobody asked the server.  So the time between two bad
        exchanges counts up to the longest pause, plus the time for which the second one was out.
        """
        return self._tried_s + min(now - self._tried_until, self._cap_s) if self.is_open else 0.0

    def check(self) -> None:
        assert (self.gone_since is None) == (self.bad == 0)
        assert self.is_open == (self.bad >= self._failures + self.trust)
        assert 0 <= self.trust <= MOST_TRUST
        assert self.is_open or self._probe_out_at is None

    def _pause(self) -> float:
        d = min(self._cap_s, math.ldexp(self._pause_s, min(self._probes, DOUBLINGS_MAX)))
        return self._rng.uniform(d / 2, d)


class Silence:
    """Counts bad exchanges since the last good one.  A look that finds a record closes the breaker; it ends no silence.

    There `is_long` after `failures` of them, or `FEW` where none was ever good.
    """

    __slots__ = ("_failures", "_most", "at", "count", "since")

    def __init__(self, failures: int) -> None:
        self._failures, self._most = failures, min(FEW, failures)
        self.count = 0
        self.since = self.at = -math.inf
        """When the first and the last of them ended."""

    def bad(self, now: float) -> None:
        """An exchange was lost or ended in doubt."""
        self.since = self.since if self.count else now
        self.at = now
        self.count += 1

    def good(self) -> None:
        """Any other whole reply came."""
        self._most = self._failures
        self.count = 0

    @property
    def is_long(self) -> bool:
        """Whether there were too many."""
        return self.count >= self._most
