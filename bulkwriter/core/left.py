"""How much of a run is left: the rows of its source, known or estimated, and what of them is still to be done.

A source is read from its beginning at each start, and no further than pairs can be sent.  So how many rows it has is
known once a start has read it whole; before that it is estimated from the share of its bytes that was read, and never
from less of it than an earlier start has read.  What an earlier start knew holds until this one has read as far.

    total = rows read / share of the bytes read        100 rows of a tenth: about 1,000

Everything that says what is left (summary, progress, `status`, `plan`, forecasts) counts it by `to_do`.

Invariants: a total is never less than the rows read; exact is said only of a source that was read to its end.
Pure.  Not here: who remembers it from start to start (`store.starts`), when it will be done (`quota.eta`).
"""

from __future__ import annotations

from typing import Final

from ..model import Counts, Rows

LEAST: Final = 1e-9
"""A smaller share tells nothing of the whole."""


SAME: Final = 0.001
"""Estimates that differ by less are the same: the earlier one stays, so that what is told is what was noted."""


def to_do(counts: Counts, not_read: int | None, *, is_alive: bool) -> int:
    """Rows that something has yet to be done about: sent, looked up or read, by this process or by the next start.

    Failed pairs are tried again by the next start only.  Nothing is added where `not_read` is not known.
    """
    failed = 0 if is_alive else counts.failed
    return counts.pending + counts.in_doubt + failed + (not_read or 0)


class RowTotal:
    """How many rows one source has; `noted` is what earlier starts knew of it."""

    def __init__(self, noted: Rows, *, first_seq: int = 0) -> None:
        self._first = first_seq
        self._total, self._is_exact = noted.total, noted.is_exact
        self._basis = noted.read
        self._noted = noted
        self._announced = noted.total, noted.is_exact

    def read_to(self, seq: int, share: float | None) -> None:
        """Rows up to `seq` were read, `share` of the source's bytes (None: of a source of unknown size)."""
        if seq < self._basis or (seq == self._basis and self._is_exact):
            return  # an earlier start has read further, or the whole of it
        self._basis = seq
        rows = seq - self._first
        is_known = rows > 0 and share is not None and share > LEAST
        total = self._first + max(rows, round(rows / (share or 1.0))) if is_known else None
        previous, self._is_exact = None if self._is_exact else self._total, False
        is_same = total is not None and previous is not None and abs(total - previous) <= SAME * previous
        self._total = max(seq, previous) if is_same and previous is not None else total

    def ended_at(self, seq: int) -> None:
        """The source was read to its end."""
        self._total, self._is_exact, self._basis = seq, True, seq

    def news(self) -> tuple[int | None, bool] | None:
        """The total and whether it is exact, where that was not told yet."""
        now = self._total, self._is_exact
        if now == self._announced:
            return None
        self._announced = now
        return now

    @property
    def grown_from(self) -> int | None:
        """How many rows the source had when an earlier start read it whole, if it has more by now."""
        noted = self._noted
        return noted.total if noted.is_exact and noted.total is not None and self._basis > noted.total else None

    def rows(self, read: int) -> Rows:
        """With the rows that the journal holds."""
        return Rows.known(self._total, is_exact=self._is_exact, read=read)
