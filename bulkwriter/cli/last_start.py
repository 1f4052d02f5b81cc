"""What a journal tells of its source and of its last start, for `status`, `plan` and a start that never began.

Counts, rows of the source, why and when the last start ended, and until when to wait, all as of one moment of the
journal.  Keys and numbers are those of `run --json` (`Summary.to_json`), from the same nouns.  A journal of an older
version tells less: null, and no line.

Invariant: reads only.  Not here: how it was noted (`store.starts`), what lies ahead (`status_ahead`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..model import Counts, Rows, iso
from ..store.starts import Start, Undone, last_start, source_rows, undone, waits_until
from . import describe

if TYPE_CHECKING:
    from ..store.journal_reader import JournalReader

KILLED: Final = "did not note its end: it was killed, or its disk failed"


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run stands by its journal; `start` None where no start was noted."""

    counts: Counts
    rows: Rows
    start: Start | None
    is_alive: bool
    resume_at: float | None = None
    is_theirs: bool = False
    undone: Undone | None = None

    @property
    def source(self) -> Rows | None:
        """The rows of the source; None where all pairs were given one by one."""
        return None if self.counts.pairs and not self.rows.read and self.rows.total is None else self.rows

    @property
    def ended_reason(self) -> str | None:
        """Why the last start ended; None while it goes on, and where that is not known."""
        if self.is_alive or self.start is None:
            return None
        return self.start.ended.reason if self.start.ended else f"the last start {KILLED}"

    def to_json(self) -> dict[str, Any]:
        ended = self.start.ended if self.start and not self.is_alive else None
        return {
            **self.rows.to_json(),
            "ended_reason": self.ended_reason,
            "ended_code": ended.code if ended else None,
            "ended_exit_code": ended.exit_code if ended else None,
            "ended_at": iso(self.start.ended_at) if self.start and ended else None,
            "resume_at": iso(self.resume_at),
            "undone_at": iso(self.undone.at) if self.undone else None,
            "undone_deleted": self.undone.deleted if self.undone else None,
        }


def run_state_of(reader: JournalReader) -> RunState:
    """Read it.  A start of which somebody holds the journal goes on."""
    states, read, meta = reader.summary()
    is_alive = reader.writer() is not None
    resume_at, is_theirs = waits_until(meta, time.time(), is_alive=is_alive)
    counts, rows = Counts.of(states), source_rows(meta, read)
    return RunState(counts, rows, last_start(meta), is_alive, resume_at, is_theirs, undone(meta))


def lines(run_state: RunState) -> list[tuple[str, str]]:
    """The same for people, each with its word."""
    rows = []
    start = run_state.start
    if start and not run_state.is_alive:
        if start.ended:
            at = describe.when(iso(start.ended_at) or "")
            rows.append(("ended", f"{at}, exit {start.ended.exit_code}: {start.ended.reason}"))
        else:
            since = f" of {describe.when(iso(start.began_at) or '')}" if start.began_at else ""
            rows.append(("ended", f"not by itself: the start{since} {KILLED}"))
    if run_state.resume_at is not None:
        from ..model import moment

        why = ", as the server asked" if run_state.is_theirs else ", when the spent quota has room again"
        rows.append(("wait", f"until {moment(run_state.resume_at)}{why}"))
    if run_state.undone:
        rows.append(("undone", undone_words(run_state.undone)))
    return rows


def undone_words(undo: Undone) -> str:
    """When the last undo was, and what it did."""
    what = "not to its end" if undo.deleted is None else f"{describe.quantity(undo.deleted, 'record')} deleted"
    return f"{describe.when(iso(undo.at) or '')}, {what}; another start writes these pairs again"
