"""`bulkwriter resolve PEOPLE`: a table with e-mails, course and lesson titles becomes a SOURCE of ids.

Two files come out, both whole or not at all: the rows with their ids, and beside it the rows without, each with its
reason and what it may have meant (`resolve.outputs`).  It sends lists and reads only, under the quotas of all other
calls; what they show is kept for a day (`resolve.cache`), so a killed start goes on and a second one asks nobody.
With `--enrol` it also creates the enrolments that rows lack (`enrol`), and resolves the rows again.

Nothing that is printed has an e-mail or a name of the table's: those stand in the files alone.

Exit 0 if every row has its ids, 1 if some do not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from ..entities.enrolments import ENROLMENTS
from ..errors import Exit, UsageError
from ..settings import Settings
from ..shell import operand, quote
from . import choose, describe, journals, options
from .drafts import Drafts
from .export import check_output, harmless
from .lifecycle import CountingCommand, Invocation

if TYPE_CHECKING:
    from ..resolve.cache import Cache
    from ..resolve.fetch import Lists
    from ..resolve.matching import RowReason
    from ..resolve.resolver import Resolver
    from ..resolve.spool import Spool
    from ..resolve.wishes import WishColumns
    from .enrol import EnrolStep

LIST_BODY_BYTES = 16 << 20
"""Largest page of a list here.  A decoded page takes three times its size, and all of it must stay under 150 MB."""
OF_ENROL = {
    "leave_approval": "says how to enrol",
    "retry": "says which enrolments to send again",
    "after_loss": "says that the journal of enrolments was lost",
}
"""Options that say nothing without --enrol."""
COLUMNS = ("email", "name", "course", "lesson", "section")

EXAMPLES = (
    (
        "bulkwriter resolve people.xlsx --token-file token",
        "writes people.resolved.csv, which `run` takes, and people.unresolved.csv with reasons",
    ),
    ("bulkwriter resolve people.csv --accept inactive,blocked", "also takes inactive lessons and blocked enrolments"),
)

resolve_options = options.several(
    options.plain("--output", "where the rows with ids go [default PEOPLE.resolved.csv]", "output", metavar="FILE.csv",
                  type=options.PATH),
    options.plain("--force", "replace the output files if they exist", "force", is_flag=True),
    options.plain("--accept", "take these too: inactive (lessons), blocked, not-approved (enrolments)", "accept",
                  metavar="WORD[,…]"),
    options.plain("--by-name", "find people by full name where a row has no e-mail", "by_name", is_flag=True),
    options.plain("--refresh", "ask for every list again, and use nothing that was kept", "refresh", is_flag=True),
    title="What comes out",
)  # fmt: skip
enrol_options = options.several(
    options.plain("--enrol", "create the enrolments that rows lack, after asking, and resolve the rows again", "enrol",
                  is_flag=True),
    options.plain("--leave-approval", "with --enrol: do not send Approved, so that the server decides",
                  "leave_approval", is_flag=True),
    options.plain("--retry", "with --enrol: send enrolments again that an earlier start saw rejected", "retry",
                  type=click.Choice(["rejected"])),
    options.after_loss_option,
    title="Missing enrolments",
)  # fmt: skip
table_columns = options.several(
    options.plain("--email-column", "column of the e-mails [default Email]", "email_column", metavar="NAME"),
    options.plain("--name-column", "column of the full names [default FullName]", "name_column", metavar="NAME"),
    options.plain("--course-title-column", "column of the course titles [default Course]", "course_column",
                  metavar="NAME"),
    options.plain("--lesson-title-column", "column of the lesson titles [default Lesson]", "lesson_title_column",
                  metavar="NAME"),
    options.plain("--section-column", "column of the sections [default Section]", "section_column", metavar="NAME"),
    options.reading_options,
    title="Columns of PEOPLE",
)  # fmt: skip


@click.command("resolve", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("people", metavar="PEOPLE", type=options.SOURCE)
@resolve_options
@enrol_options
@table_columns
@options.connection_options
@options.quota_options
@options.wait_options
@options.output_options
@click.pass_context
def command(ctx: click.Context, /, people: str, **given: Any) -> int:
    """Turn e-mails, course and lesson titles into the ids that a run needs.

    PEOPLE is a table with the columns Email, Course and Lesson, and ids where they are known.  All its own columns are
    kept.  Rows without a result go to a second file with the reason.  It reads lists, and writes nothing on the server,
    unless --enrol is given.
    """
    invocation = Invocation(ctx, given)
    return invocation.conduct(ResolveCommand(invocation, people))


class ResolveCommand(CountingCommand):
    """Resolves one table."""

    def __init__(self, invocation: Invocation, people: str) -> None:
        self._invocation, self._options = invocation, invocation.options
        self._people = people
        self._began_at = time.monotonic()
        self._resolver: Resolver | None = None
        self._lists: Lists | None = None
        self._cache: Cache | None = None
        self._accepted: list[RowReason] = []
        self._is_written = False
        self._enrol_step: EnrolStep | None = None
        self._run_before: journals.Beginning | None = None  # the output, if a run has begun from it
        self._earlier_calls = 0
        self.output, self.unresolved_output = outputs_of(people, self._options["output"])

    def prepare(self) -> Settings:
        if self._people == "-":
            raise UsageError("a table of people is a file", hint="save it, and name the file")
        for name, what in OF_ENROL.items():
            if self._options[name] and not self._options["enrol"]:
                raise UsageError(f"--{name.replace('_', '-')} {what}", hint="add --enrol")
        if self._options["enrol"] and not self._may_replace():
            raise UsageError("--enrol creates enrolments, and nobody is here to be asked", hint="add --yes")
        self._accepted = accepted(self._options["accept"])
        choose.check_there(self._people)
        if self.output.suffix.lower() != ".csv":
            raise UsageError(f"{self.output} does not end with .csv", hint="plan and run tell a file's format by that")
        for path in (self.output, self.unresolved_output):
            if path.resolve() == Path(self._people).resolve():
                raise UsageError(f"{path} is the table itself", hint="name another file with --output")
            check_output(path, None, force=self._options["force"] or self._may_replace())
        settings = self._invocation.settings(None)
        return dataclasses.replace(
            settings, limits=dataclasses.replace(settings.limits, list_body_bytes=LIST_BODY_BYTES)
        )

    async def work(self, settings: Settings) -> None:
        from ..resolve.cache import Cache, cache_path
        from ..resolve.spool import Spool

        if not await self._agrees_to_replace():
            raise UsageError("nothing was replaced", hint="--output names other files")
        with contextlib.ExitStack() as stack:
            spool = stack.enter_context(contextlib.closing(Spool(self.output.resolve().parent)))
            columns = await self._read_table(settings, spool)
            self._run_before = journals.Beginning.of_run(self.output)
            is_fresh = self._options["refresh"]
            cache = Cache(cache_path(settings, os.environ), time.time, is_fresh=is_fresh)
            self._cache = stack.enter_context(cache)
            if cache.trouble:
                self._tell(f"note: what lists show is not kept: {cache.trouble}")
            resolver = await self._ask(settings, spool, columns, cache)
            await self._write(resolver, columns)
            if self._options["enrol"] and await self._enrol(settings, resolver):
                await anyio.sleep(settings.list_lag_s)  # until lists show what was created
                cache.drop(f"{ENROLMENTS.name}?")
                self._earlier_calls = self._lists.calls if self._lists else 0
                await self._write(await self._ask(settings, spool, columns, cache), columns)

    async def _enrol(self, settings: Settings, resolver: Resolver) -> bool:
        """Create what rows lack; whether the rows are worth another look."""
        from .enrol import EnrolStep

        is_approved = not self._options["leave_approval"]
        step = EnrolStep(self._invocation, settings, output=self.output, is_approved=is_approved)
        self._enrol_step = step
        return await step.run(resolver.missing_enrolments) and step.is_done

    async def _agrees_to_replace(self) -> bool:
        """Whether no file is in the way, or may be replaced."""
        there = [str(path) for path in (self.output, self.unresolved_output) if path.exists()]
        if not there or self._options["force"] or self._options["yes"]:
            return True
        return await self._invocation.ask(f"Replace {' and '.join(there)}?")

    def _may_replace(self) -> bool:
        return bool(self._options["yes"] or choose.can_ask())

    async def _read_table(self, settings: Settings, spool: Spool) -> WishColumns:
        from ..resolve.reading import columns_in, fill, is_header
        from ..sources.files import notes_on
        from ..sources.tables import TableOptions, open_table

        chosen, by_name = self._chosen(), self._options["by_name"]
        wanted = is_header(chosen=chosen, by_name=by_name)
        options = {name: self._options[name] for name in choose.READING}
        table_options = TableOptions(**options)
        notes: list[str] = []
        is_over = False

        def read() -> WishColumns:
            notes.extend(notes_on(self._people, **options))
            with open_table(
                self._people, table_options, is_header=wanted, line_bytes=settings.limits.line_bytes
            ) as table:
                columns = columns_in(table, self._people, chosen=chosen, by_name=by_name)
                fill(spool, table, columns, is_over=lambda: is_over)
                return columns

        async with self._invocation.showing(lambda: f"{len(spool):,} rows read"):
            try:  # a disk may hang: whoever stops the command does not wait for the thread, which ends by itself
                return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
            finally:
                is_over = True
                for words in notes:
                    self._tell(f"note: {self._people}: {words}")

    def _chosen(self) -> Mapping[str, str | None]:
        return {
            meaning: self._options["lesson_title_column" if meaning == "lesson" else f"{meaning}_column"]
            for meaning in COLUMNS
        }

    async def _ask(self, settings: Settings, spool: Spool, columns: WishColumns, cache: Cache) -> Resolver:
        """Read every list that is needed."""
        from ..quota.build import windows_for
        from ..resolve.fetch import Lists
        from ..resolve.resolver import Resolver
        from ..server_client import ServerClient

        tell = self._invocation.event_lines
        async with ServerClient(settings, tell=tell) as client:
            lists = self._lists = Lists(client.api, client.lister, cache, settings, tell=tell, clocks=client.clocks)
            resolver = self._resolver = Resolver(
                lists,
                columns,
                spool,
                windows=windows_for(settings),
                tell=self._tell,
                by_name=self._options["by_name"],
                accepted=self._accepted,
            )

            def line() -> str:
                left_s = resolver.left_s()
                left = f" · at least {describe.duration(left_s)} left" if left_s >= 1 else ""
                return f"{lists.calls:,} of about {max(lists.calls, lists.planned):,} list calls{left}"

            async with self._invocation.showing(line):
                await resolver.prepare()
        return resolver

    async def _write(self, resolver: Resolver, columns: WishColumns) -> None:
        from ..resolve.matching import Resolved
        from ..resolve.outputs import Outputs

        outputs = Outputs(columns.names)
        with Drafts(self.unresolved_output, self.output) as drafts:
            unresolved, resolved = drafts.open()
            unresolved.head(safe(outputs.unresolved_names()))
            resolved.head(safe(outputs.resolved_names()))
            async for row in resolver.rows():
                if isinstance(row.outcome, Resolved):
                    resolved.add(safe(outputs.resolved(row.cells, row.outcome)))
                else:
                    unresolved.add(safe(outputs.unresolved(row.line, row.cells, row.outcome)))
            drafts.keep()
        self._is_written = True

    def _tell(self, sentence: str) -> None:
        self._invocation.stderr.print(sentence, event="note")

    @property
    def exit_code(self) -> int:
        summary = self._enrol_step.summary if self._enrol_step else None
        if summary and summary.counts.in_doubt:
            return Exit.DOUBTS
        return Exit.INCOMPLETE if self._resolver and self._resolver.reasons else Exit.OK

    def facts(self) -> dict[str, Any]:
        resolver = self._resolver
        reasons: Counter[RowReason] = resolver.reasons if resolver else Counter()
        count = reasons.total()
        resolved = resolver.resolved if resolver else 0
        return {
            "rows": resolved + count,
            "resolved": resolved,
            "unresolved": count,
            "reasons": {reason.value: many for reason, many in reasons.most_common()},
            "list_calls": self._earlier_calls + (self._lists.calls if self._lists else 0),
            "throttled": self._lists.throttled if self._lists else 0,
            "lists_age_s": self._age_s(),
            "elapsed_s": round(time.monotonic() - self._began_at, 3),
            "output": str(self.output) if self._is_written and resolved else None,
            "unresolved_output": str(self.unresolved_output) if self._is_written and count else None,
            **(self._enrol_step.facts() if self._enrol_step else {}),
        }

    @property
    def _trouble(self) -> str:
        """Why what lists show is not kept; empty if it is."""
        return self._cache.trouble if self._cache else ""

    def _age_s(self) -> float | None:
        """How old the oldest answer is that was kept from before; None if all were asked for now."""
        oldest = self._cache.oldest if self._cache else None
        return None if oldest is None else round(max(0.0, time.time() - oldest), 1)

    def lines(self, exit_code: int) -> list[str]:
        if not self._is_written or self._resolver is None:
            if self._lists is None and exit_code in (Exit.USAGE, Exit.SOURCE):
                return ["nothing was written"]  # the same command would be refused again
            kept = "what lists have shown is kept, and " if self._lists and not self._trouble else ""
            return [f"nothing was written; {kept}the same command goes on:", f"  {self._invocation.command_line}"]
        facts, reasons = self.facts(), self._resolver.reasons
        lines = [f"{facts['resolved']:,} of {describe.quantity(facts['rows'], 'row')} resolved: {self.output}"]
        if not facts["resolved"]:
            lines = [f"none of {describe.quantity(facts['rows'], 'row')} could be resolved"]
        if reasons:
            lines.append(f"{facts['unresolved']:,} not, with reason and candidates: {self.unresolved_output}")
            rows = [(f"{count:>7,}", reason.value) for reason, count in reasons.most_common()]
            lines += ["", *describe.columns(rows, 80), ""]
        age_s = facts["lists_age_s"]
        calls = describe.quantity(facts["list_calls"], "list call")
        if age_s is not None:
            calls += f"; other lists were kept from before, up to {describe.duration(age_s)} old (--refresh asks again)"
        lines.append(calls)
        if self._trouble:
            lines.append(f"what lists show is not kept: {self._trouble}")
        if self._enrol_step:
            lines += self._enrol_step.lines()
        elif self._resolver.missing_enrolments:
            count = describe.quantity(len(self._resolver.missing_enrolments), "missing enrolment")
            lines.append(f"add --enrol to create {count}; it asks first")
        if self._run_before and not self._run_before.is_kept_by(self.output):
            journal = quote(operand(f"{self.output}.2.journal"))
            lines += [
                "a run has begun from the file that stood there, and its rows have changed: its journal does not take",
                "the new file.  With another journal a run finds what exists, and does not write that again:",
                f"  bulkwriter run {quote(operand(self.output))} --journal {journal}",
            ]
        elif self._enrol_step and self._enrol_step.is_left:
            lines += ["next: the same command goes on with the enrolments", f"  {self._invocation.command_line}"]
        elif facts["resolved"]:
            lines.append(f"next: bulkwriter plan {quote(operand(self.output))}")
        return lines


def outputs_of(people: str, output: Path | None) -> tuple[Path, Path]:
    """The files for rows with and without ids: PEOPLE.resolved.csv and PEOPLE.unresolved.csv beside the table."""
    if output is not None:
        return output, output.with_name(f"{output.name.removesuffix('.csv')}.unresolved.csv")
    table = Path(people)
    stem = table.with_suffix("").stem if table.suffix.lower() == ".gz" else table.stem
    return table.with_name(f"{stem}.resolved.csv"), table.with_name(f"{stem}.unresolved.csv")


def accepted(words: str | None) -> list[RowReason]:
    """What `--accept` takes all the same."""
    from ..resolve.matching import ACCEPTABLE

    found = []
    for word in filter(None, (part.strip().lower().replace("_", "-") for part in (words or "").split(","))):
        if word not in ACCEPTABLE:
            raise UsageError(f"--accept {word}: no such word", hint=f"words are {', '.join(ACCEPTABLE)}")
        found.append(ACCEPTABLE[word])
    return found


def safe(row: list[str]) -> list[str]:
    """A row in which no spreadsheet takes a cell for a formula."""
    return [harmless(cell) for cell in row]
