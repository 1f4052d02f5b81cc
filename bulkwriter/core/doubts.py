"""Which doubts there are, when a look may settle them, and what a look says of each.  Pure; `listing.looks` acts.

A doubt is parked when its attempt has ended and may have been applied.  A record found by a look settles it at any
time. That there is none counts only from a look that *began* at least `late_apply_s + list_lag_s` after the attempt
ended, and only when a second such look, begun at least `list_lag_s` after the first had ended, agrees: the server may
apply a lost request late, and a list may lag behind.  Then the pair was surely not applied and may be sent again.

    parked --look: there--------------------------------------> found
    parked --look begun too early: not there------------------> parked
    parked --look: not there--> absent once --look: there-----> found
                                absent once --look: not there-> absent

Of a record that an undo was deleting when it was killed, "there" counts no earlier than "not there" does: the DELETE
may be applied late, or a list may not show yet that it was.

A refused pair (`refusals`) waits here as well: surely not applied, but perhaps refused because a record of it is there.
That record was there before the refusal, so one look begun `list_lag_s` after it tells.

Which doubt is due next is asked at every change, so it comes from a heap; what was settled or became due at another
time since is passed over when it comes to its top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from ..model import Intent

STALE_MOST: Final = 1_000
"""More entries of the heap than doubts, and so many, are no longer true: then it is made anew."""


@dataclass(slots=True)
class Doubt:
    """One pair that may have been applied.  `ended_at` is when its last attempt ended (or the journal was reopened)."""

    intent: Intent
    ended_at: float
    absent_at: float | None = None  # when the first look ended that was late enough and did not see it
    is_refused: bool = False
    is_being_deleted: bool = False  # a DELETE of its record may be on its way


class Doubts:
    """The doubts of a run by seq."""

    def __init__(self, *, late_apply_s: float, list_lag_s: float) -> None:
        self._wait_s = late_apply_s + list_lag_s
        self._lag_s = list_lag_s
        self._doubts: dict[int, Doubt] = {}
        self._queue: list[tuple[float, int, Doubt]] = []
        self._number = count()
        self.parked_at = 0.0
        """When the attempt ended that was parked last."""

    def __len__(self) -> int:
        return len(self._doubts)

    def __iter__(self) -> Iterator[Doubt]:
        return iter(list(self._doubts.values()))

    def __contains__(self, seq: int) -> bool:
        return seq in self._doubts

    def get(self, seq: int) -> Doubt | None:
        """The doubt of this seq."""
        return self._doubts.get(seq)

    def park(
        self, intent: Intent, ended_at: float, *, is_refused: bool = False, is_being_deleted: bool = False
    ) -> None:
        """Take a pair in doubt; a later attempt's doubt replaces an earlier one's."""
        doubt = self._doubts[intent.seq] = Doubt(
            intent, ended_at, is_refused=is_refused, is_being_deleted=is_being_deleted
        )
        self.parked_at = ended_at
        self._enqueue(doubt)

    def drop(self, seq: int) -> Doubt | None:
        """Forget a pair, if it is here: no look is needed any more."""
        return self._doubts.pop(seq, None)

    def due_at(self, doubt: Doubt) -> float:
        """When the next look may begin that brings this doubt forward even if it finds nothing."""
        if doubt.is_refused:
            return doubt.ended_at + self._lag_s
        if doubt.absent_at is None:
            return doubt.ended_at + self._wait_s
        return doubt.absent_at + self._lag_s

    def next_due_at(self) -> float | None:
        """When the first of them is due."""
        queue = self._queue
        while queue:
            at, _, doubt = queue[0]
            if self._doubts.get(doubt.intent.seq) is doubt and at == self.due_at(doubt):
                return at
            heappop(queue)
        return None

    def settled_at(self) -> float | None:
        """When the last of them may be settled at the earliest, if no look finds it before; None without doubts."""
        lag_s = self._lag_s
        return max(
            (self.due_at(d) + (lag_s if d.absent_at is None and not d.is_refused else 0.0) for d in self), default=None
        )

    def due(self, now: float) -> list[Doubt]:
        """Doubts that a look begun at `now` may settle either way, oldest first."""
        return sorted((d for d in self if self.due_at(d) <= now), key=lambda d: d.ended_at)

    def seen(self, doubt: Doubt, *, began_at: float) -> bool:
        """A look saw the record.  True when that settles it."""
        if doubt.is_being_deleted and began_at < doubt.ended_at + self._wait_s:
            return False
        self._doubts.pop(doubt.intent.seq, None)
        return True

    def not_seen(self, doubt: Doubt, *, began_at: float, ended_at: float) -> bool:
        """A look did not see the record.  True when that settles it: it was not applied, or there was none before."""
        if self._doubts.get(doubt.intent.seq) is not doubt or began_at < self.due_at(doubt):
            return False
        if doubt.absent_at is None and not doubt.is_refused:
            doubt.absent_at = ended_at
            self._enqueue(doubt)
            return False
        del self._doubts[doubt.intent.seq]
        return True

    def _enqueue(self, doubt: Doubt) -> None:
        queue = self._queue
        heappush(queue, (self.due_at(doubt), next(self._number), doubt))
        if len(queue) > 2 * len(self._doubts) + STALE_MOST:
            queue[:] = [(self.due_at(d), next(self._number), d) for d in self]
            heapify(queue)

    def check(self) -> None:
        """Invariants, for simulation."""
        for seq, doubt in self._doubts.items():
            assert doubt.intent.seq == seq
            assert doubt.absent_at is None or doubt.absent_at >= doubt.ended_at + self._wait_s
        assert self.next_due_at() == min(map(self.due_at, self._doubts.values()), default=None)
