"""The paced rate: how fast requests go, from the first reply on.

    start   2 a round trip, doubled each round trip until the first throttle; above `START_ROOM` in flight it grows by
            `START_STEP` a round trip instead, or a quarter, since so many would be refused together.  Never more in
            flight than twice what that needs
    dip     after a throttle: to a rate just below what the server is known to take
    climb   back towards `top`, fast at first and flat near it, as CUBIC does: rate = top - (top - bottom)·(1 - t/span)³
            (straight where throttles are dear)
    share   of a limit that others use too (`sharing.py`): a cut of a fifth at each throttle, and a straight climb, back
            over the cut in `SHARE_S` · rate**¼, for `SHARE_CLIMBS` times as long; only then a surge
    surge   past `top` without a throttle, to test whether the limit still holds: by 1.5 % (6 % while it is hardly
            known), three times as much after each round trip that stays without one, or after `patience_s` where the
            server is known to give credit; above twice the limit after eight round trips
    free    no pace at all, where the in-flight limit alone decides

Requests are spaced evenly.  A late one is caught up, for at most `CATCH_UP_S`.  A round trip that did not use the rate
(no pairs, a ceiling, a quota) proves nothing, so the clock of the climb stands still.

Invariants: rate >= the user's floor and `LEAST`; gap_s · rate = 1 (0 and infinity when free).  Not here: what the
server allows (`limit.py`).  Source: RFC 9438 (CUBIC) for the climb; RFC 5681 for the start.
"""

from __future__ import annotations

import math
from typing import Final

LEAST: Final = 1 / 300  # a second, whatever is refused: a server that is well again must not wait for hours
START_ROOM: Final = 64  # in flight; until here the start doubles
START_STEP: Final = 24  # more in flight a round trip above that, or
START_GROWTH: Final = 1.25  # times as many
START_LEAST: Final = 8  # in flight at the start, and
START_SPARE: Final = 2.0  # times what it needs: a queue must not take hundreds before its first late reply
START_SENDS: Final = 2  # a round trip at first: 20/s at 0.1 s
CATCH_UP_S: Final = 0.004  # event loops wake up to a millisecond late; more would be a burst
SHARE_CUT: Final = 0.2
SHARE_S: Final = 0.8  # 1.5 s at 12/s, 2.1 s at 50/s; straight for all, or large shares would climb for minutes
SHARE_COUNTED: Final = 5.0  # requests, or a small share would be mostly refused
SHARE_CLIMBS: Final = 5.0  # nobody was refused for so long: the limit is free
SURGE: Final = 0.015  # share of the limit: small enough to cost one throttle, and crossed within a tenth of a second
SURGE_UNSURE: Final = 0.06  # the first surge while the limit was measured once; halved with each agreeing measurement
SURGE_GROWTH: Final = 3.0
SURGE_FAST: Final = 1.0  # up to twice the limit the surge grows each round trip
SURGE_SLOW_TRIPS: Final = 8  # above that it grows once in so many
USED: Final = 0.7  # of the paced sends must have gone in a round trip, or the rate was not what held it back
USED_WHEN_FULL: Final = 0.9  # the same when the in-flight limit was reached


class Pace:
    """The rate, and the instant at which the next request may go."""

    __slots__ = ("_bottom", "_floor", "_is_straight", "_span_s", "_surge_at", "_trips", "gap_s",
                 "is_starting", "next_at", "rate", "since", "slack_s", "surge", "top")  # fmt: skip

    def __init__(self, floor_per_s: float) -> None:
        self._floor = max(floor_per_s, LEAST)
        self.rate = self.gap_s = self.next_at = 0.0
        self.is_starting = True
        self.slack_s = CATCH_UP_S
        self.top = math.inf
        """Where the climb leads."""
        self.surge = 0.0
        """Share by which the rate is above `top`; 0 while it climbs."""
        self._bottom = self._surge_at = 0.0
        self.since = 0.0  # the climb began
        self._span_s = 1.0
        self._is_straight = False
        self._trips = 0

    @property
    def is_free(self) -> bool:
        return self.gap_s == 0.0

    @property
    def is_known(self) -> bool:
        """Whether the rate stays near a limit that was found."""
        return not (self.is_free or self.is_starting) and self.surge < SURGE_FAST

    def room(self, round_trip_s: float) -> float:
        """How many may be in flight at the start; later that is not the pace's business."""
        if self.is_free or not self.is_starting:
            return math.inf
        return START_LEAST + START_SPARE * self.rate * round_trip_s

    def sent(self, now: float) -> None:
        at = self.next_at
        if at < now - self.slack_s:
            at = now - self.slack_s + CATCH_UP_S
        self.next_at = at + self.gap_s

    def set(self, rate: float) -> None:
        self.rate = max(rate, self._floor)
        self.gap_s = 1.0 / self.rate

    def free(self) -> None:
        self.rate, self.gap_s, self.next_at = math.inf, 0.0, 0.0
        self.is_starting = False

    def begin(self, now: float, round_trip_s: float) -> None:
        self.set(START_SENDS / round_trip_s)
        self.next_at = now

    def was_used(self, sends: int, span_s: float, *, is_full: bool) -> bool:
        """Whether the rate was what held back a round trip of `span_s` with so many sends."""
        return not self.is_free and sends >= (USED_WHEN_FULL if is_full else USED) * span_s * self.rate - 1

    def grow(self, round_trip_s: float) -> None:
        """One round trip of the start went well."""
        if self.rate * round_trip_s > START_ROOM:
            self.set(min(2 * self.rate, max(self.rate + START_STEP / round_trip_s, START_GROWTH * self.rate)))
        else:
            self.set(2 * self.rate)

    def dip(self, now: float, rate: float, *, top: float, span_s: float, is_straight: bool = False) -> None:
        """Go on at `rate`, the next request one gap from now, and climb to `top` in `span_s`."""
        self.is_starting, self._is_straight = False, is_straight
        self.set(rate)
        self._bottom, self.top = self.rate, max(top, self.rate)
        self.since, self._span_s = now, span_s
        self.surge = 0.0
        self.next_at = max(self.next_at, now + self.gap_s)

    def share(self, now: float, measured: float) -> None:
        """A throttle of a limit that others use too, of which `measured` was ours."""
        rate = min(self.rate, max(self.top, measured)) * (1.0 - SHARE_CUT)
        climb_s = max(SHARE_S * rate**0.25, SHARE_COUNTED / rate)
        top = rate * (1.0 + SHARE_CLIMBS * SHARE_CUT)
        self.dip(now, rate, top=top, span_s=SHARE_CLIMBS * climb_s, is_straight=True)

    def allow(self, now: float, rate: float) -> None:
        """At least this rate, from now on and in the climb."""
        self.set(max(self.rate, rate))
        self.top = max(self.top, rate)
        self.next_at = now + self.gap_s

    def stand(self, now: float, span_s: float) -> None:
        """The rate was not used for `span_s`."""
        self.since = min(now, self.since + span_s)
        self._surge_at = min(now, self._surge_at + span_s)

    def climb(self, now: float, *, trust: float, patience_s: float, round_trip_s: float) -> None:
        """One more round trip went well at this rate."""
        left = 1.0 - (now - self.since) / self._span_s
        if left > 0.0:
            self.set(self.top - (self.top - self._bottom) * (left if self._is_straight else left * left * left))
            return
        self._trips += 1
        if not self.surge:
            self.surge, self._surge_at, self._trips = max(SURGE, SURGE_UNSURE / trust), now, 0
        trips = 1 if self.surge < SURGE_FAST else SURGE_SLOW_TRIPS
        if self._trips >= trips and now - self._surge_at >= patience_s:
            self.surge, self._surge_at, self._trips = SURGE_GROWTH * self.surge, now, 0
        bound = max(self.top * (1 + SURGE), self.rate + START_ROOM / round_trip_s)
        self.set(min(self.top * (1 + self.surge), bound))

    def check(self) -> None:
        assert self.next_at >= 0.0
        assert self.is_free or self.rate >= self._floor
        assert self.is_free or abs(self.rate * self.gap_s - 1.0) < 1e-9
