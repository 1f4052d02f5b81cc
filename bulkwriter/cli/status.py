"""`bulkwriter status JOURNAL`: how a run stands, from its journal alone, whether its process lives or not.

Opened read-only; a run at work is not disturbed.  Counts are as of one committed moment.  What an intent is depends
on whether somebody holds the journal: it counts as in doubt all the same, since nobody but that process knows better.
stdout carries the answer, as text or, with `--json`, as one object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
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
    from ..postgres.address import Address
    from ..store.journal_reader import JournalReader
    from .last_start import RunState
    from .watch import Standing


EXAMPLES = (
    ("bulkwriter status pairs.csv.journal", "counts, speed, the end in sight, and what holds it back"),
    ("bulkwriter status pairs.csv.journal --watch", "the same, kept up to date until the run has ended"),
)


@click.command("status", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("journal", metavar="JOURNAL", type=options.JOURNAL)
@click.option("--watch", "is_watched", is_flag=True, help="show it again and again until the run has ended")
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout; with --watch one a line")
def command(journal: Path | Address, is_watched: bool, as_json: bool) -> int:
    """Show how a run stands: its counts, its process, its speed, its end, and the quotas that are spent."""
    journals.check_journal(journal, "status")
    if is_watched:
        from .watch import watch

        is_drawable = sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
        return watch(lambda: standing_of(journal), as_json=as_json, is_drawable=is_drawable and not as_json)
    now = standing_of(journal)
    put(json.dumps(now.facts) if as_json else "\n".join(now.lines))
    return 0


def standing_of(journal: Path | Address) -> Standing:
    """How the run stands at this moment.  Raises `JournalError`."""
    from .watch import Standing

    with journals.reading(journal) as reader:
        run_state, why, facts = facts_of(reader, journal)
    lines = status_lines(run_state, facts, why)
    return Standing(run_state.is_alive, lines, status_line(run_state, facts), facts)


def facts_of(reader: JournalReader, journal: Path | Address) -> tuple[RunState, Reasons, dict[str, Any]]:
    """What the journal tells, why pairs were not written, and all of it as `--json` has it."""
    run_state = last_start.run_state_of(reader)
    why = {} if reason_lines.have_all({}, run_state.counts) else reason_lines.reasons_of(reader)
    facts = {**run_state.counts.to_json(), "reasons": reasons_json(why), **run_state.to_json()}
    facts |= status_of(reader, journal, run_state) | status_ahead.facts(reader, run_state)
    if not isinstance(journal, Path):
        from . import job_parts

        facts["parts"] = job_parts.facts(reader)
    return run_state, why, facts


def status_of(reader: JournalReader, journal: Path | Address, run_state: RunState) -> dict[str, Any]:
    """Whose journal it is and who writes it, as `--json` has it; times are UTC."""
    from ..store.pruned import pruned_of

    meta, identity = reader.meta(), reader.identity()
    writer = reader.writer() if run_state.is_alive else None
    return {
        "journal": str(journal),
        "base_url": identity.base_url,
        "account": identity.account or None,
        "columns": list(identity.columns),
        "entity": identity.entity,
        "created_at": meta.get("created_at"),
        "written_at": reader.written_at().isoformat(timespec="seconds"),
        "writer": writer and {"pid": writer.pid, "host": writer.host, "since": writer.since},
        "pruned": pruned_of(meta).rows,
    }


def status_lines(run_state: RunState, facts: dict[str, Any], why: Reasons) -> list[str]:
    """The same for people."""
    rows = [
        ("journal", facts["journal"]),
        ("server", facts["base_url"] + (f", account {facts['account']}" if facts["account"] else "")),
        *([] if facts["entity"] == ORIGINAL else [("records", records_of(facts["entity"]))]),
        ("writer", writer_words(facts["writer"], facts.get("parts"))),
        ("written", describe.when(facts["written_at"])),
        *last_start.lines(run_state),
    ]
    lines = [f"{word:<9}  {text}" for word, text in rows]
    table = describe.counts_table(
        run_state.counts, run_state.source, is_alive=run_state.is_alive, is_undone=run_state.undone is not None
    )
    lines += ["", *(line[2:] for line in table)]
    if facts.get("pruned"):
        lines.append(f"{'pruned':<9}  {facts['pruned']:,} of these rows were old, and are no longer in the journal")
    lines += reason_lines.lines(why, indent="")
    if "parts" in facts:
        from . import job_parts

        lines += job_parts.lines(facts["parts"])
    return lines + status_ahead.lines(facts) + next_lines(run_state, facts)


def writer_words(writer: dict[str, Any] | None, parts: Sequence[dict[str, Any]] | None = None) -> str:
    """Who writes the journal, or the parts of a job."""
    if parts is not None:
        from . import job_parts

        return job_parts.writers(parts)
    if writer is None:
        return "nobody"
    if writer["pid"] is None:
        return "another process holds it and has not said who it is"
    return f"pid {writer['pid']} on {writer['host']} since {describe.when(writer['since'])}"


def status_line(run_state: RunState, facts: dict[str, Any]) -> str:
    """The same on one line, for a log."""
    counts, rows = run_state.counts, run_state.rows
    done = counts.pairs - to_do(counts, 0, is_alive=False)
    parts = [f"{done:,} done"]
    if rows.total:
        parts = [f"{done:,} of {'' if rows.is_exact else 'about '}{rows.total:,}", describe.percent(done, rows.total)]
    states = describe.by_state(counts).items()
    parts += [f"{describe.state(name)} {count:,}" for name, count in states if count and name != "pending"]
    if facts["rate_per_s"]:
        parts.append(describe.creates_per_second(facts["rate_per_s"]))
    if facts["end"]:
        parts.append(f"end in {facts['end']['words']}")
    if facts.get("held_by"):
        parts.append(f"held back: {facts['held_by']}")
    return " · ".join(parts)


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
        how = "`bulkwriter work` goes on" if "parts" in facts else "the command that began this run goes on"
        lines.append(f"next       {how}: {about}{describe.quantity(left, 'pair')} to do{more}")
    bad = [s for s in ("rejected", "failed", "invalid") if getattr(counts, s)]
    if bad:
        command = ["bulkwriter", "export", operand(facts["journal"]), "--state", ",".join(bad), "--output", "-"]
        lines += [f"{'' if lines else 'next':<9}  see what was not written, and why:", f"{'':<13}{join(command)}"]
    return ["", *lines] if lines else []
