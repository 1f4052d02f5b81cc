"""Measures how many requests a second the server allows, between two moments at which it refused.

Between two refusals a bucket or a window gives exactly its rate, and its savings cancel out.  So

    safe = requests taken between them / time        the server certainly allows so much
    top  = the rate at which it refused              it hardly allows more

A bucket without savings loses unused room and shows in `top`.  A bucket with savings shows in `safe`.  The pace begins
below `safe` and climbs to `top`, and each round brings the two closer.  A log gives its rate only over a whole window:
if a window is known, and less than that was taken since, the last whole window is measured (`window.py`).  The first
measurements consist mostly of climbs, and what all throttles agree about is better then (`bursts.py`).

After a *hold*, a time in which nothing was taken, the limit is a window, measured from the end of one hold to the end
of the next.  The true end lies between the last refused canary and the first taken one: `safe` uses the middle, `top`
the earlier.

    credit   what the server let through above `safe` before it refused: much for a window that is used up early.  While
             it lasts, no throttle means nothing: a surge waits `CREDIT_PATIENCE` · credit / top before it grows, and
             where a window is known at least as long as that
    trust    doubled by each measurement within 5 % of the last, halved by one within 20 %, 1 after any other

Invariants: 0 <= safe <= top once known; trust >= 1; credit >= 0.  Not here: how the pace uses these numbers
(`pace.py`).
"""

from __future__ import annotations

import math
from typing import Final

from .bursts import Bursts, StatedPauses
from .hold import EndedHold
from .recent import Mark
from .sharing import Sharing
from .stated import LONG_S
from .window import Window

COUNTED: Final = 10  # requests taken, or a rate is not measured: ±10 % of a bucket's
COUNTED_ROUGHLY: Final = 4
COUNTED_SHORT: Final = 30  # the same when nothing but a short hold ends the measurement
SURE: Final = 3  # measurements alike
ALIKE: Final = 0.01  # a rate limit repeats itself so well; what a cap lets through varies with latency
AVERAGED: Final = 2  # measurements, after which the average is exact; the first ones waste much of a climb
SAME: Final = 0.05
EXACT: Final = 0.025  # of what a window of a usual length allows; more is a wrong count
OTHER: Final = 0.20
CHANGED: Final = 0.7  # a limit half or twice as high is another: what the old one gave at once says nothing
CREDIT_PATIENCE: Final = 1.2
CREDIT_PATIENCE_MAX_S: Final = 70.0  # a window of a minute, and some
CREDIT_KEPT: Final = 0.8  # a share of the old credit is believed after an epoch without a hold
CREDIT_KEPT_HOLD: Final = 0.95  # and after one with
ROUNDED_S: Final = 1.1  # stated waits are rounded up to seconds, and some come back later
MEASURED_MOST: Final = 12
CLOSE: Final = 1.05  # after a short hold the rate at which it began says little
TRUSTED: Final = 8.0
KNOWN: Final = 4.0  # what contradicts such a trust is another limit
CLIMB_MIN_S: Final = 2.4  # a doubled limit must be found within about 3 s
CLIMB_TRIPS: Final = 4.0
CLIMB_COUNTED: Final = 15.0  # requests, or nothing is measured
CLIMB_REQUESTS: Final = 135.0  # for each throttle that an epoch costs, so that about 0.75 % are throttled
CLIMB_COST: Final = 200.0  # times the last stated pause: pauses take half a percent of the time then
UNSURE_S: Final = 2.0  # a limit hardly known is worth a throttle
WHOLE: Final = 0.3  # of a climb
DEAR_S: Final = 1.0  # to double the rate: most of a second is spent near the limit before the burst is used
DEAR_TRIPS: Final = 8.0
DEAR_TRUST: Final = 2.0


class Limit:
    """The measured limit and how far it can be trusted."""

    def __init__(self, floor_per_s: float) -> None:
        self._floor = floor_per_s
        self.safe = 0.0
        self.top = math.inf
        self.trust = 1.0
        self.alike = 0
        """Measurements in a row within `ALIKE` of each other.  A different one halves the count."""
        self.credit = 0.0
        self.cost_s = 0.0
        """What the last stated pause cost."""
        self._throttles = 1.0  # that an epoch costs
        self._accounted = self._pending = 0
        self.known_at = -math.inf
        self._sharing = Sharing()
        self._ends = Mark(0.0, 0)  # of the last epoch
        self._before: tuple[Mark, float, float, float, float] | None = None
        self._bursts = Bursts()
        self._pauses = StatedPauses()
        self._has_fallen = False
        self._measured = 0  # so often since the limit was last found to be another
        self.window = Window()

    def passed(self, mark: Mark) -> None:
        """A round trip went well."""
        self.window.passed(mark)
        self._bursts.passed(mark)

    def begin(self, mark: Mark) -> None:
        """Count from here: the server was not refusing."""
        self._ends = mark
        self.window.begin(mark)

    def guess(self, rate: float) -> None:
        """Refused at this rate before anything was learnt."""
        if self.top == math.inf:
            self.top = rate

    @property
    def is_rate(self) -> bool:
        """Whether it was measured alike so often that it is no cap, or is a window."""
        return self.alike >= SURE or self.window.requests > 0

    @property
    def is_shared(self) -> bool:
        """Whether others use it too; of a window that is not known."""
        return self.is_unsteady and not self.window.requests

    @property
    def is_unsteady(self) -> bool:
        """Whether measurements do not repeat."""
        return self._sharing.is_shared

    def be_alone(self) -> None:
        """What differed from time to time was no share of others."""
        self._sharing = Sharing()

    @property
    def patience_s(self) -> float:
        return min(max(self.window.longest_s, CREDIT_PATIENCE * self.credit / self.top), CREDIT_PATIENCE_MAX_S)

    def span_s(self, round_trip_s: float) -> float:
        """How long the next climb to `top` lasts.  After it the surges begin, and the next throttle comes."""
        counted_s = CLIMB_COUNTED / self.top
        wanted_s = max(CLIMB_REQUESTS * self._throttles / self.top, CLIMB_COST * self.cost_s)
        unsure_s = self.trust * max(UNSURE_S, counted_s)
        return max(CLIMB_MIN_S, counted_s, CLIMB_TRIPS * round_trip_s, min(unsure_s, wanted_s))

    def dear_s(self, rate: float, round_trip_s: float) -> float:
        """How long to climb straight from `rate` where throttles cost a pause and the limit is hardly known; else 0."""
        is_dear = self.cost_s > 0 and self.trust < DEAR_TRUST
        return (self.top / rate - 1) * max(DEAR_S, DEAR_TRIPS * round_trip_s) if is_dear else 0.0

    def account(self, refused: int, *, is_whole: bool) -> None:
        """A climb ended with so many throttles since the start; `is_whole` unless it was cut short by the next one."""
        spent, self._accounted = refused - self._accounted + self._pending, refused
        self._pending = 0 if is_whole else spent
        if is_whole:
            self._throttles = max(1.0, (self._throttles + spent) / 2)

    def refused(self, mark: Mark, rate: float, *, is_crowd: bool = False) -> float:
        """An epoch ended at `mark`, at this rate.  Returns the rate to go on at."""
        self._before = self._ends, self.safe, self.top, self.trust, self.credit
        self.credit *= CREDIT_KEPT
        self.window.refused(mark)
        taken, span_s = mark.taken - self._ends.taken, mark.at - self._ends.at
        measured = self.window.rate(mark) if taken < self.window.requests else 0.0  # the last whole window
        measured = measured or (taken / span_s if taken >= COUNTED and span_s > 0 else 0.0)
        if not (is_crowd or self._floor):
            self._sharing.refused(measured, rate, taken=taken, was=self.safe)
        self._bursts.refused(mark)
        if measured:
            self._learn(self._agreed(measured, rate), rate, taken)
            self.known_at = mark.at
            self._ends = mark
            return self.safe
        return self.fall(rate, mark)

    def _agreed(self, measured: float, rate: float) -> float:
        """What was measured, or at first what all throttles agree about."""
        is_new = self._measured < AVERAGED and not self.window.requests
        return (is_new and self._bursts.rate(measured, rate)) or measured

    def fall(self, rate: float, mark: Mark) -> float:
        """Refused again so soon: the limit fell, or the last measurement was wrong.  Returns a lower rate to go on at;
        hardly lower the first time, where the rate was above `safe` anyway.  Counting goes on until there is enough.
        """
        taken, span_s = mark.taken - self._ends.taken, mark.at - self._ends.at
        self._distrust()
        self._measured //= 2
        if rate < self.safe / 2:
            self.credit = 0.0
        self.top = min(self.top, rate)
        lower = rate * (0.97 if rate >= self.safe > 0 and not self._has_fallen else 0.7)
        self._has_fallen = True
        if taken >= COUNTED_ROUGHLY and span_s > 0:
            lower = max(rate / 2, min(lower, taken / span_s))
        lower = min(0.98 * rate, max(lower, self.safe / 4))
        self.safe = min(self.safe, self.top)
        return lower

    def refused_first(self, mark: Mark, rate: float) -> float:
        """The first throttle of a start: half the rate, and the climb will tell."""
        self._before = self._ends, self.safe, self.top, self.trust, self.credit
        self._ends, self.top, self.safe = mark, rate, min(self.safe, rate)
        self._bursts.refused(mark)
        return rate / 2

    def revoke(self) -> None:
        """The last epoch was the beginning of a hold: what was measured at it did not count the hold."""
        self._sharing.revoke()
        if self._before:
            self._ends, self.safe, self.top, self.trust, self.credit = self._before
            self._before = None

    def near(self, *, is_dear: bool) -> float:
        """Where to go on after a hold: a throttle is dear where it costs a stated pause, until the limit is known."""
        return self.safe if is_dear and self.trust < TRUSTED else (self.safe + self.top) / 2

    def resumed(self, mark: Mark, hold: EndedHold, refused: tuple[Mark, float] | None) -> bool:
        """A hold ended: the request sent at `mark` was taken.  False if nothing could be learnt from it.

        `refused` is the throttle that began it, and the rate at which it came.
        """
        since = self.window.since(mark, hold.lasted_s) if hold.is_long else self._ends
        taken, span_s = mark.taken - since.taken, mark.at - hold.unsure_s / 2 - since.at
        if refused:
            self.window.refused(refused[0])
            self._bursts.refused(refused[0])
        self._bursts.passed(mark)
        self.window.note(mark)
        is_window = False
        if hold.is_long and (not hold.is_stated or hold.lasted_s > LONG_S):
            is_window = self.window.held(mark, since, hold.lasted_s, ROUNDED_S if hold.is_stated else hold.unsure_s)
        low = taken / span_s if taken >= COUNTED and span_s > 0 else self.window.rate(mark)
        if low:
            at, rate = refused or (mark, low)
            high = self.window.rate(at) if taken < self.window.requests else 0.0
            sent_s = mark.at - hold.lasted_s - since.at  # from the first request to the last one before the pause
            high = high or (taken / sent_s if sent_s > 0 else low)
            if is_window:
                safe = self.window.requests / self.window.length_s
                top = safe if self.window.usual_s else self.window.requests / self.window.shortest_s
                self._learn(safe, max(safe, top), taken, is_window=True)
                if self.window.usual_s:
                    self.trust = max(self.trust, KNOWN)
            elif hold.is_stated and hold.lasted_s > LONG_S:
                self._learn(*self._pauses.long(low, high), taken)
            elif hold.is_stated:
                bursts = None if self.window.requests else self._bursts
                self._learn(*self._pauses.limit(low, high, rate, taken, bursts), taken)
            elif hold.is_long:
                self._learn(low, low * span_s / (span_s - hold.unsure_s / 2) if span_s > hold.unsure_s else low, taken)
            elif hold.is_idle:
                self._learn(high, max(high, rate), taken)
            elif taken >= COUNTED_SHORT or not self.safe:
                safe = self._agreed(low, rate)
                self._learn(safe, max(safe, min(rate, max(high, CLOSE * low))), taken)
            given = taken - self.safe * (at.at - since.at) if refused and not hold.is_idle else 0.0
            self.credit = max(CREDIT_KEPT_HOLD * self.credit, given)
            self.known_at = mark.at
        if low or hold.is_long:
            self._ends = mark
        self._before = None
        self._sharing.held(is_idle=hold.is_idle and self.window.requests > 0)
        return low > 0

    def _learn(self, safe: float, top: float, taken: int, *, is_window: bool = False) -> None:
        self._has_fallen = False
        if (exact := self.window.exact) and abs(math.log(safe / exact)) < EXACT:
            safe = top = exact
        off = abs(math.log(safe / self.safe)) if self.safe else math.inf
        self.alike = self.alike + 1 if off < ALIKE else self.alike // 2
        self._measured = 1 if off >= CHANGED else min(self._measured + 1, MEASURED_MOST)
        if off < max(SAME, 1.0 / max(1, taken)):  # one request more or less is chance
            self.trust = min(2 * self.trust, 1e4)
        else:
            self.trust = max(1.0, self.trust / 2)
            if off >= OTHER:
                self._distrust()
            if off >= CHANGED:
                self.credit = 0.0
                if not is_window:
                    self.window.forget()
        self.safe = max(safe, self._floor)
        self.top = max(top, self.safe)

    def _distrust(self) -> None:
        if self.trust >= KNOWN:
            self._bursts.forget()
        self.trust = 1.0

    def check(self) -> None:
        assert 0.0 <= self.safe <= self.top
        assert self.trust >= 1.0
        assert self.credit >= 0.0
        self.window.check()
        self._sharing.check()
        self._bursts.check()
