"""What stands in for the journal when none is kept (`journal=None`): one byte a row, for the counts.

It gives up every promise that outlives the process: after a crash, a kill or just the end of the program nothing is
known, a second run sends every pair again, and only `--existing check` keeps those from being doubled; doubts cannot
be settled later; nothing can be exported, verified against a record of what was done, or undone.  Within one process
the rest holds: a pair is sent once, doubts are settled by looks, and counts add up.

Invariant: the same calls as `writer.JournalWriter` in the same order give the same counts and rows.  `run` is missing
on purpose: there is nothing to read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import JournalError
from ..model import State
from ..rows import AppendRow, SettleRow
from .states import StateColumn


class MemoryJournal:
    """Keeps counts, and nothing else.  Every call has happened when it returns."""

    is_durable: Final = False

    def __init__(self) -> None:
        self._states = StateColumn()
        self._is_open = False

    @property
    def rows(self) -> int:
        return self._states.rows

    @property
    def next_single_seq(self) -> int:
        return self._states.next_single_seq

    @property
    def counts(self) -> dict[State, int]:
        return self._states.counts()

    async def open(
        self,
        path: str | Path | None,
        *,
        base_url: str,
        account: str | None,
        columns: tuple[str, str],
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is opened; `path` must be None."""
        assert path is None, "a path is for JournalWriter"
        self._is_open = True

    async def append(self, rows: Sequence[AppendRow], note: Mapping[str, str] | None = None) -> None:
        self._require_open()
        if rows:
            if [row[0] for row in rows] != list(range(rows[0][0], rows[0][0] + len(rows))):
                raise ValueError("seqs of appended rows are not contiguous")
            self._states.extend(rows[0][0], bytes([row[4] for row in rows]))

    async def settle(self, rows: Sequence[SettleRow]) -> None:
        self._require_open()
        self._states.replace([row[0] for row in rows], [row[1] for row in rows])

    async def mark(self, seqs: Sequence[int], state: State) -> None:
        self._require_open()
        self._states.replace(seqs, [state] * len(seqs))

    async def recall(self, rows: Sequence[SettleRow], expected: Collection[int]) -> list[int]:
        self._require_open()
        states = [self._states.slice(row[0], 1)[0] for row in rows]
        await self.settle([row for row, state in zip(rows, states, strict=True) if state in expected])
        return states

    async def close(self, *, checkpoint: bool = True) -> None:
        self._is_open = False

    def _require_open(self) -> None:
        if not self._is_open:
            raise JournalError("the journal is not open")
