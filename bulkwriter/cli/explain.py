"""`bulkwriter explain JOURNAL --pair L,M | --line N`: what happened to one record, attempt by attempt, by its journal.

Read-only, beside a run at work, after its end or after a kill.  A pair may stand in several rows: repeated in the
source, or given one by one; each is told.  A row tells its state, and what the server said of it.  Where its way was no
plain success, the journal has its steps with their times; the times of a plain one follow from the history: it was read
between two of its rows.

Invariants: no text of the source is shown (an invalid row may hold an e-mail; `export` shows it), and everything else
from outside is made visible.  A record that the journal does not have is exit 1.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import Exit, UsageError
from ..model import ID_MAX, SINGLE_SEQ, Fault, State, iso
from ..rows import OLDER, RecordStep, text_of
from ..shell import join, operand
from . import describe, journals, options
from .stdout import put

if TYPE_CHECKING:
    from ..postgres.address import Address
    from ..store.history import HistoryRow, StoredStep
    from ..store.journal_reader import JournalReader
    from ..store.schema import ExportRow

PAIR: Final = re.compile(r"\s*([0-9]{1,19})\s*[,;: ]\s*([0-9]{1,19})\s*")
MOST_ROWS: Final = 20
"""A pair that a service gives again and again has one row; a source may repeat it a thousand times."""
ATTEMPTS: Final = frozenset(
    {RecordStep.THROTTLED, RecordStep.UNSENT, RecordStep.STOPPED, RecordStep.LOST, RecordStep.REFUSED}
)


@click.command("explain")
@click.argument("journal", metavar="JOURNAL", type=options.JOURNAL)
@click.option("--pair", metavar="L,M", help="the record of these two ids")
@click.option("--line", metavar="N", type=click.IntRange(1, ID_MAX), help="the record of this line of the source")
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
def command(journal: Path | Address, pair: str | None, line: int | None, as_json: bool) -> int:
    """Show what happened to one record: its attempts, the looks at the server, the waits, each with its time."""
    if (pair is None) == (line is None):
        raise UsageError("name one record: --pair L,M or --line N", hint="bulkwriter help explain")
    ids = ids_of(pair) if pair is not None else None
    journals.check_journal(journal, "explain")
    from ..store.starts import undone

    with journals.reading(journal) as reader:
        rows = reader.find_rows(ids, line, most=MOST_ROWS + 1)
        told = [facts_of(reader, row) for row in rows[:MOST_ROWS]]
        undo = undone(reader.meta())
        # Workers read a job's rows in no common order, so its history does not tell when a row was read.
        history = reader.history() if isinstance(journal, Path) else []
        for fact, row in zip(told, rows, strict=False):
            fact |= {"journal": str(journal), **read_between(row.seq, history)}
            fact["undone_at"] = iso(undo.at) if undo and fact["state"] == "pending" else None
        missing = "" if told else why_missing(reader, ids, line)
        names = reader.identity().columns
    exit_code = int(Exit.OK if told else Exit.INCOMPLETE)
    if as_json:
        facts = {"journal": str(journal), "columns": list(names), "rows": told, "more": len(rows) > MOST_ROWS}
        put(json.dumps(facts | {"reason": missing or None, "exit_code": exit_code}))
    elif told:
        put("\n\n".join("\n".join(lines_of(fact, names)) for fact in told))
        if len(rows) > MOST_ROWS:
            put("\n…and more rows of the same pair")
    else:
        put(missing)
    return exit_code


def ids_of(text: str) -> tuple[int, int]:
    """The two ids of --pair."""
    found = PAIR.fullmatch(text)
    if not found or not all(0 < int(each) <= ID_MAX for each in found.groups()):
        raise UsageError(f"--pair {text!r} is no pair of ids", hint="such as --pair 11,42, in the order of the columns")
    return int(found[1]), int(found[2])


def facts_of(reader: JournalReader, row: ExportRow) -> dict[str, Any]:
    """One row as `--json` has it."""
    is_alive = reader.writer() is not None
    steps = reader.steps(row.seq)
    first = None
    if row.state is State.DUPLICATE and row.pair:
        first = next((other for other in reader.find_rows(row.pair, None, most=1) if other.seq < row.seq), None)
    state = row.state.word
    if row.state is State.INTENT and is_alive:
        state = "pending"
    return {
        "seq": row.seq,
        "line": row.line,
        "ids": list(row.pair) if row.pair else None,
        "state": state,
        "under_way": row.state is State.INTENT and is_alive,
        "undone_record_id": row.undone if row.state is State.PENDING else None,
        "attempts": row.attempts,
        "record_id": row.record_id,
        "http_status": row.http_status,
        "errors": [{"property": name, "message": text} for name, text in row.errors],
        "message": row.message,
        "first_line": first.line if first else None,
        "steps": [step_facts(step) for step in steps],
        "steps_missing": not steps and row.attempts > 1,
    }


def step_facts(step: StoredStep) -> dict[str, Any]:
    return {
        "at": exact(step.at),
        "step": step.step.word,
        "status": step.status,
        "word": step.word or None,
        "record_id": step.record_id,
        "state": step.state.word if step.state is not None else None,
        "took_s": step.took_s,
        "wait_s": step.wait_s,
        "text": sentence(step),
    }


def exact(at: float) -> str:
    """ISO 8601 in UTC to the tenth of a second: steps may follow each other within one."""
    whole = iso(int(at)) or ""
    return whole.replace("+00:00", f".{int(at * 10) % 10}+00:00")


def sentence(step: StoredStep) -> str:
    """What a step was, in words."""
    took = f" after {span(step.took_s)}" if step.took_s is not None else ""
    came = FAULTS.get(step.word, "no whole reply") if step.status is None else f"HTTP {step.status}"
    match step.step:
        case RecordStep.THROTTLED:
            asked = f"; it asked for a wait of {describe.duration(step.wait_s)}" if step.wait_s else ""
            return f"sent; the server throttled it{took} ({came}), so it was not applied{asked}"
        case RecordStep.UNSENT:
            why = "its token was no longer the current one" if step.status else came
            return f"not sent: {why}"
        case RecordStep.STOPPED:
            return f"sent; {came}{took}: not applied, since a setting, the token or a role was wrong"
        case RecordStep.LOST if step.word == OLDER:
            return f"sent; {came}{took}, with a record that may be an older one, so it was in doubt"
        case RecordStep.LOST:
            return f"sent; {came}{took}: it may have been applied, so it was in doubt"
        case RecordStep.REFUSED:
            named = f", for {step.word}" if step.word not in ("", "none", "other") else ""
            return f"sent; the server refused it{took} ({came}{named})"
        case RecordStep.RECALLED:
            return "the connection that had answered for it was out of step, so it was in doubt"
        case RecordStep.ADOPTED:
            return "a start found that an earlier one had sent it, or was about to: in doubt"
        case RecordStep.FOUND:
            return f"look: its record {step.record_id} is on the server"
        case RecordStep.ABSENT:
            return "look: it has no record on the server"
        case RecordStep.SETTLED:
            state = step.state.word if step.state is not None else "unknown"
            return (
                "not sent again by that start" if step.state is State.PENDING else f"settled: {describe.state(state)}"
            )


def span(seconds: float) -> str:
    """A duration; a reply may come within milliseconds."""
    return describe.duration(seconds) if seconds >= 0.1 else f"{seconds * 1_000:.0f} ms"


FAULTS: Final = {fault.name.lower(): fault.value for fault in Fault}


def read_between(seq: int, history: list[HistoryRow]) -> dict[str, str | None]:
    """Between which times the row came into the journal, by the history."""
    before = after = None
    for row in history:
        is_there = (row.next_single_seq if seq >= SINGLE_SEQ else row.next_seq) > seq
        if is_there:
            after = row.moment.at
            break
        before = row.moment.at
    return {"read_after": exact(before) if before else None, "read_before": exact(after) if after else None}


def why_missing(reader: JournalReader, ids: tuple[int, int] | None, line: int | None) -> str:
    """Why there is no such row, and what to try."""
    from ..store.pruned import pruned_of
    from .last_start import run_state_of

    run_state = run_state_of(reader)
    what = f"no record of the pair {ids[0]}, {ids[1]}" if ids else f"no record that begins on line {line:,}"
    text = f"{reader.shown} has {what}, among {describe.quantity(run_state.counts.pairs, 'row')} read"
    rows = run_state.source
    if rows is not None and rows.not_read != 0:
        unread = describe.not_read(rows.not_read, is_exact=rows.is_exact)
        text += f"; not read yet: {unread}"
    if dropped := pruned_of(reader.meta()).rows:
        text += f"; pruned, and known no more: {describe.quantity(dropped, 'single pair')}"
    if ids and reader.find_rows((ids[1], ids[0]), None, most=1):
        text += f".  There is one of {ids[1]}, {ids[0]}: the ids may have changed places"
    if line and (near := reader.row_before(line)):
        text += f".  The record before begins on line {near:,}"
    return text


def lines_of(fact: dict[str, Any], names: tuple[str, str]) -> list[str]:
    """One row for people."""
    ids = fact["ids"]
    what = f"{names[0]} {ids[0]}, {names[1]} {ids[1]}" if ids else "no pair"
    line = fact["line"]
    where = f"line {line:,}" if line and fact["seq"] < SINGLE_SEQ else "given one by one"
    rows = [("record", f"{what} · {where}"), ("state", state_words(fact))]
    errors = [(error["property"], error["message"]) for error in fact["errors"]]
    said = "" if fact["undone_record_id"] else text_of(errors, fact["message"])
    if said:
        rows.append(("reason", said))
    if times := read_words(fact):
        rows.append(("read", times))
    lines = [f"{word:<9}  {text}" for word, text in rows]
    number, before, last = 0, None, ""
    for step in fact["steps"]:
        at, text = datetime.fromisoformat(step["at"]), step["text"]
        is_attempt = RecordStep[step["step"].upper()] in ATTEMPTS
        if step["state"] == "created" and last != "found":
            is_attempt, text = True, "sent, and created"
        number, last = number + is_attempt, step["step"]
        after = f" (+{describe.duration((at - before).total_seconds())})" if before else ""
        count = f"{number}. " if is_attempt else ""
        lines.append(f"{'' if before else 'way':<9}  {describe.when(step['at'])}{after}  {count}{text}")
        before = at
    if fact["steps_missing"]:
        lines.append(f"{'way':<9}  its steps were not kept: a journal keeps those of a bounded number of records")
    if end := last_words(fact):
        lines.append(f"{'' if before else 'way':<9}  {end}")
    return lines


def state_words(fact: dict[str, Any]) -> str:
    """The state with its meaning."""
    state, record = fact["state"], f", record {fact['record_id']}" if fact["record_id"] else ""
    if fact["under_way"]:
        return "pending: about to be sent, or on its way at this moment"
    last = f"; the last undo was at {describe.when(fact['undone_at'])}" if fact["undone_at"] else ""
    if fact["undone_record_id"]:
        return f"pending, {fact['message']}{last}; the next start writes the pair again"
    attempts = f" at attempt {fact['attempts']}" if fact["attempts"] and state in ("created", "rejected") else ""
    meaning = {
        "created": "made by this run",
        "existing": "it was there before this run wrote it",
        "rejected": "refused by the server",
        "failed": "all attempts failed and none was applied; the next start tries again",
        "in_doubt": "it was sent or about to be sent; the next start looks it up",
        "pending": f"not sent yet, or undone{last}" if last else "not sent yet",
        "invalid": "the row holds no valid pair",
        "duplicate": "the same pair as an earlier row",
    }[state]
    if state == "duplicate" and fact["first_line"]:
        meaning += f", line {fact['first_line']:,}"
    return f"{describe.state(state)}{record}: {meaning}{attempts}"


def read_words(fact: dict[str, Any]) -> str:
    """When the row came into the journal."""
    after, before = fact["read_after"], fact["read_before"]
    if after and before:
        return f"between {describe.when(after)} and {describe.when(before)}"
    return f"after {describe.when(after)}" if after else f"before {describe.when(before)}" if before else ""


def last_words(fact: dict[str, Any]) -> str:
    """What the steps leave open, and what to do next."""
    steps, state = fact["steps"], fact["state"]
    if not steps and state == "created" and fact["attempts"] == 1:
        return "sent once, and created at once"
    if steps and state not in (steps[-1]["state"], "in_doubt", "pending"):
        return f"then {describe.state(state)} without further trouble"
    if state == "invalid":
        command = ["bulkwriter", "export", operand(fact["journal"]), "--state", "invalid", "--output", "-"]
        return f"see the row itself: {join(command)}"
    return ""
