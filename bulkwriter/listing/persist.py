"""Makes a step of list calls again until it succeeds, with growing pauses, and says so; or stops with the right error.

A failed list settles nothing and never counts as "nothing there".  What can end the trying is only a server that will
never let this token list, has no list at this address, or has lists of another shape (exit 4), one that asks for a
longer wait than is kept, or failures for `give_up_after_s` on end (exit 75), counted from the first one: before it a
step may have waited hours for a quota.  A step is made again whole, so whatever it noted in a failed try must do no
harm, or be forgotten when the next one begins.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ..core.retry import Backoff
from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..events import Event, LookFailed
from .lists import ListFailed, Oddness

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LONGEST_FLAWED_S = 600.0
"""Where a list contradicts itself each try costs a whole scan: some 20 of them an hour."""
LONGEST_TRY_S = 600.0
"""What a failed try adds to the time of failures at most: the rest of it was a wait for a quota."""

NO_LIST = "check --base-url, its path prefix too, and whatever proxy or gateway is on the way"

LongWait = Callable[[float | None], BulkwriterError | None]
"""The stop that a stated `Retry-After` calls for, or None where it is short enough to be kept."""


def needs_list(role: str) -> str:
    """What to do where lists are forbidden; `role` is the one that allows them."""
    return f"check the token, and that its user has the role {role}"


class Pauses:
    """How long to wait after the n-th failed try, counted from 0."""

    def __init__(self, rng: random.Random) -> None:
        self._short = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, rng)
        self._long = Backoff(FIRST_PAUSE_S, LONGEST_FLAWED_S, rng)

    def after(self, failure: ListFailed, failures: int) -> float:
        return (self._long if failure.is_flawed else self._short).delay(failures)


class Persistence:
    """`await persist(step)` returns what `step` returned when it first succeeded."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        give_up_after_s: float,
        tell: Callable[[Event], None],
        rng: random.Random,
        hint: str,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        at_long_wait: LongWait = lambda stated_s: None,
    ) -> None:
        self._clock = clock
        self._give_up_after_s = give_up_after_s
        self._tell = tell
        self._pauses = Pauses(rng)
        self._hint = hint
        self._sleep = sleep
        self._at_long_wait = at_long_wait
        self.trouble = ""
        """Why the last try failed, or empty."""

    async def __call__(self, step: Callable[[], Awaitable[T]]) -> T:
        """Raises `ConfigurationStop` where lists are forbidden, `TryLater` where they keep failing."""
        failing_s, failures, oddness = 0.0, 0, Oddness()
        while True:
            began_at = self._clock()
            try:
                result = await step()
            except ListFailed as failure:
                self.trouble = failure.reason
                if failure.is_forbidden or oddness.failed(failure, self._clock()):
                    raise self._hopeless(failure) from None
                if error := self._at_long_wait(failure.retry_after_s):
                    raise error from None
                failing_s += min(self._clock() - began_at, LONGEST_TRY_S) if failures else 0.0
                if failing_s >= self._give_up_after_s:
                    raise TryLater(
                        f"what exists cannot be listed: {failure.reason}",
                        hint="the same command later goes on",
                        code="gone",
                    ) from None
                pause_s = min(self._pauses.after(failure, failures), self._give_up_after_s - failing_s)
                pause_s = max(pause_s, failure.retry_after_s or 0.0)
                failures += 1
                self._tell(LookFailed(failure.reason, pause_s))
                await self._sleep(pause_s)
                failing_s += pause_s
            else:
                self.trouble = ""
                return result

    def _hopeless(self, failure: ListFailed) -> ConfigurationStop:
        if failure.is_misplaced or not failure.is_forbidden:
            return ConfigurationStop(f"what exists cannot be listed: {failure.reason}", hint=NO_LIST)
        return ConfigurationStop(
            f"the server does not let this token list what exists: {failure.reason}", hint=self._hint, code="token"
        )
