"""A job in a database from the command line: `run SOURCE --journal URL` loads it and works on it, `work URL` works.

`JobCommand` has the steps of both for their `lifecycle`.  A source that was loaded is held against the job first, as a
local journal is.  Then this process is one of the job's workers (`worker`).  The summary tells the whole job, as its
parts stood at the end, and what this worker did.

Nothing here changes how a part is run: each is a run of its own, with its journal in the database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..entities import Entity, entity_of
from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import BulkwriterError, Exit, JournalError, StoreGone, UsageError
from ..events import Event
from ..model import Counts, Ended, Rows, Summary, iso
from ..postgres import jobs
from ..postgres.jobs import Job, PartStanding
from ..postgres.lease import PartWatch
from ..postgres.loading import Plan, apart, brought, connected, refuse_lost
from ..postgres.part_source import PartSource
from ..postgres.session import Session
from ..settings import Settings
from ..sources.parts import MOST_PARTS
from ..store.schema import JournalIdentity
from . import choose, describe
from .drive import Drive, progress_form
from .ending import Ending, end_facts, first_of, is_of_loss, summary_lines
from .lifecycle import FinalReport, Invocation
from .worker import Worker, WorkerFigures, is_take_over
from .worker_options import hidden, work_command

if TYPE_CHECKING:
    import signal

    from ..postgres.address import Address

PARTS_EACH: Final = 4
"""Parts for each worker, where nobody says how many: a worker that is slower than others then takes fewer."""
NOT_FOR_JOBS: Final = {
    "dry_run": "`bulkwriter plan SOURCE` looks at a source, and `bulkwriter status URL` at a job that is loaded",
    "report": "`bulkwriter report URL` makes the page of a job at any time",
    "strict": "",
}
"""Options of `run` that a job does not take, with what to do instead; "" where only a load takes it."""


class Workers(Protocol):
    """Who works on a job for a command: this process, or many on a cluster.  `figures` are what they did."""

    parts: list[PartStanding]
    ended: Ended | None

    @property
    def figures(self) -> WorkerFigures: ...
    async def run(self) -> None: ...
    def stop(self, number: signal.Signals) -> None: ...
    def abandoned(self) -> WorkerFigures: ...


class JobCommand:
    """Loads a job from its source if there is one, and works on it."""

    def __init__(
        self,
        invocation: Invocation,
        address: Address,
        notes: list[str],
        *,
        source: str = "",
    ) -> None:
        self._invocation, self._options, self._stderr = invocation, invocation.options, invocation.stderr
        self._address, self._notes = address, notes
        self._source = source
        self._wanted_parts: int | None = self._options.get("parts")
        self._is_load_only = bool(self._options.get("load_only"))
        self._began_at = time.monotonic()
        self._job: Job | None = None
        self._worker: Workers | None = None
        self._title = ""
        self._progress = "none"

    def prepare(self) -> Settings:
        for name, instead in NOT_FOR_JOBS.items():
            if instead and choose.is_given(self._options.get(name)):
                raise UsageError(f"--{name.replace('_', '-')} does not go with a job", hint=instead)
        if self._options.get("limit") and self._options.get("on"):
            raise UsageError(
                "--limit does not go with --on", hint="try a few pairs without --on first: the job then goes on there"
            )
        if self._address.part:
            raise UsageError(
                f"{self._address} names one part", hint="a job has its parts by itself; name it without a part"
            )
        if self._source:
            choose.check_source(self._source, self._options)
            check_parts(self._wanted_parts)
        choose.check_metrics_file(self._options["metrics_file"])
        for note in self._notes:
            self._stderr.note(note)
        if self._is_load_only:
            self._invocation.go_offline()
        for _, secret in self._address.secrets:
            self._stderr.keep_secret(secret)
        settings = self._invocation.settings(None)
        if self._source:
            choose.check_there(self._source)
        return settings

    async def work(self, settings: Settings) -> None:
        if self._source:
            self._job = await self._loaded(settings)
        else:
            self._job = await self._found(settings)
        if self._is_load_only:
            return
        text = f"bulkwriter: {self._address} -> {settings.base_url}, {self._words(self._job)}"
        self._stderr.print(text, event="start")
        self._worker = self._workers_of(self._job, settings)
        with self._invocation.on_signal(self._worker.stop):
            await self._worker.run()

    def final(self, error: BaseException | None, signal_code: int | None) -> FinalReport:
        counts, rows, parts, since = self._standing(error)
        own = self._worker.figures if self._worker else WorkerFigures()
        is_alive = any(part.is_held for part in parts)
        ending = Ending(summary=self._summary(counts, rows, own), title=self._title, is_alive=is_alive)
        if self._title:
            command = work_command(self._address, self._options)
            why = f"work on it, on as many machines as you like{hidden(self._address, self._options)}"
            ending = ending._replace(next=((why, command),))
        ending = ending._replace(error=error, signal_code=signal_code)
        summary = dataclasses.replace(ending.summary, exit_code=ending.exit_code)
        server = choose.server_options(self._options)
        name, resume = self._source or self._address.job, self._invocation.command_line
        lines = summary_lines(ending, source=name, resume=resume, server=server)
        facts = {**summary.to_json(), **end_facts(ending), **self._part_facts(parts, own)}
        if parts and not self._title:
            told = [f"  parts      {jobs.parts_done(parts)} of {len(parts)} done; {self._who_worked(own)}"]
            lines[1:1] = told + ([f"  as of      {as_of(parts)}: {since}"] if since else [])
        return FinalReport(ending.exit_code, facts, lines)

    def abandoned(self, exit_code: int) -> FinalReport:
        own = self._worker.abandoned() if self._worker else WorkerFigures()
        parts = self._worker.parts if self._worker else []
        counts, rows = jobs.loaded_counts_of(parts)
        facts = dataclasses.replace(self._summary(counts, rows, own), exit_code=exit_code).to_json()
        text = "aborted: what was in flight is in doubt, and whoever takes this part next looks it up.  To resume:"
        return FinalReport(exit_code, {**facts, **self._part_facts(parts, own)}, [text])

    # who works

    def _workers_of(self, job: Job, settings: Settings) -> Workers:
        """This process."""
        entity = self._entity(job)
        self._progress = progress_form(self._stderr, self._options["progress"], os.environ)
        return Worker(
            self._stderr,
            self._address,
            job,
            settings,
            drive_of=lambda part, watch, limit: self._drive_of(
                part, watch, dataclasses.replace(settings, limit=limit), entity
            ),
        )

    def _who_worked(self, own: WorkerFigures) -> str:
        """By whom parts were written, for the summary."""
        return f"this worker wrote in {own.parts}"

    def _usual_parts(self) -> int:
        """Into how many parts a source is loaded where nobody says it."""
        return PARTS_EACH

    # the job

    async def _found(self, settings: Settings) -> Job:
        async with contextlib.AsyncExitStack() as stack:
            connection = await self._connected(stack, settings)
            job = await apart(jobs.find, connection, self._address.job)
            if job is None:
                refuse_lost(self._address.job, self._identity(settings, ("", ""), ""))
                known = ", ".join(await apart(jobs.names, connection))
                raise JournalError(
                    f"there is no job at {self._address}",
                    hint=f"there are {known}" if known else "`bulkwriter run SOURCE --journal URL` loads one",
                )
        wanted = self._identity(settings, job.identity.columns, job.identity.entity)
        jobs.check_identity(job.identity, str(self._address), wanted)
        return job

    async def _loaded(self, settings: Settings) -> Job:
        """The job of the source, loaded if need be, else held against the source."""
        columns, parts = choose.columns_of(self._options), self._wanted_parts
        identity = self._identity(settings, columns, COMPLETED_LESSONS.label)
        source = choose.open_given(self._source, self._options, self._stderr, limits=settings.limits)
        progress = "0 rows"

        def tell(verb: str, rows: int) -> None:
            nonlocal progress
            progress = f"{rows:,} rows {verb}"

        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(source.aclose)
            connection = await self._connected(stack, settings)
            plan = Plan(
                self._address.job, identity, parts or self._usual_parts(), getattr(source, "origin", ""),
                settings.strict, settings.after_loss,
            )  # fmt: skip
            async with self._invocation.showing(lambda: progress):
                found, before = await brought(
                    connection, source, plan, shown=str(self._address), parts=parts, tell=tell
                )  # fmt: skip
        more = found.rows - before.rows if before else 0
        what = f", {describe.quantity(more, 'row')} of them added now" if more else ""
        begin = "the source is the one that was loaded" if before else "loaded"
        self._stderr.print(f"{begin}: {self._words(found)}{what}", event="loaded", rows=found.rows, parts=found.parts)
        if self._is_load_only:
            self._title = f"Loaded, and nothing was sent: {self._words(found)}"
        return found

    def _connected(self, stack: contextlib.AsyncExitStack, settings: Settings) -> Awaitable[Any]:
        return connected(stack, self._address, settings.give_up_after_s, self._stderr.note)

    def _identity(self, settings: Settings, columns: tuple[str, str], entity: str) -> JournalIdentity:
        return JournalIdentity.of(settings.base_url, settings.account, columns, entity)

    def _entity(self, job: Job) -> Entity:
        entity = entity_of(job.identity.entity)
        if entity is None:
            raise JournalError(
                f"{self._address} is of {job.identity.entity} records, which this version does not know",
                hint="use the bulkwriter that loaded it",
            )
        return entity

    def _words(self, job: Job) -> str:
        return f"{describe.quantity(job.rows, 'row')} in {describe.quantity(job.parts, 'part')}"

    # a part

    def _drive_of(self, part: PartStanding, watch: PartWatch, settings: Settings, entity: Entity) -> Drive:
        from ..wiring import Assembly
        from ..writer import BulkWriter

        assert self._job
        job, metrics = self._job, self._metrics()
        place = self._address.with_job(job.name, part.name)
        of_part = dataclasses.replace(settings, journal=place, strict=False)
        observers = [self._lines_of_part, *([metrics.file] if metrics else [])]

        def open_writer(source: Any) -> BulkWriter:
            return BulkWriter(
                of_part,
                observers=observers,
                columns=job.identity.columns,
                entity=entity,
                assemble=partial(Assembly, watch=watch),
            )

        def open_source() -> PartSource:
            session = Session(self._address, give_up_after_s=settings.give_up_after_s)
            return PartSource(session, job=job.name, part=part.name, rows=part.rows, name=str(place))

        return Drive(
            self._stderr,
            open_source=open_source,
            open_writer=open_writer,
            progress=self._progress,
            kept=[metrics] if metrics else [],
        )

    def _lines_of_part(self, event: Event) -> None:
        """That a part was taken over ends its run, but not the worker, who says it."""
        if not is_take_over(event):
            self._invocation.event_lines(event)

    def _metrics(self) -> Any:
        path: Path | None = self._options["metrics_file"]
        if path is None:
            return None
        from ..observe.metrics_file import MetricsFile
        from .metrics_kept import MetricsKept

        return MetricsKept(MetricsFile(path), self._stderr.note)

    # the end

    def _standing(self, error: BaseException | None) -> tuple[Counts, Rows, list[PartStanding], str]:
        """How the whole job stands at the end: as the database has it, else as it was seen last and as this worker
        knows it; and then why it is not as of now.
        """
        parts, ended_by = self._worker.parts if self._worker else [], first_of(error) if error else None
        since = "what the database lost is not counted, so more may be written than is told here"
        if self._job and not is_of_loss(ended_by):
            since = "the database did not tell how they stand since then; a part that was written here is as known here"
            with contextlib.suppress(BulkwriterError), jobs.opened(self._address) as connection:
                found = jobs.parts_of(connection, self._job)
                # what was not shipped when the database went away is known here alone
                own = {part.name: part for part in parts if part.is_ours} if isinstance(ended_by, StoreGone) else {}
                parts, since = [own.get(part.name, part) for part in found], ""
        if self._is_load_only:
            return Counts(), Rows(sum(part.rows for part in parts), True, 0) if parts else Rows(), parts, since
        return *jobs.loaded_counts_of(parts), parts, since

    def _summary(self, counts: Counts, rows: Rows, own: WorkerFigures) -> Summary:
        return Summary(
            counts=counts,
            attempts=own.attempts,
            throttled=own.throttled,
            creates=own.creates,
            settled=own.settled,
            elapsed_s=time.monotonic() - self._began_at,
            journal=str(self._address),
            exit_code=int(exit_of(counts, rows)),
            rows=rows,
            ended=self._worker.ended if self._worker else None,
        )

    def _part_facts(self, parts: list[PartStanding], own: WorkerFigures) -> dict[str, Any]:
        return {
            "parts": len(parts) or None,
            "parts_done": jobs.parts_done(parts) if parts else None,
            "parts_here": own.parts,
            "parts_held": sum(part.is_held for part in parts) if parts else None,
            "parts_as_of": as_of(parts),
        }


def as_of(parts: Sequence[PartStanding]) -> str | None:
    """When the database told how these parts stand; None where it never did."""
    return iso(min(part.seen_at for part in parts)) if parts else None


def exit_of(counts: Counts, rows: Rows) -> Exit:
    """The exit code of a worker that found nothing more to do."""
    if counts.in_doubt:
        return Exit.DOUBTS
    if counts.rejected or counts.failed or counts.invalid:
        return Exit.INCOMPLETE
    return Exit.OK


def check_parts(count: int | None) -> None:
    """Refuse a number of parts that is out of bounds."""
    if count is not None and not 1 <= count <= MOST_PARTS:
        raise UsageError(f"--parts {count} is not between 1 and {MOST_PARTS}", hint="four for each worker is usual")
