"""One worker of a job: takes a part, brings it to its end as a run, gives it up, takes the next one.

It ends when nothing is left to do in any part, by its own work or others'; while the rest is with other workers it
waits, since one of them may die.  An error that ends a run ends the worker, with its code.  A part that was taken over
by another worker is left alone, and the next one is taken.

What a run is to us is `drive.Drive`.  Not here: which part comes next (`postgres.desk`), the summary (`job`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from ..errors import FenceLost, JournalError, StoreGone
from ..events import Event, Stopping
from ..model import Ended, Summary
from ..postgres.address import Address
from ..postgres.connect import host_name
from ..postgres.desk import Desk, PartSeen
from ..postgres.jobs import Job, PartStanding, parts_done, parts_of, read_parts
from ..postgres.lease import PartWatch
from ..postgres.loading import apart
from ..postgres.session import Session
from ..postgres.worker_quotas import WorkerQuotas, difference, join_job, named, which_of
from ..quota.build import windows_for
from ..quota.ledger import ledger_path
from ..run.summary import AT_LIMIT
from ..settings import Settings
from . import describe
from .ending import first_of, is_of_loss
from .stderr import Stderr

if TYPE_CHECKING:
    from .drive import Drive

LONGEST_S: Final = 5.0
"""Between two looks at the parts of others; a part that becomes free is seen so late."""
SHORTEST_S: Final = 0.1


@dataclasses.dataclass(slots=True)
class WorkerFigures:
    """What this process did, over all its parts."""

    parts: int = 0
    attempts: int = 0
    throttled: int = 0
    creates: int = 0
    settled: int = 0
    limit: int | None = None
    """How many pairs it may send."""

    @property
    def left(self) -> int | None:
        """How many it may still send: each attempt counts that was not surely in vain.  None: all."""
        return None if self.limit is None else max(0, self.limit - self.attempts + self.throttled)

    def add(self, summary: Summary) -> None:
        self.attempts += summary.attempts
        self.throttled += summary.throttled
        self.creates += summary.creates
        self.settled += summary.settled


class Worker:
    """Works on one job until nothing is left; `stop` drains it.

    `drive_of` makes the run of a part, which sends so many pairs at most (None: all).  `parts` is how all parts stood
    when they were last looked at, but for one that was written here since then: that is as its journal here has it.
    """

    def __init__(
        self,
        stderr: Stderr,
        address: Address,
        job: Job,
        settings: Settings,
        *,
        drive_of: Callable[[PartStanding, PartWatch, int | None], Drive],
    ) -> None:
        self._stderr, self._job = stderr, job
        self._drive_of = drive_of
        self._session = Session(address, give_up_after_s=settings.give_up_after_s, note=stderr.note)
        self._watch = PartWatch()
        self._quotas: Callable[[], WorkerQuotas] | None = partial(quotas_of, settings, which=which_of)  # until told
        self._desk = Desk(is_retrying=settings.retry_rejected)
        self._rng = random.Random()  # noqa: S311 which part comes first is no secret
        self._is_stopped = asyncio.Event()
        self._drive: tuple[PartStanding, Drive] | None = None
        self._has_told_waiting = False
        self.figures = WorkerFigures(limit=settings.limit)
        self.parts: list[PartStanding] = []
        self.ended: Ended | None = None

    async def run(self) -> None:
        """Work until nothing is left.  Raises the error that ended a part for this worker."""
        try:
            while not self._is_stopped.is_set() and not self._is_at_limit():
                match self._desk.choose(await self.look(), self._rng):
                    case None:
                        return
                    case PartSeen(part):
                        self._has_told_waiting = False
                        await self._take(part)
                    case seconds:
                        await self._wait(seconds)
        finally:
            await apart(self._session.close)

    async def look(self) -> list[PartSeen]:
        """How all parts stand now."""

        self.parts = await apart(self._session.insist, lambda connection: parts_of(connection, self._job))
        return [PartSeen(part, self._watch.left_s(part.name, part.row)) for part in self.parts]

    def stop(self, number: signal.Signals) -> None:
        """Drain the part that is being written, and take no other one."""
        self.ended = self.ended or Ended("signal", number.name, 128 + int(number))
        self._is_stopped.set()
        self._session.hurry()
        if self._drive:
            self._drive[1].stop(number)
        else:
            self._stderr.print(f"stopping: {number.name}; no part is being written", event="stopping")

    def abandoned(self) -> WorkerFigures:
        """What this process did if it is left now, with `parts` as of now; asked by another thread."""
        figures = dataclasses.replace(self.figures)
        if (now := self._drive) and (summary := now[1].abandoned()):
            figures.add(summary)
            self._note_own(now[0], summary)
        return figures

    async def _join(self, part: PartStanding, own: WorkerQuotas) -> None:
        """Note for others which ledger and quotas this worker uses, and tell if theirs are different."""
        job = self._job.name
        others = await apart(self._session.insist, lambda connection: join_job(connection, job, part.name, own))
        if text := difference(own, others):
            self._stderr.note(text)

    async def _take(self, part: PartStanding) -> None:
        """Bring a part to its end, unless somebody else has it by now."""
        drive = self._drive_of(part, self._watch, self.figures.left)
        self._drive = part, drive
        try:
            await drive.run(partial(self._begin, part))
        except (JournalError, BaseExceptionGroup) as failure:
            error = first_of(failure)
            if isinstance(error, FenceLost):
                self._stderr.note(error.message)
            elif not isinstance(error, JournalError):
                raise
            elif is_of_loss(error) and self.figures.parts:  # who is at work is stopped by it; only a start is refused
                raise StoreGone(error.message, hint=error.hint, code=error.code) from None
            elif error.code != "held":  # somebody was first
                raise
            return
        finally:
            self._drive = None
            if summary := drive.summary():
                self._note_own(part, summary)
                self.figures.add(summary)
                self.figures.parts += bool(summary.attempts or summary.settled)
        await self._note_end(part)

    def _note_own(self, part: PartStanding, summary: Summary) -> None:
        """Remember how a part stands that was written here: the database may never tell."""
        own = dataclasses.replace(part, counts=summary.abandoned().counts, is_ours=True)
        self.parts = [own if other.name == part.name else other for other in self.parts]

    def _is_at_limit(self) -> bool:
        if self.figures.left == 0:
            self.ended = self.ended or Ended("limit", AT_LIMIT, 0)
        return self.figures.left == 0

    async def _begin(self, part: PartStanding) -> None:
        """The part is ours now."""
        done = parts_done(self.parts)
        self._stderr.print(
            f"part {part.name} of {len(self.parts)}: {describe.quantity(part.left, 'row')} left of {part.rows:,}; "
            f"{done} of {describe.quantity(len(self.parts), 'part')} done",
            event="part",
            part=part.name,
            rows=part.rows,
            left=part.left,
        )
        if self._quotas:
            await self._join(part, await apart(self._quotas))
            self._quotas = None

    async def _note_end(self, part: PartStanding) -> None:
        """Remember how far the part is, so that it is not taken again for nothing."""
        if not self._is_stopped.is_set():
            parts = await apart(self._session.insist, lambda connection: read_parts(connection, self._job.name))
            if part.name in parts:
                self._desk.ended(part.name, parts[part.name].row.shipped)

    async def _wait(self, seconds: float) -> None:
        if not self._has_told_waiting:
            self._has_told_waiting = True
            self._stderr.print(
                "waiting: every part that is left has a worker; one whose worker is gone is taken over", event="waiting"
            )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_stopped.wait(), max(SHORTEST_S, min(LONGEST_S, seconds)))


def is_take_over(event: Event) -> bool:
    """Whether a run ends since another worker has taken its part over."""
    return isinstance(event, Stopping) and event.code == FenceLost.code


def quotas_of(settings: Settings, *, which: Callable[[Address], str] = lambda ledger: "") -> WorkerQuotas:
    """Which quotas a worker with these settings keeps, and where it counts them.  `which` tells databases apart."""
    quotas = tuple(sorted(window.text for window in windows_for(settings)))
    if not quotas:
        return WorkerQuotas("", ())
    ledger = settings.ledger
    if isinstance(ledger, Address):
        return WorkerQuotas(named(ledger), quotas, settings.quota_share, which(ledger))
    return WorkerQuotas(f"{ledger_path(ledger)} on {host_name()}", quotas, settings.quota_share)
