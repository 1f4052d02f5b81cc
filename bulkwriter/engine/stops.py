"""When a run must stop, and in which words: the same rejection again and again, refused connections, long waits.

Pure: each function looks at what came and returns the error to stop with, or None.  Every hint says what to do next,
and none suggests to start over with a fresh journal.

What stops at once by its status alone (403, redirects, a token refused twice) is in the table of `core.classify`; which
of several errors decides the exit code, in `errors`.
"""

from __future__ import annotations

import re

from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..model import Fault, Verdict
from ..net.signin import FATAL_FAULTS
from ..settings import Settings
from .quota_view import moment

GO_ON = "nothing is lost: the same command goes on where this one ended"
NO_ROLE = "a fresh token was refused as well: its user needs the role CourseCompletedLesson-Create"

NOTHING_TAKEN_S = 90.0
"""More than a minute, so that a limit of a minute has surely let something through."""
FEWEST_THROTTLES = 5
"""Fewer may be an accident."""


NUMBER = re.compile(r"\d+")


class RejectionStreak:
    """Counts rejections in a row that say the same: a wrong setting must not burn a day's budget of writes.

    Words that differ only in numbers are the same: they name the pair that was refused.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._last: object = None
        self.count = 0
        """In a row so far; whoever hears something else than a rejection sets it to 0."""

    def add(self, status: int, verdict: Verdict) -> BulkwriterError | None:
        what = (status, NUMBER.sub("0", repr((verdict.errors, verdict.message))))
        self.count = self.count + 1 if what == self._last else 1
        self._last = what
        if self.count < self._most:
            return None
        words = "; ".join(f"{e.property_name}: {e.message}".strip(": ") for e in verdict.errors) or verdict.message
        return ConfigurationStop(
            f"{self.count} pairs in a row were rejected with the same words: {words}",
            hint="if a setting is wrong, mend it and add --retry rejected to the command; "
            "if these pairs are to be rejected, raise --max-same-rejections",
        )


def at_connect(fault: Fault, detail: str, *, has_connected: bool) -> BulkwriterError | None:
    """The stop that a failure to connect calls for: a certificate always, the others only before the first success."""
    hint = FATAL_FAULTS.get(fault)
    if hint is None or (has_connected and fault is not Fault.TLS):
        return None
    return ConfigurationStop(f"{fault.value}: {detail}", hint=hint)


def at_long_wait(stated_s: float | None, settings: Settings, wall_s: float) -> BulkwriterError | None:
    """The stop that a `Retry-After` of `stated_s` calls for."""
    if stated_s is None or stated_s <= settings.longest_wait_s:
        return None
    return TryLater(
        f"the server asks to wait {stated_s:,.0f} s, until {moment(wall_s + stated_s)}",
        hint="the same command after that time goes on",
        retry_at=wall_s + stated_s,
    )


class ThrottleStreak:
    """Throttles with nothing taken in between, where no quota learns from them and `--on-quota stop` is to end a run.

    A limit of up to a minute lets something through within a minute; one that does not is a longer one.
    """

    def __init__(self) -> None:
        self._created = -1
        self._since = 0.0
        self._throttles = 0

    def add(self, now: float, created: int) -> BulkwriterError | None:
        """A throttle came when so many pairs had been created."""
        if created != self._created:
            self._created, self._since, self._throttles = created, now, 0
        self._throttles += 1
        if now - self._since < NOTHING_TAKEN_S or self._throttles < FEWEST_THROTTLES:
            return None
        return TryLater(
            f"the server throttled every request for {now - self._since:,.0f} s: a longer limit of it is spent",
            hint="the same command later goes on",
        )


def at_gone(gone_s: float, reason: str, settings: Settings) -> BulkwriterError | None:
    """The stop for a server of which nothing good was heard for `gone_s`."""
    if gone_s < settings.give_up_after_s:
        return None
    return TryLater(f"no good reply for {gone_s:,.0f} s (last: {reason})", hint="the same command later goes on")
