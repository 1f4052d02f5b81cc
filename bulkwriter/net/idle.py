"""How long an idle connection may wait for its next request, and whether it may have a second one at all.

A server may close an idle connection just as a request leaves for it.  That request is then in doubt.  Measured with a
server that closes after 0.5 s:

    the client's limit is longer    16.7% of requests in doubt
    the client's limit is shorter   none

So the limit is learnt: a close after t idle seconds lowers it to t/2, for all lanes of the pool.  It doubles again
after ten minutes without such a close.  A server's restart looks the same, and its effect must not last for days.

Some servers close after each reply without saying so.  Then every second request on a connection is lost, and in doubt.
After `MOST_LOST` such losses without one answer between them, each connection is used only once, for ten minutes too.

Pure: the caller reads the clock.  Not here: `Keep-Alive: timeout=N`, which concerns one connection (`lane`).
"""

from __future__ import annotations

from typing import Final

FLOOR_S: Final = 0.05
"""The lowest limit.  A close within twice this time has another reason (a request count, an overload)."""
RELEARN_S: Final = 600.0
MOST_LOST: Final = 8
"""If 30% of requests are lost at random, so many lost second requests in a row happen once in 15,000 connections."""


class IdleLimit:
    """The limit `s`, in seconds.  It starts at `most_s` and never exceeds it."""

    __slots__ = ("_learnt_at", "_lost", "_most_s", "is_once", "s")

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._learnt_at = 0.0
        self._lost = 0
        self.s = most_s
        self.is_once = False
        """Whether a connection should serve one request only."""

    def learn(self, idle_s: float, now: float) -> None:
        """The server closed a connection that had been idle for `idle_s`."""
        if idle_s >= 2 * FLOOR_S:
            self.s = min(self.s, idle_s / 2)
            self._learnt_at = now

    def lost_second(self, now: float) -> None:
        """The server closed a connection during its second request, without a byte of a reply."""
        self._lost += 1
        if self._lost >= MOST_LOST:
            self.is_once = True
            self._learnt_at = now

    def answered_second(self) -> None:
        """The server answered a second request."""
        self._lost = 0

    def relax(self, now: float) -> None:
        """Let the limit recover.  To be called now and then."""
        if (self.s < self._most_s or self.is_once) and now - self._learnt_at >= RELEARN_S:
            self.s = min(self._most_s, 2 * self.s)
            self.is_once, self._lost = False, 0
            self._learnt_at = now
