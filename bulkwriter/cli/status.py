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

from ..model import Counts, Reasons, reasons_json
from ..shell import join, operand
from . import journals, options, reasons, status_ahead, words
from .conclude import put

if TYPE_CHECKING:
    from ..store.reader import JournalReader


@click.command("status")
@click.argument("journal", metavar="JOURNAL", type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
def command(journal: Path, as_json: bool) -> int:
    """Tell how a run stands: counts, who is writing, how fast it goes, when it will end, which quota is spent."""
    journals.check_journal(journal, "status")
    from ..store.reader import JournalReader

    with JournalReader(journal) as reader:
        counts = Counts.of(reader.counts())
        why = {} if reasons.have_all({}, counts) else reasons.reasons_of(reader)
        facts = status_of(reader, journal) | status_ahead.facts(reader, counts)
    answer = {**counts.to_json(), "reasons": reasons_json(why), **facts}
    put(json.dumps(answer) if as_json else "\n".join(status_lines(counts, facts, why)))
    return 0


def status_of(reader: JournalReader, journal: Path) -> dict[str, Any]:
    """All but the counts, as `--json` has it; times are UTC."""
    meta, writer, identity = reader.meta(), reader.writer(), reader.identity()
    return {
        "journal": str(journal),
        "base_url": identity.base_url,
        "account": identity.account or None,
        "columns": list(identity.columns),
        "created_at": meta.get("created_at"),
        "written_at": journals.written_at(reader.path).isoformat(timespec="seconds"),
        "writer": writer and {"pid": writer.pid, "host": writer.host, "since": writer.since},
    }


def status_lines(counts: Counts, facts: dict[str, Any], why: Reasons) -> list[str]:
    """The same for people."""
    writer = facts["writer"]
    now = f"pid {writer['pid']} on {writer['host']} since {writer['since']}" if writer else "nobody"
    rows = [
        ("journal", facts["journal"]),
        ("server", facts["base_url"] + (f", account {facts['account']}" if facts["account"] else "")),
        ("writer", now),
        ("written", words.when(facts["written_at"])),
    ]
    lines = [f"{word:<9}  {text}" for word, text in rows]
    lines += ["", *(line[2:] for line in words.counts_table(counts, is_alive=writer is not None))]
    lines += reasons.lines(why, indent="")
    return lines + status_ahead.lines(facts) + next_lines(counts, facts, is_alive=writer is not None)


def next_lines(counts: Counts, facts: dict[str, Any], *, is_alive: bool) -> list[str]:
    """What to do about what is not done."""
    lines = []
    open_pairs = counts.pending + counts.in_doubt + counts.failed
    if open_pairs and not is_alive:
        lines.append(f"next       the command that began this run goes on: {words.quantity(open_pairs, 'pair')} to do")
    bad = [s for s in ("rejected", "failed", "invalid") if getattr(counts, s)]
    if bad:
        command = ["bulkwriter", "export", operand(facts["journal"]), "--state", ",".join(bad), "--output", "-"]
        lines.append(f"{'' if lines else 'next':<9}  {join(command)}")
    return ["", *lines] if lines else []
