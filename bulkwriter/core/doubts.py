"""The doubts of a run: when a look may settle each of them, and what a look says.  Pure; `listing.looks` acts.

A *doubt* is a pair that may have been applied.  It is parked here when its attempt has ended.  A look that finds its
record settles it at any time.  A look that finds none counts only under two conditions:

- The look *began* at least `late_apply_s + list_lag_s` after the attempt ended: the server may apply a lost request
  late, and a list may lag behind.
- A second such look agrees.  It began at least `list_lag_s` after the first one had ended.

Then the pair was surely not applied, and it may be sent again.

    parked --look: there--------------------------------------> found
    parked --look begun too early: not there------------------> parked
    parked --look: not there--> absent once --look: there-----> found
                                absent once --look: not there-> absent

An undo may have been killed while it deleted a record.  For such a record "there" counts no earlier than "not there":
the server may apply the DELETE late, or a list may not show it yet.

A reply may have named a record that is not above the pair's floor (`named`).  Its record shows whether it is older
than the request (`listing.baseline`), so such a doubt is looked up soon: `list_lag_s` after the reply.  That look finds
the record, or it does not count.

A refused pair (`refusals`) waits here as well.  It was surely not applied, but perhaps a record of it is the reason for
the refusal.  That record was there before the refusal, so one look begun `list_lag_s` after it tells.

The next due doubt is asked for at every change, so it comes from a heap.  An entry of the heap may be out of date; it
is dropped when it reaches the top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from ..model import Intent
from ..rows import Named

STALE_MOST: Final = 1_000
"""The heap is rebuilt when it has twice as many entries as there are doubts, and so many more."""


@dataclass(slots=True)
class Doubt:
    """One pair that may have been applied.  `ended_at`: when its last attempt ended, or when the journal was
    reopened.  `reason`: why nobody knows.
    """

    intent: Intent
    ended_at: float
    absent_at: float | None = None  # end of the first look that was late enough and did not see it
    is_refused: bool = False
    is_being_deleted: bool = False  # a DELETE of its record may be on its way
    reason: str = ""
    named: Named | None = None  # what is known of its request
    is_looked_up: bool = True  # False: its first look need not wait

    @property
    def is_named(self) -> bool:
        """Whether its reply named a record that may be older."""
        return self.named is not None and self.named.record_id > 0


class Doubts:
    """The doubts of a run by seq."""

    def __init__(self, *, late_apply_s: float, list_lag_s: float) -> None:
        self._wait_s = late_apply_s + list_lag_s
        self._lag_s = list_lag_s
        self._doubts: dict[int, Doubt] = {}
        self._queue: list[tuple[float, int, Doubt]] = []
        self._number = count()
        self.named: dict[int, int] = {}
        """Record ids that replies have named, by the seqs of pairs whose records no look has seen since."""
        self.parked_at = 0.0
        """The end of the attempt that was parked last."""

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
        self, intent: Intent, ended_at: float, *, is_refused: bool = False, is_being_deleted: bool = False,
        reason: str = "", named: Named | None = None,
    ) -> None:  # fmt: skip
        """Take a pair in doubt; a later attempt's doubt replaces an earlier one's."""
        doubt = self._doubts[intent.seq] = Doubt(
            intent, ended_at, is_refused=is_refused, is_being_deleted=is_being_deleted, reason=reason, named=named,
            is_looked_up=not (named and named.record_id),
        )  # fmt: skip
        if named and named.record_id:
            self.named[intent.seq] = named.record_id
        self.parked_at = ended_at
        self._enqueue(doubt)

    def drop(self, seq: int) -> Doubt | None:
        """Forget a pair, if it is here: it needs no look any more."""
        return self._doubts.pop(seq, None)

    def due_at(self, doubt: Doubt) -> float:
        """The earliest begin of a look that brings this doubt forward even if it finds nothing."""
        if doubt.is_refused or not doubt.is_looked_up:
            return doubt.ended_at + self._lag_s
        if doubt.absent_at is None:
            return doubt.ended_at + self._wait_s
        return doubt.absent_at + self._lag_s

    def next_due_at(self) -> float | None:
        """When the first doubt is due; None without doubts."""
        queue = self._queue
        while queue:
            at, _, doubt = queue[0]
            if self._doubts.get(doubt.intent.seq) is doubt and at == self.due_at(doubt):
                return at
            heappop(queue)
        return None

    def settled_at(self) -> float | None:
        """The earliest time at which all may be settled if looks find nothing; None without doubts."""
        lag_s = self._lag_s
        return max(
            (self.due_at(d) + (lag_s if d.absent_at is None and not d.is_refused else 0.0) for d in self), default=None
        )

    def due(self, now: float) -> list[Doubt]:
        """The doubts that a look begun at `now` brings forward whatever it finds, oldest first."""
        return sorted((d for d in self if self.due_at(d) <= now), key=lambda d: d.ended_at)

    def seen(self, doubt: Doubt, *, began_at: float) -> bool:
        """A look saw the record.  True when that settles it."""
        if doubt.is_being_deleted and began_at < doubt.ended_at + self._wait_s:
            return False
        self._doubts.pop(doubt.intent.seq, None)
        self.named.pop(doubt.intent.seq, None)
        return True

    def not_seen(self, doubt: Doubt, *, began_at: float, ended_at: float) -> bool:
        """A look did not see the record.  True when that settles it: the pair was not applied, or had no record
        before.
        """
        if self._doubts.get(doubt.intent.seq) is not doubt or began_at < self.due_at(doubt):
            return False
        if not doubt.is_looked_up:
            doubt.is_looked_up = True
            self._enqueue(doubt)
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
