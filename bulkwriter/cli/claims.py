"""The pairs that other runs have claimed since this one began, by their journals.

    at work when this run began     what it was still to send then, and every row that it has added since
    begun later                     every row: the lists that this run made of the server may not show its records

`Claims` keeps those of one run as a bitmap, a few bytes a pair.  It is asked only where there is such a run.

Not here: what follows where a pair is claimed (`neighbours`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..core.dedupe import PairSet
from ..store.claims import claims_from


class Claims:
    """The claims in one journal."""

    def __init__(self, journal: str, *, is_later: bool) -> None:
        self._path = Path(journal)
        self._has_created = is_later
        self._seq = 0
        self._pairs = PairSet()

    def read(self) -> None:
        """Take the rows that were added since the last call.  Blocks.  Raises `JournalError`."""
        for seq, pairs in claims_from(self._path, self._seq, has_created=self._has_created):
            self._pairs.add_all(pairs)
            self._seq = seq
        self._has_created = True  # what is added from now on is not on the lists that were made before

    def first_of(self, pairs: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
        """The first of these pairs that is claimed."""
        return next((pair for pair in pairs if pair is not None and pair in self._pairs), None)
