"""Puts the real parts together for one `BulkWriter`, and takes them apart again in the right order.

To open takes the journal's lock, reads what an earlier start left, and makes the parts of the network.  Nothing is
sent, and no name is looked up, until there is something to send.  To close ends the lanes first, then the journal with
a checkpoint.  Both run to their end even if the caller is cancelled: a journal left open would keep its lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import random
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import anyio

from .clocks import MACHINE, Clocks
from .core.dedupe import IdSet
from .entities import Entity
from .entities.completed_lessons import COMPLETED_LESSONS
from .errors import BulkwriterError, Exit, JournalError
from .events import Event, Note
from .guarded import guarded
from .model import Ended, Intent, State, Summary
from .net.dial import load_tls, needs_tls
from .net.pool import most_lanes
from .postgres.address import START_S, Address
from .quota.build import windows_for
from .quota.gate import unheard
from .quota.ledger import ledger_path
from .run.baseline_keeper import began_at
from .run.cpu import cpu_times
from .run.peers import Peers
from .run.ports import Ports, Stored
from .run.warm_start import warm_start_for
from .server_client import ServerClient
from .settings import Settings
from .shielded import to_its_end
from .store.journal import Journal
from .store.journal_writer import JournalWriter
from .store.private import shown_to
from .store.schema import RISING_IDS, ExportRow
from .store.starts import LAST_START, began_text, ended_text, source_rows, undone_unseen_s

if TYPE_CHECKING:
    from .postgres.lease import PartWatch
    from .postgres.part import PartStore

NOTE_S: Final = 2.0
"""The longest wait for a disk that notes why a start could not begin."""


class Assembly:
    """The real parts, as an async context manager.  It sets `ports` and `stored` when it is entered.

    `watch` is what a worker of a job has seen of its parts (`postgres.lease`).  `is_forced`: a source
    sends what another writer has claimed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        columns: tuple[str | None, str | None] | None,
        entity: Entity = COMPLETED_LESSONS,
        tell: Callable[[Event], None] = unheard,
        watch: PartWatch | None = None,
        is_forced: bool = False,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._entity = entity
        first, second = columns or (None, None)
        self._columns = (first or entity.fields[0], second or entity.fields[1])
        self._part = self._part_of(settings, watch)
        # A worker of a job began long ago.
        self._ledger_start_s = min(settings.give_up_after_s, START_S if watch is None else math.inf)
        self.store = JournalWriter(open_journal=self._part.open) if self._part else JournalWriter()
        self._client: ServerClient | None = None
        self._peers = Peers.of(settings, entity=entity.label, tell=tell, is_forced=is_forced)
        self.began_at = 0.0
        self._asked_to_end: Ended | None = None
        self.ports: Ports
        self.stored: Stored

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        try:
            self.began_at = self._wall()
            await self.store.open(
                settings.journal if isinstance(settings.journal, Path) else None,
                base_url=settings.base_url,
                account=settings.account,
                columns=self._columns,
                entity=self._entity.label,
                notes={LAST_START: began_text(self.began_at)},
            )
            await self._meet_peers()
            stored = await self._read_stored()
            await self._load_network()
            self.ports = self._make_ports()
            self._clocks.watch(self._is_busy)
            if self.ports.quotas:
                await self.ports.quotas.begin()
            self.stored = dataclasses.replace(stored, notes=shown_to(self._files()))
            if self.ports.warm_start:
                await self.ports.warm_start.read()
        except BaseException as error:  # a cancelled `open` opens all the same
            await to_its_end(self._give_up(error))
            raise
        return self

    def _is_busy(self) -> bool:
        """Whether the thread of the journal, or of the ledger, is at work."""
        quotas = self.ports.quotas
        return self.store.is_busy or (quotas is not None and quotas.exchanges.is_asking)

    def give_up_as(self, ended: Ended) -> None:
        """Somebody asked for the end before it could begin, for this reason.  The caller makes the cancel."""
        self._asked_to_end = ended

    async def _give_up(self, error: BaseException) -> None:
        """The start ends before it could begin.  Note why, if the journal is open."""
        if isinstance(error, BulkwriterError):
            ended = Ended(error.code, error.message, int(error.exit_code))
        elif isinstance(error, Exception):
            ended = Ended("bug", f"a bug of ours: {type(error).__name__}", int(Exit.BUG))
        else:
            ended = self._asked_to_end or Ended("left", "ended before anything was sent")
        if self._part:
            self._part.leave()
        text = ended_text(self.began_at, self._wall(), ended)
        with contextlib.suppress(JournalError), anyio.move_on_after(NOTE_S):
            await self.store.run(lambda journal: journal.meta_set(LAST_START, text))
            await self.note_end(None)
        await self._close(checkpoint=False)

    @property
    def _clocks(self) -> Clocks:
        return self._settings.clocks or MACHINE

    def _wall(self) -> float:
        return self._clocks.wall()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_its_end(self._close())

    async def _close(self, *, checkpoint: bool = True) -> None:
        try:
            if self._client:
                await self._client.aclose()
        finally:
            if self._part:
                self._part.hurry()  # or the journal's thread may be in the middle of a renewal for long
            await self.store.close(checkpoint=checkpoint)
            if self._part:
                await asyncio.to_thread(self._part.close)

    def _part_of(self, settings: Settings, watch: PartWatch | None) -> PartStore | None:
        """The part whose journal this writer keeps, where that is in a database."""
        if settings.journal is None or isinstance(settings.journal, Path):
            return None
        from .postgres.part import PartSettings, PartStore

        return PartStore(settings.journal, PartSettings.of(settings), note=self._tell_soon, watch=watch)

    def _tell_soon(self, text: str) -> None:
        """From the journal's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(guarded(self._tell, lambda error: None), Note(text))

    async def _read_stored(self) -> Stored:
        store = self.store
        tally = dict(store.counts)
        lease = self._part.log.lease if self._part else None
        in_doubt_for_s, unseen_for_s = (lease.in_doubt_for_s, lease.unseen_for_s) if lease else (0.0, 0.0)
        record_ids = IdSet(await store.run(lambda journal: journal.created_ids()))
        is_checked = self._settings.existing == "check"
        if not tally:
            if self._peers and is_checked:
                unseen_for_s = self._peers.unseen_s
            return Stored(tally=tally, doubts=[], record_ids=record_ids, unseen_for_s=unseen_for_s)
        rows = await store.run(adopt_doubts)
        meta = await store.run(lambda journal: journal.meta())
        if is_checked:
            unseen_for_s = max(unseen_for_s, undone_unseen_s(meta, self._wall(), self._settings.list_lag_s))
        return Stored(
            tally=tally,
            doubts=[
                Intent(row.seq, row.pair, row.attempts, row.line, row.floor)
                for row in rows
                if row.pair is not None  # never None: a row that is no pair is settled from the start
            ],
            being_deleted={row.seq for row in rows if row.record_id is not None},
            causes={row.seq: row.message for row in rows if row.message},
            named={row.seq: row.named for row in rows if row.named},
            began_at=began_at(meta),
            has_rising_ids=meta.get(RISING_IDS) != "no",
            rows=source_rows(meta, store.rows),
            record_ids=record_ids,
            in_doubt_for_s=in_doubt_for_s,
            unseen_for_s=unseen_for_s,
        )

    async def _meet_peers(self) -> None:
        """Let other writers know of this one."""
        if self._peers:
            await asyncio.to_thread(self._peers.begin)

    async def note_end(self, summary: Summary | None) -> None:
        """Let others know how it ended; None if it did not begin."""
        if self._peers:
            await asyncio.to_thread(self._peers.end, summary)

    def _files(self) -> list[Path]:
        """The files that only their owner should read."""
        has_file = windows_for(self._settings) and not isinstance(self._settings.ledger, Address)
        ledger = [ledger_path(self._settings.ledger)] if has_file else []
        journal = self._settings.journal
        return [*([journal] if isinstance(journal, Path) else []), *ledger]

    async def _load_network(self) -> None:
        """Import what TLS needs in a thread, so that the event loop of a service goes on meanwhile."""
        if needs_tls(self._settings.base_url):
            with contextlib.suppress(RuntimeError):  # no room for a thread: `_make_ports` imports it then
                await asyncio.to_thread(load_tls)

    def _make_ports(self) -> Ports:
        client = self._client = ServerClient(
            self._settings, self._entity, tell=self._tell, ledger_start_s=self._ledger_start_s
        )  # fmt: skip
        return Ports(
            pool=client.pool,
            store=self.store,
            api=client.api,
            tokens=client.tokens,
            get_page=client.lister.page,
            entity=client.entity,
            shifts=lambda: client.calls.shifts,
            clocks=self._clocks,
            rng=random.Random(),  # noqa: S311 jitter, not a secret
            cpu_times=cpu_times,
            most_lanes=most_lanes(),
            quotas=client.quotas,
            fence=self._part.log if self._part else None,
            peers=self._peers,
            warm_start=warm_start_for(self._settings, self._clocks.wall),
        )


def adopt_doubts(journal: Journal) -> list[ExportRow]:
    """Take over the doubts of the last process, and its intents without an outcome.  Return their rows.

    From now on an intent in the journal belongs to this process.
    """
    rows = journal.doubts()
    if intents := [row.seq for row in rows if row.state is State.INTENT]:
        journal.mark(intents, State.IN_DOUBT)
    return rows
