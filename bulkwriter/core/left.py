"""How much of a run is left: the rows of its source, exact or estimated, and how many of them still need work.

Each start reads its source from the beginning, and no further than pairs can be sent.  So the number of rows is known
only once a start has read the whole source.  Before that it is estimated from the share of the bytes that was read.  An
earlier start may have read further; its estimate then holds until this start has read as far.

    total = rows read / share of the bytes read        100 rows in a tenth of the bytes: about 1,000

Summary, progress, `status`, `plan` and forecasts all count the remaining work by `to_do`.

Invariants: a total is never less than the rows read.  A total is called exact only if the source was read to its end.
Pure.  Not here: the memory from start to start (`store.starts`), and the time that the rest takes (`quota.view`).
"""

from __future__ import annotations

from typing import Final

from ..model import Counts, Rows

LEAST: Final = 1e-9
"""A smaller share gives no estimate."""


SAME: Final = 0.001
"""Estimates that differ by less count as the same.  The earlier one stays, so that people are told the number that was
noted.
"""


def to_do(counts: Counts, not_read: int | None, *, is_alive: bool) -> int:
    """Rows that still need work by this process or the next start: a request, a look, or to be read.

    Failed pairs count only where this process has ended, since the next start tries them again.  Where `not_read` is
    not known, it adds nothing.
    """
    failed = 0 if is_alive else counts.failed
    return counts.pending + counts.in_doubt + failed + (not_read or 0)


class RowTotal:
    """The number of rows of one source.  `noted` is what earlier starts knew of it."""

    def __init__(self, noted: Rows, *, first_seq: int = 0) -> None:
        self._first = first_seq
        self._total, self._is_exact = noted.total, noted.is_exact
        self._basis = noted.read
        self._noted = noted
        self._announced = noted.total, noted.is_exact

    def read_to(self, seq: int, share: float | None) -> None:
        """Rows up to `seq` were read; they are `share` of the source's bytes (None: the size is unknown)."""
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
        """The total and whether it is exact; None if this was told before."""
        now = self._total, self._is_exact
        if now == self._announced:
            return None
        self._announced = now
        return now

    @property
    def grown_from(self) -> int | None:
        """If the source has grown since an earlier start read it whole: how many rows it had then."""
        noted = self._noted
        return noted.total if noted.is_exact and noted.total is not None and self._basis > noted.total else None

    def rows(self, read: int) -> Rows:
        """The total, together with the rows that the journal holds."""
        return Rows.known(self._total, is_exact=self._is_exact, read=read)
