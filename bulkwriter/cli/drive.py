"""A run of the command line: options become `Settings`, a source is brought to its end, and its end is reported.

`RunCommand` has the steps of a run for its `lifecycle`.  Every ending, also one by an error, a signal or a bug, prints
the summary on stderr, and the resume command where there is something to resume.  The counts are those of the journal
where the run did not begin, and zero where they are not known.  stdout carries nothing but the object of `--json`.

`Drive` opens the source and a writer for it, shows progress, and turns a signal into a drain; a signal before anything
could be sent ends the start.  What a writer and a source are to us stands here as protocols, so that tests give
fakes through the same door.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..errors import BulkwriterError, Exit
from ..model import Ended, Snapshot, Summary
from ..settings import DEFAULT_BASE_URL, Limits, Settings
from . import choose, describe, journals, progress
from .ending import Ending, empty_summary, end_facts, summary_lines
from .lifecycle import FinalReport, Invocation, beside, run_loop
from .neighbours import Neighbours
from .reason_lines import have_all, reasons_of
from .stderr import Stderr

if TYPE_CHECKING:
    from .metrics_kept import MetricsKept
    from .report_kept import ReportKept

LIVE_S = 0.2
"""Time between two drawings of a live display: smooth to the eye, under 1% of a core."""


class Writer(Protocol):
    """What a `BulkWriter` is to the command line."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: Any) -> None: ...
    async def write_all(self, source: Any) -> Summary: ...
    def snapshot(self) -> Snapshot: ...
    def drain(self, reason: str, *, ended: Ended | None = None) -> None: ...
    def summary(self) -> Summary: ...


class RunCommand:
    """One run of one source; a dry run only looks."""

    def __init__(self, invocation: Invocation, source: str, notes: list[str]) -> None:
        self._invocation, self._options, self._stderr = invocation, invocation.options, invocation.stderr
        self._source = source
        self._notes = notes
        self._journal: Path | None = self._options["journal"]
        self._neighbours: Neighbours | None = None  # not for a dry run
        self._drive: Drive | None = None
        self._look: Ending | None = None  # what a dry run has found

    def prepare(self) -> Settings:
        choose.check_source(self._source, self._options)
        choose.check_metrics_file(self._options["metrics_file"])
        self._journal = choose.journal_path(self._source, self._options["journal"])
        if page := self._options["report"]:
            from .report import check_target

            check_target(page, self._journal, source=self._source if self._source != "-" else "")
        for note in self._notes:
            self._stderr.note(note)
        try:
            settings = self._invocation.settings(self._journal)
        except choose.NoToken:
            if Path(self._source).is_file():
                run_loop(self._refuse_source)  # what is no source needs no token
            raise
        if not self._options["dry_run"]:
            choose.check_there(self._source)
            is_forced = self._options["yes"]
            self._neighbours = Neighbours.of(self._stderr, self._source, settings, is_forced=is_forced)
            before = self._neighbours.before if self._neighbours else None
            if not settings.after_loss and (lost := journals.note_if_lost(self._journal, before)):
                self._stderr.note(lost)
        return settings

    async def _refuse_source(self) -> None:
        """Raise what a run would say of a file that has no pairs at all, such as one of e-mails."""
        source = choose.open_given(self._source, self._options, self._stderr, limits=Limits())
        async with contextlib.aclosing(source):
            await source.read(1)

    async def work(self, settings: Settings) -> None:
        if self._options["dry_run"]:
            from .dry_run import dry_run

            self._look = await dry_run(self._invocation, self._source, settings)
            return
        text = f"bulkwriter: {self._source} -> {settings.base_url}, journal {self._journal}"
        self._stderr.print(text, event="start")
        self._drive = self._drive_of(settings)
        with self._invocation.on_signal(self._drive.stop):
            await self._drive.run()

    def final(self, error: BaseException | None, signal_code: int | None) -> FinalReport:
        summary = (self._drive.summary() if self._drive else None) or empty_summary(self._journal_text())
        ending = self._look or Ending(summary=summary)
        ending = ending._replace(error=error, signal_code=signal_code)
        ending = self._with_reasons(self._with_counts(ending))
        if self._neighbours:
            self._neighbours.end(ending)
        summary = dataclasses.replace(ending.summary, exit_code=ending.exit_code)
        server = choose.server_options(self._options)
        lines = summary_lines(ending, source=self._source, resume=self._invocation.command_line, server=server)
        return FinalReport(ending.exit_code, {**summary.to_json(), **end_facts(ending)}, lines)

    def abandoned(self, exit_code: int) -> FinalReport:
        known = (self._drive.abandoned() if self._drive else None) or empty_summary(self._journal_text())
        facts = dataclasses.replace(known, exit_code=exit_code).to_json()
        text = "aborted: what was in flight is in doubt, and the next start looks it up.  To resume:"
        return FinalReport(exit_code, facts, [text])

    def _drive_of(self, settings: Settings) -> Drive:
        """A real run: the library's writer, and the source named on the command line."""
        from ..wiring import Assembly
        from ..writer import BulkWriter

        names = choose.columns_of(self._options)
        metrics = self._metrics_for(self._options["metrics_file"])

        def open_source() -> Any:
            source = choose.open_given(self._source, self._options, self._stderr, limits=settings.limits)
            return self._neighbours.watching(source) if self._neighbours else source

        return Drive(
            self._stderr,
            open_source=open_source,
            open_writer=lambda source: BulkWriter(
                settings,
                observers=[self._invocation.event_lines, *([metrics.file] if metrics else [])],
                columns=names,
                assemble=partial(Assembly, is_forced=self._options["yes"]),
            ),
            progress=progress_form(self._stderr, self._options["progress"], os.environ),
            kept=[kept for kept in (metrics, self._report_for(self._options["report"])) if kept],
        )

    def _report_for(self, path: Path | None) -> ReportKept | None:
        if path is None or self._journal is None:
            return None
        from .report import made, write_page
        from .report_kept import ReportKept

        journal = self._journal
        return ReportKept(path, make=lambda s: made(journal, refresh_s=s), write=write_page, warn=self._stderr.note)

    def _metrics_for(self, path: Path | None) -> MetricsKept | None:
        if path is None:
            return None
        from ..observe.metrics_file import MetricsFile
        from .metrics_kept import MetricsKept

        return MetricsKept(MetricsFile(path), self._stderr.note)

    def _with_counts(self, ending: Ending) -> Ending:
        """An ending that came before the journal was opened (it is locked, the source is missing), with what that has.

        The counts are those of the whole run, of all its processes.
        """
        path, given = self._journal, self._options
        if path is None or ending.summary.counts.pairs or ending.exit_code in (Exit.OK, Exit.USAGE, Exit.BUG):
            return ending
        from ..store.journal_reader import JournalReader
        from .last_start import run_state_of

        with contextlib.suppress(BulkwriterError), JournalReader(path) as reader:
            base_url, columns = given["base_url"] or DEFAULT_BASE_URL, choose.columns_of(given)
            reader.require(base_url=base_url, account=given["account"], columns=columns)
            run_state = run_state_of(reader)
            summary = dataclasses.replace(ending.summary, counts=run_state.counts, rows=run_state.rows)
            return ending._replace(summary=summary, is_alive=run_state.is_alive)
        return ending

    def _with_reasons(self, ending: Ending) -> Ending:
        """An ending with the reasons of the whole run, where this process has not heard all of them itself."""
        path, summary = self._journal, ending.summary
        if path is None or self._options["dry_run"] or have_all(summary.reasons, summary.counts):
            return ending
        from ..store.journal_reader import JournalReader

        with contextlib.suppress(BulkwriterError), JournalReader(path) as reader:
            return ending._replace(summary=dataclasses.replace(summary, reasons=reasons_of(reader)))
        return ending

    def _journal_text(self) -> str | None:
        return str(self._journal) if self._journal else None


class Drive:
    """One run: a source, a writer for that source, and how its progress is shown ("rich", "plain" or "none")."""

    def __init__(
        self,
        stderr: Stderr,
        *,
        open_source: Callable[[], Any],
        open_writer: Callable[[Any], Writer],
        progress: str,
        kept: Sequence[contextlib.AbstractContextManager[object]] = (),
    ) -> None:
        self._stderr = stderr
        self._kept = kept  # what is kept up to date beside the run: metrics, a report
        self._open_source = open_source
        self._open_writer = open_writer
        self._progress = progress
        self._opening: Writer | None = None  # nothing can be sent yet
        self._writer: Writer | None = None

    async def run(self, begins: Callable[[], Awaitable[object]] | None = None) -> None:
        """Write all of the source.  `begins` is awaited once the journal is open."""
        async with contextlib.AsyncExitStack() as stack:
            for kept in self._kept:
                stack.enter_context(kept)
            source = self._open_source()
            stack.push_async_callback(source.aclose)
            self._opening = opening = self._open_writer(source)
            self._writer = writer = await stack.enter_async_context(opening)
            if begins:
                await begins()
            self._say_resuming(writer.snapshot())
            async with self._showing(writer):
                await writer.write_all(source)

    def stop(self, number: signal.Signals) -> None:
        """Drain the writer, which says so itself; one that is being opened is opened no more: nothing was sent."""
        ended = Ended("signal", number.name, 128 + int(number))
        if self._writer is not None:
            count = self._writer.snapshot().in_flight
            waiting = f"; waiting for {describe.quantity(count, 'request')} in flight" if count else ""
            self._writer.drain(f"{number.name}, so nothing new is sent{waiting}; once more aborts at once", ended=ended)
        elif self._opening is not None:
            self._opening.drain(f"{number.name}, before anything was sent", ended=ended)

    def summary(self) -> Summary | None:
        """How the run stands, or None where it never began."""
        return self._writer.summary() if self._writer else None

    def abandoned(self) -> Summary | None:
        """How the run stands if the process is left now, for a last word from another thread; None where nothing is
        there yet, or it is busy."""
        with contextlib.suppress(RuntimeError):  # a dict changed while it was read
            return self._writer.summary().abandoned() if self._writer else None
        return None

    def _say_resuming(self, found: Snapshot) -> None:
        """Say what an earlier start has left, if there was one."""
        counts = found.counts
        if not counts.pairs:
            return
        doubts = f", {counts.in_doubt:,} in doubt" if counts.in_doubt else ""
        unread = f", {describe.not_read(found.not_read, is_exact=found.is_total_exact)} not read yet"
        self._stderr.print(
            f"resuming: {found.done:,} of {describe.quantity(counts.pairs, 'row')} read are done{doubts}"
            f"{unread if found.not_read else ''}",
            event="resuming",
        )

    @contextlib.asynccontextmanager
    async def _showing(self, writer: Writer) -> AsyncIterator[None]:
        """Progress of `writer` while the block runs."""
        async with contextlib.AsyncExitStack() as stack:
            if self._progress == "plain":
                await stack.enter_async_context(beside(say_often(writer, self._stderr.print)))
            elif self._progress == "rich":
                await stack.enter_async_context(beside(self._draw(writer)))
                if self._stderr.has_log:
                    await stack.enter_async_context(beside(say_often(writer, self._stderr.log)))
            yield

    async def _draw(self, writer: Writer) -> None:
        """Draw every `LIVE_S`, until cancelled."""
        while True:
            self._stderr.draw(writer.snapshot())
            await asyncio.sleep(LIVE_S)


async def say_often(writer: Writer, say: Callable[..., None]) -> None:
    """Say a line at growing intervals, until cancelled."""
    while True:
        await asyncio.sleep(progress.pause_s(writer.snapshot().elapsed_s))
        now = writer.snapshot()
        say(progress.plain_line(now), **progress.json_facts(now))


def progress_form(stderr: Stderr, choice: str, env: Mapping[str, str]) -> str:
    """How to show progress, "rich", "plain" or "none"; for "rich" `stderr` draws from now on."""
    if choice == "auto":
        is_drawable = stderr.is_terminal and not env.get("CI") and env.get("TERM") != "dumb"
        choice = "rich" if is_drawable else "plain"
    if choice == "rich" and stderr.form == "json":
        choice = "plain"
    if choice == "rich":
        stderr.draw_over()
    return choice
