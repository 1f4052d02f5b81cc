"""Decides when throttles mean that a long window of the server is spent, and when to try again.

A limit of up to a minute lets something through within a minute.  So the pauses after throttles in a row grow
(`HOLDS_S`), the last one to more than a minute.  If the next request is throttled as well, or if the server asks
for minutes (`LONG_S`), a longer window is spent.  Its length is not documented; the help centre says a day.

The number of requests that the server took in the last day is then *learnt*.  No more than that go out in any day, and
nothing before a stated time.  The guess may be wrong: a fixed window, an hour, or another client that has ended since.
So now and then a single request tries, after `TRY_S` × 1, 2, 4, … up to `TRY_CAP_S`.  If it is taken, the number is
forgotten, until throttles show one again:

    first value: throttled 6 times in a row at 10:00 after 2,500 writes -> 2,500 a day; tries at 10:30, 11:30, 13:30,
    17:30, 23:30, 05:30: 12 throttles on the first day, 4 on each later one

Pure: `now` on the engine's clock, `wall` on the server's.  Not here: the pause after each throttle (`adaptive`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

HOLDS_S: Final = (0.0, 0.0, 0.0, 8.0, 65.0)
"""The time that each throttle in a row adds to the shared pause; the first ones add none."""
LONG_S: Final = 120.0  # a longer Retry-After speaks of a long window
TRY_S: Final = 1_800.0
TRY_CAP_S: Final = 21_600.0
UNKNOWN: Final = 10**9  # the number that is learnt, once it is forgotten


class Learnt(NamedTuple):
    """What a server showed of its long window, in epoch seconds; kept in the ledger."""

    most: int  # that it takes in a day
    until: float  # nobody sends before, as it asked; 0 if it did not
    try_at: float  # then one request may try
    tries: int  # that failed, in a row
    stretch: int = 0  # of earlier versions


def known_of(learnt: Mapping[str, Learnt]) -> dict[str, Learnt]:
    """By kind, without what is forgotten."""
    return {kind: one for kind, one in learnt.items() if one.most < UNKNOWN}


class Spent(NamedTuple):
    """The news that a long window is spent, and the time that the server asked for."""

    stated_s: float | None


class Streak:
    """Throttles in a row.  Echoes (throttles of requests sent before the last one came) do not count."""

    __slots__ = ("_last_at", "throttles")

    def __init__(self) -> None:
        self.throttles = 0
        self._last_at = float("-inf")

    def good(self) -> None:
        """The server took a request."""
        self.throttles = 0

    def throttled(self, now: float, sent_at: float, stated_s: float | None) -> float | Spent:
        """How long to hold back; or that a long window is spent, once all `HOLDS_S` were in vain."""
        if stated_s is not None and stated_s >= LONG_S:
            return Spent(stated_s)
        if sent_at <= self._last_at:
            return 0.0
        self._last_at = now
        self.throttles += 1
        return HOLDS_S[self.throttles - 1] if self.throttles <= len(HOLDS_S) else Spent(None)


def learn(known: Learnt | None, news: Spent, *, taken: int, wall: float) -> Learnt:
    """The new knowledge after `news`, if the server took `taken` requests in the last day."""
    until = wall + news.stated_s if news.stated_s is not None else 0.0
    if known is None:
        return Learnt(max(1, taken), until, max(until, wall + TRY_S), 0)
    most = max(1, min(known.most, taken))
    if until == 0.0 and taken < known.most < UNKNOWN:
        # There was to be room.  A fixed window that we met at its end lets two of its counts into one day of ours, and
        # as that day slides on, room would seem to come back minute by minute, with a throttle for each.
        until = wall + TRY_S
    again_at = known.try_at if known.most < UNKNOWN else wall + pause_s(known.tries)
    return known._replace(most=most, until=max(known.until, until), try_at=max(again_at, until))


def tried(known: Learnt, wall: float) -> Learnt:
    """One request tries now.  If it fails, or its process dies, the next one waits twice as long."""
    tries = known.tries + 1
    return known._replace(try_at=wall + pause_s(tries), tries=tries)


def pause_s(tries: int) -> float:
    """How long to wait after so many tries that failed; first value: 1,800 s."""
    return min(TRY_CAP_S, TRY_S * 2.0 ** min(tries, 10))


def disproved(known: Learnt, *, taken: int) -> Learnt:
    """A try was taken by the server, which holds `taken` of the last day at least, and the try with them.

    If those are no more than was known, it has only forgotten some that we still count, and a day holds no more than
    before.  Else each request would come a little before its room, and be throttled as the one before, once a minute.
    """
    if taken <= known.most:
        return known._replace(tries=max(0, known.tries - 1))
    return known._replace(most=UNKNOWN)
