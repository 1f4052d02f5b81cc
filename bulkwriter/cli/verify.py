"""`bulkwriter verify JOURNAL`: hold what a journal (or a source) claims against the server's own lists.

Tells missing pairs, doubled ones with their ids, and strangers; it reads only, so it works beside a run that is at
work: the journal is opened read-only, as of one moment at a time.  `--source FILE` needs no journal: then every pair of
the file must be there exactly once.  `--output FILE.csv` lists all missing and doubled pairs, ids first, so that it is
a SOURCE again.  `--repair` takes the journal's lock, and deletes what this run can claim of doubled pairs.

Exit 0 only if nothing is missing and nothing doubled; 3 where pairs are in doubt, else 1.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import click

from ..errors import UsageError
from ..settings import Settings
from . import choose, journals, options
from . import describe as words
from .export import check_output, write_file
from .lifecycle import Errand, ask
from .verify_report import VerifyReport, problem_lines

if TYPE_CHECKING:
    from ..store.journal_writer import JournalWriter
    from ..verify.expected import Claims
    from ..verify.session import Conversation

ROWS = 10_000


EXAMPLES = (
    (
        "bulkwriter verify pairs.csv.journal --token-file token",
        "missing and doubled pairs of a run, also while it runs",
    ),
    ("bulkwriter verify --source pairs.csv --token-file token", "every pair of a file, without a journal"),
)


@click.command("verify", cls=options.Command, examples=EXAMPLES)
@click.argument("journal", metavar="[JOURNAL]", type=options.PATH, required=False)
@options.plain("--source", "every pair of this file must be there exactly once", "source", metavar="FILE|-")
@options.plain("--repair", "delete what this run can claim of doubled pairs; asks first", "repair", is_flag=True)
@options.plain("--output", "list all missing and doubled pairs here", "output", metavar="FILE.csv", type=options.PATH)
@options.plain("--force", "replace FILE.csv if it is there", "force", is_flag=True)
@options.column_options
@options.connection_options
@options.quota_options
@options.wait_options
@options.errand_options
@click.pass_context
def command(ctx: click.Context, /, journal: Path | None, **given: Any) -> int:
    """Tell which pairs of a run are missing or doubled on the server.

    Reads only, also beside a run at work.  With --source FILE no JOURNAL is needed.
    """
    errand = Errand(ctx, given)
    report = VerifyReport(journal, given["source"])
    return errand.conduct(report, lambda: prepare(errand, journal), lambda settings: work(errand, settings, report))


def prepare(errand: Errand, journal: Path | None) -> Settings:
    """What can be refused before anything is opened."""
    given = errand.given
    if journal is None and given["source"] is None:
        raise UsageError("nothing to verify", hint="bulkwriter verify JOURNAL, or bulkwriter verify --source FILE")
    if given["repair"] and journal is None:
        raise UsageError("--repair needs the JOURNAL", hint="only a journal can tell which records this run created")
    if given["repair"] and not (given["yes"] or choose.can_ask()):
        raise UsageError("--repair deletes records, and nobody is here to be asked", hint="add --yes")
    if journal is not None:
        journals.check_journal(journal, "verify")
    if given["source"] == "-":
        choose.check_source("-", given)
    if given["output"] is not None:
        check_output(given["output"], journal, force=given["force"])
    return errand.settings(journal)


async def work(errand: Errand, settings: Settings, report: VerifyReport) -> None:
    from ..server_client import Connection
    from ..verify.expected import Claims
    from ..verify.session import Conversation

    claims = Claims()
    columns = choose.columns_of(errand.given)
    async with contextlib.AsyncExitStack() as stack:
        store = None
        if settings.journal:
            columns, store = await take_journal(settings, claims, stack, is_locked=errand.given["repair"])
        if errand.given["source"] is not None:
            await take_source(errand, settings, claims)
        connection = await stack.enter_async_context(Connection(settings))
        talk = Conversation(connection, settings, tell=errand.tell)
        await verify(errand, settings, claims, talk, report)
        if store is not None and report.doubled:
            await repair(errand, settings, talk, store, report)
        report.next = next_step(errand, settings, report)
    if errand.given["output"] is not None:
        write_file(errand.given["output"], problem_lines(columns, report))


async def take_journal(
    settings: Settings, claims: Claims, stack: contextlib.AsyncExitStack, *, is_locked: bool
) -> tuple[tuple[str, str], JournalWriter | None]:
    """Read the journal's claims; with `is_locked` its lock is taken first, and held until the stack ends."""
    from ..store.journal_reader import JournalReader
    from ..store.journal_writer import JournalWriter

    assert settings.journal
    store = None
    with JournalReader(settings.journal) as reader:
        columns = reader.identity().columns
        reader.require(base_url=settings.base_url, account=settings.account, columns=columns)
        if is_locked:
            store = JournalWriter()
            await store.open(settings.journal, base_url=settings.base_url, account=settings.account, columns=columns)
            stack.push_async_callback(close, store)
        reader.counts()  # raises where rows are missing or unreadable: "all is there" would not be true of those
        is_live = not is_locked and reader.writer() is not None
        for rows in reader.scan():
            claims.add_rows(rows, is_live=is_live)
            await anyio.lowlevel.checkpoint()
    return columns, store


async def close(store: JournalWriter) -> None:
    with anyio.CancelScope(shield=True):
        await store.close()


async def take_source(errand: Errand, settings: Settings, claims: Claims) -> None:
    source = choose.open_given(errand.given["source"], errand.given, errand.voice, limits=settings.limits)
    bad = 0
    async with contextlib.aclosing(source):
        while batch := await source.read(ROWS):
            claims.add_pairs(batch.pairs)
            bad += len(batch.bad)
    if bad:
        errand.voice.say(f"note: {words.quantity(bad, 'row')} of {source.name} hold no pair", event="note")


async def verify(errand: Errand, settings: Settings, claims: Claims, talk: Conversation, report: VerifyReport) -> None:
    from ..verify.verify import Verification

    verification = report.verification = Verification(
        claims,
        get_page=talk.get_page,
        filters_of=talk.filters_of,
        persist=talk.persist,
        list_lag_s=settings.list_lag_s,
        sleep=talk.halt.sleep,
    )

    def line() -> str:
        return f"{verification.records:,} records listed · {verification.calls:,} list calls"

    async with errand.saying(line):
        report.findings = await verification.run()


async def repair(
    errand: Errand, settings: Settings, talk: Conversation, store: JournalWriter, report: VerifyReport
) -> None:
    """Delete what can be claimed of doubled pairs, once it was agreed to."""
    from ..verify.repair import Repair

    repair = Repair(store, talk, report.doubled, list_lag_s=settings.list_lag_s)
    await repair.load()
    count = words.quantity(repair.claimed, "record")
    errand.voice.say(f"{count} of doubled pairs can be claimed by this run and deleted", event="plan")
    if not repair.claimed:
        return
    if not errand.given["yes"] and not await ask(f"Delete {count}?", errand.voice):
        return
    report.repair = repair
    with errand.meanwhile(talk.halt.set):
        await repair.run()


def next_step(errand: Errand, settings: Settings, report: VerifyReport) -> str:
    """What a person may do about what was found."""
    facts = report.facts()
    if facts["doubled"] and settings.journal and not errand.given["repair"]:
        return "add --repair to delete what this run can claim of the doubled pairs"
    if facts["missing"]:
        return "--output FILE.csv lists the pairs; `bulkwriter run FILE.csv` creates the missing ones"
    return ""
