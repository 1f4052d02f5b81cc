"""Doubt resolution: what a look's answer makes of a doubt, and when pairs that were not applied go again.

A doubt's row in the journal stays `in_doubt` until it is settled.  When looks show that it was not applied, the pair
goes back to the head of the ready queue without a new commit, because `in_doubt` already says that it may be applied;
after `max_attempts` it is failed instead.  Re-sends take from the retry budget, so that a server which loses everything
is not sent everything again at once.

Here is also what the looker asks of the run (`listing.looks.Settling`).  Not here: where the pairs are (`core.pairs`),
and when looks are made (`listing.looks`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core.doubts import Doubt
from ..core.pairs import Pairs
from ..core.record_log import RecordLog
from ..core.retry import RetryBudget
from ..events import Note
from ..listing.baseline import is_near, is_newer, is_own
from ..model import Intent, State
from ..net.api import ListedRecord, Record
from .admission import Admission
from .ports import Store
from .record_ids import RecordIds
from .run_loop import RunLoop

WERE_THERE: Final = (
    "the server answers creations with records that were there before, by their ids and times; these pairs are "
    "told as existing, and undo leaves their records"
)


class DoubtResolution:
    """What comes of doubts and of refusals that may be about a double.  `is_checked`: what exists was looked up before
    anything was sent."""

    def __init__(
        self,
        run: RunLoop,
        pairs: Pairs,
        admission: Admission,
        record_ids: RecordIds,
        store: Store,
        log: RecordLog,
        *,
        is_checked: bool,
        began_at: float | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._run, self._pairs, self._admission, self._ids, self._store = run, pairs, admission, record_ids, store
        self._log = log
        self._is_checked, self._began_at = is_checked, began_at
        self._clock = clock
        self.budget = RetryBudget()
        self._settled = 0
        self._has_told = False
        self._seen: tuple[int, float, bool] | None = None
        self.is_source_ended = True
        """Whether no source is being taken that may bring more pairs."""

    def source_begins(self) -> None:
        self._source_is(ended=False)

    def source_ends(self) -> None:
        self._source_is(ended=True)

    def _source_is(self, *, ended: bool) -> None:
        self.is_source_ended = ended
        self._seen = None  # the looker may have planned in between, where two changes undo each other before a step
        self._run.soon()

    # what looks tell

    def found(self, doubt: Doubt, record: ListedRecord) -> None:
        """A record of the pair is there."""
        intent = doubt.intent
        is_ours = self._is_ours(doubt, record)
        if doubt.is_named and not is_ours and not self._has_told:
            self._has_told = True
            self._run.tell(Note(WERE_THERE))
        if is_ours and intent.seq not in self._pairs.refusals:
            for event in self._admission.found(self._clock(), doubt.ended_at):
                self._run.tell(event)
        self._log.found(intent.seq, record.record_id, self._clock())
        self._pairs.found(intent, record.record_id, State.CREATED if is_ours else State.EXISTING)
        self._run.soon()

    def _is_ours(self, doubt: Doubt, record: ListedRecord) -> bool:
        """As its id or its time tells.

        Where neither does, it is ours if a check before had not found it, if the server had told of its creation, or if
        it is newer than the run.
        """
        record_id, created_on, floor, named = record.record_id, record.created_on, doubt.intent.floor, doubt.named
        if named and doubt.is_named and (floor is None or record_id <= floor):
            self._ids.judge(is_new=is_newer(created_on, named.at), is_near=is_near(created_on, named.at))
        sent_at, are_rising = named.at if named else None, self._ids.are_rising
        is_ours = is_own(record_id, created_on, floor=floor, sent_at=sent_at, are_rising=are_rising)
        if is_ours is not None:
            return is_ours
        is_of_run = self._began_at is not None and is_newer(created_on, self._began_at)
        return self._is_checked or doubt.is_named or bool(is_of_run)

    def absent(self, intent: Intent) -> None:
        """Looks saw no record of the pair."""
        is_refused = intent.seq in self._pairs.refusals
        if not is_refused:
            self._admission.absent(self._clock())
        self._log.absent(intent.seq, self._clock(), is_refused=is_refused)
        self._pairs.absent(intent)
        self._run.soon()

    # what looks ask

    def newest_id(self) -> int | None:
        """The highest record id given so far, or None where floors tell nothing."""
        return self._ids.newest if self._ids.floors_tell else None

    def witness_id(self) -> int:
        """The highest record id given to this process, which lists show `list_lag_s` later; 0 where ids may not rise.

        Not of earlier ones: who cleans up in between may have deleted it, and no list would ever be believed.
        """
        return self._ids.newest_own if self._ids.floors_tell else 0

    def created_count(self) -> int:
        return self._store.counts.get(State.CREATED, 0)

    async def created_near(self, intents: list[Intent]) -> list[list[Record]]:
        """What this run made near each of these pairs, as its journal says."""
        doubts = [(intent.seq, intent.pair) for intent in intents]
        return await self._store.run(lambda journal: journal.created_near(doubts))

    def is_waiting(self) -> bool:
        """Whether a look is all that could bring the run on."""
        return self.is_winding_up() or self._admission.breaker.is_open

    def is_winding_up(self) -> bool:
        """Whether nothing but doubts is left to do."""
        return self.is_source_ended and not self._pairs.ready and not self._pairs.in_flight

    # for the step of the run

    def release(self) -> None:
        """Make released pairs ready as far as the retry budget allows."""
        pairs, now = self._pairs, self._clock()
        # What a dead process may never have sent is no re-send: a thousand of those are no storm.
        while pairs.can_free and (not pairs.released[-1].attempts or self.budget.take(now)):
            pairs.freed()

    def settled(self, count: int) -> None:
        """So many pairs are settled by now; more than before pay for re-sends."""
        self.budget.note_success(max(0, count - self._settled))
        self._settled = count

    def has_news(self) -> bool:
        """Whether something changed since this was asked last that a look may wait for."""
        doubts = self._pairs.doubts
        seen = len(doubts), doubts.parked_at, self.is_waiting()
        if seen == self._seen:
            return False
        self._seen = seen
        return True
