"""Two runs over the same pairs: the one that meets the other's is refused, or warned, before it sends them.

`Neighbours` is told of a run's rows as its source gives them (`watching`), before any of them becomes an intent, and
holds them against the runs that `run.registry` knows of the same server and account:

    at work, and of the same source, or with one of the first pairs in common    refused (exit 5), unless --yes
    at work then or since, and its journal has claimed one of the pairs          refused (exit 5), unless --yes
    such a run that ended before its time, or was killed                         told: its command goes on with it
    such a run that is finished, or any other                                    nothing

Both would look before either writes, so `--existing check` does not see what the other is about to send.  A run that
begins later is noticed with the next rows, as the folder of the registry has changed.  What is left: pairs that both
read within the moment that it takes to commit them.  The same journal needs no such look: its lock does that.

Invariants: a registry that cannot be written, and a journal that cannot be read, change nothing but a note.  A run
alone asks for the time of one folder a batch, and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AnotherRun, BulkwriterError, Exit, JournalError
from ..model import iso
from . import describe

if TYPE_CHECKING:
    from ..run.registry import Entry, Registry
    from ..settings import Settings
    from .claims import Claims
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
        self._changed_at = 0
        self._claims: dict[str, tuple[Entry, Claims]] = {}  # by journal, of runs at work since this one began

    @classmethod
    def of(
        cls, stderr: Stderr, source: str, settings: Settings, *, is_forced: bool, entity: str = ""
    ) -> Neighbours | None:
        """None where there is no place for a registry."""
        from ..quota.ledger import ledger_path
        from ..run.registry import Entry, Registry

        if not isinstance(settings.journal, Path):
            return None  # a part in a database has one writer by itself
        try:
            registry = Registry(ledger_path(settings.ledger))
        except BulkwriterError:
            return None
        entry = Entry.begun(
            base_url=settings.base_url,
            account=settings.account,
            source=source,
            journal=settings.journal,
            entity=entity,
        )
        return cls(stderr, registry, entry, source=source, is_forced=is_forced)

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

    async def compare(self, pairs: Sequence[tuple[int, int] | None]) -> None:
        """Hold rows of ours against what others have claimed.  Raises `AnotherRun` where they have one of them."""
        changed_at = self._registry.changed_at()
        if changed_at != self._changed_at:
            self._changed_at = changed_at
            self._meet_others()
        for other, claims in list(self._claims.values()):
            try:
                await asyncio.to_thread(claims.read)
            except JournalError as error:
                if error.message not in self._told:
                    self._note(error.message, f"pairs of a run at work cannot be compared with these: {error.message}")
                continue
            if (pair := claims.first_of(pairs)) and not self._is_forced:
                raise self._refusal(other, f"{pair[0]},{pair[1]} among them")
            if pair and other.journal not in self._told:
                self._note(other.journal, self._both(other))
        self._has_given = True

    def _meet_others(self) -> None:
        """Find the runs that are, or were, at work since this one began."""
        from .claims import Claims

        for other in self._registry.others(self._entry):
            is_later = other.started_at >= self._entry.started_at
            if other.journal not in self._claims and (other.is_at_work or (is_later and other.may_have_written)):
                self._claims[other.journal] = other, Claims(other.journal, is_later=is_later)

    def end(self, ending: Ending) -> None:
        """Tell how it ended."""
        if not self._is_begun:
            return
        counts, rows = ending.summary.counts, ending.summary.rows
        is_over = ending.exit_code in (Exit.OK, Exit.INCOMPLETE) and not ending.title
        self._entry = dataclasses.replace(
            self._entry,
            ended_at=time.time(),
            is_finished=is_over and not (counts.pending or counts.in_doubt or counts.failed or rows.not_read),
            may_have_written=bool(ending.summary.attempts or counts.created or counts.in_doubt),
            exit_code=int(ending.exit_code),
            reason=str(ending.error or ending.summary.reason).partition("\n")[0][:200],
        )
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
            elif not other.ended_at:
                how += " (without --after-loss, what it had on its way could be created twice by this run)"
            self._note(other.journal, f"a run of {named(other)} {how}; some of its pairs are in {self._source} too")
        elif self._is_forced:
            self._note(other.journal, self._both(other))
        else:
            raise self._refusal(other, f"pid {other.pid}")

    def _both(self, other: Entry) -> str:
        return f"a run at work has pairs of this source, and both may write them: {named(other)}"

    def _refusal(self, other: Entry, detail: str) -> AnotherRun:
        """The error that ends this run.  If it has given no rows yet, nothing is left of this start."""
        is_at_work, journal = other.is_at_work, shlex.quote(other.journal)
        again = "give the same command again, which looks up what is there by now"
        hint = f"let it end, then {again}" if is_at_work else again
        hint += f" (`bulkwriter status {journal}`); with --yes this one goes on, and pairs that both send are doubled"
        if self._has_given:
            own = shlex.quote(self._entry.journal)
            hint += (
                ".  This run has sent pairs before it met the other, which may send them too: when both have ended, "
                f"`bulkwriter verify {own}` tells whether any are doubled"
            )
        elif self.before:
            self._is_begun = False
            self._registry.put(self.before)
        else:
            self._is_begun = False
            self._registry.drop(self._entry)
        how = "at work" if is_at_work else "that was at work a moment ago"
        return AnotherRun(f"a run {how} has pairs of this source: {named(other)}, {detail}", hint=hint)

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
            await self._neighbours.compare(batch.pairs)
        return batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
