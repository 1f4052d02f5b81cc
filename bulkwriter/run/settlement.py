"""Between pairs and looker: what a look's answer makes of a doubt, and when released pairs go again.

A doubt's row in the journal stays `in_doubt` until it is settled.  When looks show that it was not applied, the pair
goes back to the head of the ready queue without a new commit, because `in_doubt` already says that it may be applied;
after `max_attempts` it is failed instead.  Re-sends take from the retry budget, so that a server which loses everything
is not sent everything again at once.

Not here: where the pairs are (`core.pairs`), and when looks are made (`listing.looks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..listing.looks import Looker
from ..model import Intent, State, Verdict
from ..rows import SettleRow
from ..settings import Settings
from .parts import Parts
from .sender import Sender


class Settlement:
    """What comes of doubts and of refusals that may be about a double."""

    def __init__(
        self,
        sender: Sender,
        parts: Parts,
        settings: Settings,
        *,
        clock: Callable[[], float],
        counts: Callable[[], Mapping[State, int]],
    ) -> None:
        self._pairs, self._ids = parts.pairs, parts.record_ids
        self._budget, self._breaker = parts.budget, parts.breaker
        self._is_checked = settings.existing == "check"
        self._sender = sender
        self._clock = clock
        self._counts = counts
        self.looker: Looker
        self.run_floor: Callable[[], int | None]
        self.is_source_ended = True

    # for the sender

    def lost(self, intent: Intent, reason: str, now: float) -> None:
        """The pair's attempt ended in doubt."""
        self._pairs.lost(intent, reason, now)
        self.looker.wake()

    def refuse(self, intent: Intent, row: SettleRow, verdict: Verdict, now: float) -> bool:
        """The server refused the pair, perhaps because it is there (False: surely); else `row` is its outcome."""
        is_refusal = self._pairs.held(intent, row, verdict, now, can_look=not self.looker.forbidden)
        self.looker.wake()
        return is_refusal

    def recall(self, told: Iterable[tuple[Intent, int]], now: float) -> None:
        """A lane was out of step: what it told is in doubt."""
        self._pairs.recalled(told, now, floor=self.run_floor())
        self.looker.wake()

    # for the looker

    def found(self, intent: Intent, record_id: int, ended_at: float) -> None:
        """A record of the pair is there: ours if its id is above the floor, or if a check before had not found it.

        What was there before is not above the floor, even where ids do not rise; then ours may be below it, too.
        """
        is_above = intent.floor is not None and record_id > intent.floor
        is_known = intent.floor is not None and self._ids.are_rising
        is_ours = is_above if is_known else is_above or self._is_checked
        if is_ours and intent.seq not in self._pairs.refusals:
            self._sender.replies.found(self._clock(), ended_at)
        self._pairs.found(intent, record_id, State.CREATED if is_ours else State.EXISTING)
        self.looker.wake()

    def absent(self, intent: Intent) -> None:
        if intent.seq not in self._pairs.refusals:
            self._breaker.record_absent(self._clock())
        self._pairs.absent(intent)
        self.release()

    def release(self) -> None:
        """Send released pairs again as far as the retry budget allows; called again as time passes."""
        pairs, now = self._pairs, self._clock()
        if self.looker.forbidden:
            pairs.believed()
        # What a dead process may never have sent is no re-send: a thousand of those are no storm.
        while pairs.can_free and (not pairs.released[-1].attempts or self._budget.take(now)):
            pairs.freed()
        self._sender.pump()

    def newest_id(self) -> int | None:
        """The highest record id given so far, or None where ids do not rise, so that floors tell nothing."""
        return self._ids.newest if self._ids.are_rising else None

    def witness_id(self) -> int:
        """The highest record id given to this process, which lists show `list_lag_s` later; 0 where ids do not rise.

        Not of earlier ones: who cleans up in between may have deleted it, and no list would ever be believed.
        """
        return self._ids.newest_own if self._ids.are_rising else 0

    def created_count(self) -> int:
        return self._counts().get(State.CREATED, 0)

    def is_winding_up(self) -> bool:
        """Whether nothing but doubts is left to do."""
        return self.is_source_ended and not self._pairs.ready and not self._pairs.in_flight

    def is_waiting(self) -> bool:
        """Whether a look is all that could bring the run on."""
        return self.is_winding_up() or self._breaker.is_open
