"""The stub's table of records that link two ids, in the order in which they were committed.

Completed lessons link a lesson and a member, enrolments a course and a coworker.  So does `pair` below.
Columns, not objects: a record is a *position* in three arrays (first id, second id, commit time), its id is
`first_id` + position, and a deleted one is only marked.  So a create costs three appends, and a million records about
30 MB.  Both ids and commit times grow with the position; that is what makes newest-first pages, a list lag and time
ranges slices instead of scans.

Indexes by either id are caught up when somebody lists by them: creates do not pay for lists that nobody
makes.  Whether a pair is there already is kept only once somebody asks for it.

Pure: `now` is an argument (monotonic seconds) and must not go back.  Knows nothing of JSON or of filters by text.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

Positions = Sequence[int]
"""Places in the table, ascending."""


class Double(NamedTuple):
    """A pair that has more than one record."""

    pair: tuple[int, int]
    ids: tuple[int, ...]


class Records:
    """The table."""

    def __init__(self, first_id: int) -> None:
        self.first_id = first_id
        self.firsts, self.seconds, self.times = array("q"), array("q"), array("d")
        self._dead: set[int] = set()
        self._pairs: dict[int, set[int]] | None = None
        self._by_first, self._by_second = Index(self.firsts), Index(self.seconds)
        self.seeded = 0
        self._living: array[int] | None = None  # all positions but the dead; made at the first delete

    def __len__(self) -> int:
        return len(self.times) - len(self._dead)

    @property
    def created(self) -> int:
        """Records that requests made, deleted ones included."""
        return len(self.times) - self.seeded

    @property
    def deleted(self) -> int:
        return len(self._dead)

    def add(self, first: int, second: int, now: float) -> int:
        """Commit a record and return its id.  Ids of records must be 1 to 2^63-1."""
        position = len(self.times)
        self.firsts.append(first)
        self.seconds.append(second)
        self.times.append(now)
        if self._pairs is not None:
            self._pairs[first].add(second)
        if self._living is not None:
            self._living.append(position)
        return self.first_id + position

    def seed(self, pairs: Iterable[tuple[int, int]], at: float) -> None:
        """Put the records there that nobody's request made."""
        for first, second in pairs:
            self.add(first, second, at)
            self.seeded += 1

    def has_pair(self, first: int, second: int) -> bool:
        """Whether the pair has a record.  From the first call on a set of pairs is kept; every `add` pays for it."""
        if self._pairs is None:
            self._pairs = defaultdict(set)
            for position in self.find():
                self._pairs[self.firsts[position]].add(self.seconds[position])
        return second in self._pairs.get(first, ())

    def position(self, record_id: int) -> int | None:
        """Where the record is, or None if there is none with this id (any more)."""
        position = record_id - self.first_id
        return position if 0 <= position < len(self.times) and position not in self._dead else None

    def remove(self, record_id: int) -> bool:
        """Delete a record; False if there is none."""
        position = self.position(record_id)
        if position is None:
            return False
        if self._living is None:
            self._living = array("q", (p for p in range(len(self.times)) if p not in self._dead))
        del self._living[bisect_left(self._living, position)]
        self._by_first.drop(position)
        self._by_second.drop(position)
        self._dead.add(position)
        if self._pairs is not None and not self.find(self.firsts[position], self.seconds[position]):
            self._pairs[self.firsts[position]].discard(self.seconds[position])
        return True

    def committed_by(self, when: float) -> int:
        """How many positions were committed at or before `when`, deleted ones included."""
        return bisect_right(self.times, when)

    def find(self, first: int | None = None, second: int | None = None) -> Positions:
        """The positions of a first id, of a second id, of both, or of all."""
        if first is None and second is None:
            return range(len(self.times)) if self._living is None else self._living
        by_first = None if first is None else self._by_first.find(first, self._dead)
        by_second = None if second is None else self._by_second.find(second, self._dead)
        if by_second is None:
            assert by_first is not None
            return by_first
        if by_first is None:
            return by_second
        if len(by_first) < len(by_second):
            return [p for p in by_first if self.seconds[p] == second]
        return [p for p in by_second if self.firsts[p] == first]

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """(record id, first id, second id) of each record, by id."""
        for position in self.find():
            yield self.first_id + position, self.firsts[position], self.seconds[position]

    def doubles(self) -> Iterator[Double]:
        """Each pair with more than one record.  Takes about 0.3 µs a record."""
        for first, positions in self._by_first.groups(self._dead):
            if len(positions) == len({self.seconds[p] for p in positions}):
                continue
            by_second: dict[int, list[int]] = defaultdict(list)
            for p in positions:
                by_second[self.seconds[p]].append(self.first_id + p)
            for second, ids in by_second.items():
                if len(ids) > 1:
                    yield Double((first, second), tuple(ids))


class Index:
    """The living positions by the value of one column."""

    def __init__(self, column: array[int]) -> None:
        self._column = column
        self._upto = 0
        self._by_value: dict[int, array[int]] = {}

    def find(self, value: int, dead: set[int]) -> array[int]:
        self._catch_up(dead)
        return self._by_value.get(value) or array("q")

    def groups(self, dead: set[int]) -> Iterator[tuple[int, array[int]]]:
        self._catch_up(dead)
        return iter(self._by_value.items())

    def drop(self, position: int) -> None:
        """Forget a position, if it was indexed already."""
        if position < self._upto:
            positions = self._by_value[self._column[position]]
            del positions[bisect_left(positions, position)]

    def _catch_up(self, dead: set[int]) -> None:
        by_value, column = self._by_value, self._column
        for position in range(self._upto, len(column)):
            if position in dead:
                continue
            value = column[position]
            positions = by_value.get(value)
            if positions is None:
                by_value[value] = positions = array("q")
            positions.append(position)
        self._upto = len(column)
