"""`bulkwriter run SOURCE`: write every pair; the same command again resumes.

Thin: options become `Settings` (`choose`), `drive` brings the source to its end, `ending` puts the result into words.
Once the arguments are parsed every ending, also one by an error, a signal or a bug, prints the summary on stderr, the
resume command where there is something to resume, and with `--json` one object as the last line of stdout, counts
those of the journal where the run did not begin, and zero where they are not known.  stdout carries nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import BulkwriterError, Exit
from ..settings import DEFAULT_BASE_URL, Settings
from . import choose, journals, options
from .conclude import Session, conclude, guarded
from .ending import Ending, resume_command
from .event_lines import Teller
from .neighbours import Neighbours
from .reasons import have_all, reasons_of
from .secret import secrets_of
from .signals import Signals
from .stderr import Voice, own_stderr

if TYPE_CHECKING:
    from .drive import Job

EXAMPLES = (
    ("bulkwriter run pairs.csv --token-file token --limit 10", "ten pairs first; then the same without --limit"),
    (
        "bulkwriter run pairs.csv --token-file token --on-quota stop",
        "from cron: ends with 75 when today's writes are spent",
    ),
)
EPILOG = """Every option is also read from the environment: --in-flight from BULKWRITER_IN_FLIGHT, and so on.  Secrets
come from there or from files, never from a flag: BULKWRITER_TOKEN, or BULKWRITER_USERNAME and BULKWRITER_PASSWORD.
More: bulkwriter help settings, help sources, help exit-codes."""


@click.command("run", cls=options.Command, examples=EXAMPLES, epilog=EPILOG)
@click.argument("source", metavar="SOURCE", type=options.SOURCE)
@options.source_options
@options.connection_options
@options.pace_options
@options.quota_options
@options.care_options
@options.talk_options
@click.pass_context
def command(ctx: click.Context, /, source: str, **given: Any) -> int:
    """Write every pair of SOURCE: .csv, .tsv, .jsonl or .ndjson, each also .gz, or - for stdin.

    Stopped or killed at any moment, the same command resumes: what is done is kept in SOURCE.journal.
    """
    stream = own_stderr()
    session = Session(
        source=source,
        given=given,
        stream=stream,
        voice=Voice(stream, form=given["log_format"], secrets=secrets_of(os.environ)),
        resume=resume_command(ctx.find_root().obj or ()),
    )
    notes = choose.strange_variables(os.environ, options.variables_of(ctx.command))
    with contextlib.ExitStack() as stack:
        ending = with_reasons(session, with_counts(session, guarded(session, lambda: work(session, stack, notes))))
        if session.neighbours:
            session.neighbours.end(ending)
        conclude(session, ending)
    return ending.exit_code


def work(session: Session, stack: contextlib.ExitStack, notes: list[str]) -> Ending:
    """Choose the settings, then run, or only look.  From then on signals are watched until `stack` ends."""
    given, voice = session.given, session.voice
    choose.check_source(session.source, given)
    session.journal = choose.journal_path(session.source, given["journal"])
    for note in notes:
        voice.say(f"note: {note}", event="note")
    settings = choose.settings_for(given, os.environ, journal=session.journal, keep_secret=voice.keep_secret)
    if given["dry_run"]:
        from .dry_run import dry_run

        return dry_run(session, settings)
    choose.check_there(session.source)
    if not settings.after_loss and (lost := journals.note_if_lost(session.journal)):
        voice.say(f"note: {lost}", event="note")
    return run_watched(session, choose.with_totp(settings, given), stack)


def with_counts(session: Session, ending: Ending) -> Ending:
    """An ending that came before the journal was opened (it is locked, the source is missing), with what that has.

    The counts are those of the whole run, of all its processes.
    """
    path, given = session.journal, session.given
    if path is None or ending.summary.counts.pairs or ending.exit_code in (Exit.OK, Exit.USAGE, Exit.BUG):
        return ending
    from ..store.journal_reader import JournalReader
    from .last_start import told_of

    with contextlib.suppress(BulkwriterError), JournalReader(path) as reader:
        base_url, columns = given["base_url"] or DEFAULT_BASE_URL, choose.columns_of(given)
        reader.require(base_url=base_url, account=given["account"], columns=columns)
        told = told_of(reader)
        summary = dataclasses.replace(ending.summary, counts=told.counts, rows=told.rows)
        return dataclasses.replace(ending, summary=summary, is_alive=told.is_alive)
    return ending


def with_reasons(session: Session, ending: Ending) -> Ending:
    """An ending with the reasons of the whole run, where this process has not heard all of them itself."""
    path, summary = session.journal, ending.summary
    if path is None or session.given["dry_run"] or have_all(summary.reasons, summary.counts):
        return ending
    from ..store.journal_reader import JournalReader

    with contextlib.suppress(BulkwriterError), JournalReader(path) as reader:
        return dataclasses.replace(ending, summary=dataclasses.replace(summary, reasons=reasons_of(reader)))
    return ending


def run_watched(session: Session, settings: Settings, stack: contextlib.ExitStack) -> Ending:
    from .drive import Drain, drive, run_loop

    voice = session.voice
    drain = Drain(voice)
    signals = stack.enter_context(
        Signals(on_first=drain.request, on_second=lambda code: session.abort(code, drain.summary()))
    )
    voice.say(f"bulkwriter: {session.source} -> {settings.base_url}, journal {session.journal}", event="start")
    teller = Teller(voice, is_verbose=session.given["verbose"], now=time.monotonic)
    session.neighbours = Neighbours.of(session, settings)
    job = job_of(session, settings, teller)
    ending = run_loop(lambda: drive(job, voice, drain, signals))
    teller.finish()
    return ending


def job_of(session: Session, settings: Settings, teller: Teller) -> Job:
    """The job of a real run: the library's writer and the source named on the command line."""
    from ..writer import BulkWriter
    from .drive import Job

    names = choose.columns_of(session.given)

    def open_source() -> Any:
        source = choose.open_given(session.source, session.given, session.voice, limits=settings.limits)
        return session.neighbours.watching(source) if session.neighbours else source

    return Job(
        open_source=open_source,
        open_writer=lambda source: BulkWriter(settings, observer=teller, columns=names),
        journal=str(session.journal),
        show=session.show(os.environ),
    )
