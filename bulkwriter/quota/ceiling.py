"""The user's ceiling (`--rate N`): never more than N attempts in any second, evenly paced just below it.

- An `aiolimiter.AsyncLimiter` paces.  It aims at 98.5% of N with a burst of about 5 ms' worth, and at least 2, so that
  a late wake-up is caught up.  With a burst of 1 it reaches only 95 to 98% of its rate.
- A guard keeps the promise.  It remembers the times of the last N sends, and the next one waits until the oldest is a
  second old, and 1% more, since the network may deliver two requests a little closer together than they were sent.  A
  limiter of (10, 0.01 s) alone put 1,008 into a second at 1,000/s.

Below one a second the guard keeps 1/N seconds between two sends.  A rate of 2.5/s reaches 2 a second, since no second
may hold 3.  It permits and does not send: `feed` runs as a task and waits on the limiter.  The sender asks `opens_at`
and `room`, and calls `book` with the requests that went.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from itertools import repeat

import anyio

AIM = 0.985  # share of the rate that the limiter aims at.  97% must be reached; the rest is room for uneven arrivals.
SLACK = 0.01  # the guarded second is longer than a second by this share
BURST_S = 0.005  # permits are handed out for this much time at once, so that 50,000/s do not cost 50,000 wake-ups


class Ceiling:
    """At most `rate_per_s` sends in any second; `rate_per_s` > 0, also below 1."""

    def __init__(self, rate_per_s: float) -> None:
        self.rate_per_s = rate_per_s
        self.reached_per_s = reached(rate_per_s)
        from aiolimiter import AsyncLimiter  # it imports importlib.metadata, a fifteenth of a start without --rate

        self._most = max(1, math.floor(rate_per_s))  # in a second
        self._window_s = max(1.0, 1 / rate_per_s) * (1 + SLACK)
        self._sent_at: deque[float] = deque(maxlen=self._most)
        self._batch = max(1, math.floor(rate_per_s * BURST_S))
        burst = max(2, 2 * self._batch)
        self._limiter = AsyncLimiter(burst, burst / (rate_per_s * AIM))
        self._permits = 0
        self._wanted = anyio.Event()

    def opens_at(self, now: float) -> float:
        """When the next request may go.  A time up to `now` means at once; infinity: `feed` must permit it first."""
        if self._permits == 0:
            self._wanted.set()
            return math.inf
        sent_at = self._sent_at
        return sent_at[0] + self._window_s if len(sent_at) == self._most else now

    def room(self, now: float, most: int) -> int:
        """How many of `most` requests may go together at `now`, once `opens_at` lets one go.

        The last of them takes the place of the oldest but so many, which must be a second old.
        """
        sent_at = self._sent_at
        free = self._most - len(sent_at)
        room = min(most, self._permits, self._most)
        while room > max(1, free) and sent_at[room - free - 1] + self._window_s > now:
            room -= 1
        return room

    def is_waited_for(self, now: float) -> bool:
        """Whether somebody wants to send and has to wait for it; only looks."""
        if self._permits == 0:
            return self._wanted.is_set()
        return self.opens_at(now) > now

    def book(self, now: float, count: int = 1) -> None:
        """Count requests that were sent by `now`, no more than there was room for."""
        self._permits -= count
        self._sent_at.extend(repeat(now, count))

    async def feed(self, wake: Callable[[], None]) -> None:
        """Hand out permits without end, and call `wake` after each hand-out.  Cancel it to end it."""
        while True:
            await self._wanted.wait()
            await self._limiter.acquire(self._batch)
            self._permits += self._batch
            self._wanted = anyio.Event()
            wake()


def reached(rate_per_s: float) -> float:
    """The rate that a ceiling of `rate_per_s` reaches: 49.25 for 50, 0.198 for 0.2."""
    guarded = max(1, math.floor(rate_per_s)) / (max(1.0, 1 / rate_per_s) * (1 + SLACK))
    return min(rate_per_s * AIM, guarded)
