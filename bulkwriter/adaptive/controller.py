"""The interface of this folder, and its one page: what is measured, what is believed of the server, and what is done.

**Measured**, of each request: when it went, how many others were out then, and how it ended (`recent.py`).  From these

    epoch       ends with a throttle whose request went after the last cut; throttles of earlier ones are echoes of it
    rate        requests taken between the ends of two epochs, or of two holds, by the time: savings cancel out
    burst       what a stretch before a throttle took above rate · time: the same at all throttles of a bucket
    rank        how crowded a refused request was among those of its round trip
    latency     mean of a sample against the mean of the first replies

**Believed, and done.**  At a throttle the first row that fits decides:

    seen                                      believed                  done
    sent before the last cut, or the pause    an echo                   nothing; a longer Retry-After is obeyed
    it was the canary                         nothing is taken yet      the hold goes on (`hold.py`)
    a wait of a second is stated              a window, bucket, counter a hold; the law of `stated.py` until disproved
    another wait is stated, or the first      not yet known             a hold; what pauses tell (`bursts.py`)
    request after a cut was refused as well
    as few at a higher pace                   chance (`chance.py`)      nothing, up to a budget
    crowded requests were refused             a cap (`crowd.py`)        fewer in flight, no lower rate
    much credit was used                      a window (`window.py`)    a hold whose end is known
    measurements do not repeat                others use it, too        a fifth less, a straight climb (`sharing.py`)
    none of these                             a bucket (`limit.py`)     below `safe`, up to `top`, a surge past it
    replies are late, and no throttle         a queue (`queueing.py`)   as many in flight as the server works on
    many plain 503s                           too fast, or broken       a trial (`busy.py`)

After a hold one canary goes alone.  When it is taken, all go on just below the limit.  With a floor (`floor.py`) only
stated holds exist; otherwise the rate falls to the floor.  `memory.py` begins where an earlier run ended.

Invariants: nothing is sent before a stated Retry-After (`paused_until` never falls); at most one cut an epoch; 1 <=
in_flight_limit <= in_flight.  Errors and timeouts are not throttles: the breaker handles them (`core.retry`).
Source: see the parts; the epochs are RFC 6582's `recover`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Final

from .busy import Busy
from .chance import Chance
from .crowd import Crowd
from .floor import Floor
from .hold import Hold
from .limit import TRUSTED, WHOLE, Limit
from .memory import Memory
from .pace import CATCH_UP_S, Pace
from .queueing import Queueing
from .recent import Mark, RecentSends, Refusal
from .stated import LONG_S, MOST_S, Stated
from .words import TRIAL, Holding, Told, believed, held, paused

DIP: Final = 0.015  # below what is certainly allowed; credit for a throttle or two is saved on the way back
IDLE_S: Final = 2.0  # so long without a request, or so late after a pause: there was no pair
EXPECTED_S: Final = 0.2  # a hold that should last longer is not tried at once
EXPECTED_GAPS: Final = 5.0
OLDER: Final = 1.5  # round trips before a throttle, all others are answered
CROWDED: Final = 1.1  # of what a full crowd sends: then it is the crowd that holds back, and not the pace
CROWDED_STATED: Final = 2.0  # the same after a stated pause: a throttle costs so much that no other corrects it soon


class Controller:
    """The pace and the in-flight limit of one server.

    The caller sends only while `now >= next_send_at(now)` and fewer than `in_flight_limit` requests are in flight, and
    tells of every request: `on_sent`, then exactly one of `on_good` (any whole reply but a throttle), `on_throttle`
    (also for a 503 that states Retry-After), `on_busy` (for one that does not) and `note_error` (everything else).
    """

    __slots__ = ("_busy", "_canaries", "_chance", "_crowd", "_cut_at", "_cut_sent", "_floor", "_has_begun", "_hold",
        "_in_flight", "_is_canary", "_is_crowded", "_left_over", "_limit", "_memory", "_most", "_not_before",
        "_note", "_pace", "_peak", "_queue", "_recent", "_refused", "_replied", "_stated", "_told", "_trip_at",
        "_trip_sent", "in_flight_limit", "paused_until", "restore")  # fmt: skip

    def __init__(self, in_flight: int, *, pause_cap_s: float, rng: random.Random, min_rate: float = 0.0) -> None:
        self._most = in_flight
        self._pace, self._limit = Pace(min_rate), Limit(min_rate)
        self._crowd, self._queue = Crowd(in_flight), Queueing(in_flight)
        self._hold, self._recent, self._floor = Hold(pause_cap_s, rng), RecentSends(), Floor(min_rate)
        self._note, self._replied = self._recent.add, self._queue.replied  # once a pair: bound once
        self.paused_until = 0.0
        self.in_flight_limit = 1
        """How many may be in flight now.  After a pause: one more than are left from before it."""
        self._has_begun = False  # a first request was taken
        self._is_crowded = False  # the last throttle was due to the crowd, and says nothing of the rate
        self._is_canary = True  # after a pause, until a request sent since then succeeds
        self._in_flight = self._left_over = self._peak = 0
        self._canaries = 1
        self._cut_at, self._cut_sent = -math.inf, 0
        self._refused: tuple[Mark, float] | None = None  # the throttle that began the hold, and the rate then
        self._trip_at, self._trip_sent = 0.0, 0  # a round trip ends with the first good reply to a request sent since
        self._memory, self._told, self._busy = Memory(), Told(), Busy()
        self._chance = Chance()
        self._stated = Stated()
        self._not_before = 0.0  # what the law for stated pauses lets catch up goes no earlier
        self.restore = self._memory.restore
        """Start from the rate that an earlier run learnt so many seconds ago.  Call it before anything is sent."""

    def next_send_at(self, now: float) -> float:
        """When the next request may go.  A time up to `now` means at once."""
        at, paused_until = self._pace.next_at, self.paused_until
        if at < self._not_before:
            at = self._not_before
        if self._floor.owed and self._floor.next_at < at:
            at = self._floor.next_at
        return at if at > paused_until else paused_until  # noqa: FURB136 asked once a pair: half the cost of max()

    def room(self) -> int:
        """How many requests may go together, once `next_send_at` lets one go."""
        return 1 if self._floor.owed or self._pace.gap_s else self._most

    def on_sent(self, now: float, count: int = 1) -> None:
        """So many requests went, no more than `room` allows."""
        others = self._in_flight
        self._note(now, others, count)
        self._in_flight = others + count
        if self._in_flight > self._peak:
            self._peak = self._in_flight
        if self._floor.owed and self._pace.next_at > now:
            self._floor.sent(now)
        elif self._pace.gap_s:
            self._pace.sent(now)
            if self._stated.leads:
                self._not_before = self._stated.next_at(now, self._pace.gap_s, self._recent)

    def on_good(self, now: float, sent_at: float, latency_s: float) -> None:
        """A whole reply that is no throttle."""
        self._in_flight -= 1
        if self._left_over:
            self._end_left_over(sent_at)
        self._replied(sent_at, latency_s)
        if self._floor.per_s:
            self._floor.taken(now)
        if self._busy.is_trial:
            self._busy.answered(now, sent_at, self._recent.taken - self._in_flight, self._pace)
        if sent_at >= self._trip_at:
            self._end_trip(now, sent_at, latency_s)

    def on_all_good(self, now: float, together: Mapping[float, int]) -> None:
        """Whole replies that are no throttles, to requests that went at these times, so many at each.

        Where nothing is asked of each one, only the first of those that went together can end a round trip.
        """
        for at, count in together.items():
            self.on_good(now, at, now - at)
            if self._left_over or self._floor.per_s or self._busy.is_trial:
                for _ in range(count - 1):
                    self.on_good(now, at, now - at)
            elif count > 1:
                self._in_flight -= count - 1
                self._replied(at, now - at, count - 1)

    def note_error(self, now: float, sent_at: float) -> None:
        """The exchange ended in another way, which says nothing about the server's limits."""
        self._in_flight -= 1
        if self._left_over:
            self._end_left_over(sent_at)

    def on_busy(self, now: float, sent_at: float) -> bool:
        """A 503 that states no wait.  True if it counts as a throttle, False if as an error."""
        if self._has_begun and self._busy.refused(now, sent_at, self._recent.taken - self._in_flight, self._pace):
            self.on_throttle(now, sent_at, None)
        else:
            self.note_error(now, sent_at)
        return self._busy.is_throttle

    def on_throttle(self, now: float, sent_at: float, retry_after_s: float | None) -> float:
        """A throttle.  Returns until when the run pauses.  A Retry-After of 0 s states nothing, but it was too fast all
        the same.
        """
        retry_after_s = retry_after_s or None
        self.note_error(now, sent_at)
        self._told.throttled(now)
        self._busy.abandon()
        refusal = self._recent.refuse(sent_at, self._queue.round_trip_s)
        if refusal is None or sent_at <= self._cut_at or sent_at < self.paused_until:
            if retry_after_s is not None:
                self._pause_until(now, now + retry_after_s)
        elif self._is_canary and not self._was_taken(now, sent_at):
            self._begin_hold(now, sent_at, retry_after_s)
        elif not self._is_excused(now, retry_after_s, refusal):
            self._end_epoch(now, sent_at, retry_after_s, refusal)
            self._end_stated(sent_at, retry_after_s, refusal)
        if self._floor.per_s:
            self._floor.refused(now)
        return self.paused_until

    def _is_excused(self, now: float, retry_after_s: float | None, refusal: Refusal) -> bool:
        """Whether it came by chance.  The first one after a cut is no chance, and with a floor there is no need."""
        if retry_after_s is not None or self._floor.per_s or refusal.sent_before <= self._cut_sent:
            return False
        trip_s = self._queue.round_trip_s
        return self._chance.excuses(Mark(now, self._recent.taken), trip_s, self._limit, self._pace)

    def _was_taken(self, now: float, sent_at: float) -> bool:
        """Whether others went before a refused one since the pause, and were taken: then the pause is over."""
        first = self._recent.first_since(self.paused_until) if self._stated.leads else None
        if first is None or first.at >= sent_at:
            return False
        self._is_canary = False
        self._resume(now, first.at)
        return True

    def _end_stated(self, sent_at: float, retry_after_s: float | None, refusal: Refusal) -> None:
        stated, is_known = self._stated, self._limit.window.length_s > 0 or self._crowd.is_capped
        stated.is_wrong = stated.is_wrong or (retry_after_s or 0.0) > MOST_S
        if not (retry_after_s is None or stated.is_wrong or is_known or self._floor.per_s):
            stated.refused(Mark(sent_at, refusal.taken_before), retry_after_s, self._recent)
            if not stated.is_wrong:
                self._pace.set(stated.after_pause())
                self._pace.next_at, self._pace.slack_s = 0.0, max(CATCH_UP_S, stated.slack_s)
                together_s = self._queue.round_trip_s + self._pace.slack_s
                self._canaries = min(self._most, 1 + int(self._pace.rate * together_s))
                self.in_flight_limit = self._with_canaries()
                return
        self._give_up()

    def _give_up(self) -> None:
        """The law for stated pauses does not fit this server, or this throttle."""
        self._stated.leads, self._stated.guard, self._pace.slack_s, self._not_before = False, 0, CATCH_UP_S, 0.0

    def _end_left_over(self, sent_at: float) -> None:
        if sent_at < self.paused_until:
            self._left_over -= 1
            if self._is_canary:
                self.in_flight_limit = self._with_canaries()

    def _with_canaries(self) -> int:
        """The canaries go beside what was in flight before the pause, if all of them fit."""
        return min(self._most, self._left_over + self._canaries)

    def _end_trip(self, now: float, sent_at: float, latency_s: float) -> None:
        if self._is_canary:
            self._is_canary = False
            self._resume(now, sent_at) if self._has_begun else self._begin(now, sent_at, latency_s)
        elif self._stated.leads:
            self._stated.passed(Mark(now, self._recent.taken))
            self._lead(now)
        elif not self._busy.is_trial:
            self._judge_trip(now, latency_s)
        self.in_flight_limit = self._most_now()
        self._trip_at, self._trip_sent, self._peak = now, self._recent.sent, self._in_flight

    def _begin(self, now: float, sent_at: float, latency_s: float) -> None:
        self._has_begun = True
        self._hold.end(now, sent_at, rate=math.inf, round_trip_s=latency_s)
        self._queue.begin(now, latency_s)
        self._limit.begin(Mark(sent_at, 0))
        self._pace.begin(now, latency_s)
        self._memory.begin(now, latency_s, self._limit, self._pace)

    def _judge_trip(self, now: float, latency_s: float) -> None:
        self._limit.passed(Mark(now, self._recent.taken))
        pace, queue, limit = self._pace, self._queue, self._limit
        span_s, sends = now - self._trip_at, self._recent.sent - self._trip_sent
        is_full = self._peak >= int(min(self._crowd.limit, queue.limit))
        is_used = pace.was_used(sends, span_s, is_full=is_full)
        self._crowd.end_trip(now, self._peak, queue.round_trip_s)
        is_queue = queue.end_trip(now, self._peak, is_starting=pace.is_starting, is_paced=pace.is_known)
        if (is_queue or (is_full and not is_used)) and pace.is_starting:
            pace.free()
        elif pace.is_free:
            if span_s - latency_s > IDLE_S:  # nothing was sent for so long, which says nothing about the limit
                limit.begin(Mark(now, self._recent.taken))
        elif not is_used:
            pace.stand(now, span_s)
            if not is_full:
                limit.begin(Mark(now, self._recent.taken))
        elif pace.is_starting and not self._memory.leads(limit, pace.rate):
            if not queue.is_slow(latency_s):
                pace.grow(queue.round_trip_s)
        else:
            pace.climb(now, trust=limit.trust, patience_s=limit.patience_s, round_trip_s=queue.round_trip_s)

    def _lead(self, now: float) -> None:
        """The law for stated pauses sets the pace."""
        pace, stated, round_trip_s = self._pace, self._stated, self._queue.round_trip_s
        self._queue.end_trip(now, self._peak, is_starting=False, is_paced=True)
        self._limit.passed(Mark(now, self._recent.taken))
        pace.set(stated.rate(now, round_trip_s))
        pace.slack_s = max(CATCH_UP_S, stated.slack_s)
        if stated.per_s:
            self._limit.safe, self._limit.top = stated.per_s, max(stated.per_s, pace.rate)
            self._limit.known_at = now
        if stated.is_wrong:
            self._give_up()
            self._dip(now, stated.per_s)

    def _most_now(self) -> int:
        return int(min(self._crowd.limit, self._queue.limit, self._pace.room(self._queue.round_trip_s)))

    def _end_epoch(self, now: float, sent_at: float, retry_after_s: float | None, refusal: Refusal) -> None:
        pace, limit = self._pace, self._limit
        was_starting, pace.is_starting = pace.is_starting, False
        if pace.is_free:
            pace.set(self._queue.delivered_now(now))
        self._told.refused(now, pace.rate)
        mark = Mark(sent_at, refusal.taken_before)
        span_s, sends = sent_at - self._trip_at, refusal.sent_before - self._trip_sent
        if span_s > 0 and not (was_starting or pace.was_used(sends, span_s, is_full=False)):
            limit.begin(mark)  # few pairs came lately, which says nothing about the limit
        is_again = refusal.sent_before <= self._cut_sent and not was_starting
        self._cut_at, self._cut_sent = now, self._recent.sent
        left_s = limit.window.ends_at(mark) - now if limit.window.length_s else 0.0
        if is_again:
            limit.revoke()
        else:
            climbed = pace.rate if retry_after_s is None else min(pace.rate, max(refusal.per_s, limit.safe))
            self._refused = mark, climbed  # steeply where pauses are stated: much further than when the request went
        can_tell = not (was_starting or is_again or limit.is_shared) and (self._crowd.is_capped or not limit.is_rate)
        can_tell = can_tell and not (self._stated.leads and self._stated.guard)
        trip_s, is_new = self._queue.round_trip_s, limit.trust < TRUSTED
        most = self._recent.most_others(sent_at - OLDER * trip_s) if can_tell else 0
        is_crowded = can_tell and self._crowd.is_to_blame(
            now, refusal, trip_s, is_new=is_new, cost_s=limit.cost_s, most=most
        )
        self._is_crowded = is_crowded and retry_after_s is not None
        if retry_after_s is not None or is_again:
            self._begin_hold(now, sent_at, retry_after_s)
        elif is_crowded:
            self.in_flight_limit = self._most_now()
            pace.allow(now, CROWDED * self.in_flight_limit / trip_s)
        elif not was_starting and not self._floor.per_s and left_s > max(EXPECTED_S, EXPECTED_GAPS * pace.gap_s):
            self._begin_hold(now, sent_at, None)
        else:
            first, is_crowd = self._memory.refused_first, can_tell and self._crowd.is_likely
            rate = first(limit, mark, pace.rate) if was_starting else limit.refused(mark, pace.rate, is_crowd=is_crowd)
            self._share(now) if limit.is_shared else self._dip(now, rate * (1 - DIP) if rate == limit.safe else rate)

    def _share(self, now: float) -> None:
        self._crowd.free()
        self._limit.account(self._recent.refused, is_whole=True)
        self._pace.share(now, self._limit.safe)

    def _dip(self, now: float, rate: float) -> None:
        pace, limit, round_trip_s = self._pace, self._limit, self._queue.round_trip_s
        limit.account(self._recent.refused, is_whole=now - pace.since >= WHOLE * limit.span_s(round_trip_s))
        due_at, dear_s = pace.next_at, limit.dear_s(rate, round_trip_s)
        pace.dip(now, rate, top=limit.top, span_s=max(limit.span_s(round_trip_s), dear_s), is_straight=dear_s > 0)
        if self._floor.per_s:
            self._crowd.least = self._queue.least = self._floor.in_flight(round_trip_s, self._most)
            pace.next_at = max(due_at, now)  # throttles that come faster than its gap must not put the floor off

    def _begin_hold(self, now: float, sent_at: float, retry_after_s: float | None) -> None:
        """A hold begins or goes on; with a floor only a stated one."""
        if self._floor.per_s and retry_after_s is None:
            self._keep_floor(now)
            return
        self._cut_at, self._cut_sent, self._canaries = now, self._recent.sent, 1
        ends_at = self._limit.window.ends_at(Mark(now, self._recent.taken))
        until = self._hold.refuse(now, sent_at, gap_s=self._pace.gap_s, stated_s=retry_after_s, ends_at=ends_at)
        self._pause_until(now, until)

    def _keep_floor(self, now: float) -> None:
        """Nothing was taken, but the floor is promised: no pause and no canary, only the minimum rate."""
        self._cut_at, self._cut_sent = now, self._recent.sent
        if not self._has_begun:
            self._begin(now, now, self._queue.round_trip_s)
        self._is_canary = False
        self.in_flight_limit = self._most_now()
        self._limit.guess(self._pace.rate)
        self._dip(now, self._floor.per_s)

    def _pause_until(self, now: float, end: float) -> None:
        if end > max(self.paused_until, now):
            self.paused_until = self._trip_at = end
            self._is_canary = True
            self._left_over = self._in_flight
            self.in_flight_limit = self._with_canaries()

    def _resume(self, now: float, sent_at: float) -> None:
        pace, limit = self._pace, self._limit
        due_at = pace.next_at
        limit.guess(pace.rate)
        held = self._hold.end(now, sent_at, rate=limit.top, round_trip_s=self._queue.round_trip_s)
        limit.cost_s = held.cost_s if held.is_stated else 0.0
        mark = self._recent.first_since(self.paused_until) or Mark(sent_at, self._recent.taken - 1)
        if sent_at > self.paused_until + IDLE_S:  # nothing was there to send: the pause was not so long
            limit.begin(mark)
            rate, limit.cost_s = pace.rate, 0.0
        elif limit.resumed(mark, held, self._refused):
            rate = min(pace.rate, limit.top * (1 - 2 * DIP), limit.near(is_dear=held.is_stated) * (1 - DIP))
        else:
            rate = limit.fall(pace.rate, mark)
        self._refused = None
        self._dip(now, rate)
        if self._is_crowded:
            pace.allow(now, CROWDED_STATED * self._most_now() / self._queue.round_trip_s)
        pace.next_at = max(now, sent_at + pace.gap_s)
        if self._stated.leads and held.lasted_s > LONG_S:
            self._give_up()
        if self._stated.leads:
            self._stated.resumed(now, mark)
            self._lead(now)
            if self._stated.slack_s or self._stated.kind != "bucket":  # a bucket that holds little takes no two at once
                pace.next_at = due_at if self._stated.slack_s else now  # a burst is spent once, from the canaries on

    @property
    def allowed_per_s(self) -> float:
        """The pace: requests a second that may be sent; infinity while nothing is known to limit them."""
        return math.inf if self._pace.is_free else self._pace.rate

    def learnt(self) -> dict[str, float]:
        """The knowledge for the next run: a rate, 0 if a remembered one was too low, or nothing."""
        rate = max(self._limit.safe, self._queue.delivered if self._crowd.is_capped else 0.0)
        return {"rate_per_s": rate} if rate > 0 or self._memory.is_wrong else {}

    def explain(self, now: float) -> str:
        """What the server did and what the run does since, for people."""
        return believed(now, self._told, self._memory, self._pace, self._limit, self._crowd, self._queue)

    def holding(self, now: float, *, is_full: bool) -> Holding:
        """The part of the controller that holds the run back, for people.  `is_full`: the in-flight limit is
        reached.
        """
        if now < self.paused_until or self._is_canary:
            return paused(self.paused_until - now, is_stated=self._hold.is_stated, has_begun=self._has_begun)
        return TRIAL if self._busy.is_trial else held(self._pace, self._crowd, self._queue, is_full=is_full)

    def check(self) -> None:
        """Invariants, for simulation."""
        parts = self._pace, self._limit, self._crowd, self._queue, self._hold, self._recent, self._floor
        for part in (*parts, self._memory, self._busy, self._chance, self._stated):
            part.check()
        assert 0 <= self._left_over <= self._in_flight <= self._peak
        assert 1 <= self.in_flight_limit <= self._most
