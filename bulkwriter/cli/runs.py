"""`bulkwriter runs`: all runs of this user on this machine, how each stands, and what to do about those not finished.

The registry beside the ledger names them (`run.registry`); how one stands is read from its journal, as `status` does:

    at work     somebody holds its journal
    finished    every pair is settled, and the source was read to its end; rows that were refused are told
    stopped     it ended with pairs left, and noted why
    undone      `undo` deleted what it had created, or began to
    cut off     it did not note its end: it was killed, or its disk failed
    gone        there is no journal at that place any more, and it was not found where `moved` looks
    unreadable  the journal is there, and cannot be read

The newest comes first.  A journal that was moved is found by what it holds (`moved`) and shown where it lies; an entry
whose run went on in another folder is not shown twice.  Enrolments of `resolve --enrol` are runs too.

Invariant: reads only, and one journal that cannot be read hides no other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.left import to_do
from ..entities import ORIGINAL, entity_of
from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import BulkwriterError, JournalError
from ..model import iso
from ..postgres.address import Address
from ..shell import join, operand, visible
from . import describe, last_start, options
from .stdout import put, put_json

if TYPE_CHECKING:
    from ..run.registry import Entry


EXAMPLES = (
    ("bulkwriter runs", "which runs there are, how each stands, and what to do about it"),
    ("bulkwriter runs postgresql://bulk@db/ops", "the jobs in this database"),
)


@click.command("runs", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("url", metavar="[URL]", required=False)
@options.profile_option
@options.option("--ledger", "ledger", metavar="PATH|URL", type=options.PLACE)
@options.json_option
def command(url: str | None, ledger: Path | Address | None, as_json: bool) -> int:
    """Show all runs of this user on this machine, the newest first: how each stands, and how it goes on.

    With URL, postgresql://HOST/DATABASE or one with a job's name, the jobs there, whoever works on them.
    """
    if url is not None:
        from .runs_of_jobs import show

        return show(url, as_json=as_json)
    from ..quota.ledger import ledger_path
    from ..run.registry import Registry

    registry = Registry(ledger_path(ledger))
    entries = registry.all()
    taken = {entry.journal for entry in entries}
    runs = [facts_of(entry, taken) for entry in entries if not goes_on_elsewhere(entry, entries)]
    if as_json:
        put_json({"runs": runs, "exit_code": 0})
    elif runs:
        put("\n\n".join("\n".join(lines_of(run)) for run in runs))
    else:
        put(f"no runs yet; those of the last 90 days are kept in {visible(str(registry.folder))}")
    return 0


def goes_on_elsewhere(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Whether its journal is gone, and a later entry is the same run in another folder."""
    old = Path(entry.journal)
    return not old.exists() and any(
        (other.kind, Path(other.journal).name) == (entry.kind, old.name)
        and other.started_at > entry.started_at
        and other.rows[: len(entry.rows)] == entry.rows != ()
        for other in entries
    )


def facts_of(entry: Entry, taken: Collection[str] = ()) -> dict[str, Any]:
    """How one run stands, as `--json` has it; counts are null where the journal does not tell them."""
    from .moved import find

    found: dict[str, Any] = {
        "journal": entry.journal,
        "moved_from": None,
        "records": entity.plural if (entity := entity_of(entry.entity or ORIGINAL)) else entry.entity,
        "source": entry.source or None,
        "base_url": entry.base_url,
        "account": entry.account or None,
        "began_at": iso(entry.started_at or None),
        "ended_at": iso(entry.ended_at),
        "exit_code": entry.exit_code,
        "pid": None,
        "pairs": None,
        "settled": None,
        "refused": {},
        "left": None,
        "left_exact": False,
        "resume_at": None,
        "undone_at": None,
        "undone": "",
        "reason": entry.reason,
    }
    try:
        if not Path(entry.journal).exists() and (now_at := find(entry, taken)):
            return found | {"journal": str(now_at), "moved_from": entry.journal} | of_journal(str(now_at))
        return found | of_journal(entry.journal)
    except JournalError as error:
        is_there = Path(entry.journal).exists()
        reason = error.message if is_there else "there is no journal at that place any more: it was moved or deleted"
        return found | {"state": "unreadable" if is_there else "gone", "reason": reason}
    except (BulkwriterError, OSError) as error:
        reason = error.typed() if isinstance(error, BulkwriterError) else str(error)
        return found | {"state": "unreadable", "reason": reason}


def of_journal(journal: str) -> dict[str, Any]:
    """The part that its journal tells.  Raises `JournalError`."""
    from ..store.journal_reader import JournalReader

    with JournalReader(journal) as reader:
        run = last_start.run_state_of(reader)
        writer = reader.writer()
    counts = run.counts
    refused = {name: count for name in ("rejected", "invalid") if (count := getattr(counts, name))}
    left = to_do(counts, run.rows.not_read, is_alive=False)
    is_whole = run.rows.is_exact or run.rows.not_read == 0
    ended = run.start.ended if run.start and not run.is_alive else None
    return {
        "state": state_of(run, left=left, is_cut=ended is None),
        "pid": writer.pid if writer else None,
        "ended_at": iso(run.start.ended_at) if run.start and ended else None,
        "exit_code": ended.exit_code if ended else None,
        "pairs": run.counts.pairs,
        "settled": run.counts.pairs - to_do(run.counts, 0, is_alive=False),
        "refused": refused,
        "left": left,
        "left_exact": is_whole,
        "resume_at": iso(run.resume_at),
        "undone_at": iso(run.undone.at) if run.undone else None,
        "undone": last_start.undone_words(run.undone) if run.undone else "",
        "reason": run.ended_reason or "",
    }


def state_of(run: last_start.RunState, *, left: int, is_cut: bool) -> str:
    if run.is_alive:
        return "at work"
    is_read = run.source is None or run.rows.not_read == 0
    if not left and is_read:
        return "finished"
    if run.undone:
        return "undone"
    return "cut off" if is_cut else "stopped"


def lines_of(run: dict[str, Any]) -> list[str]:
    """One run for people."""
    began = describe.when(run["began_at"]) if run["began_at"] else "an unknown time"
    rows = [
        (run["state"], f"{run['journal']}, last start {began}"),
        (
            "",
            f"from {run['source'] or 'a program'} to {run['base_url']}"
            + (f", account {run['account']}" if run["account"] else ""),
        ),
    ]
    if run["moved_from"]:
        rows.append(("", f"moved here from {run['moved_from']}"))
    if run["records"] != COMPLETED_LESSONS.plural:
        rows.append(("", f"writes {run['records']}"))
    if run["pairs"] is not None:
        about = "" if run["left_exact"] else "about "
        rows.append(("", f"{run['settled']:,} of {run['pairs']:,} pairs read are settled, {about}{run['left']:,} left"))
    if run["refused"]:
        what = " and ".join(f"{count:,} {name}" for name, count in run["refused"].items())
        rows.append(("", f"not written: {what}"))
    if run["state"] == "at work":
        who = "its process has not said who it is" if run["pid"] is None else f"pid {run['pid']}"
        rows.append(("", who))
    elif run["state"] == "undone":
        rows.append(("", run["undone"]))
    elif run["state"] != "finished" and run["reason"]:
        rows.append(("", run["reason"].partition("\n")[0]))
    if run["resume_at"] and run["state"] != "at work":
        rows.append(("", f"can go on at {describe.when(run['resume_at'])}"))
    if run["state"] not in ("gone", "finished"):
        rows.append(("", join(["bulkwriter", "status", operand(run["journal"])])))
    return [visible(f"{word:<10}  {text}") for word, text in rows]
