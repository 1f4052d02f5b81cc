"""Whether the writer can send, and why not; who waits for that, and for how long; the tries while it cannot.

Nobody sends, for one of these reasons, and each has one owner:

    an error of the server, the token or a setting     `core.suspension`, asked by `run.admission`
    no good reply for a while                          the breaker (`core.retry`), asked by `run.admission`
    none of many replies could be read                 the same, also while looks find what was written
    what exists cannot be listed                       `listing.existing`; without it nothing new may be sent
    the lease of its part of a job is over             `holding.Fence`, asked by `run.admission`
    looks for doubts fail, the last thing was lost     `listing.looks`: it tells before the breaker can where few write
    the run has ended for good                         `run.run_loop`

This module reads them and owns none.  A writer with such a reason is *not well*.  Then:

- A source ends with the error, at once or after `give_up_after_s` (`run_loop`, `engine`).
- A single write waits, for `patience_s` at most, counted from its call or from the reason, whichever came later.  After
  that it gets `NotWell`, and its pair goes on; or its outcome `in_doubt`, if it may have been sent.
- A reason that names its end, such as a spent quota with `on_quota="stop"`, refuses new pairs until then.
- A pair that is ready tries whether sending goes again.  If there is none, a list call tries, so that a service which
  takes no calls before it is well becomes well by itself.

Invariant: at most one try is under way.  Not here: when a try is due (`core.suspension`, the breaker).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import BulkwriterError, NotWell, TryLater
from ..events import Unreadable
from ..listing.lists import ListFailed
from .holding import GONE, HINT

if TYPE_CHECKING:
    from .engine import Engine

TICK_S: Final = 0.25
"""How often a writer that is not well is looked at.  A call may wait by so much longer than its patience."""
LISTS_S: Final = 5.0
"""Lists that fail for a shorter time are no reason: most are answered at the next try."""
LOOKS_S: Final = 300.0
"""Where lists were forbidden a look tries again so often, in case somebody gave the role."""
CHECK: Final = "check base_url, and whatever proxy or gateway changes replies on the way"
SILENT_S: Final = 60.0
"""So long after the last reply that could not be read, silence is no reason any more.  Then a service that takes calls
while it is well gives a pair, and its reply shows whether that still holds.
"""
EVERYTHING: Final[Mapping[str, str]] = MappingProxyType({})
"""The filters of the list that tries."""


class Trouble(NamedTuple):
    """Why the writer is not well, and since when."""

    error: BulkwriterError
    since: float


class Health:
    """How one writer is.  `keep` runs for its life.

    `end_waits` ends the waits, because of an error, of all calls that came up to a time.
    """

    def __init__(self, engine: Engine, end_waits: Callable[[BulkwriterError, float], None]) -> None:
        self._engine = engine
        self._patience_s = engine.settings.longest_patience_s
        self._end_waits = end_waits
        self._trying: asyncio.Task[None] | None = None
        self._told_since = -math.inf  # when the silence began that was told last
        self._looked_at = 0.0
        self._token_since: float | None = None  # since when the token was in use when looks were forbidden

    @property
    def trouble(self) -> Trouble | None:
        """Why the writer is not well; None if it is well."""
        engine = self._engine
        known, suspension, breaker = engine.known, engine.admission.suspension, engine.admission.breaker
        silence = engine.admission.silence
        over_s = engine.admission.fence.over_s() if engine.admission.fence else 0.0
        looks = engine.looker.failures
        is_calm = not (engine.run.error or suspension.error or breaker.bad or known.is_listing or over_s)
        if is_calm and looks.since is None:
            return None  # as nearly always; it is asked after each step
        now = engine.ports.clock()
        if engine.run.error:
            return Trouble(engine.run.error, now)
        if over_s:
            return Trouble(TryLater(GONE, hint=HINT, code="database"), now - over_s)
        if suspension.error:
            gone_since = suspension.since if breaker.gone_since is None else breaker.gone_since
            return Trouble(suspension.error, min(suspension.since, gone_since))
        if breaker.is_open:
            return no_good_reply(now, now if breaker.gone_since is None else breaker.gone_since, breaker.reason)
        if silence.is_long and now < silence.at + SILENT_S:
            return silent(silence.count, silence.since, breaker.reason)
        if known.is_listing and known.trouble and now - known.troubled_at >= LISTS_S:
            message = f"what exists cannot be listed: {known.trouble}"
            return Trouble(TryLater(message, hint="it goes on when lists are answered", code="gone"), known.troubled_at)
        is_looking = looks.since is not None and now - looks.since >= LISTS_S and bool(engine.pairs.doubts)
        if is_looking and breaker.gone_since is not None:
            return None if looks.forbidden else no_good_reply(now, breaker.gone_since, looks.reason)
        return None

    async def well(self) -> None:
        """Wait until the writer is well.  Raises the error that ended it for good."""
        run = self._engine.run
        await run.until(lambda: run.is_stopping or self.trouble is None)
        if run.is_stopping:
            raise run.why_ended(TryLater("the writer ends", hint="give the pair again after the next start"))

    # the tries

    async def keep(self) -> None:
        """Look after a writer that is not well, for ever."""
        run, clock, idle = self._engine.run, self._engine.ports.clock, self._engine.ports.clocks.idle
        while True:
            await run.until(lambda: self.trouble is not None or bool(self._engine.looker.forbidden))
            has_passed = self.trouble is not None
            while trouble := self.trouble:
                now = clock()
                self._tell_silence(trouble.error)
                self._note_forbidden()
                if trouble.since <= (before := now - self._patience_s):
                    self._end_waits(trouble.error, before)
                self._try(now)
                await idle(TICK_S)
            self._note_forbidden()
            self._look_again(clock(), has_passed=has_passed)
            run.soon()  # for those who wait until it is well
            await idle(TICK_S)

    def _tell_silence(self, error: BulkwriterError) -> None:
        """Tell once that no reply can be read, where requests go on: nothing else would show it but their time."""
        admission = self._engine.admission
        silence = admission.silence
        if silence.is_long and not admission.breaker.is_open and self._told_since != silence.since:
            self._told_since = silence.since
            self._engine.run.tell(Unreadable(error.message, error.hint))

    def _note_forbidden(self) -> None:
        """Keep in mind with which token looks were forbidden."""
        if not self._engine.looker.forbidden:
            self._token_since = None
        elif self._token_since is None:
            self._token_since = self._engine.token_refresh.since

    def _look_again(self, now: float, *, has_passed: bool) -> None:
        """Looks that were forbidden are tried again with each new token, when a trouble `has_passed`, since what ended
        it may allow lists as well, and from time to time where no source waits for its end.
        """
        engine = self._engine
        if not engine.looker.forbidden:
            return
        has_new_token = self._token_since != engine.token_refresh.since < math.inf
        if has_new_token or has_passed or (engine.run.source is None and now >= self._looked_at + LOOKS_S):
            self._looked_at, self._token_since = now, None
            engine.looker.failures.try_again()
            engine.looker.wake()

    def _try(self, now: float) -> None:
        """Begin a try if one is due and no pair makes it."""
        engine = self._engine
        suspension, breaker, pairs = engine.admission.suspension, engine.admission.breaker, engine.pairs
        if self._trying or pairs.in_flight or engine.run.is_stopping:
            return
        if suspension.error:
            if suspension.opens_at(now) > now:
                return
            if suspension.is_refusing:  # its time is over
                self._tell(engine.admission.resumed(now, is_proven=False))
                return
            if engine.token_refresh.is_missing or not (pairs.ready or engine.run.source):
                suspension.tried(now)
                self._trying = engine.run.spawn(self._call).task
        elif breaker.is_open and not (pairs.ready or engine.run.source) and breaker.may_probe(now):
            self._trying = engine.run.spawn(self._call, now).task

    async def _call(self, probe_at: float | None = None) -> None:
        """Try whether there is a token, and whether the server answers.  It may be the breaker's probe of then."""
        engine = self._engine
        admission, clock = engine.admission, engine.ports.clock
        try:
            was_missing = engine.token_refresh.is_missing
            await engine.token_refresh.again()
            if engine.pairs.ready:  # a pair shows more than a list
                admission.suspension.hurry(clock(), has_token=was_missing)
                return
            await engine.ports.get_page(EVERYTHING, 1)
        except ListFailed as failure:
            is_lists_alone = failure.is_forbidden and not failure.is_misplaced and engine.settings.existing == "skip"
            if is_lists_alone or failure.is_answer:
                self._tell(admission.answered(clock()))
            elif admission.breaker.is_open:
                admission.breaker.record_bad(clock(), failure.reason)
        except BulkwriterError as error:
            engine.run.stop(error)
        else:
            self._tell(admission.answered(clock()))
        finally:
            self._trying = None
            if probe_at is not None:
                admission.breaker.unsent(probe_at)
            engine.run.soon()

    def _tell(self, events: Any) -> None:
        for event in events:
            self._engine.run.tell(event)
        self._engine.run.soon()


def no_good_reply(now: float, since: float, reason: str) -> Trouble:
    message = f"no good reply for {now - since:,.0f} s (last: {reason})"
    return Trouble(
        TryLater(message, hint=f"it goes on when the server is back; if that is there, {CHECK}", code="gone"), since
    )


def silent(count: int, since: float, reason: str) -> Trouble:
    message = f"none of the last {count:,} requests had a reply that could be read (last: {reason})"
    return Trouble(
        TryLater(message, hint=f"lists have to tell what was written, and take time: {CHECK}", code="gone"), since
    )


def not_well(error: BulkwriterError, what: str) -> NotWell:
    """The error of a call that has waited long enough, because of `error`; `what` became of its pair."""
    told = NotWell(
        f"the writer is not well: {error.message}",
        hint=f"{what}; patience_s is how long a call waits",
        retry_at=getattr(error, "retry_at", None),
    )
    told.__cause__ = error
    return told
