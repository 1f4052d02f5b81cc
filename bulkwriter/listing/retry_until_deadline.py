"""Repeats a call until it succeeds or a deadline is over, with growing pauses, and tells why it waits.

    the server asks everybody to wait             all calls of this object wait, at least for the stated time
    any other failure                             this call waits
    a repetition cannot help                      `ConfigurationStop` (exit 4)
    a stated wait is longer than allowed          `TryLater` (exit 75)
    failures for `give_up_after_s` on end         `TryLater` (exit 75)

    pause after the n-th failure, n = 0, 1, 2, …: uniform in [0.05 s, min(cap, 0.25 s * 2**n)]; a stated one if longer

A failed call settles nothing, and a failed list never counts as "nothing there".  The deadline counts from the first
failure, since a call may have waited for a quota for hours before it.  A step is repeated whole.  So the notes of a
failed try must do no harm, or be dropped when the next try begins.

Invariant: no call begins before the end of a wait that the server stated.  Not here: what a reply means.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ..clocks import Clocks
from ..core.retry import Backoff
from ..core.stops import at_long_wait
from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..settings import Settings

T = TypeVar("T")

PAUSE_FLOOR_S: Final = 0.05
"""A pause of 0 would be a busy loop."""
FIRST_PAUSE_S: Final = 0.25
"""Longest pause after a first failure.  A few lost replies among thousands must not cost half a second each."""
LONGEST_PAUSE_S: Final = 60.0
LONGEST_FLAWED_S: Final = 600.0
"""Longest pause after a list that contradicts itself.  Each try costs a whole scan: some 20 of them an hour."""
LONGEST_TRY_S: Final = 600.0
"""A failed try counts as at most so long: the rest of it was a wait for a quota."""
ODD_TRIES: Final = 3
ODD_S: Final = 5.0
"""Odd lists count as permanent once they came several times in a row, over so many seconds."""
MOST_SLOW_DOWNS: Final = 9
"""From the ninth on, pauses grow no longer.  A higher count would only need more successes to come down again."""

LISTING: Final = "what exists cannot be listed"
NO_LIST: Final = "check --base-url, its path prefix too, and whatever proxy or gateway is on the way"


def needs_list(role: str) -> str:
    """The hint where lists are forbidden; `role` is the role that allows them."""
    return f"`bulkwriter login` again, or give another token; its user needs the role {role}"


class CallFailed(Exception):
    """A call without an answer, or with an answer that must not be believed.  It may be repeated.

    `is_slow_down`: the server asks everybody to wait; with `is_busy` since it is busy (503), and it may have done what
    was asked.  `is_forbidden`: this token may not ask, so a repetition will not
    help.  `is_misplaced`: this address has nothing of the kind, so it will not help either.  `is_odd`: the answer has
    another shape, or ignores the page number, perhaps for good (`Oddness` decides).  `is_flawed`: the answer
    contradicts itself; to see that took many calls.  `is_answer`: the server is well, so no deadline comes nearer.
    `stop`: there is no token to ask with, which this error tells; one without a hint gets that of who made the call.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_forbidden: bool = False,
        is_misplaced: bool = False,
        is_odd: bool = False,
        is_flawed: bool = False,
        is_slow_down: bool = False,
        is_busy: bool = False,
        is_answer: bool = False,
        retry_after_s: float | None = None,
        stop: ConfigurationStop | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_forbidden = is_forbidden or is_misplaced or stop is not None
        self.is_misplaced = is_misplaced
        self.is_odd = is_odd
        self.is_flawed = is_flawed
        self.is_slow_down, self.is_busy = is_slow_down, is_busy
        self.is_answer = is_answer
        self.retry_after_s = retry_after_s
        self.stop = stop


class Oddness:
    """Decides whether odd answers are permanent.  It is told of every try, good or failed."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def failed(self, failure: CallFailed, now: float) -> bool:
        """A try failed at `now`.  True once a repetition will not help."""
        if not failure.is_odd:
            self._count = 0
            return False
        self._since = self._since if self._count else now
        self._count += 1
        return self._count >= ODD_TRIES and now - self._since >= ODD_S

    def good(self) -> None:
        self._count = 0


class Pauses:
    """How long to wait after the n-th failed try, counted from 0."""

    def __init__(self, rng: random.Random) -> None:
        self._short = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, rng)
        self._long = Backoff(FIRST_PAUSE_S, LONGEST_FLAWED_S, rng)

    def after(self, failure: CallFailed, failures: int) -> float:
        backoff = self._long if failure.is_flawed else self._short
        return max(PAUSE_FLOOR_S, backoff.delay(failures), failure.retry_after_s or 0.0)


class Outage:
    """For how long calls have failed on end: one call, or all calls of a kind.  Long waits for a quota do not count."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._failed_at: float | None = None
        self._longest_gap_s = 0.0

    def failed(self, failure: CallFailed, now: float) -> None:
        if failure.is_answer:
            self.ended()
            return
        if self._failed_at is not None:
            self.seconds += min(now - self._failed_at, self._longest_gap_s)
        self._failed_at = now

    def pauses(self, pause_s: float) -> None:
        """The next try begins after a pause of so long."""
        self._longest_gap_s = pause_s + LONGEST_TRY_S

    def ended(self) -> None:
        self.seconds, self._failed_at = 0.0, None


@dataclass(slots=True)
class Tries:
    """The failed tries of one call."""

    what: str
    outage: Outage
    oddness: Oddness = field(default_factory=Oddness)
    failures: int = 0


class RetryUntilDeadline:
    """`await retry(step)` repeats `step` until it succeeds, and returns its result.  Any number of calls may run at
    once.

    `hint` says what to check if the token is not allowed to list, `way_out` what to do if it never will be.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clocks: Clocks,
        tell: Callable[[CallFailed, float], None],
        rng: random.Random,
        hint: str,
        way_out: str = "",
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clocks.clock
        self._wall = clocks.wall
        self._tell = tell
        self._pauses = Pauses(rng)
        self._hint, self._way_out = hint, way_out
        self._sleep = sleep or clocks.sleep
        self._opens_at = -math.inf  # for everybody
        self._slow_downs = 0  # how often everybody was asked to wait, less one for each success since
        self.trouble = ""
        """Why the last try failed, or empty."""
        self.troubled_at = 0.0
        """When the first of the tries since the last good one failed."""

    async def __call__(
        self, step: Callable[[], Awaitable[T]], *, what: str = LISTING, outage: Outage | None = None
    ) -> T:
        """Repeat `step`.  Raises `ConfigurationStop` if the call is forbidden, `TryLater` if it keeps failing.

        `what` names the work that cannot be done then.  `outage` is shared by calls of a kind with one deadline.
        """
        tries = Tries(what, outage or Outage())
        while True:
            while (wait_s := self._opens_at - self._clock()) > 0:
                await self._sleep(wait_s)
            began_at = self._clock()
            try:
                result = await step()
            except CallFailed as failure:
                pause_s = self._failed(failure, tries, began_at)
            else:
                self.trouble = ""
                self._slow_downs = max(0, self._slow_downs - 1)
                tries.outage.ended()
                return result
            await self._sleep(pause_s)

    def _failed(self, failure: CallFailed, tries: Tries, began_at: float) -> float:
        """How long to wait before the next try.  Raises the error that ends the tries."""
        now = self._clock()
        self.troubled_at = self.troubled_at if self.trouble else now
        self.trouble = failure.reason
        tries.outage.failed(failure, now)
        if error := self._stop(failure, tries, now):
            raise error from None
        count = self._slow_down(began_at) if failure.is_slow_down else tries.failures
        left_s = self._settings.give_up_after_s - tries.outage.seconds
        pause_s = max(min(self._pauses.after(failure, count), left_s), failure.retry_after_s or 0.0)
        if failure.is_slow_down:
            self._opens_at = max(self._opens_at, now + pause_s)
        tries.failures += 1
        tries.outage.pauses(pause_s)
        self._tell(failure, pause_s)
        return pause_s

    def _slow_down(self, began_at: float) -> int:
        """How often everybody was asked to wait before.  Calls that were on the wire at that time are no news."""
        if began_at >= self._opens_at:
            self._slow_downs = min(MOST_SLOW_DOWNS, self._slow_downs + 1)
        return self._slow_downs - 1

    def _stop(self, failure: CallFailed, tries: Tries, now: float) -> BulkwriterError | None:
        """The error that ends the tries, if there is one."""
        if stop := failure.stop:
            return stop if stop.hint else ConfigurationStop(stop.message, hint=self._hint, code=stop.code)
        if failure.is_forbidden and not failure.is_misplaced:
            message = f"the server does not let this token list what exists: {failure.reason}"
            hint = f"{self._hint}; {self._way_out}" if self._way_out else self._hint
            return ConfigurationStop(message, hint=hint, code="token")
        if failure.is_misplaced or tries.oddness.failed(failure, now):
            return ConfigurationStop(f"{tries.what}: {failure.reason}", hint=NO_LIST)
        if error := at_long_wait(failure.retry_after_s, self._settings, self._wall()):
            return error
        if tries.outage.seconds < self._settings.give_up_after_s:
            return None
        return TryLater(f"{tries.what}: {failure.reason}", hint="the same command later goes on", code="gone")
