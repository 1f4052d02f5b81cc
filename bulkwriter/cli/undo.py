"""`bulkwriter undo JOURNAL`: delete the records that this run created, so that `run` can create them again.

Takes the journal's lock, settles its doubts, says its plan, asks, and deletes (`verify.undo` tells how).  Where
nobody can be asked it needs `--yes`.  `--dry-run` says the plan from the journal alone: it connects nowhere and changes
nothing.  Stopped or killed, the same command goes on.  stdout carries nothing but the object of `--json`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from ..entities import Entity
from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import Exit, JournalError, UsageError
from ..model import State
from ..settings import Settings
from ..store.starts import UNDONE, undone_text
from . import choose, describe, journals, options
from .lifecycle import CountingCommand, Invocation

if TYPE_CHECKING:
    from ..postgres.address import Address
    from ..store.journal import Journal
    from ..store.journal_writer import JournalWriter
    from ..store.schema import JournalIdentity
    from ..verify.undo import Undo, UndoPlan
    from .undo_job import JobUndo

NOBODY = "none"


EXAMPLES = (
    ("bulkwriter undo pairs.csv.journal --dry-run", "shows how many records, and how long it takes"),
    ("bulkwriter undo pairs.csv.journal --token-file token", "deletes them after asking; needs the role -Delete"),
)


@click.command("undo", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("journal", metavar="JOURNAL", type=options.JOURNAL)
@options.connection_options
@options.quota_options
@options.wait_options
@options.after_loss_option
@options.plain(
    "--dry-run", "show what would be deleted; asks only the journal, not the server", "dry_run", is_flag=True
)
@options.output_options
@click.pass_context
def command(ctx: click.Context, /, journal: Path | Address, **given: Any) -> int:
    """Delete the records that this run created, and nothing that was there before.

    It reads each record first, and leaves it alone if it holds another pair.  Afterwards `run` can create the pairs
    again.
    """
    invocation = Invocation(ctx, given)
    return invocation.conduct(UndoCommand(invocation, journal))


class UndoCommand(CountingCommand):
    """Deletes what a run created; `_undo` is there once the journal is open, `_planned` after a dry run."""

    def __init__(self, invocation: Invocation, journal: Path | Address) -> None:
        self._invocation, self._options = invocation, invocation.options
        self._journal = journal
        self._began_at = time.monotonic()
        self._undo: Undo | JobUndo | None = None
        self._planned: UndoPlan | None = None
        self._title = ""
        self._entity: Entity | None = None  # once the journal was looked at

    def prepare(self) -> Settings:
        options = self._options
        if not (options["yes"] or options["dry_run"] or choose.can_ask()):
            raise UsageError(
                "undo deletes records, and nobody is here to be asked",
                hint="add --yes; --dry-run shows what it would do",
            )
        if options["after_loss"] and isinstance(self._journal, Path):
            raise UsageError(
                "--after-loss of undo is for a job in a database",
                hint="leave it out: undo deletes what this journal has as created",
            )
        journals.check_journal(self._journal, "undo")
        return self._invocation.settings(self._journal if isinstance(self._journal, Path) else None)

    async def work(self, settings: Settings) -> None:
        is_job, is_dry = not isinstance(self._journal, Path), self._options["dry_run"]
        identity, entity, plan = check_journal(self._journal, settings, with_plan=is_job or is_dry)
        self._planned = plan if is_dry else None
        self._entity = entity
        if self._planned:
            self._title = f"Dry run: {plan_text(self._planned, settings)}"
        elif plan and not isinstance(self._journal, Path):
            await self._take_back_job(self._journal, settings, identity, entity, plan)
        else:
            await self._take_back(settings, identity, entity)

    async def _take_back(self, settings: Settings, identity: JournalIdentity, entity: Entity) -> None:
        """Hold the lock, settle doubts, ask, delete."""
        from ..server_client import ServerClient
        from ..store.journal_writer import JournalWriter
        from ..verify.session import ServerSession
        from ..verify.undo import Undo

        invocation = self._invocation
        assert isinstance(settings.journal, Path)
        store = JournalWriter()
        await store.open(
            settings.journal, base_url=settings.base_url, account=settings.account,
            columns=identity.columns, entity=identity.entity,
        )  # fmt: skip
        try:
            async with ServerClient(settings, entity, tell=invocation.event_lines) as connection:
                session = ServerSession(connection, settings, tell=invocation.event_lines)
                undo = self._undo = await Undo.load(store, session, settings)
                with invocation.draining(session.stop.set):
                    await undo.settle_doubts()
                if not session.stop.is_set and await self._may_go_on(undo, settings):
                    async with invocation.showing(lambda: progress_line(undo)):
                        with invocation.draining(session.stop.set):
                            async with noted(store):
                                await undo.run()
        finally:
            with anyio.CancelScope(shield=True):
                await store.close()

    async def _take_back_job(
        self, address: Address, settings: Settings, identity: JournalIdentity, entity: Entity, plan: UndoPlan
    ) -> None:
        """Ask, then go through the parts of a job."""
        from ..postgres.jobs import opened, standing
        from ..postgres.loading import apart
        from ..server_client import ServerClient
        from ..verify.session import ServerSession
        from .undo_job import JobUndo, refuse_held

        def read() -> Any:
            with opened(address) as connection:
                return standing(connection, address.job)

        _, parts = await apart(read)
        parts = [part for part in parts if address.part in ("", part.name)]
        refuse_held(address, parts)
        invocation = self._invocation
        async with ServerClient(settings, entity, tell=invocation.event_lines) as connection:
            session = ServerSession(connection, settings, tell=invocation.event_lines)
            undo = JobUndo(address, parts, session, settings, plan=plan)
            if await self._may_go_on(undo, settings):
                self._undo = undo
                async with invocation.showing(lambda: progress_line(undo)):
                    with invocation.draining(session.stop.set):
                        await undo.run(identity, noted)

    async def _may_go_on(self, undo: Undo | JobUndo, settings: Settings) -> bool:
        """Print the plan, and ask unless `--yes` was given; False where there is nothing to do, or nothing may be
        done."""
        plan = undo.plan()
        if plan.doubts and isinstance(self._journal, Path):
            self._title = (
                f"Nothing was deleted: {describe.quantity(plan.doubts, 'pair')} in doubt cannot be told from what was "
                "there before; the `run` command of this journal settles them, then undo can begin"
            )
            return False
        text = plan_text(plan, settings, undo.expected_s())
        self._invocation.stderr.print(text, event="plan", records=plan.records)
        if not plan.records or self._options["yes"]:
            return bool(plan.records or plan.doubts)
        if await self._invocation.ask(f"Delete {describe.quantity(plan.records, 'record')}?"):
            return True
        self._title = "Nothing was deleted, as you wished"
        return False

    @property
    def exit_code(self) -> int:
        if self._planned:
            return Exit.DOUBTS if self._planned.doubts else Exit.OK
        return self._undo.exit_code if self._undo else Exit.OK

    def facts(self) -> dict[str, Any]:
        undo, plan = self._undo, self._planned
        tally = undo.tally if undo else None
        return {
            "deleted": tally.deleted if tally else 0,
            "gone": tally.gone if tally else 0,
            "mismatched": tally.mismatched if tally else 0,
            "older": tally.older if tally else 0,
            "left": undo.left if undo else plan.records if plan else 0,
            "in_doubt": undo.in_doubt if undo else plan.doubts if plan else 0,
            "journal": str(self._journal),
            "elapsed_s": round(time.monotonic() - self._began_at, 3),
        }

    def lines(self, exit_code: int) -> list[str]:
        facts, undo = self.facts(), self._undo
        if undo is None:
            return [self._title or "Nothing was deleted"]
        lines = [self._title or HEADLINES.get(exit_code, "Ended early")]
        rows = [(name, facts[name], meaning) for name, meaning in MEANING.items() if facts[name] or name == "deleted"]
        width = max(len(describe.number(count)) for _, count, _ in rows)
        lines += ["", *(f"  {describe.state(name):<10}  {count:>{width},}  {text}" for name, count, text in rows), ""]
        assert self._entity
        lines += [mismatch_line(self._entity, *found) for found in undo.tally.mismatches]
        lines += [older_line(self._entity, *found) for found in undo.tally.olders]
        if undo.refusal:
            lines.append(
                f"  the server refused to delete {describe.quantity(undo.tally.refused, 'record')}: {undo.refusal}"
            )
        lines.append(f"  journal     {self._journal}")
        if not isinstance(self._journal, Path) and undo.tally.deleted:
            lines.append("  note        `bulkwriter work` on this job would write these pairs again")
        if self._options["after_loss"]:
            lines.append("  note        records that the database has lost are not known here, and were left")
        if self._entity.label != COMPLETED_LESSONS.label and undo.tally.deleted:
            lines.append("  note        `resolve` keeps lists for a day: give it --refresh now")
        if not self._title and (exit_code not in HEADLINES or undo.in_doubt):
            lines += [
                "  next        the same command goes on where this ended:",
                f"              {self._invocation.command_line}",
            ]
        return lines


@contextlib.asynccontextmanager
async def noted(store: JournalWriter) -> AsyncIterator[None]:
    """Keep in the journal that the block deletes records, and how many were deleted, however it ends."""
    await store.run(partial(note_undo, is_over=False))
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(JournalError):
            await store.run(partial(note_undo, is_over=True))


def note_undo(journal: Journal, *, is_over: bool) -> None:
    """Keep for `status` that records were deleted, by this undo and by those before it since the last start."""
    deleted = journal.count_undone() if is_over else None
    journal.meta_set(UNDONE, undone_text(time.time(), deleted, journal.meta()))


HEADLINES: dict[int, str] = {
    Exit.OK: "Every record that this run created is gone",
    Exit.INCOMPLETE: "Ended; some records were left",
    Exit.DOUBTS: "Ended, but for some pairs it is not known whether their record is there",
}
MEANING = {
    "deleted": "records deleted by this command",
    "gone": "were gone already",
    "mismatched": "hold another pair than this run wrote, so they were left alone",
    "older": "are by id and CreatedOn no newer than what was there before, so they were left alone",
    "left": "records of this run that were not deleted",
    "in_doubt": "may be there or not; the same command goes on",
}


def check_journal(
    journal: Path | Address, settings: Settings, *, with_plan: bool
) -> tuple[JournalIdentity, Entity, UndoPlan | None]:
    """What the journal is of, and what there is to undo if asked for, since that reads it all.  Raises for a journal of
    another host."""
    from ..verify.undo import UndoPlan

    with journals.reading(journal) as reader:
        identity, entity = reader.identity(), journals.entity_in(reader)
        reader.require(
            base_url=settings.base_url, account=settings.account, columns=identity.columns, entity=identity.entity
        )
        if not with_plan:
            return identity, entity, None
        counts = reader.counts()
    doubts = counts.get(State.IN_DOUBT, 0) + counts.get(State.INTENT, 0)
    return identity, entity, UndoPlan(counts.get(State.CREATED, 0), doubts)


def plan_text(plan: UndoPlan, settings: Settings, expected_s: float | None = None) -> str:
    """How many, and how long: as forecast, else what the quotas take at least."""
    from ..quota.build import windows_for

    least_s = plan.least_s(windows_for(settings))
    time_text = (
        f"at least {describe.duration(least_s)} within the quotas" if least_s else "as fast as the server takes it"
    )
    if expected_s:
        time_text = f"about {describe.duration(expected_s)} within the quotas"
    doubts = f", after {describe.quantity(plan.doubts, 'doubt')} were settled" if plan.doubts else ""
    return (
        f"{describe.quantity(plan.records, 'record')} that this run created would be deleted from {settings.base_url}"
        f"{doubts}, with {describe.quantity(plan.reads, 'list call')}: {time_text}"
    )


def progress_line(undo: Undo | JobUndo) -> str:
    now = undo.snapshot()
    facts = [
        f"{now.done:,} of {now.total:,} · {describe.percent(now.done, now.total)}",
        describe.per_second(now.rate_per_s),
    ]
    facts += [f"ETA {describe.duration(now.eta_s)}"] if now.eta_s is not None else []
    facts += [f"throttled {now.throttled:,}"] if now.throttled else []
    return " · ".join(facts)


def mismatch_line(entity: Entity, record_id: int, own: tuple[int, int], held: tuple[int, int]) -> str:
    holds, made = (entity.describe([i or NOBODY for i in pair]) for pair in (held, own))
    return f"  record {record_id} holds {holds}, not {made}: left alone"


def older_line(entity: Entity, record_id: int, pair: tuple[int, int]) -> str:
    what = f"record {record_id} of {entity.describe(pair)}"
    return f"  {what} is by id and CreatedOn no newer than what was there before: left alone"
