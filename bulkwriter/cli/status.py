"""`bulkwriter status JOURNAL`: how a run stands, from its journal alone, whether its process lives or not.

Opened read-only; a run at work is not disturbed.  Counts are as of one committed moment.  What an intent is depends
on whether somebody holds the journal: it counts as in doubt all the same, since nobody but that process knows better.
stdout carries the answer, as text or, with `--json`, as one object.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.left import to_do
from ..model import Reasons, reasons_json
from ..shell import join, operand
from . import describe as words
from . import journals, last_start, options, reasons, status_ahead
from .stdout import put

if TYPE_CHECKING:
    from ..store.journal_reader import JournalReader
    from .last_start import Told


@click.command("status")
@click.argument("journal", metavar="JOURNAL", type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
def command(journal: Path, as_json: bool) -> int:
    """Tell how a run stands: counts, who is writing, how fast it goes, when it will end, which quota is spent."""
    journals.check_journal(journal, "status")
    from ..store.journal_reader import JournalReader

    with JournalReader(journal) as reader:
        told = last_start.told_of(reader)
        why = {} if reasons.have_all({}, told.counts) else reasons.reasons_of(reader)
        facts = {**told.counts.to_json(), "reasons": reasons_json(why), **told.to_json()}
        facts |= status_of(reader, journal, told) | status_ahead.facts(reader, told)
    put(json.dumps(facts) if as_json else "\n".join(status_lines(told, facts, why)))
    return 0


def status_of(reader: JournalReader, journal: Path, told: Told) -> dict[str, Any]:
    """Whose journal it is and who writes it, as `--json` has it; times are UTC."""
    meta, identity = reader.meta(), reader.identity()
    writer = reader.writer() if told.is_alive else None
    return {
        "journal": str(journal),
        "base_url": identity.base_url,
        "account": identity.account or None,
        "columns": list(identity.columns),
        "created_at": meta.get("created_at"),
        "written_at": journals.written_at(reader.path).isoformat(timespec="seconds"),
        "writer": writer and {"pid": writer.pid, "host": writer.host, "since": writer.since},
    }


def status_lines(told: Told, facts: dict[str, Any], why: Reasons) -> list[str]:
    """The same for people."""
    writer = facts["writer"]
    now = f"pid {writer['pid']} on {writer['host']} since {writer['since']}" if writer else "nobody"
    rows = [
        ("journal", facts["journal"]),
        ("server", facts["base_url"] + (f", account {facts['account']}" if facts["account"] else "")),
        ("writer", now),
        ("written", words.when(facts["written_at"])),
        *last_start.lines(told),
    ]
    lines = [f"{word:<9}  {text}" for word, text in rows]
    lines += ["", *(line[2:] for line in words.counts_table(told.counts, told.source, is_alive=told.is_alive))]
    lines += reasons.lines(why, indent="")
    return lines + status_ahead.lines(facts) + next_lines(told, facts)


def next_lines(told: Told, facts: dict[str, Any]) -> list[str]:
    """What to do about what is not done."""
    lines, counts, rows = [], told.counts, told.rows
    left = to_do(counts, rows.not_read, is_alive=False)
    is_unknown = told.source is not None and rows.total is None
    if (left or is_unknown) and not told.is_alive:
        about = "about " if rows.not_read and not rows.is_exact else ""
        more = ", and whatever of the source was not read" if is_unknown else ""
        lines.append(
            f"next       the command that began this run goes on: {about}{words.quantity(left, 'pair')} to do{more}"
        )
    bad = [s for s in ("rejected", "failed", "invalid") if getattr(counts, s)]
    if bad:
        command = ["bulkwriter", "export", operand(facts["journal"]), "--state", ",".join(bad), "--output", "-"]
        lines += [f"{'' if lines else 'next':<9}  see what was not written, and why:", f"{'':<13}{join(command)}"]
    return ["", *lines] if lines else []
