"""Finds out whether a server's plain 503s mean "too fast", by a lower rate for a while.

A plain 503 states no wait.  Many gateways send it for requests that come too fast, and just as many when something
behind them is broken.  Only the first kind depends on our rate.

    many      `MANY` of them, and `SHARE` of all replies since the first of these, good ones among the last of them.
              Where the good ones ended before, the server broke down; after `STALLS` times it may be a window that is
              used up
    trial     `SLOWER` of what was taken, until the share before would have brought `EXPECTED` 503s.  At most `FEW`
              came: they are throttles from now on, and the start begins again at that pace.  More: they are errors,
              the pace is what it was, and the next trial waits for `AGAIN` times as many
    in doubt  when they are more than `WRONG` of `CHECKED` requests, `WRONG_TIMES` in a row, they are errors again

The fate of the pairs is not decided here: each is in doubt, whatever its 503 meant.
Invariant: this module sets the pace only during a trial, and at its end.
"""

from __future__ import annotations

import math
from typing import Final

from .pace import Pace

MANY: Final = 10
SHARE: Final = 0.25
EXPECTED: Final = 15.0
FEW: Final = 1  # by chance one time in 50, if only a tenth are broken where a quarter seemed to be
STALLS: Final = 3
LEAST: Final = 4.0  # a trial must end soon, though little was taken before a breakdown; slower in later trials
SLOWER: Final = 0.25  # of a short stretch, which may have begun with a burst
SETTLED: Final = 2.0  # requests into a trial that may still pay for what went before
AGAIN: Final = 10
CHECKED: Final = 100
WRONG: Final = 10
WRONG_TIMES: Final = 3  # one may be the start, and the next a limit that fell


class Busy:
    """Told of each 503 that states no wait, and during a trial of each good reply."""

    def __init__(self) -> None:
        self.is_trial = self.is_throttle = False
        self._many = MANY
        self._since, self._taken = 0.0, 0  # when the count began, and how many had been taken then
        self._seen = self._good = self._errors = 0
        self._middle = 0  # how many had been taken when half of the 503s had come
        self._stalls = 0
        self._share = 0.0  # before the trial
        self._was: tuple[float, bool] = 0.0, False  # the pace before it
        self._wrong = 0

    def refused(self, now: float, sent_at: float, taken: int, pace: Pace) -> bool:
        """One more, of a request sent at `sent_at`; `taken` were answered so far, these among them unless they counted
        as throttles.  Returns whether this one does."""
        if sent_at >= self._since or not (self.is_trial or self.is_throttle):
            self._count(now, taken - self._errors, pace)
        self._errors += not self.is_throttle
        return self.is_throttle

    def _count(self, now: float, taken: int, pace: Pace) -> None:
        if not (self._seen or self.is_trial or self.is_throttle):
            self._begin(now, taken)
        self._seen += 1
        if self.is_trial:
            if self._good:  # or nothing is taken now, at no pace: a window that is used up says so, too
                self._judge(now, taken, pace)
        elif self.is_throttle:
            self._doubt(now, taken, pace)
        elif self._seen >= self._many:
            good, span_s, is_mixed = taken - self._taken, now - self._since, taken > self._middle
            self._share = self._seen / (self._seen + good)
            self._begin(now, taken)
            if self._share >= SHARE and good > 0 and span_s > 0:
                self._stalls += 1
                if is_mixed or self._stalls >= STALLS:
                    self._try(now, max(LEAST * MANY / self._many, SLOWER * good / span_s), pace)
        elif self._seen == self._many // 2:
            self._middle = taken

    def answered(self, now: float, sent_at: float, taken: int, pace: Pace) -> None:
        """A good reply during a trial."""
        if sent_at >= self._since:
            if not self._good:
                self._begin(sent_at, taken - self._errors)
            self._good += 1
            self._judge(now, taken - self._errors, pace)

    def abandon(self) -> None:
        """The server says in other ways that it was too fast: the pace is no longer ours."""
        self.is_trial = False

    def _try(self, now: float, rate: float, pace: Pace) -> None:
        self._stalls = 0
        self._was = pace.rate, pace.is_starting
        pace.set(min(rate, pace.rate))
        pace.is_starting = False
        self.is_trial = True
        self._since = now + SETTLED * pace.gap_s

    def _judge(self, now: float, taken: int, pace: Pace) -> None:
        is_same = self._seen > FEW
        if is_same or (self._seen + self._good) * self._share >= EXPECTED:
            self.is_trial, self.is_throttle, self._wrong = False, not is_same, 0
            self._begin(now, taken)
            pace.is_starting = True
            if is_same:
                self._many *= AGAIN
                rate, pace.is_starting = self._was
                pace.set(rate) if rate < math.inf else pace.free()

    def _doubt(self, now: float, taken: int, pace: Pace) -> None:
        is_wrong = self._seen > WRONG
        if is_wrong or taken - self._taken + self._seen >= CHECKED:
            self._wrong = self._wrong + 1 if is_wrong else 0
            self._begin(now, taken)
            if self._wrong == WRONG_TIMES:
                self.is_throttle, pace.is_starting = False, True
                self._many *= AGAIN

    def _begin(self, now: float, taken: int) -> None:
        self._since, self._taken, self._seen, self._good = now, taken, 0, 0

    def check(self) -> None:
        assert not (self.is_trial and self.is_throttle)
        assert 0.0 <= self._share <= 1.0
