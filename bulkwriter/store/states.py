"""The state of every row in one byte each, and how many rows are in each state.

SQLite has no cheap way to tell a row's state before an update, or to count ten million rows: GROUP BY takes 3.4 s.  A
partial index of the open states would make every append and update slower.  One `group_concat` scan takes about 2 s for
10^7 rows (without the GIL) and 10 MB.  It then answers counts, doubts and "which rows are still to be sent" at once.

Invariant: `counts[s]` is the number of bytes equal to `s`, and of the rows that were dropped in that state; byte i of a
region is the state of row `start + i`.
There are two regions, the source's rows from 0 and the single ones from `SINGLE_SEQ`, each without gaps.  A single row
that was dropped (`pruned`) has the byte `HOLE` and still counts in its state.
Not here: the disk (`bounds` reads it from there).  The owner changes this column together with the table, and drops it
when a transaction fails.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from ..model import SINGLE_SEQ, State
from .pruned import STATES, Pruned

SCAN_ROWS: Final = 10_000  # a string of 10 kB a step; longer ones measured slower
_KNOWN: Final = bytes(State)
HOLE: Final = 15
"""No state: the row was dropped."""


class StateColumn:
    """States by seq.  Not thread safe."""

    __slots__ = ("_counts", "_single", "_source", "pruned")

    def __init__(self, pruned: Pruned | None = None) -> None:
        self._source = bytearray()
        self._single = bytearray()
        self._counts = [0] * len(State)
        self.pruned = pruned or Pruned()
        """What was dropped; its holes are part of what `extend` is given."""
        for state, count in self.pruned.by_state.items():
            self._counts[state] += count

    @property
    def rows(self) -> int:
        """Rows of the source."""
        return len(self._source)

    @property
    def next_single_seq(self) -> int:
        return SINGLE_SEQ + len(self._single)

    def counts(self) -> dict[State, int]:
        """Rows by state, states without rows left out."""
        return {State(i): n for i, n in enumerate(self._counts) if n}

    def count(self, state: State) -> int:
        """How many rows are in this state."""
        return self._counts[state]

    def extend(self, first_seq: int, states: bytes) -> None:
        """Add rows at the end of their region.  Raises `ValueError` if that is not `first_seq`, or for an unknown
        state.
        """
        region = self._single if first_seq >= SINGLE_SEQ else self._source
        end = self.next_single_seq if first_seq >= SINGLE_SEQ else self.rows
        known = _KNOWN + bytes([HOLE]) if first_seq >= SINGLE_SEQ and self.pruned.rows else _KNOWN
        if first_seq != end or states.translate(None, known):
            raise ValueError(f"rows from {first_seq} are of unknown state, or cannot follow row {end - 1}")
        region += states
        for state in State:
            self._counts[state] += states.count(state)

    def put(self, seqs: Sequence[int], states: bytes) -> None:
        """Give rows, ascending, their states, whether they are there already or follow.  Raises as `extend` does."""
        singles = bisect_left(seqs, SINGLE_SEQ)
        for first, last, end in ((0, singles, self.rows), (singles, len(seqs), self.next_single_seq)):
            split = bisect_left(seqs, end, first, last)
            self.replace(seqs[first:split], states[first:split])
            if split < last:
                if seqs[last - 1] - seqs[split] != last - split - 1:
                    raise ValueError(f"rows are missing between {seqs[split]} and {seqs[last - 1]}")
                self.extend(seqs[split], states[split:last])

    def regions(self) -> tuple[bytes, bytes]:
        """The states of the source's rows, and of the single ones."""
        return bytes(self._source), bytes(self._single)

    def replace(self, seqs: Sequence[int], states: Sequence[int]) -> None:
        """Give rows new states.  A seq may come twice: the last state counts.  Raises `IndexError` for a missing
        row.
        """
        counts, source, single = self._counts, self._source, self._single
        for seq, state in zip(seqs, states, strict=True):  # a loop of 0.1 µs a row
            region, i = (single, seq - SINGLE_SEQ) if seq >= SINGLE_SEQ else (source, seq)
            if i < 0:
                raise IndexError(f"no row {seq}")
            counts[region[i]] -= 1
            counts[state] += 1
            region[i] = state

    def drop(self, seqs: Sequence[int], before: int) -> None:
        """These single rows, which are in states that may be dropped, are gone; all are below seq `before`."""
        counts = list(self.pruned[1:])
        for seq in seqs:
            i = seq - SINGLE_SEQ
            counts[STATES.index(State(self._single[i]))] += 1
            self._single[i] = HOLE
        self.pruned = Pruned(max(before, self.pruned.before), *counts)

    def is_hole(self, seq: int) -> bool:
        """Whether this row was dropped."""
        return seq >= SINGLE_SEQ and self._single[seq - SINGLE_SEQ] == HOLE

    def seqs(self, wanted: Collection[State], first_seq: int = 0) -> Iterator[int]:
        """Seqs of the rows in the wanted states (at least one state), ascending, of the regions from `first_seq` on."""
        pattern = re.compile(b"[" + re.escape(bytes(wanted)) + b"]")
        for start, region in ((0, self._source), (SINGLE_SEQ, self._single)):
            if start < first_seq:
                continue
            for found in pattern.finditer(bytes(region)):  # a copy: a bytearray cannot grow while a search holds it
                yield start + found.start()

    def slice(self, first_seq: int, limit: int) -> bytes:
        """The states of up to `limit` rows of one region from `first_seq` on, a byte each."""
        region, i = (self._single, first_seq - SINGLE_SEQ) if first_seq >= SINGLE_SEQ else (self._source, first_seq)
        return bytes(region[i : i + limit])

    def check(self) -> None:
        """Assert the invariant."""
        pruned = self.pruned.by_state
        for state in State:
            there = self._source.count(state) + self._single.count(state)
            assert self._counts[state] == there + pruned.get(state, 0), state
        assert self._single.count(HOLE) == self.pruned.rows
