"""What is expected on the server, and what lists have shown of it: two columns to be held against each other.

`ExpectedPairs` are the pairs that must be there exactly once, and those that the run knows besides (pending, rejected,
in doubt).  `ObservedPairs` collects what lists show of them: pairs seen, pairs seen twice, and how many records with a
first id of the run's belong to pairs that it does not know.  Sets are bitmaps, a few bytes a pair.

A list that failed half-way is read again, so what it showed is forgotten when its next try begins; without that, every
record of a page read twice would look doubled.  A first id counts only when its list is known to be whole.

Invariant: `seen`, `doubled` and `strangers` tell of whole lists only, each counted once.  Pure.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from ..core.dedupe import IdSet, PairSet
from ..model import State
from ..net.api import Record

MUST_BE_THERE = frozenset({State.CREATED, State.EXISTING})
NO_PAIRS = frozenset({State.INVALID, State.DUPLICATE})


class ExpectedPairs:
    """`required`: pairs that must be on the server exactly once; `others`: pairs that may be.

    `not_read`: rows of the source whose pairs nobody knows yet; None where it is not known how many there are.
    """

    def __init__(self) -> None:
        self.required = PairSet()
        self.others = PairSet()
        self.first_ids = IdSet()
        self.doubts = 0
        self.pending = 0
        self.failed = 0
        self.not_read: int | None = 0

    def add_rows(self, rows: Iterable[Sequence[int | None]], *, is_live: bool) -> None:
        """Take rows of a journal: seq, the two ids, state, …  `is_live`: somebody writes it; intents are under way."""
        required: list[tuple[int, int] | None] = []
        others: list[tuple[int, int] | None] = []
        for _, first, second, state, *_ in rows:
            if first is None or second is None or state in NO_PAIRS:
                continue
            if state in MUST_BE_THERE:
                required.append((first, second))
            else:
                others.append((first, second))
                self._count(State(state or 0), is_live=is_live)
        self.add_pairs(required)
        self.others.add_all(others)
        self._add_first_ids(others)

    def add_pairs(self, pairs: Sequence[tuple[int, int] | None]) -> None:
        """Take rows of a source: every pair must be there."""
        self.required.add_all(pairs)
        self._add_first_ids(pairs)

    def _add_first_ids(self, pairs: Sequence[tuple[int, int] | None]) -> None:
        for first in {pair[0] for pair in pairs if pair}:
            self.first_ids.add(first)

    def leave_unread(self, rows: int | None) -> None:
        """The source has so many rows that nobody has read; None where that is not known."""
        self.not_read = rows

    def __contains__(self, pair: tuple[int, int]) -> bool:
        return pair in self.required or pair in self.others

    def _count(self, state: State, *, is_live: bool) -> None:
        if state is State.PENDING or (state is State.INTENT and is_live):
            self.pending += 1
        elif state in (State.INTENT, State.IN_DOUBT):
            self.doubts += 1
        elif state is State.FAILED:
            self.failed += 1


class ObservedPairs:
    """What lists have shown of the expected pairs: the whole table at once, or a list for each first id."""

    def __init__(self, expected: ExpectedPairs) -> None:
        self._expected = expected
        self._first = 0
        self._second_ids = array("q")
        self._list_strangers = 0
        self.begin_table()

    def begin_table(self) -> None:
        """Everything is about to be listed: forget what was seen."""
        self.seen = PairSet()
        self.doubled = PairSet()
        self.strangers = 0

    def take_table(self, records: list[Record]) -> None:
        for _, pair in records:
            if pair in self._expected:
                if not self.seen.add(pair):
                    self.doubled.add(pair)
            elif pair[0] in self._expected.first_ids:
                self.strangers += 1

    def begin_list(self, first: int) -> None:
        """The list of this first id is about to be read, perhaps not for the first time."""
        self._first = first
        self._second_ids = array("q")
        self._list_strangers = 0

    def take_list(self, records: list[Record]) -> None:
        """Records of other first ids are passed over: a server need not filter."""
        for _, pair in records:
            if pair[0] == self._first:
                if pair in self._expected:
                    self._second_ids.append(pair[1])
                else:
                    self._list_strangers += 1

    def end_list(self) -> None:
        """The list is known to be whole."""
        pairs = [(self._first, second) for second in self._second_ids]
        for i in self.seen.add_all(pairs):
            self.doubled.add(pairs[i])
        self.strangers += self._list_strangers
        self.begin_list(0)
