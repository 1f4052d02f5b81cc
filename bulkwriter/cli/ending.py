"""How a run ends for its user: the exit code, the summary in words, the JSON line, and the command that goes on.

`exit_code` obeys the documented order: of all codes that apply, the first in `ORDER`.  `resume_command` is the user's
own command line, quoted for a shell, with any password in a proxy URL replaced: the same command is always what
resumes, and no hint here ever suggests another journal or another way to treat what exists.

Pure: text and values in, text out; `lifecycle` prints.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import NamedTuple

from ..core.left import to_do
from ..errors import COMMITS_LOST, JOURNAL_LOST, BulkwriterError, Exit, JournalError, TryLater, WrongName
from ..model import Counts, Summary, iso
from ..shell import join, operand
from ..wording import typed
from . import describe, reason_lines
from .choose import without_password

ORDER = (2, 74, 130, 143, 129, 5, 6, 4, 75, 3, 1, 0, 70)
"""Exit codes, the first that applies first."""

MEANING: dict[int, str] = {
    0: "every pair written or found, by the journal, or as many as --limit allows",
    1: "ended; some pairs were rejected, failed or invalid",
    2: "usage: an option or setting cannot be right",
    3: "ended, but some pairs are in doubt",
    4: "stopped: authentication or configuration",
    5: "the journal, or the quota ledger, is locked, unusable, or of another host",
    6: "the source is unreadable or has changed",
    70: "a bug of ours",
    74: "the output cannot be written: stdout (a run keeps its own code, if not 0), or a file",
    75: "resume later: the server is gone, or a limit is spent",
    129: "hung up (SIGHUP)",
    130: "interrupted (SIGINT)",
    143: "terminated (SIGTERM)",
}

DONE = "every pair was written or found, by the journal; `verify` asks the server"
TOLD_BY_CODE = ("done", "limit", "signal")
"""Ends whose exit code says it all."""


class Ending(NamedTuple):
    """What a run came to: its last `summary`, and the error and the signal's exit code that ended it, if any."""

    summary: Summary
    error: BaseException | None = None
    signal_code: int | None = None
    title: str = ""  # the first line of a good ending of what is no run
    next: tuple[tuple[str, str], ...] = ()  # what a person may do then, each with its command
    is_look: bool = False  # it was only looked, and nothing was kept of it: `next` is all that can be done
    is_alive: bool = False  # another process writes the journal, which is why this one ends

    @property
    def exit_code(self) -> int:
        return exit_code_of(self.summary.exit_code, self.error, self.signal_code)


def exit_code_of(own: int, error: BaseException | None, signal_code: int | None) -> int:
    """That of the signal or the error that ended a command, the first in `ORDER`; without either its `own`."""
    codes = {signal_code, code_of(error)} - {None}
    return min(codes or {own}, key=lambda c: ORDER.index(c or 0)) or 0


def code_of(error: BaseException | None) -> int | None:
    """The exit code of an exception; of a group, the first of its errors' codes; what is not ours is a bug."""
    if error is None:
        return None
    if isinstance(error, BaseExceptionGroup):
        codes = [code for e in error.exceptions if (code := code_of(e)) is not None]
        return min(codes, key=ORDER.index)
    if isinstance(error, KeyboardInterrupt):
        return 130
    return int(error.exit_code) if isinstance(error, BulkwriterError) else int(Exit.BUG)


def first_of(error: BaseException) -> BaseException:
    """The error of an exception group that decides its exit code; any other exception itself."""
    while isinstance(error, BaseExceptionGroup):
        code = code_of(error)
        error = next(e for e in error.exceptions if code_of(e) == code)
    return error


def is_of_loss(error: BaseException | None) -> bool:
    """Whether a database that may have lost commits ended it: the same command does not pass."""
    return isinstance(error, JournalError) and error.code == COMMITS_LOST


def end_facts(ending: Ending) -> dict[str, str | None]:
    """Why it ended and when going on makes sense, where the summary does not say so: an error from outside the run, or
    from before it began."""
    error, ended = ending.error, ending.summary.ended
    if error is not None and (ended is None or ended.exit_code != code_of(error)):
        code = (
            "signal" if isinstance(error, KeyboardInterrupt) else getattr(first_of(error), "code", BulkwriterError.code)
        )
        return {"ended_reason": reason_of(error), "ended_code": code, "resume_at": None, **time_to_come_back(error)}
    if ended is None and ending.signal_code:
        return {"ended_reason": signal.Signals(ending.signal_code - 128).name, "ended_code": "signal"}
    return {}


def reason_of(error: BaseException) -> str:
    """An interrupt is none of ours: it came before signals were watched."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT.name
    return typed(error.message) if isinstance(error, BulkwriterError) else f"a bug of ours: {type(error).__name__}"


def time_to_come_back(error: BaseException | None) -> dict[str, str | None]:
    """`resume_at` for scripts, in UTC, where an end with 75 knows when going on makes sense."""
    at = error.retry_at if isinstance(error, TryLater) else None
    return {} if at is None else {"resume_at": iso(at)}


def empty_summary(journal: str | None) -> Summary:
    """What is known of a run that never began."""
    return Summary(counts=Counts(), journal=journal)


def resume_command(args: Sequence[str]) -> str:
    """The command line that goes on with this run, safe to paste."""
    shown = []
    after = ""
    for arg in args:
        flag, equals, value = arg.partition("=")
        if after == "--proxy":
            shown.append(without_password(arg))
        elif flag == "--proxy" and equals:
            shown.append(f"{flag}={without_password(value)}")
        else:
            shown.append(arg)
        after = arg
    command = join(["bulkwriter", *shown])
    is_fed = "-" in args or "--token-file=-" in args
    return f"(the same input) | {command}" if is_fed else command


def summary_lines(ending: Ending, *, source: str, resume: str, server: Sequence[str] = ()) -> list[str]:
    """The summary for people: how it ended, counts, speed, the journal, and what to do next.

    `resume` is the command that goes on, `server` the options with which another command asks the same server.
    """
    summary = ending.summary
    lines = [head] if (head := headline(ending)) else []
    if summary.counts.pairs:
        rows = None if ending.title else summary.rows
        table = describe.counts_table(summary.counts, rows, is_alive=ending.is_alive)
        lines += ["", *table, *reason_lines.lines(summary.reasons), ""]
    if summary.attempts or summary.settled:
        facts = [
            describe.duration(summary.elapsed_s),
            describe.creates_per_second(summary.creates_per_s),
            describe.quantity(summary.attempts, "attempt"),
            f"{summary.throttled:,} throttled",
        ]
        lines.append(f"  this start {' · '.join(facts)}")
    if summary.journal and summary.counts.pairs:
        lines.append(f"  journal    {summary.journal}")
    for i, (what, command) in enumerate(next_steps(ending, source=source, resume=resume, server=server)):
        lines += [f"  {'' if i else 'next':<9}  {what}:", f"               {command}"]
    return lines


def headline(ending: Ending) -> str:
    """One line: the outcome by its exit code, and the reason where the run ended early without an error.

    An error was told by itself, in more precise words: after it only what follows is said, if anything does.
    """
    code, summary = ending.exit_code, ending.summary
    if ending.title and code in (Exit.OK, Exit.INCOMPLETE):
        return ending.title
    if code == code_of(ending.error) and code not in (130, Exit.OK):
        so_far = "Ended early; so far:" if summary.counts.pairs else "Nothing was sent"
        return "" if code == Exit.USAGE else so_far
    if code == Exit.OK and summary.ended and summary.ended.code == "limit":
        return at_limit(summary)
    if code == Exit.OK and not summary.counts.pairs and summary.rows.total == 0:
        return "The source has no rows, so there was nothing to send"
    text = MEANING[code] if code else DONE
    is_told = ending.error or not summary.ended or summary.ended.code in TOLD_BY_CODE
    return text[0].upper() + text[1:] + ("" if is_told else f": {summary.reason}")


def at_limit(summary: Summary) -> str:
    """What `--limit` has left, which is no trouble: it is what was asked for."""
    rows = summary.rows
    left = to_do(summary.counts, rows.not_read, is_alive=False)
    if rows.total is None:
        return "As many pairs were sent as --limit allows; the source has more rows, nobody knows how many"
    about = "" if rows.is_exact else "about "
    return f"As many pairs were sent as --limit allows; {about}{describe.quantity(left, 'row')} of the source are left"


def next_steps(ending: Ending, *, source: str, resume: str, server: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What a person may do now, each with its command; empty when all is done."""
    counts = ending.summary.counts
    steps = list(ending.next)
    if steps or ending.is_look or (ending.exit_code in (Exit.USAGE, Exit.BUG) and not counts.pairs):
        return steps
    if ending.error and isinstance(first_of(ending.error), WrongName):
        return steps  # its hint names another source
    is_over = ending.exit_code in (Exit.OK, Exit.INCOMPLETE) and not ending.title
    ended, rows = ending.summary.ended, ending.summary.rows
    has_more = rows.not_read or (rows.total is None and ended is not None and ended.code == "limit")
    is_over = is_over and not has_more
    error = first_of(ending.error) if ending.error else None
    again = resume if "--after-loss" in resume.split() else f"{resume} --after-loss"
    if is_of_loss(error):
        steps.append(("once every worker of the job has ended, and not before", again))
    elif isinstance(error, JournalError) and error.code == JOURNAL_LOST:
        steps.append(("where the journal is lost for good (move a damaged one away first)", again))
    elif error and getattr(error, "code", "") == "rejections" and "--retry" not in resume:
        steps.append(
            ("once the cause is mended, this sends the rejected pairs again, too", f"{resume} --retry rejected")
        )
    elif not is_over or counts.pending or counts.in_doubt or counts.failed:
        steps.append((why_again(ending), resume))
    bad = [s for s in ("rejected", "failed", "invalid") if getattr(counts, s)]
    if bad and ending.summary.journal:
        output = export_name(source, bad)
        journal = operand(ending.summary.journal)
        command = ["bulkwriter", "export", journal, "--state", ",".join(bad), "--output", operand(output)]
        steps.append(("see what was not written, and why", join(command)))
    if not steps and counts.pairs and ending.summary.journal:
        command = ["bulkwriter", "verify", operand(ending.summary.journal), *server]
        steps.append(("ask the server for each of them", join(command)))
    return steps


def why_again(ending: Ending) -> str:
    counts = ending.summary.counts
    if ending.exit_code in (Exit.CONFIGURATION, Exit.JOURNAL, Exit.SOURCE):
        return "once what is said above is put right, the same command goes on"
    if counts.in_doubt and not counts.pending:
        return "the same command looks up what is in doubt"
    if counts.failed and not counts.pending:
        return "the same command tries the failed pairs again"
    return "the same command goes on where this ended"


def export_name(source: str, states: Sequence[str]) -> str:
    """A file name beside the source for the export of its bad pairs."""
    stem = "pairs" if source == "-" else source
    for suffix in (".gz", ".csv", ".tsv", ".jsonl", ".ndjson"):
        stem = stem.removesuffix(suffix)
    return f"{stem}.{'-'.join(states)}.csv"
