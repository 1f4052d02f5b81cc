"""Which pairs have a row in the journal already, and which row.  Its methods are called in the journal's thread.

The journal alone decides who makes the row of a pair, since its operations have an order: the second of a source and a
single write finds the row of the first.  So neither has to know of the other.

Nearly every pair is new.  An index in the database would tell that for 4 µs and 25 bytes a row.  A set of the pairs in
memory tells it for 0.3 µs:

    not in the set      the pair is new
    in the set          the row is looked for in the database

Rows of earlier starts are not in the set at first.  While that is so, each group of pairs is looked for among them by a
scan, 0.2 s for 10^6 rows.  After `SCANS` of these the set is completed, which takes as long as they did together.  In
the same way pairs that are in the set are looked for by scans, and after `SCANS` of them the database gets its index.
So a journal to which few pairs are given twice never has one.

Invariant: once a region is begun, the set has the pair of each of its rows from `since` on.  Not here: what becomes of
a row (`entrance`), and the pairs that a source repeats (`intake`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from ..core.dedupe import PairSet
from ..core.pairs import INTENT, PENDING
from ..model import SINGLE_SEQ, State
from ..rows import AppendRow
from ..store.journal import ALL_SEQS, Journal
from ..store.journal_rows import SCAN_ROWS
from ..store.schema import ExportRow

SCANS: Final = 8
"""To complete the set, or to make the index, costs about as much as so many scans: 2 to 3 s for 10^6 rows."""
DUPLICATE: Final = int(State.DUPLICATE)


class Region:
    """The pairs of the source's rows, or of single rows.  The rows from `first` up to `since` are not in it yet."""

    __slots__ = ("first", "pairs", "since")

    def __init__(self, first: int, since: int) -> None:
        self.first, self.since = first, since
        self.pairs = PairSet()

    @property
    def missing(self) -> int:
        return self.since - self.first

    def complete(self, journal: Journal) -> None:
        """Read the rows that are missing."""
        for at in range(self.first, self.since, SCAN_ROWS):
            self.pairs.add_all(journal.read_pairs(at, min(SCAN_ROWS, self.since - at)))
        self.since = self.first


class RowFinder:
    """Finds the rows of pairs in one journal.  All rows that are appended must go through `append`."""

    def __init__(self) -> None:
        self._regions: tuple[Region, Region] | None = None
        self._scanned_missing = 0
        self._scanned = 0

    def find(
        self, journal: Journal, pairs: Collection[tuple[int, int]], *, before: int = ALL_SEQS
    ) -> dict[tuple[int, int], ExportRow]:
        """For each of these pairs the newest row before seq `before` that is no duplicate, if there is one."""
        source, singles = self._begun(journal)
        missing = source.missing + singles.missing
        if missing and not journal.has_index:
            self._scanned_missing += missing
            if self._scanned_missing > SCANS * missing:
                source.complete(journal)
                singles.complete(journal)
                missing = 0
        if not missing:
            pairs = {*singles.pairs.among(pairs), *source.pairs.among(pairs)}
            if pairs and not journal.has_index:
                rows = journal.rows + journal.next_single_seq - SINGLE_SEQ
                self._scanned += rows
                if self._scanned > SCANS * rows:
                    journal.index_pairs()
        return journal.find_all(pairs, before=before) if pairs else {}

    def append(
        self, journal: Journal, rows: Sequence[AppendRow], note: Mapping[str, str] | None = None
    ) -> frozenset[int]:
        """Add rows.  A source's row whose pair was given one by one becomes a `duplicate`; return the seqs of these."""
        late: frozenset[int] = frozenset()
        if not rows:
            return late
        is_single = rows[0][0] >= SINGLE_SEQ
        if not is_single and journal.next_single_seq > SINGLE_SEQ:
            rows, late = self._without_singles(journal, rows)
        if self._regions:
            pairs = self._regions[is_single].pairs
            pairs.add_all([None if row[1] is None else (row[1], row[2]) for row in rows])  # type: ignore[misc]
        journal.append(rows, note)
        return late

    def _without_singles(
        self, journal: Journal, rows: Sequence[AppendRow]
    ) -> tuple[Sequence[AppendRow], frozenset[int]]:
        singles = self._begun(journal)[1]
        if singles.missing:
            singles.complete(journal)
        given = singles.pairs
        late = frozenset(row[0] for row in rows if row[4] in (PENDING, INTENT) and (row[1], row[2]) in given)  # type: ignore[operator]
        if late:
            rows = [(*row[:4], DUPLICATE, None) if row[0] in late else row for row in rows]
        return rows, late

    def _begun(self, journal: Journal) -> tuple[Region, Region]:
        if self._regions is None:
            self._regions = Region(0, journal.rows), Region(SINGLE_SEQ, journal.next_single_seq)
        return self._regions
