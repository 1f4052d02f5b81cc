"""Between dispatcher, looker and outcomes: parks doubts, and acts on what looks find.

A doubt's row in the journal stays `in_doubt` until it is settled.  When looks show that it was not applied, the pair
goes back to the head of the ready queue without a new commit, because `in_doubt` already says that it may be applied;
after `max_attempts` it is failed instead.  Re-sends take from the retry budget, so that a server which loses everything
is not sent everything again at once.

Invariant: a pair that waits here (`released`) is in no other place, and its row is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ..model import Intent, State, Verdict
from ..reconcile.looks import Looker
from ..settings import Settings
from ..store.schema import SettleRow, doubt_detail, outcome_detail
from .dispatch import Dispatcher
from .outcomes import IN_DOUBT, INTENT
from .parts import Parts
from .refusals import REJECTED, Refusals

PENDING, CREATED, EXISTING, FAILED = int(State.PENDING), int(State.CREATED), int(State.EXISTING), int(State.FAILED)

NONE: Final[Mapping[int, str]] = MappingProxyType({})


class Settlement:
    """Where doubts go and how they come back."""

    def __init__(self, dispatcher: Dispatcher, parts: Parts, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._ids, self._outcomes = parts.record_ids, parts.outcomes
        self._budget, self._breaker = parts.budget, parts.breaker
        self._is_checked = settings.existing == "check"
        self._dispatcher = dispatcher
        self._max_attempts = settings.max_attempts
        self._clock = clock
        self.looker: Looker
        self.refusals: Refusals
        self.run_floor: Callable[[], int | None]
        self.is_source_ended = True
        self.released: list[Intent] = []
        """Pairs shown not to be applied that wait for the retry budget."""
        self._causes: dict[int, str] = {}
        """Why the last attempt of doubts ended in doubt, of those that have no further attempt."""

    # for the dispatcher

    def park(self, intent: Intent, now: float, reason: str) -> None:
        """The pair's attempt ended in doubt for this reason; its outcome says so already."""
        if intent.attempts >= self._max_attempts:
            self._causes[intent.seq] = reason
        self.looker.park(intent, now)

    def refuse(self, intent: Intent, row: SettleRow, verdict: Verdict, now: float) -> bool:
        """The server refused the pair, perhaps because it is there (False: surely); else `row` is its outcome."""
        return self.refusals.take(intent, row, verdict, now)

    def recall(self, settled: Iterable[tuple[Intent, int]], now: float) -> None:
        """A lane was out of step: what it settled is in doubt again, each pair with the state it was given."""
        ready, floor = self._dispatcher.ready, self.run_floor()
        words = "the connection that answered for it was out of step"
        for intent, state in settled:
            doubt = intent._replace(floor=floor)
            if state == PENDING:  # sent back to the queue, and perhaps sent again since: then nothing can be done
                waiting = next((i for i in ready if i.seq == intent.seq), None)
                if waiting is None:
                    continue
                ready.remove(waiting)
                doubt, state = waiting, self._outcomes.odd.get(intent.seq, INTENT)
            elif state == REJECTED:
                state = self.refusals.recalled(intent.seq)
            self._outcomes.odd[intent.seq] = state
            detail = doubt_detail(words, doubt.floor)
            self._outcomes.add(doubt, (doubt.seq, IN_DOUBT, doubt.attempts, None, None, detail))
            self.park(doubt, now, words)

    def adopt(
        self, doubts: Iterable[Intent], now: float, *, leaving: Container[int] = (), causes: Mapping[int, str] = NONE
    ) -> None:
        """Take over what an earlier start left: intents and doubts, which the journal counts apart, are doubts both; or
        what an undo left, that was deleting the records of the seqs in `leaving`.
        `causes` are the reasons that the journal has, by seq."""
        tally = self._outcomes.tally
        tally[IN_DOUBT] += tally.pop(INTENT, 0)
        for intent in doubts:
            self._outcomes.odd[intent.seq] = IN_DOUBT
            if intent.attempts >= self._max_attempts and (cause := causes.get(intent.seq)):
                self._causes[intent.seq] = cause
            self.looker.park(intent, now, is_leaving=intent.seq in leaving)

    # for the looker

    def found(self, intent: Intent, record_id: int, ended_at: float) -> None:
        """A record of the pair is there: ours if its id is above the floor, or if a check before had not found it.

        What was there before is not above the floor, even where ids do not rise; then ours may be below it, too.
        """
        if self.refusals.found(intent.seq, record_id):
            return
        self._causes.pop(intent.seq, None)
        is_above = intent.floor is not None and record_id > intent.floor
        is_known = intent.floor is not None and self._ids.are_rising
        is_ours = is_above if is_known else is_above or self._is_checked
        if is_ours:
            self._dispatcher.replies.found(self._clock(), ended_at)
        state = CREATED if is_ours else EXISTING
        # An intent of a dead process has no attempt counted, and its record shows that there was one.
        self._outcomes.add(intent, (intent.seq, state, max(intent.attempts, 1), record_id, None, None))

    def absent(self, intent: Intent) -> None:
        if self.refusals.absent(intent.seq):
            return
        self._breaker.record_absent(self._clock())
        if intent.attempts >= self._max_attempts:
            last = self._causes.pop(intent.seq, "")
            words = f"{intent.attempts} attempts, none of them applied" + (f"; the last: {last}" if last else "")
            detail = outcome_detail((), words)
            self._outcomes.add(intent, (intent.seq, FAILED, intent.attempts, None, None, detail))
        else:
            self.released.append(intent)
            self.release()

    def release(self) -> None:
        """Send released pairs again as far as the retry budget allows; called again as time passes."""
        if self.looker.forbidden:
            self.refusals.give_up()
        now = self._clock()
        # What a dead process may never have sent is no re-send: a thousand of those are no storm.
        while self.released and (not self.released[-1].attempts or self._budget.take(now)):
            self._dispatcher.ready.appendleft(self.released.pop())
        self._dispatcher.pump()

    def newest_id(self) -> int | None:
        """The highest record id given so far, or None where ids do not rise, so that floors tell nothing."""
        return self._ids.newest if self._ids.are_rising else None

    def created_count(self) -> int:
        return self._outcomes.tally[CREATED]

    def is_winding_up(self) -> bool:
        """Whether nothing but doubts is left to do."""
        d = self._dispatcher
        return self.is_source_ended and not d.ready and not d.in_flight

    def is_waiting(self) -> bool:
        """Whether a look is all that could bring the run on."""
        return self.is_winding_up() or self._breaker.is_open
