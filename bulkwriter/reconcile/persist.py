"""Makes a step of list calls again until it succeeds, with growing pauses, and says so; or stops with the right error.

A failed list settles nothing and never counts as "nothing there".  What can end the trying is only a server that will
never let this token list or has no list at this address (exit 4), one that asks for a longer wait than is kept, or
failures for `give_up_after_s` on end (exit 75), counted from the first one: before it a step may have waited hours for
a quota.  A step is made again whole, so whatever it noted in a failed try must do no harm, or be forgotten when the
next one begins.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ..core.retry import Backoff
from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..events import Event, LookFailed
from .lists import ListFailed

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LONGEST_TRY_S = 600.0
"""What a failed try adds to the time of failures at most: the rest of it was a wait for a quota."""

NEEDS_LIST = "check the token, and that its user has the role CourseCompletedLesson-List"

LongWait = Callable[[float | None], BulkwriterError | None]
"""The stop that a stated `Retry-After` calls for, or None where it is short enough to be kept."""


class Persistence:
    """`await persist(step)` returns what `step` returned when it first succeeded."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        give_up_after_s: float,
        tell: Callable[[Event], None],
        rng: random.Random,
        hint: str = NEEDS_LIST,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        at_long_wait: LongWait = lambda stated_s: None,
    ) -> None:
        self._clock = clock
        self._give_up_after_s = give_up_after_s
        self._tell = tell
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, rng)
        self._hint = hint
        self._sleep = sleep
        self._at_long_wait = at_long_wait
        self.trouble = ""
        """Why the last try failed, or empty."""

    async def __call__(self, step: Callable[[], Awaitable[T]]) -> T:
        """Raises `ConfigurationStop` where lists are forbidden, `TryLater` where they keep failing."""
        failing_s, failures = 0.0, 0
        while True:
            began_at = self._clock()
            try:
                result = await step()
            except ListFailed as failure:
                self.trouble = failure.reason
                if failure.is_forbidden:
                    raise self._forbidden(failure) from None
                if error := self._at_long_wait(failure.retry_after_s):
                    raise error from None
                failing_s += min(self._clock() - began_at, LONGEST_TRY_S) if failures else 0.0
                if failing_s > self._give_up_after_s:
                    raise TryLater(
                        f"what exists cannot be listed: {failure.reason}",
                        hint="the same command later goes on",
                        code="gone",
                    ) from None
                pause_s = max(self._backoff.delay(failures), failure.retry_after_s or 0.0)
                failures += 1
                self._tell(LookFailed(failure.reason, pause_s))
                await self._sleep(pause_s)
                failing_s += pause_s
            else:
                self.trouble = ""
                return result

    def _forbidden(self, failure: ListFailed) -> ConfigurationStop:
        if failure.is_misplaced:
            return ConfigurationStop(
                f"what exists cannot be listed: {failure.reason}", hint="check --base-url, its path prefix too"
            )
        return ConfigurationStop(
            f"the server does not let this token list what exists: {failure.reason}", hint=self._hint, code="token"
        )
