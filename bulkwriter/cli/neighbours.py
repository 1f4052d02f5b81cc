"""Two runs over the same pairs: the one that meets the other's is refused, or warned, before it sends them.

`Neighbours` is told of a run's rows as its source gives them (`watching`), before any of them becomes an intent, and
holds the first ones against the runs that `run.registry` knows of the same server and account:

    at work, and of the same source, or with one of the first pairs in common    refused (exit 5), unless --yes
    such a run that ended before its time, or was killed                         told: its command goes on with it
    such a run that is finished, or any other                                    nothing

Pairs that both have behind their first ones are met later, once they are intents (`run.peers`).  The same journal needs
no such look: its lock does that.

Invariant: a registry that cannot be written changes nothing but a note.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AnotherRun, BulkwriterError, Exit
from ..model import iso
from . import describe

if TYPE_CHECKING:
    from ..run.registry import Entry, Registry
    from ..settings import Settings
    from .ending import Ending
    from .stderr import Stderr


class Neighbours:
    """One run among others."""

    def __init__(self, stderr: Stderr, registry: Registry, entry: Entry, *, source: str, is_forced: bool) -> None:
        self._stderr, self._registry, self._entry = stderr, registry, entry
        self._source, self._is_forced = source, is_forced
        self._pairs: dict[tuple[int, int], None] = {}
        self._told: set[str] = set()
        self._is_begun = False
        self._has_given = False  # rows that may have been sent
        self.before = registry.get(entry)
        """What the last start with this journal told, if there was one."""

    @classmethod
    def of(
        cls, stderr: Stderr, source: str, settings: Settings, *, is_forced: bool, entity: str = ""
    ) -> Neighbours | None:
        """None where there is no place for a registry."""
        from ..run.registry import begun_by

        found = begun_by(settings, source=source, entity=entity)
        return cls(stderr, *found, source=source, is_forced=is_forced) if found else None

    def watching(self, source: Any) -> Any:
        """The source, with each batch shown to us before it is handed on."""
        return Watched(source, self)

    def see(self, pairs: Iterable[tuple[int, int] | None]) -> None:
        """Rows of ours.  Raises `AnotherRun` where another run at work has some of the first ones."""
        from ..run.registry import ROWS, rows_of

        known = len(self._pairs)
        for pair in pairs:
            if len(self._pairs) >= ROWS:
                break
            if pair is not None:
                self._pairs[pair] = None
        if len(self._pairs) == known and self._is_begun:
            return
        self._is_begun = True
        self._entry = dataclasses.replace(self._entry, rows=rows_of(self._pairs))
        with self._registry.locked():
            self._put()
            others = self._registry.others(self._entry)
        for other in others:
            is_open = not other.is_finished and other.may_have_written
            if is_open and other.overlaps(self._entry) and other.journal not in self._told:
                self._told.add(other.journal)
                self._judge(other)
        self._has_given = True

    def end(self, ending: Ending) -> None:
        """Tell how it ended."""
        if not self._is_begun:
            return
        counts, rows = ending.summary.counts, ending.summary.rows
        is_over = ending.exit_code in (Exit.OK, Exit.INCOMPLETE) and not ending.title and not rows.not_read
        reason = str(ending.error or ending.summary.reason).partition("\n")[0]
        self._entry = self._entry.ended(counts, exit_code=int(ending.exit_code), reason=reason, is_over=is_over)
        self._put()

    def _put(self) -> None:
        trouble = self._registry.put(self._entry)
        if trouble and trouble not in self._told:
            self._note(trouble, f"other runs are not told of this one: {trouble}")

    def _judge(self, other: Entry) -> None:
        stands = {} if other.is_at_work else standing_of(other)
        if stands.get("state") == "finished":
            return
        if not other.is_at_work:
            when = describe.when(iso(other.ended_at or other.started_at) or "")
            how = f"ended at {when} with pairs left" if other.ended_at else f"began at {when} and was cut off"
            if stands.get("state") == "undone":
                how = f"was undone at {describe.when(stands['undone_at'])}"
            elif not other.ended_at and not Path(other.journal).is_file():  # `peers` cannot tell what it had claimed
                how += " (without --after-loss, what it had on its way could be created twice by this run)"
            self._note(other.journal, f"a run of {named(other)} {how}; some of its pairs are in {self._source} too")
        elif self._is_forced:
            self._note(other.journal, self._both(other))
        else:
            raise self._refusal(other)

    def _both(self, other: Entry) -> str:
        return f"a run at work has pairs of this source, and both may write them: {named(other)}"

    def _refusal(self, other: Entry) -> AnotherRun:
        """The error that ends this run.  If it has given no rows yet, nothing is left of this start."""
        hint = (
            "let it end, then give the same command again, which looks up what is there by now (`bulkwriter status "
            f"{shlex.quote(other.journal)}`); with --yes this one goes on, and pairs that both send are doubled"
        )
        if not self._has_given:
            self._is_begun = False
            if self.before:
                self._registry.put(self.before)
            else:
                self._registry.drop(self._entry)
        return AnotherRun(f"a run at work has pairs of this source: {named(other)}, pid {other.pid}", hint=hint)

    def _note(self, about: str, text: str) -> None:
        self._told.add(about)
        self._stderr.note(text)


def standing_of(entry: Entry) -> dict[str, Any]:
    """How its journal stands, however its last start ended: that may have found a changed source.  Empty where the
    journal does not tell.
    """
    from .runs import of_journal

    with contextlib.suppress(BulkwriterError, OSError):
        return of_journal(entry.journal)
    return {}


def named(other: Entry) -> str:
    return f"{other.source} with journal {other.journal}"


class Watched:
    """A source whose rows are seen by `Neighbours`; all else is its own."""

    def __init__(self, source: Any, neighbours: Neighbours) -> None:
        self._source, self._neighbours = source, neighbours

    async def read(self, max_rows: int) -> Any:
        batch = await self._source.read(max_rows)
        if batch:
            self._neighbours.see(batch.pairs)
        return batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
