"""The law for servers that state a wait (Retry-After) of a second: their limit is known after two or three pauses.

A stated pause costs a second or more, whatever the server needed.  So each throttle must teach what the one before left
open.  After a pause as long as its window, a fixed window or a log is empty, and takes the same count again.  A bucket
is full, and takes its burst and then so many a second.

    believed   seen                                          done
    nothing    the first throttle                            resume at `RESUME` times what was taken in a pause's time,
                                                             and `RAMP` times as fast each second
    window     the same count again, in another time; or a   never more than the count in the window's length, by the
               burst as large as what a pause brings; or     send log; all of it at once after a pause
               throttles that fit no bucket
    bucket     any other count                               the rate at which all throttles used up the same burst, a
                                                             whole number; and `SPENT` of it after a pause
    bucket     a burst larger than what a pause brings       what was taken, by the time with the pause
    counter    two counts that no window can give: it        the middle one, or the larger of two, evenly: what was
               estimates, and the pause did not empty it     before the pause counts in part, and refused requests may
    known      a throttle where it was expected              the same again, and the next climb takes twice as long
    known      a throttle much earlier                       nothing is known.  Once the new limit is, the old rate is
                                                             tried each `TRY_S` since the fall, then ever more rarely
    known      none                                          the rate grows by `GROWTH` · (time / tau)³

It is a hypothesis, and is given up for the run (`is_wrong`) when the server disproves it:

    a stated wait of more than `MOST_S`             it varies with what the server needs, so it is no constant
    the known limit was passed by more than `BEYOND`    it was too low: a cap, or a window shorter than the pause
    a window refused far fewer than at first        a counter, or chance
    a counter refused fewer than before, `LESS` times   a burst of many seconds, or a longer window
    a bucket refused soon more than `SOON` times    it is none: a cap, or a longer window
    it allows fewer than `COUNTED` in a pause       one request more or less is everything
    a stretch brought more than it allows           a window longer than the pause, a burst of many seconds, or a cap

Invariants: no more than one trial a pause; a rate above the known one comes from growth or a trial alone.
Source: the growth is CUBIC's (RFC 9438); the burst is the arrival curve of network calculus (Cruz 1991).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from .bursts import agreed
from .pace import USED
from .recent import Mark, RecentSends

MOST_S: Final = 1.0  # whole seconds, the least that can be stated; longer ones follow what the server needs
LONG_S: Final = 3.5  # a rate limit rounded up to seconds states 1 or 2, so a longer pause is a window's
RESUME: Final = 2.0  # steeper, and a bucket's rate is measured too briefly; flatter, and windows change midway
RESUME_SHORT: Final = 3.0  # the same after a first stretch of less than `SHORT` pauses: nearly all was a burst; with 2
SHORT: Final = 0.25  # the bucket 10/s, 6 ms, falls from 0.90 to 0.87
RAMP: Final = 1.7  # times a second; with 2 a bucket is measured too briefly: 10/s, 6 ms, falls from 0.90 to 0.855
SPENT: Final = 0.65  # of a burst, known to a request or two; with 0.75 1,000/s is refused again in one run of five
MARGIN: Final = 0.005  # of a window's length: one request in 100 a second, and clocks
BELOW: Final = 0.002  # under a bucket's rate, and this share of what one request more or less makes, at most
UNSURE: Final = 0.3
BELOW_MOST: Final = 0.02
BELOW_COUNTER: Final = 0.03  # a stretch that begins in one of its windows and ends in the next takes so many more
GROWTH: Final = 0.02
BEYOND: Final = 0.05  # of a window, whose count is exact
BEYOND_BUCKET: Final = 0.1
BEYOND_UNSURE: Final = 3.0  # times what one request more or less makes
TAU_S: Final = 20.0  # of a bucket at first: the third pause of a run comes after 20 s
TAU_WINDOW_S: Final = 30.0  # of a window: the third pause comes after 20 s; with 20 a log loses 5 points
TAU_MAX_S: Final = 250.0  # pauses take half a percent of the time then
LONGEST: Final = 20.0  # tau; a run that was idle for days must not overflow
RUSH: Final = 2.0  # of the known rate: what is late or saved is caught up so; a window's log of sends holds it back
SAME: Final = 0.01  # of a count
NEARLY: Final = 0.02  # of a window's count: a throttle there confirms it
APART: Final = 0.1  # of a pause: so far apart a bucket would have taken another count
COUNTED: Final = 5  # requests in a pause's time; fewer are chance
WINDOW_LIKE: Final = 0.6  # of what a pause brings: buckets hold less, or a burst is chance
MISFIT: Final = 0.02  # of a burst, and one request: throttles further apart fit no bucket (window 100 in 1 s)
FELL: Final = 0.6  # of what was expected
PROVEN: Final = 3.0  # pauses' time without a throttle
CONFIRMED: Final = 0.03
TRY_S: Final = 3.6  # a trial costs a pause, and a return found late its gain; 2 to 4 s are as good
TRIES: Final = 3
TRY_MOST_S: Final = 100.0  # then the old rate is forgotten, and growth alone finds it
LEAST: Final = 0.01  # a pause, where nothing was taken at all
STEPS: Final = 48  # rates tried between two bounds, and again
CLOSE: Final = 1.1  # to the likeliest of them
CROSSING_LEAST: Final = 1.3  # times the likeliest: nearer ones are the same rate, as far as whole requests tell
LEAST_FAST: Final = (
    20  # requests that bound a bucket's rate; half of a long stretch, and one that holds little has no fit
)
CROSSINGS: Final = 100  # higher rates tried, each
CROSSING_STEP: Final = 1.012  # times the one before: up to 4.2 times the likeliest
SOON: Final = 2  # throttles in a row: a burst after a pause is what a counter refuses, and no bucket goes on so
LESS: Final = 2  # times in a row: a counter may be refused by chance, and not go on so (bucket 36/s, holds 224, 0.9 s)
WINDOWS: Final = 2  # a stretch no longer than a window lies in so many at most
SEEN: Final = 4  # throttles; older ones may be of another limit


class Epoch(NamedTuple):
    """What was taken from the end of a pause until the next throttle."""

    lately: int
    """Within the last pause's time."""
    taken: int
    span_s: float
    rested_s: float
    """How long the pause before it was; infinity before the first."""
    stretches: list[tuple[float, int]]
    """Some that end with it: how long, and how many."""
    ended_at: float = 0.0

    def burst(self, rate: float) -> float:
        """What a bucket of `rate` must have held: the most above it, and what was left when it refused.  That is less
        than one, and between what came since the last request and what came since the first, since it holds whole ones.
        """
        first_s, gap_s = (self.stretches[0][0], self.stretches[-1][0]) if self.stretches else (0.0, 0.0)
        left = (min(1.0, rate * gap_s) + min(1.0, rate * first_s)) / 2
        return round(left + max((taken - rate * span_s for span_s, taken in ((0.0, 0), *self.stretches))))

    def since_last(self, count: int) -> float:
        """How long before its end the last but `count - 1` of its requests went."""
        return min((span_s for span_s, taken in self.stretches if taken >= count), default=self.span_s)

    def taken_within(self, span_s: float) -> int:
        """How many of its requests went so long before its end."""
        return max((taken for one_s, taken in self.stretches if one_s <= span_s), default=0)

    @property
    def fastest(self) -> float:
        """The most that `LEAST_FAST` of them, or half where they are fewer, were taken at."""
        count = min(LEAST_FAST, (self.stretches[0][1] + 1) // 2) if self.stretches else 0
        return max((n / s for s, n in self.stretches if s > 0 and n >= count), default=math.inf)


class Stated:
    """Told of every epoch that ends with a short stated pause; leads the pace while `leads`."""

    def __init__(self) -> None:
        self.leads = False
        self.kind: Literal["", "window", "bucket", "counter"] = ""
        self.per_s = 0.0
        """The limit; 0 until it is known."""
        self.guard, self.guard_s = 0, 0.0
        """No more than so many in that time; 0: any number."""
        self.pause_s = 0.0
        self.is_wrong = False
        """What is believed was disproved: something else must lead from here on."""
        self._base = 0.0  # where to resume while nothing is known
        self._resumed = self._checked = Mark(0.0, 0)
        self._refused_at, self._rested_s, self._started = 0.0, math.inf, 0.0
        self._seen: list[Epoch] = []
        self._burst, self._soon, self._less = 0.0, 0, 0
        self._unsure = 0.0  # share of the rate
        self._count, self._window_s = 0, 0.0
        self._tau_s = TAU_S
        self._proven_per_s = self._old = 0.0
        self._is_trial, self._trial_at, self._tries, self._try_at = False, 0.0, 0, math.inf

    def refused(self, mark: Mark, stated_s: float, sends: RecentSends) -> None:
        """An epoch ended with a stated pause."""
        before, self.leads, self._refused_at = self._refused_at, True, mark.at
        self.pause_s = max(self.pause_s if self._seen else 0.0, stated_s)
        taken, span_s = mark.taken - self._resumed.taken, mark.at - self._resumed.at
        within = sends.taken_in(mark, self.pause_s)
        is_first = not self._seen and span_s < SHORT * self.pause_s
        self._base = (RESUME_SHORT if is_first else RESUME) * within / self.pause_s
        if self._is_trial:
            self._is_trial = False
            self._tries += 1
            wait_s = TRY_S * 2.0 ** max(0, self._tries - TRIES + 1)
            self._try_at += wait_s
            if wait_s > TRY_MOST_S:
                self._old = 0.0
            if self.kind:
                return
        self._soon = self._soon + 1 if self.kind and span_s < PROVEN * self.pause_s else 0
        if self.kind == "window" and self._confirms(sends.taken_in(mark, self._window_s)):
            if self._soon == SOON:
                self._be_counter(round(self._burst))
            return
        last = Epoch(min(taken, within), taken, span_s, self._rested_s, sends.stretches(mark, self._resumed),
                     mark.at)  # fmt: skip
        is_lower = taken < FELL * min(self.per_s * self.pause_s, self._burst + self.per_s * span_s) - 1
        is_lower = is_lower and (self.kind == "window" or last.burst(self.per_s) < FELL * self._burst)
        self._seen.append(last)
        del self._seen[:-SEEN]
        if self.kind != "window" and self._is_window(last):
            self._be_window()
        elif self.kind and is_lower:
            self._fall(before if mark.at - before < PROVEN * self.pause_s else mark.at)
            self._seen.append(last)
        elif self.kind == "counter":
            if last.span_s > self.pause_s:
                self._less = self._less + 1 if within <= self.per_s * self.pause_s else 0
                self._be_counter(within)
            elif len(self._seen) > 1 and self._seen[-2].span_s <= self.pause_s:  # twice so soon
                self._fall(before)
            else:
                self._be_counter(round(self.per_s * self.pause_s))
        elif len(self._seen) > 1:
            self._be_bucket(last)
        self.is_wrong = (self.kind == "bucket" and self._soon > SOON) or self._less == LESS
        self.is_wrong = self.is_wrong or (bool(self.kind) and self._is_refuted())

    def _is_refuted(self) -> bool:
        """Whether what is known now brings too few to be known, or fewer than a stretch brought: it may begin and end
        within a window."""
        return self.per_s * self.pause_s < COUNTED or self._was_exceeded(self.per_s)

    def _was_exceeded(self, per_s: float) -> bool:
        return any(one.taken > per_s * (one.span_s + 2 * self.pause_s) for one in self._seen)

    def _confirms(self, count: int) -> bool:
        """Whether a throttle after so many in its length is what was expected of the window."""
        if count < (1 - NEARLY) * self._count - 1:
            return False
        self._tau_s = min(2 * self._tau_s, TAU_MAX_S)
        self._count, self.per_s = count, count / self._window_s
        self.is_wrong = count < (1 - 2 * NEARLY) * self._burst - 1
        return True

    def _fall(self, since: float) -> None:
        """The limit is lower than it was, since then."""
        if self._proven_per_s > self._old:
            self._old, self._tries, self._try_at = self._proven_per_s, 0, since + TRY_S
        self._seen.clear()
        self.kind, self.per_s, self._proven_per_s, self._burst = "", 0.0, 0.0, 0.0

    def _is_window(self, last: Epoch) -> bool:
        """Whether it took the same count as before, where a bucket would have taken another."""
        return (
            last.lately >= COUNTED
            and last.span_s <= self.pause_s
            and any(
                abs(last.lately - one.lately) <= SAME * last.lately
                and abs(last.span_s - one.span_s) > APART * self.pause_s
                and one.span_s <= 2 * self.pause_s
                for one in self._seen[:-1]
            )
        )

    def _be_bucket(self, last: Epoch) -> None:
        """The rate at which all throttles used up the same burst; a window where there is none that is likely."""
        is_young = last.lately >= COUNTED and last.span_s <= self.pause_s * (1 if self._proven_per_s else 2)
        low = max(one.taken / (one.span_s + one.rested_s) for one in self._seen)
        high = min(one.fastest for one in self._seen)
        was, rate, misfit = self.per_s, max(low, min(high, LEAST / self.pause_s)), 0.0
        if 0.0 < low < high < math.inf:
            rate, misfit = best(self._seen, low, high)
        held = last.burst(rate)
        is_like = held > WINDOW_LIKE * rate * self.pause_s
        if is_young and (misfit > MISFIT * held + 1 or is_like):
            count = min(one.lately for one in self._seen)
            if not (self._old and self._was_exceeded(count / self.pause_s)):  # or the limit is about to return
                if are_of_window(self._seen, self.pause_s):
                    self._be_window()
                else:
                    self._be_counter(sorted(one.lately for one in self._seen)[len(self._seen) // 2])
                return
        if held > rate * last.rested_s + 1:
            rate, held = max(rate * LEAST, last.taken / (last.span_s + last.rested_s)), rate * last.rested_s
        is_long = last.span_s > PROVEN * self.pause_s
        is_same = self.kind == "bucket" and is_long and abs(math.log(rate / was)) < CONFIRMED
        self._tau_s = min(2 * self._tau_s, TAU_MAX_S) if is_same else TAU_S
        self._unsure = 1 / max(1.0, rate * max(one.span_s for one in self._seen))
        self.kind, self.per_s, self.guard, self._burst = "bucket", rate, 0, held

    def _be_window(self) -> None:
        """A window never refuses less than it allows, so the least count is it."""
        count = min(one.lately for one in self._seen)
        self.kind, self._count, self._window_s = "window", count, self.pause_s
        self.per_s = count / self.pause_s
        self._tau_s, self._burst, self._soon = TAU_WINDOW_S, float(count), 0

    def _be_counter(self, count: int) -> None:
        """So many in a pause's time, evenly, and one less since it estimates."""
        self._tau_s = min(2 * self._tau_s, TAU_MAX_S) if self.kind == "counter" else TAU_S
        self.kind, self.per_s, self.guard, self._burst = "counter", 0.0, 0, 0.0
        self.per_s = min(count - 1.0, (1 - BELOW_COUNTER) * count) / self.pause_s
        self._unsure = 1 / max(1, count)

    def resumed(self, now: float, mark: Mark) -> None:
        """The pause is over: the request sent at `mark` was taken."""
        self._rested_s = mark.at - self._refused_at
        self._resumed, self._checked, self._started = mark, mark, now

    def passed(self, mark: Mark) -> None:
        """A round trip went well.  A pause's time in which few pairs came proves nothing, and does not count."""
        sends, span_s = mark.taken - self._checked.taken, mark.at - self._checked.at
        if span_s >= self.pause_s:
            self._checked = mark
            if sends < USED * span_s * self.after_pause() - 1:
                self._started += span_s

    def after_pause(self) -> float:
        """The pace from the end of the pause until the first reply."""
        return self.per_s or max(self._base, RESUME / self.pause_s)

    def rate(self, now: float, round_trip_s: float) -> float:
        """The pace from now on."""
        since_s = min(now - self._started, LONGEST * self._tau_s)
        if self._is_trial:
            if now - self._trial_at <= max(self.pause_s, 4 * round_trip_s) + round_trip_s:
                return (1 - MARGIN) * self._old
            self._restore(now)
        elif self._old and not self.kind:
            while self._try_at <= now:
                self._try_at += TRY_S
        elif self._old and now >= self._try_at:
            self._is_trial, self._trial_at, self.guard = True, now, 0
            return (1 - MARGIN) * self._old
        if not self.kind:
            return float(self.after_pause() * RAMP ** min(since_s, TAU_S))
        if since_s > PROVEN * self.pause_s:
            self._proven_per_s = self.per_s
        climb = (since_s / self._tau_s) ** 3
        if self.kind == "window":
            grown = 1.0 + GROWTH * climb
            self.is_wrong = grown > 1 + BEYOND
            self.guard, self.guard_s = self._count, self._window_s * (1 + MARGIN) / grown
            return RUSH * self.per_s * grown
        grown = 1 - min(BELOW + UNSURE * self._unsure, BELOW_MOST) + max(GROWTH, UNSURE * self._unsure) * climb
        self.is_wrong = grown > 1 + max(BEYOND_BUCKET, BEYOND_UNSURE * self._unsure)
        return self.per_s * grown

    def _restore(self, now: float) -> None:
        """The old limit holds again; what was seen since is of another."""
        self._is_trial = False
        self._seen.clear()
        if self.kind == "window":
            self._count = max(1, round(self._old * self._window_s))
        self.per_s, self._old, self._started = self._old, 0.0, now

    def next_at(self, now: float, gap_s: float, sends: RecentSends) -> float:
        """The earliest time of the next request, whatever is to be caught up."""
        at = now + gap_s / RUSH
        return max(at, sends.back(self.guard) + self.guard_s) if self.guard else at

    @property
    def slack_s(self) -> float:
        """How late a send may be caught up."""
        return SPENT * min(self.pause_s, max(0.0, self._burst - 2) / self.per_s) if self.kind == "bucket" else 0.0

    def check(self) -> None:
        assert self.per_s >= 0.0
        assert self.guard >= 0


def best(seen: Sequence[Epoch], low: float, high: float) -> tuple[float, float]:
    """The rate between those two at which all used up the same burst, and how far they are from that.  Two curves may
    cross twice: then the higher one, for a rate that is too high shows in seconds, and one that is too low does not."""
    near, _ = agreed(seen, Epoch.burst, low, high, steps=STEPS)
    found = agreed(seen, Epoch.burst, max(low, near / CLOSE), min(high, near * CLOSE), steps=STEPS)
    higher = [at for n in range(CROSSINGS) if (at := near * CROSSING_LEAST * CROSSING_STEP**n) * CROSSING_STEP < high]
    if higher:
        off, at = min((agreed(seen, Epoch.burst, at, at, steps=0)[1], at) for at in higher)
        if off <= found[1] + MISFIT * seen[-1].burst(at):
            return agreed(seen, Epoch.burst, at / CROSSING_STEP, at * CROSSING_STEP, steps=STEPS // 4)
    return found


def are_of_window(seen: Sequence[Epoch], window_s: float) -> bool:
    """Whether a fixed window or a log can have refused all of them.

    Where one took more than the least, a window ended before its last requests, as many as the least: that tells when
    all windows end.  Each of them must have taken as many between such an end and its throttle.  That one ended just in
    a stretch of less than `APART` is less likely than a counter.
    """
    count, most = min(one.lately for one in seen), max(seen, key=lambda one: one.lately)
    if most.lately <= (1 + NEARLY) * count + 1 or max(one.span_s for one in seen) > window_s:
        return True
    began_at, near_s = most.ended_at - most.since_last(count), APART * window_s
    for one in seen:
        into_s = (one.ended_at - began_at) % window_s
        is_few = into_s > near_s and one.taken_within(into_s + near_s) < (1 - NEARLY) * count - 1
        if is_few or one.taken_within(into_s - near_s) > (1 + NEARLY) * count + 1:
            return False
    return most.lately <= WINDOWS * count + 1 and most.span_s >= near_s
