"""`bulkwriter verify JOURNAL`: hold what a journal (or a source) says against the server's own lists.

Tells missing pairs, doubled ones with their ids, and strangers; it reads only, so it works beside a run that is at
work: the journal is opened read-only, as of one moment at a time.  `--source FILE` needs no journal: then every pair of
the file must be there exactly once.  `--output FILE.csv` lists all missing and doubled pairs, ids first, so that it is
a SOURCE again.  `--repair` takes the journal's lock, and deletes what this run can claim of doubled pairs.

Exit 0 only if nothing is missing, nothing doubled and every row of the run was checked; 4 where this token may not see
some of the pairs, 3 where pairs are in doubt, else 1.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import click

from ..entities import Entity
from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import ConfigurationStop, UsageError
from ..model import State
from ..settings import Settings
from . import choose, describe, journals, options
from .export import check_output, write_file
from .lifecycle import CountingCommand, Invocation
from .verify_report import VerifyReport, problem_lines

if TYPE_CHECKING:
    from ..core.dedupe import PairSet
    from ..model import Rows
    from ..postgres.address import Address
    from ..store.journal_writer import JournalWriter
    from ..store.schema import JournalIdentity
    from ..verify.expected import ExpectedPairs
    from ..verify.repair import Repair
    from ..verify.session import ServerSession
    from ..verify.verify import Findings, Verification

ROWS = 10_000


EXAMPLES = (
    (
        "bulkwriter verify pairs.csv.journal --token-file token",
        "shows missing and doubled pairs of a run, also while it runs",
    ),
    ("bulkwriter verify --source pairs.csv --token-file token", "checks every pair of a file, without a journal"),
)


@click.command("verify", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("journal", metavar="[JOURNAL]", type=options.JOURNAL, required=False)
@options.plain("--source", "check that the server has every pair of this file exactly once", "source", metavar="FILE|-")
@options.plain(
    "--repair", "delete extra records of doubled pairs that this run created; asks first", "repair", is_flag=True
)
@options.plain(
    "--output", "write all missing and doubled pairs to this file", "output", metavar="FILE.csv", type=options.PATH
)
@options.plain("--force", "replace FILE.csv if it exists", "force", is_flag=True)
@options.column_options
@options.connection_options
@options.quota_options
@options.wait_options
@options.output_options
@click.pass_context
def command(ctx: click.Context, /, journal: Path | Address | None, **given: Any) -> int:
    """Show which pairs of a run are missing or doubled on the server.

    It only reads, so it also works while the run goes on.  With --source FILE it needs no JOURNAL.
    """
    invocation = Invocation(ctx, given)
    return invocation.conduct(VerifyCommand(invocation, journal))


class VerifyCommand(CountingCommand):
    """Holds a journal, a source or both against the server."""

    def __init__(self, invocation: Invocation, journal: Path | Address | None) -> None:
        self._invocation, self._options = invocation, invocation.options
        self._journal = journal
        self._entity: Entity = COMPLETED_LESSONS  # or the journal's
        self._began_at = time.monotonic()
        self._verification: Verification | None = None
        self._findings: Findings | None = None
        self._repair: Repair | None = None

    def prepare(self) -> Settings:
        options, journal = self._options, self._journal
        if journal is None and options["source"] is None:
            raise UsageError("nothing to verify", hint="bulkwriter verify JOURNAL, or bulkwriter verify --source FILE")
        if options["repair"] and journal is None:
            hint = "only a journal can tell which records this run created"
            raise UsageError("--repair needs the JOURNAL", hint=hint)
        if options["repair"] and not isinstance(journal, Path):
            raise UsageError(
                f"--repair needs a journal that is a file, and {journal} is a job",
                hint="leave it out: --output FILE.csv lists the doubled pairs with all their ids",
            )
        if options["repair"] and not (options["yes"] or choose.can_ask()):
            raise UsageError("--repair deletes records, and nobody is here to be asked", hint="add --yes")
        if journal is not None:
            journals.check_journal(journal, "verify")
        if options["source"] == "-":
            choose.check_source("-", options)
        if options["output"] is not None:
            check_output(options["output"], journal, force=options["force"], source=options["source"] or "")
        return self._invocation.settings(journal if isinstance(journal, Path) else None)

    async def work(self, settings: Settings) -> None:
        from ..server_client import ServerClient
        from ..verify.expected import ExpectedPairs
        from ..verify.session import ServerSession

        options, expected = self._options, ExpectedPairs()
        columns, store = choose.columns_of(options), None
        async with contextlib.AsyncExitStack() as stack:
            if self._journal:
                identity, self._entity, store = await take_journal(
                    self._journal, settings, expected, stack, is_locked=options["repair"]
                )
                columns = identity.columns
            if options["source"] is not None:
                await self._take_source(settings, expected)
            tell = self._invocation.event_lines
            connection = await stack.enter_async_context(ServerClient(settings, self._entity, tell=tell))
            session = ServerSession(connection, settings, tell=tell)
            await self._verify(settings, expected, session)
            if store is not None and self._report().doubled:
                await self._delete_doubled(settings, session, store)
        if options["output"] is not None:
            write_file(options["output"], problem_lines(columns, self._report()))

    @property
    def exit_code(self) -> int:
        return self._report().exit_code

    def facts(self) -> dict[str, Any]:
        return self._report().facts()

    def lines(self, exit_code: int) -> list[str]:
        return self._report().lines(self._next_step())

    def _report(self) -> VerifyReport:
        """What is known now."""
        return VerifyReport(
            self._journal,
            self._options["source"],
            time.monotonic() - self._began_at,
            findings=self._findings,
            entity=self._entity,
            list_calls=self._verification.calls if self._verification else 0,
            repair=self._repair,
        )

    async def _take_source(self, settings: Settings, expected: ExpectedPairs) -> None:
        stderr = self._invocation.stderr
        source = choose.open_given(
            self._options["source"], self._options, stderr, limits=settings.limits, entity=self._entity
        )
        bad = 0
        async with contextlib.aclosing(source):
            while batch := await source.read(ROWS):
                expected.add_pairs(batch.pairs)
                bad += len(batch.bad)
        if bad:
            stderr.note(f"{describe.quantity(bad, 'row')} of {source.name} hold no pair")

    async def _verify(self, settings: Settings, expected: ExpectedPairs, session: ServerSession) -> None:
        from ..verify.verify import Verification

        verification = self._verification = Verification(
            expected,
            get_page=session.get_page,
            filters_of=session.entity.filters,
            retry=session.retry,
            list_lag_s=settings.list_lag_s,
            sleep=session.stop.sleep,
            find_by_ids=partial(self._find_by_ids, session) if self._journal else None,
        )

        def line() -> str:
            return f"{verification.records:,} records listed · {verification.calls:,} list calls"

        async with self._invocation.showing(line):
            self._findings = await verification.run()

    async def _find_by_ids(self, session: ServerSession, pairs: PairSet) -> tuple[PairSet, PairSet]:
        """Of which of these pairs the journal has a record id, and which of them a read by that id shows."""
        from ..core.dedupe import PairSet
        from ..verify.session import IDS_PER_CALL

        assert self._journal
        there = PairSet()
        ids: dict[int, tuple[int, int]] = {}
        with journals.reading(self._journal) as reader:
            for row in reader.export((State.CREATED, State.EXISTING)):
                if row.record_id and row.pair and row.pair in pairs:
                    ids[row.record_id] = row.pair
        numbers = list(ids)
        try:
            for at in range(0, len(numbers), IDS_PER_CALL):
                for record_id, record in (await session.read(numbers[at : at + IDS_PER_CALL])).items():
                    if record.pair == ids[record_id]:
                        there.add(record.pair)
        except ConfigurationStop as error:
            self._invocation.stderr.note(f"records cannot be read by their ids: {error.message}")
        return PairSet(ids.values()), there

    async def _delete_doubled(self, settings: Settings, session: ServerSession, store: JournalWriter) -> None:
        """Delete what can be claimed of doubled pairs, once it was agreed to."""
        from ..verify.repair import Repair

        invocation = self._invocation
        repair = await Repair.load(store, session, self._report().doubled, list_lag_s=settings.list_lag_s)
        count = describe.quantity(repair.claimed, "record")
        invocation.stderr.print(f"{count} of doubled pairs can be claimed by this run and deleted", event="plan")
        if repair.claimed and not self._options["yes"] and not await invocation.ask(f"Delete {count}?"):
            return
        self._repair = repair
        with invocation.draining(session.stop.set):
            await repair.run()

    def _next_step(self) -> str:
        """What a person may do about what was found."""
        facts = self.facts()
        if facts["doubled"] and self._repair and self._repair.open:
            return "the same command goes on with what this run can claim of them; delete none by hand before that"
        if facts["doubled"] and self._repair:
            return "this run cannot claim the rest: --output FILE.csv lists them with their ids, to be deleted by hand"
        if facts["doubled"] and isinstance(self._journal, Path) and not self._options["repair"]:
            return "add --repair to delete what this run can claim of the doubled pairs"
        if facts["doubled"] and self._journal and not self._options["repair"]:
            return "--output FILE.csv lists the doubled pairs with all their ids: which to delete is yours to say"
        if facts["not_shown"] or facts["unlisted"]:
            from ..listing.visibility import SEES_ALL

            return SEES_ALL
        if facts["missing"]:
            lists = "--output FILE.csv lists the pairs"
            is_run = self._entity.label == COMPLETED_LESSONS.label
            return f"{lists}; `bulkwriter run FILE.csv` creates the missing ones" if is_run else lists
        if self._findings and not facts["is_complete"]:
            return "the command that began the run goes on with the rest; when it has ended, verify again"
        if facts["repaired"]:
            return "the same command without --repair asks the server once more"
        return ""


async def take_journal(
    journal: Path | Address,
    settings: Settings,
    expected: ExpectedPairs,
    stack: contextlib.AsyncExitStack,
    *,
    is_locked: bool,
) -> tuple[JournalIdentity, Entity, JournalWriter | None]:
    """Read what the journal expects; with `is_locked` its lock is taken first, and held until the stack ends."""
    from ..store.journal_writer import JournalWriter
    from .last_start import run_state_of

    store = None
    with journals.reading(journal) as reader:
        identity, entity = reader.identity(), journals.entity_in(reader)
        base_url, account = settings.base_url, settings.account
        reader.require(base_url=base_url, account=account, columns=identity.columns, entity=identity.entity)
        if is_locked:
            store = JournalWriter()
            await store.open(
                reader.path, base_url=base_url, account=account, columns=identity.columns, entity=identity.entity
            )
            stack.push_async_callback(close, store)
        # Raises where rows are missing or unreadable: "all is there" would not be true of those.
        rows_of_source = run_state_of(reader).source
        expected.leave_unread(unread(rows_of_source) if rows_of_source else 0)
        is_live = not is_locked and reader.writer() is not None
        for rows in reader.scan():
            expected.add_rows(rows, is_live=is_live)
            await anyio.lowlevel.checkpoint()
    return identity, entity, store


def unread(rows: Rows) -> int | None:
    """Rows of a source that no start has read.  One that was not read to its end may have more than was estimated."""
    return rows.not_read or (0 if rows.is_exact else None)


async def close(store: JournalWriter) -> None:
    with anyio.CancelScope(shield=True):
        await store.close()
