"""The source that is being taken: whether it ends before its last row, and why.

An error of the source ends it and nothing else.  An error that keeps the whole writer from sending ends it as well,
since it may be long until sending goes on, and whoever gave the source decides what to do then.  Pairs given one by one
wait instead (`health`).

Invariant: after `end` no pair of the source is sent any more; `unsent` has those that had an intent by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from ..errors import BulkwriterError
from ..model import Intent


class TakenSource:
    """One source, from its first row until it was left."""

    __slots__ = ("_is_finishing", "_scope", "began_at", "error", "is_ended", "reopened", "unsent")

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.error: BulkwriterError | None = None
        """Why it ends early, if an error is the reason."""
        self.is_ended = False
        """Whether no more rows of it are taken."""
        self.unsent: list[Intent] = []
        self._is_finishing = False
        self.reopened: set[int] = set()
        """Seqs of rows that single writes try again although they had their outcome.  It waits for none of them."""
        self._scope: anyio.CancelScope | None = None

    def finishes(self) -> None:
        """All rows that it takes were taken, and it waits for their outcomes."""
        self._is_finishing = True

    def note_reopened(self, seq: int) -> None:
        """A single write tries a row again that has an outcome."""
        if self._is_finishing:
            self.reopened.add(seq)

    def took_back(self, unsent: list[Intent]) -> None:
        """These pairs of it are `pending` again."""
        self.unsent += unsent

    def end(self, error: BulkwriterError | None = None) -> None:
        """Take no more rows.  The first error counts."""
        self.error = self.error or error
        self.is_ended = True
        if self._scope:
            self._scope.cancel()

    @contextmanager
    def until_ended(self) -> Iterator[None]:
        """Anything awaited inside ends without an error when the source ends."""
        with anyio.CancelScope() as self._scope:
            if self.is_ended:
                self._scope.cancel()
            try:
                yield
            finally:
                self._scope = None
