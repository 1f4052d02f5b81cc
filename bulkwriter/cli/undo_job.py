"""`bulkwriter undo URL`: delete the records that a job created, part by part.

Each part is claimed as a worker claims it, its doubts are settled, its records deleted, and what became of them is in
the database before the next step depends on it (`verify.undo`).  A part that has a worker is not touched: then nothing
is.  Stopped or killed, the same command goes on.

Not here: the plan, the question and what is told at the end (`undo`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Final

import anyio

from ..errors import JournalError
from ..postgres.jobs import PartStanding
from ..postgres.lease import shown_holder
from ..postgres.loading import apart
from ..postgres.part import PartSettings, PartStore
from ..run.holding import renew
from ..store.journal_writer import JournalWriter
from ..verify.delete_created import Deletions
from ..verify.undo import Undo, UndoPlan, UndoSnapshot, UndoStanding

if TYPE_CHECKING:
    from ..postgres.address import Address
    from ..settings import Settings
    from ..store.schema import JournalIdentity
    from ..verify.session import ServerSession

MOST_NAMES: Final = 5
NotesUndo = Callable[[JournalWriter], contextlib.AbstractAsyncContextManager[None]]


class JobUndo(UndoStanding):
    """The undo of all parts of a job: `run` goes through them; `tally`, `left` and the rest are those of all."""

    def __init__(
        self,
        address: Address,
        parts: Sequence[PartStanding],
        session: ServerSession,
        settings: Settings,
        *,
        plan: UndoPlan,
    ) -> None:
        self._address, self._session, self._settings = address, session, settings
        # A part whose worker is gone may have sent what its journal has as about to be sent.
        self._parts = [part for part in parts if part.counts.created or part.counts.in_doubt or part.row.holder]
        self._undos: list[Undo] = []
        self._plan = plan

    async def run(self, identity: JournalIdentity, noted: NotesUndo) -> None:
        """Undo one part after the other.  `noted` keeps in a part's journal that it begins, and how it ended."""
        for part in self._parts:
            if self._session.stop.is_set:
                return
            await self._undo(part, identity, noted)

    async def _undo(self, part: PartStanding, identity: JournalIdentity, noted: NotesUndo) -> None:
        settings, stop = self._settings, self._session.stop
        place = self._address.with_job(self._address.job, part.name)
        claimed = PartStore(place, PartSettings.of(settings), note=lambda text: None)
        store = JournalWriter(open_journal=claimed.open)
        try:
            await store.open(
                None, base_url=settings.base_url, account=settings.account, columns=identity.columns,
                entity=identity.entity,
            )  # fmt: skip
            async with renewed(store, claimed):
                undo = await Undo.load(store, self._session, settings)
                self._undos.append(undo)
                if undo.plan().doubts:  # what an earlier holder sent last may still be on its way
                    lease = claimed.log.lease
                    await stop.pause(max(0.0, lease.in_doubt_for_s, lease.unseen_for_s))
                await undo.settle_doubts()
                if stop.is_set or undo.plan().doubts:
                    return
                async with noted(store):
                    await undo.run()
        finally:
            with anyio.CancelScope(shield=True):
                await store.close()
                await apart(claimed.close)

    # how it stands, as `Undo` tells it

    @property
    def tally(self) -> Deletions:
        each = [undo.tally for undo in self._undos]
        return Deletions(
            deleted=sum(tally.deleted for tally in each),
            gone=sum(tally.gone for tally in each),
            mismatched=sum(tally.mismatched for tally in each),
            older=sum(tally.older for tally in each),
            refused=sum(tally.refused for tally in each),
            mismatches=[found for tally in each for found in tally.mismatches],
            olders=[found for tally in each for found in tally.olders],
        )

    @property
    def in_doubt(self) -> int:
        return sum(undo.in_doubt for undo in self._undos) + sum(part.counts.in_doubt for part in self._not_begun)

    @property
    def left(self) -> int:
        return sum(undo.left for undo in self._undos) + sum(part.counts.created for part in self._not_begun)

    def plan(self) -> UndoPlan:
        """What there was to do before it began."""
        return self._plan

    def snapshot(self) -> UndoSnapshot:
        """How far it is: the part that is undone now gives the rate."""
        now = self._undos[-1].snapshot() if self._undos else UndoSnapshot(0, 0, 0.0, None, 0)
        total = sum(part.counts.created for part in self._parts)
        return UndoSnapshot(self.tally.done, total, now.rate_per_s, None, now.throttled)

    @property
    def _not_begun(self) -> list[PartStanding]:
        return self._parts[len(self._undos) :]


def refuse_held(address: Address, parts: Sequence[PartStanding]) -> None:
    """Raise `JournalError` where workers are at work: they would write again what is deleted."""
    held = [part for part in parts if part.is_held]
    if held:
        some = ", ".join(f"{part.name} ({shown_holder(part.row.holder)})" for part in held[:MOST_NAMES])
        raise JournalError(
            f"{address}: workers are at work on parts {some}", hint="stop them first; then the same command goes on"
        )


@contextlib.asynccontextmanager
async def renewed(store: JournalWriter, part: PartStore) -> AsyncIterator[None]:
    """Keep the lease of a part while the block runs, also while nothing is written."""
    task = asyncio.create_task(renew(store, part.log), name="lease")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, JournalError):
            await task
