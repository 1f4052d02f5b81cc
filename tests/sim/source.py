"""A source of rows that come in pieces, as from a pipe: at its own pace, never more than asked for."""

from __future__ import annotations

import random

import anyio

from bulkwriter.model import BadRow, Batch

from .server import Pair

BAD = BadRow("CourseLessonId is not a whole number from 1 to 2^63-1", "x,y")


class SimSource:
    """See `bulkwriter.sources.Source`."""

    name = "rows.csv"

    def __init__(self, rows: list[Pair | None], rng: random.Random) -> None:
        self._rows = rows
        self._rng = rng
        self._at = 0
        self._is_slow = rng.random() < 0.2

    async def read(self, max_rows: int) -> Batch | None:
        if self._is_slow:
            await anyio.sleep(self._rng.expovariate(20))
        if self._at >= len(self._rows):
            return None
        first = self._at
        count = self._rng.randint(1, max_rows) if self._is_slow else max_rows
        rows = self._rows[first : first + count]
        self._at += len(rows)
        bad = {i: BAD for i, row in enumerate(rows) if row is None}
        return Batch(rows, range(first + 2, first + 2 + len(rows)), bad)

    def fraction(self) -> float | None:
        return self._at / len(self._rows) if self._rows else None

    async def aclose(self) -> None:
        """Nothing is open."""
