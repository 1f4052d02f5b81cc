"""Decides who may send: a pause that all share, and an in-flight limit that the server's throttles shape.

    start        4 in flight, doubled each round trip until the first throttle: 4, 8, 16, …
    throttle     everyone pauses, the limit is halved (never below 1)
    pause        what Retry-After states, never less, and up to 5 % or 2 s more; without it a delay of ours, uniform in
                 [0.05 s, min(pause_cap_s, 0.25 s * 2**n)], where n counts throttles and falls by 1 with each good reply
    resume       one request alone, the canary; when it succeeds, all
    growth       one more each round trip, but only in round trips in which the limit was used: quiet proves nothing

The words behind it.  An *epoch* ends with a throttle whose request was sent after the last one ended; throttles of
requests sent before are *echoes* of the same event: they neither cut nor lengthen our own delay, though a Retry-After
of theirs that reaches further still extends the pause.  A throttled canary ends an epoch and lengthens the delay, but
does not halve: one request says nothing about how many may be in flight.  The delay of ours grows under a Retry-After
too, so that a server which says "1 s" while its daily allowance is spent is not asked once a second all day.
*Left-overs* are requests sent before the pause; a slow one must not keep the canary from going.

Invariants: 1 <= `limit` <= in_flight; at most one cut an epoch; `paused_until` never falls and is never before a stated
Retry-After.  Errors and timeouts are not throttles: they have their own breaker (`core.retry`).  This object sends
nothing and waits for nothing.  Where many requests go for long, `Controller` finds the server's rate as well.

Source: RFC 5681 for start, halving and growth; RFC 6582's `recover` for the epochs; "Exponential Backoff And Jitter"
(AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import math
import random
from typing import Final

START: Final = 4  # in flight; a round trip tells whether more is welcome, and four doublings reach the default 64
PAUSE_FLOOR_S: Final = 0.05  # a pause of nothing would be a storm
FIRST_PAUSE_S: Final = 0.25  # longest first pause; a bucket that fills once a second is asked a few times, no more
STATED_JITTER: Final = 0.05  # share of a stated Retry-After that may be waited on top: clients return one by one
STATED_JITTER_MAX_S: Final = 2.0  # and no more of it, however long the wait: spread enough, and no hour lost


class SharedBackoff:
    """The pause and the in-flight limit of one server.

    The caller sends only while `now >= paused_until` and fewer than `in_flight_limit` requests are in flight, and tells
    of every request: `on_sent`, then exactly one of `on_good` (any whole reply but a throttle), `on_throttle` (also for
    a 503 that states Retry-After) and `note_error` (everything else).
    """

    __slots__ = ("_cap", "_epoch_at", "_in_flight", "_is_canary", "_is_starting", "_left_over", "_level",
                 "_pause_cap_s", "_peak", "_rng", "_round_at", "limit", "paused_until")  # fmt: skip

    def __init__(self, in_flight: int, *, pause_cap_s: float, rng: random.Random) -> None:
        self._cap, self._pause_cap_s, self._rng = in_flight, pause_cap_s, rng
        self.limit = min(START, in_flight)
        """How many requests the server is believed to take at once."""
        self.paused_until = 0.0
        self._epoch_at = -math.inf  # the last throttle that was no echo
        self._level = 0  # n of the delay
        self._is_starting = True
        self._is_canary = False  # after a pause, until a request sent since then succeeds
        self._in_flight = 0
        self._left_over = 0  # of those, the ones sent before the pause's end
        self._round_at = 0.0  # a round trip ends with the first good reply to a request sent since it began
        self._peak = 0  # most in flight in this round trip

    @property
    def in_flight_limit(self) -> int:
        """How many may be in flight now: `limit`, or after a pause one more than is left over from before it."""
        return self._left_over + 1 if self._is_canary else self.limit

    def next_send_at(self, now: float) -> float:
        """When the next request may go; there is no pace, only the pause."""
        return self.paused_until

    def on_sent(self, now: float) -> None:
        self._in_flight += 1
        if self._in_flight > self._peak:
            self._peak = self._in_flight

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        """A whole reply that is no throttle.  The latency decides nothing here; a later controller needs it."""
        self._end(sent_at)
        if sent_at < self.paused_until:
            return  # it was taken before the throttle: no news
        if self._level:
            self._level -= 1
        if sent_at >= self._round_at:
            self._end_round(now)

    def note_error(self, now: float, sent_at: float) -> None:
        """The exchange ended in some other way, which says nothing about the server's limits."""
        self._end(sent_at)

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        """Returns until when everyone pauses."""
        self._end(sent_at)
        if sent_at <= self._epoch_at:  # at the same instant means before: nobody sends between a cut and its pause
            if retry_after_s is not None:
                self._pause_until(now, now + retry_after_s)
            return self.paused_until
        if not self._is_canary:
            self.limit = max(1, self.limit // 2)
        self._epoch_at = now
        self._is_starting = False
        delay_s = self._next_delay_s()
        stated_s = 0.0
        if retry_after_s is not None:
            stated_s = retry_after_s + self._rng.uniform(0.0, min(STATED_JITTER * retry_after_s, STATED_JITTER_MAX_S))
        self._pause_until(now, now + max(delay_s, stated_s))
        return self.paused_until

    def check(self) -> None:
        assert 1 <= self.limit <= self._cap
        assert 0 <= self._left_over <= self._in_flight <= self._peak
        assert self._level >= 0
        assert not (self._is_starting and self._is_canary)

    def _end(self, sent_at: float) -> None:
        self._in_flight -= 1
        if self._left_over and sent_at < self.paused_until:
            self._left_over -= 1

    def _end_round(self, now: float) -> None:
        if self._is_canary:
            self._is_canary = False
        elif self._peak >= self.limit:
            self.limit = min(self._cap, self.limit * 2 if self._is_starting else self.limit + 1)
        self._round_at = now
        self._peak = self._in_flight

    def _next_delay_s(self) -> float:
        top_s = min(self._pause_cap_s, math.ldexp(FIRST_PAUSE_S, self._level))
        if top_s < self._pause_cap_s:  # counts no further, or as many good replies were needed to count back
            self._level += 1
        return self._rng.uniform(min(PAUSE_FLOOR_S, top_s), top_s)

    def _pause_until(self, now: float, end: float) -> None:
        if end <= self.paused_until or end <= now:
            return
        self.paused_until = self._round_at = end
        self._is_canary = True
        self._left_over = self._in_flight
