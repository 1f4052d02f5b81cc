"""Decides when a writer that an error has stopped tries again: one request, after growing pauses.

Such an error is of the server, the token or a setting: 403, a refused token, a wrong host, a spent quota.  It may pass
without us: a role is given, a token comes back, a window opens.  So sending is *suspended*, and one request tries:

    pause before try n = 0, 1, 2, …: uniform in [d/2, d] with d = min(300 s, 2 s * 2**n); the first in [1 s, 2 s];
    not before the time that the error itself names (`TryLater.retry_at`)

A reply that shows that the server takes writes ends the suspension, and the pauses begin anew.  A list call alone shows
less: it ends the suspension, but the pauses go on growing if the next error comes before a write was taken.

After a refused password every try is `LONGEST_S` after the one before, since many tries could lock the account.

Pure: time and chance are arguments.  Not here: who sends (`run.admission`), and what a reply means (`core.rulings`).
"""

from __future__ import annotations

import math
import random
from typing import Final

from ..errors import BulkwriterError, TryLater

FIRST_S: Final = 2.0
"""The longest pause before the first try; shorter ones would only add to a server's trouble."""
LONGEST_S: Final = 300.0
"""The longest pause.  Twelve tries an hour cost little of any quota, and a writer is back five minutes after its
server.
"""
DOUBLINGS_MAX: Final = 10
"""2 s * 2**10 is above `LONGEST_S`; more would only overflow a float."""


class Suspension:
    """Whether sending is suspended, why, and when the next request may try.

    `has_password`: tokens come from sign-ins with a password.
    """

    def __init__(self, *, rng: random.Random, has_password: bool = False) -> None:
        self._rng = rng
        self._has_password = has_password
        self._tries = 0
        self._try_at = 0.0
        self.error: BulkwriterError | None = None
        """Why nobody sends; None while all is well."""
        self.since = 0.0
        """When the error came."""
        self.is_unproven = False
        """Whether no pair was taken or refused since the last error."""

    def begin(self, error: BulkwriterError, now: float, wall: float) -> bool:
        """Suspend sending because of `error`.  True if it was not suspended before.

        An error during a suspension replaces the one before, and changes nothing else, except that it may name a later
        time.
        """
        is_new = self.error is None
        self.error, self.is_unproven = error, True
        if is_new:
            self.since = now
            self._try_at = now + self._pause()
        elif self._try_at <= now:  # this try found no lane or no token to go by
            self.tried(now)
        if isinstance(error, TryLater) and error.retry_at is not None:
            self._try_at = max(self._try_at, now + error.retry_at - wall)
        return is_new

    def opens_at(self, now: float) -> float:
        """When the next request may go: `now` while sending is not suspended."""
        return max(now, self._try_at) if self.error else now

    def tried(self, now: float) -> None:
        """A request tries.  The next one waits for the next pause."""
        if self.error:
            self._tries = min(self._tries + 1, DOUBLINGS_MAX)
            self._try_at = now + self._pause()

    def hurry(self, now: float, *, has_token: bool = False) -> None:
        """Somebody asks for a try now; not before the time that the error names.

        `has_token`: a token has just come, so the try needs no sign-in.
        """
        if self.error and not self.is_refusing and (has_token or not self._is_costly()):
            self._try_at = min(self._try_at, now)

    def end(self, *, is_proven: bool) -> None:
        """Sending goes on.  `is_proven`: the server took or refused a pair, so that the next pauses begin anew."""
        self.error = None
        if is_proven:
            self._tries, self.is_unproven = 0, False

    @property
    def is_refusing(self) -> bool:
        """Whether the error names a time: nothing can be sent before, so new pairs are refused."""
        return isinstance(self.error, TryLater) and self.error.retry_at is not None

    def check(self) -> None:
        """Invariants, for simulation."""
        assert 0 <= self._tries <= DOUBLINGS_MAX
        assert math.isfinite(self._try_at)

    def _is_costly(self) -> bool:
        """Whether each try may be one of the few sign-ins with a wrong password that an account allows."""
        return self._has_password and self.error is not None and self.error.code == "token"

    def _pause(self) -> float:
        if self._is_costly():
            return LONGEST_S
        d = min(LONGEST_S, math.ldexp(FIRST_S, self._tries))
        return self._rng.uniform(d / 2, d)
