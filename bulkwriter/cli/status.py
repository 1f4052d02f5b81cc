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
from ..entities import ORIGINAL, entity_of
from ..model import Reasons, reasons_json
from ..shell import join, operand
from . import describe, journals, last_start, options, reason_lines, status_ahead
from .stdout import put

if TYPE_CHECKING:
    from ..store.journal_reader import JournalReader
    from .last_start import RunState


@click.command("status")
@click.argument("journal", metavar="JOURNAL", type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
def command(journal: Path, as_json: bool) -> int:
    """Show how a run stands: its counts, its process, its speed, its end, and the quotas that are spent."""
    journals.check_journal(journal, "status")
    from ..store.journal_reader import JournalReader

    with JournalReader(journal) as reader:
        run_state = last_start.run_state_of(reader)
        why = {} if reason_lines.have_all({}, run_state.counts) else reason_lines.reasons_of(reader)
        facts = {**run_state.counts.to_json(), "reasons": reasons_json(why), **run_state.to_json()}
        facts |= status_of(reader, journal, run_state) | status_ahead.facts(reader, run_state)
    put(json.dumps(facts) if as_json else "\n".join(status_lines(run_state, facts, why)))
    return 0


def status_of(reader: JournalReader, journal: Path, run_state: RunState) -> dict[str, Any]:
    """Whose journal it is and who writes it, as `--json` has it; times are UTC."""
    meta, identity = reader.meta(), reader.identity()
    writer = reader.writer() if run_state.is_alive else None
    return {
        "journal": str(journal),
        "base_url": identity.base_url,
        "account": identity.account or None,
        "columns": list(identity.columns),
        "entity": identity.entity,
        "created_at": meta.get("created_at"),
        "written_at": journals.written_at(reader.path).isoformat(timespec="seconds"),
        "writer": writer and {"pid": writer.pid, "host": writer.host, "since": writer.since},
    }


def status_lines(run_state: RunState, facts: dict[str, Any], why: Reasons) -> list[str]:
    """The same for people."""
    writer = facts["writer"]
    now = f"pid {writer['pid']} on {writer['host']} since {writer['since']}" if writer else "nobody"
    rows = [
        ("journal", facts["journal"]),
        ("server", facts["base_url"] + (f", account {facts['account']}" if facts["account"] else "")),
        *([] if facts["entity"] == ORIGINAL else [("records", records_of(facts["entity"]))]),
        ("writer", now),
        ("written", describe.when(facts["written_at"])),
        *last_start.lines(run_state),
    ]
    lines = [f"{word:<9}  {text}" for word, text in rows]
    table = describe.counts_table(run_state.counts, run_state.source, is_alive=run_state.is_alive)
    lines += ["", *(line[2:] for line in table)]
    lines += reason_lines.lines(why, indent="")
    return lines + status_ahead.lines(facts) + next_lines(run_state, facts)


def records_of(label: str) -> str:
    """What is written, in words for people; the label where this version does not know it."""
    entity = entity_of(label)
    if entity is None:
        return label
    constants = ", ".join(label.split(" ")[1:])
    return entity.plural + (f" ({constants})" if constants else "")


def next_lines(run_state: RunState, facts: dict[str, Any]) -> list[str]:
    """What to do about what is not done."""
    lines, counts, rows = [], run_state.counts, run_state.rows
    left = to_do(counts, rows.not_read, is_alive=False)
    is_unknown = run_state.source is not None and rows.total is None
    if (left or is_unknown) and not run_state.is_alive:
        about = "about " if rows.not_read and not rows.is_exact else ""
        more = ", and whatever of the source was not read" if is_unknown else ""
        lines.append(
            f"next       the command that began this run goes on: {about}{describe.quantity(left, 'pair')} to do{more}"
        )
    bad = [s for s in ("rejected", "failed", "invalid") if getattr(counts, s)]
    if bad:
        command = ["bulkwriter", "export", operand(facts["journal"]), "--state", ",".join(bad), "--output", "-"]
        lines += [f"{'' if lines else 'next':<9}  see what was not written, and why:", f"{'':<13}{join(command)}"]
    return ["", *lines] if lines else []
