"""The other writers of this user for the same server and account, so that no pair is sent by two of them.

Each writer with a journal file has its entry in the registry before it makes an intent, and holds the lock of its
journal.  Once its own intents are durable, and before it sends them, it reads what the others have claimed in their
journals (`store.claims`).  So of two writers that take the same pair at the same moment, one or both see the other:

    this one    intent durable ............. reads the other's claims --> gives way
    the other          ....... intent durable .................... reads this one's --> gives way, too

    the other has created the record     the pair is `existing` here, with that record id
    it may send the pair, or has         a single pair waits and tries again; a source ends (`contention`)
    it was killed meanwhile              the same: only its next start, or a list made later, tells what became of it
    anything else                        the pair is sent

A writer is a peer if it is at work when this one looks, or was since this one began, or so shortly before that lists
may not show what it wrote (`Unseen`).  Its records of that time may be on no list that this one has read.  `KEPT_S`
after its end they are, since lists are freshened more often than that.

A writer alone asks for the time of one folder a commit, 2 µs.  That time has ticks, so what is seen in the first moment
after a change is looked at again.

Invariants: only a commit that has a peer waits for this.  A registry that cannot be written, and a journal that cannot
be read, change nothing but a note.  Not here: writers that keep no journal in a file, and those of another machine,
another user or another state folder; nobody sees them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import anyio

from ..core.dedupe import PairSet
from ..entities import ORIGINAL
from ..errors import JournalError
from ..events import Event, Note
from ..listing.existing import FRESHEN_S
from ..model import State, Summary
from ..settings import Settings
from ..store.claims import START, claims_of, pairs_from
from ..store.wal import last_written_at
from .registry import Entry, Registry, begun_by

KEPT_S: Final = 2 * FRESHEN_S
CUT_OFF_S: Final = 60.0
"""A writer that is killed may have sent something for so long after it last wrote to its journal."""
TICK_S: Final = 0.02
"""Longer than a tick of any file system's clock: a folder that has had its time for so long has not changed again."""

Ids = tuple[int, int]


class Met(NamedTuple):
    """A pair that another writer has claimed; the record id if that writer has created it, else None."""

    record_id: int | None
    journal: str
    is_at_work: bool

    @property
    def who(self) -> str:
        how = "" if self.is_at_work else ", which has ended without an outcome of it,"
        return f"another writer{how} may have sent this pair, or is about to: the one with journal {self.journal}"

    @property
    def hint(self) -> str:
        if self.is_at_work:
            return "give the same pair again later, when that writer has settled it"
        return "start that writer again with its journal, which looks it up; then give the same pair again"


class PeersLike(Protocol):
    """What the engine asks of the other writers."""

    is_forced: bool
    """Whether a source sends what another writer has claimed."""

    def are_there(self) -> bool:
        """Whether there may be any.  Takes 2 µs."""
        ...

    async def met(self, pairs: Collection[Ids], *, above: int) -> dict[Ids, Met]:
        """Those of `pairs`, whose intents are durable, that others have claimed.

        `above`: the highest record id on the first list that this writer read.
        """
        ...


class Unseen(NamedTuple):
    """For how long lists may not show what a writer has sent: all that was answered, and what is in doubt."""

    list_lag_s: float
    late_apply_s: float

    def until(self, other: Entry) -> float:
        """When lists show what this writer sent that is at work no more; epoch seconds."""
        if not other.may_have_written:
            return 0.0
        if other.ended_at is None:
            return last_written_at(Path(other.journal)) + CUT_OFF_S + self.late_apply_s + self.list_lag_s
        return other.ended_at + self.list_lag_s + (0.0 if other.is_finished else self.late_apply_s)


class Peer:
    """What is known of one other writer.  `is_of_before`: it had ended when this one began, so ids that were listed by
    then do not tell that those below them were, too.
    """

    def __init__(self, entry: Entry, *, is_of_before: bool = False) -> None:
        self.entry, self.path = entry, Path(entry.journal)
        self._is_of_before = is_of_before
        self.ended_at = math.inf
        self._place, self._pairs = START, PairSet()

    def claimed(self, pairs: Collection[Ids], *, above: int, now: float) -> dict[Ids, Met]:
        """Those of `pairs` that it has claimed.  Raises `JournalError`."""
        above = 0 if self._is_of_before else above
        is_at_work = self.entry.is_at_work  # asked first: what it wrote until its end is read then
        if is_at_work or self.ended_at == math.inf:
            for place, fresh in pairs_from(self.path, self._place, above=above):
                self._pairs.add_all(fresh)
                self._place = place
        self.ended_at = math.inf if is_at_work else min(self.ended_at, now)
        asked = self._pairs.among(pairs)
        claims = claims_of(self.path, asked, above=above) if asked else {}
        return {
            pair: Met(claim.record_id if claim.state is State.CREATED else None, self.entry.journal, is_at_work)
            for pair, claim in claims.items()
        }


class Peers:
    """One writer among others.  `begin` and `end` block."""

    def __init__(
        self, registry: Registry, entry: Entry, *, tell: Callable[[Event], None], unseen: Unseen,
        kept_s: float = KEPT_S, is_forced: bool = False,
    ) -> None:  # fmt: skip
        self.is_forced = is_forced
        self._unseen = unseen
        self._registry, self._entry, self._tell, self._kept_s = registry, entry, tell, kept_s
        self._is_known = False
        self._before: Entry | None = None
        self._peers: dict[str, Peer] = {}
        self._changed_at = -1
        self._settles_at = math.inf
        """When nothing may have changed any more with this time of the folder."""
        self._told: set[str] = set()
        self._asking = anyio.Lock()

    @classmethod
    def of(
        cls, settings: Settings, *, entity: str, tell: Callable[[Event], None], is_forced: bool = False
    ) -> Peers | None:
        """None for a writer without a journal file, and where there is no place for a registry."""
        found = begun_by(settings, source="", entity="" if entity == ORIGINAL else entity)
        kept_s = math.inf if settings.existing == "skip" else KEPT_S
        unseen = Unseen(settings.list_lag_s, settings.late_apply_s)
        return cls(*found, tell=tell, kept_s=kept_s, is_forced=is_forced, unseen=unseen) if found else None

    def begin(self) -> None:
        """Let others know of this writer, before its first intent and while it holds the lock of its journal."""
        self._is_known = True
        entry, before = self._entry, self._registry.get(self._entry)
        if before:
            entry, self._before = dataclasses.replace(entry, source=before.source, rows=before.rows), before
        self._note(self._registry.put(entry), "other writers do not know of this one")
        for other in self._registry.others(self._entry):
            is_unseen = self._unseen.until(other) > self._entry.started_at and Path(other.journal).is_file()
            if is_unseen and not other.is_at_work:
                self._peers[other.journal] = Peer(other, is_of_before=True)
        self._look(time.monotonic())

    @property
    def unseen_s(self) -> float:
        """For how long lists may not show what the run wrote whose journal stood at this place, and is gone."""
        before = self._before
        if before is None or before.ended_at is None or not before.may_have_written:
            return 0.0
        most_s = self._unseen.list_lag_s + self._unseen.late_apply_s
        return min(most_s, max(0.0, self._unseen.until(before) - self._entry.started_at))

    def end(self, summary: Summary | None) -> None:
        """Note the end.  If the server has taken nothing, the entry is as it was before."""
        entry = self._registry.get(self._entry) if self._is_known else None
        if entry is None:
            return
        if summary and (summary.counts.created or summary.counts.in_doubt):
            reason = summary.ended.reason if summary.ended else ""
            self._registry.put(entry.ended(summary.counts, exit_code=summary.exit_code, reason=reason))
        elif self._before:
            self._registry.put(self._before)
        else:
            self._registry.drop(entry)

    def are_there(self) -> bool:
        """Whether there may be any."""
        return bool(self._peers) or self._settles_at < math.inf or self._registry.changed_at() != self._changed_at

    async def met(self, pairs: Collection[Ids], *, above: int) -> dict[Ids, Met]:
        """Those of `pairs` that others have claimed.  What a peer has created counts first."""
        async with self._asking:
            found, notes = await asyncio.to_thread(self._met, pairs, above)
        for text in notes:
            self._note(text, "pairs of another writer cannot be compared with these")
        return found

    def _met(self, pairs: Collection[Ids], above: int) -> tuple[dict[Ids, Met], list[str]]:
        found: dict[Ids, Met] = {}
        notes: list[str] = []
        now = time.monotonic()
        self._look(now)
        for journal, peer in list(self._peers.items()):
            try:
                for pair, met in peer.claimed(pairs, above=above, now=now).items():
                    if pair not in found or met.record_id is not None:
                        found[pair] = met
            except JournalError as error:
                notes.append(error.message)
            if now > peer.ended_at + self._kept_s:
                del self._peers[journal]
        return found, notes

    def _look(self, now: float) -> None:
        """Find the writers that are, or were, at work since this one began."""
        changed_at = self._registry.changed_at()
        if changed_at != self._changed_at:
            self._changed_at, self._settles_at = changed_at, now + TICK_S
        elif self._settles_at == math.inf:
            return
        elif now >= self._settles_at:
            self._settles_at = math.inf
        for other in self._registry.others(self._entry):
            known = self._peers.get(other.journal)
            if known and known.entry.started_at == other.started_at:
                continue
            is_later = other.started_at >= self._entry.started_at and other.may_have_written
            if is_later or other.is_at_work:
                self._peers[other.journal] = Peer(other)

    def _note(self, trouble: str, what: str) -> None:
        if trouble and trouble not in self._told:
            self._told.add(trouble)
            self._tell(Note(f"{what}: {trouble}"))
