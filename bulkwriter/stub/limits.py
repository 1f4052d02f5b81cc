"""Decides which requests are throttled: the kinds of limit that real servers have, several at once.

    bucket       a token bucket: `count` a `window_s` on average, at most `burst` at once
    window       at most `count` in each window of `window_s` that starts at `phase_s` + k·window_s
    log          at most `count` in every span of `window_s` (a log of the last arrivals)
    counter      like `log`, estimated from two windows' counts, as gateways do to save memory
    concurrency  at most `count` being served at the same time

A request is admitted when every limit that concerns it has room; only then is it booked, in all of them (a limit with
`counts_refused` books what it throttles itself, too: such a server punishes those who hammer).  The first limit in the
scenario's order that has no room words the answer.  A daily cap is a `window` of 86,400 s; a cap that "throttles
without end" is one with `retry_after = "none"`.

Pure: `now` is an argument, in seconds on any clock that does not go back.  The same objects serve virtual time.
Source of the kinds: RFC 6585 section 4 (429), the API's documented 409 with `Retry-After`, nginx `limit_req`.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from .fields import check, flag, knob, maybe, number, one_of, whole

KINDS = {
    "bucket": "token bucket: count per window_s on average, burst at once",
    "window": "fixed windows of window_s, the first starting at phase_s",
    "log": "never more than count in any span of window_s",
    "counter": "as log, but estimated from this and the previous window",
    "concurrency": "never more than count being served at once; window_s is what Retry-After states",
}
NEVER_S = 10**8
"""What is stated where there will never be room: about three years."""
WRITES = frozenset({b"POST", b"PUT", b"DELETE", b"PATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """One limit of a scenario."""

    kind: str = knob(..., one_of(*KINDS), f"{' | '.join(KINDS)}")
    count: int = knob(..., whole(0, 10**9), "requests; 0 lets nothing through")
    window_s: float = knob(1.0, number(1e-3, 10**8), "s: the time that count is for")
    burst: float = knob(1.0, number(1, 10**9), "requests a bucket lets through at once")
    phase_s: float | None = knob(
        0.0, maybe(number(0, 10**8)), "s after start when a fixed window begins; null: drawn from the seed"
    )
    of: Literal["write", "read", "any"] = knob(
        "write", one_of("write", "read", "any"), "write: POST, PUT, DELETE; read: GET"
    )
    status: int = knob(409, whole(400, 599), "how a throttle is answered: 409 and 429 are usual")
    retry_after: str = knob(
        "seconds", one_of("seconds", "date", "none"), "seconds: whole, rounded up; date: HTTP-date; none: no header"
    )
    retry_after_factor: float = knob(1.0, number(0, 10**6), "above 1 the stated wait is too long, below 1 too short")
    counts_refused: bool = knob(False, flag, "true: a throttled request counts as well")

    def __post_init__(self) -> None:
        check(self)


class Throttle(NamedTuple):
    """A refusal: the rule that spoke, and how long until it would have room (0 where it cannot tell)."""

    rule: LimitRule
    wait_s: float

    @property
    def stated_s(self) -> int:
        """The whole seconds that `Retry-After` states; never 0, which clients would read as "at once"."""
        return max(1, math.ceil(min(self.wait_s * self.rule.retry_after_factor, NEVER_S) - 1e-9))


class Limiter(Protocol):
    def wait_s(self, now: float) -> float:
        """0.0 when there is room, else the time until there is."""

    def book(self, now: float) -> None:
        """Count one request."""


class Bucket:
    """`tokens` grow by `rate_per_s` up to `burst`; a request takes one.  At start the bucket is full."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s, self._burst, self._tokens, self._at = rate_per_s, burst, burst, -math.inf

    def wait_s(self, now: float) -> float:
        if now > self._at:
            grown = self._rate_per_s * (now - self._at) if self._rate_per_s else 0.0
            self._tokens, self._at = min(self._burst, self._tokens + grown), now
        missing = 1.0 - 1e-9 - self._tokens
        if missing <= 0:
            return 0.0
        return missing / self._rate_per_s if self._rate_per_s else math.inf

    def book(self, now: float) -> None:
        self._tokens -= 1.0


class FixedWindow:
    """Counts from zero again at every `phase_s` + k·`window_s`."""

    def __init__(self, count: int, window_s: float, phase_s: float) -> None:
        self._count, self._window_s, self._phase_s, self._index, self._used = count, window_s, phase_s, 0, 0

    def wait_s(self, now: float) -> float:
        index = math.floor((now - self._phase_s) / self._window_s)
        if index != self._index:
            self._index, self._used = index, 0
        return 0.0 if self._used < self._count else max(0.0, self._phase_s + (index + 1) * self._window_s - now) or 1e-9

    def book(self, now: float) -> None:
        self._used += 1


class Log:
    """Keeps the last `count` arrivals; there is room when the oldest of them is `window_s` old."""

    def __init__(self, count: int, window_s: float) -> None:
        self._times: deque[float] = deque(maxlen=count)
        self._count, self._window_s = count, window_s

    def wait_s(self, now: float) -> float:
        if len(self._times) < self._count:
            return 0.0
        return max(0.0, self._times[0] + self._window_s - now) if self._times else math.inf

    def book(self, now: float) -> None:
        self._times.append(now)


class Counter:
    """Estimate = this window's count + previous window's count · (share of it that the sliding span still covers)."""

    def __init__(self, count: int, window_s: float, phase_s: float) -> None:
        self._count, self._window_s, self._phase_s = count, window_s, phase_s
        self._index, self._used, self._before = 0, 0, 0

    def wait_s(self, now: float) -> float:
        index = math.floor((now - self._phase_s) / self._window_s)
        if index != self._index:
            self._before = self._used if index == self._index + 1 else 0
            self._index, self._used = index, 0
        into_s = now - self._phase_s - index * self._window_s
        estimate = self._used + self._before * (1 - into_s / self._window_s)
        if estimate + 1 <= self._count + 1e-9:
            return 0.0
        if self._used < self._count:  # the estimate falls below the limit inside this window
            room = self._count - 1 - self._used
            return max(1e-9, self._window_s * (1 - room / self._before) - into_s)
        if not self._used:
            return math.inf
        # ... or inside the next one, where this window's count is the previous one
        return self._window_s * (2 - (self._count - 1) / self._used) - into_s

    def book(self, now: float) -> None:
        self._used += 1


class Concurrency:
    """`book` takes a place and `release` gives it back; how long that takes is unknown, so `window_s` is stated."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count, self._window_s, self._used = count, window_s, 0

    def wait_s(self, now: float) -> float:
        return 0.0 if self._used < self._count else self._window_s

    def book(self, now: float) -> None:
        self._used += 1

    def release(self) -> None:
        assert self._used > 0, "released more than was booked"
        self._used -= 1


class Gate:
    """All limits of a scenario; `release` must follow each admitted request exactly once, when it is served."""

    def __init__(self, rules: Sequence[LimitRule], rng: random.Random, *, start: float = 0.0) -> None:
        made = [(rule, _limiter(rule, rng, start)) for rule in rules]
        self._writes = [(r, m) for r, m in made if r.of in ("write", "any")]
        self._reads = [(r, m) for r, m in made if r.of in ("read", "any")]

    def admit(self, method: bytes, now: float) -> Throttle | None:
        """None and booked, or the refusal."""
        concerned = self._writes if method in WRITES else self._reads
        for rule, limiter in concerned:
            wait_s = limiter.wait_s(now)
            if wait_s > 0:
                if rule.counts_refused and not isinstance(limiter, Concurrency):
                    limiter.book(now)
                return Throttle(rule, wait_s)
        for _, limiter in concerned:
            limiter.book(now)
        return None

    def release(self, method: bytes) -> None:
        for _, limiter in self._writes if method in WRITES else self._reads:
            if isinstance(limiter, Concurrency):
                limiter.release()


def _limiter(rule: LimitRule, rng: random.Random, start: float) -> Limiter:
    phase_s = start + (rng.uniform(0, rule.window_s) if rule.phase_s is None else rule.phase_s)
    match rule.kind:
        case "bucket":
            return Bucket(rule.count / rule.window_s, rule.burst)
        case "window":
            return FixedWindow(rule.count, rule.window_s, phase_s)
        case "log":
            return Log(rule.count, rule.window_s)
        case "counter":
            return Counter(rule.count, rule.window_s, phase_s)
        case _:
            return Concurrency(rule.count, rule.window_s)
