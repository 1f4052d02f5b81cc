"""`bulkwriter export JOURNAL --state S[,S…] --output FILE.csv`: pairs by state, as a CSV that is a SOURCE again.

Columns: the two ids under the names that the source gave them; then `status` (of the server's last whole reply),
`property` and `message` (what the server said, several parted by "; ", or why a row is no pair), `attempts`, `line`
(of the source), `state`, `record_id`, and `row` (of an invalid row: its text, cut to 500 characters; its ids are
empty).

Text that a spreadsheet would take for a formula (it begins with = + - @, tab or return) gets an apostrophe in front,
as spreadsheets themselves do it.  The file appears whole or not at all: written beside its name, synced, then
renamed.  It never replaces a file without `--force`, and never the journal.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import UsageError
from ..model import State
from ..shell import quote
from . import describe, journals, options, stdout
from .main import put_stderr

if TYPE_CHECKING:
    from ..store.schema import ExportRow

WORDS = {s.word: s for s in State if s is not State.INTENT}
COLUMNS = ("status", "property", "message", "attempts", "line", "state", "record_id", "row")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
JOURNAL_ENDS = ("", "-wal", "-shm", ".lock")


@click.command("export")
@click.argument("journal", metavar="JOURNAL", type=options.PATH)
@click.option("--state", "states", metavar="S[,S…]", required=True, help=f"which pairs: {', '.join(WORDS)}")
@click.option("--output", metavar="FILE.csv|-", required=True, help="where to write; - is stdout")
@click.option("--force", is_flag=True, help="replace FILE.csv if it exists")
def command(journal: Path, states: str, output: str, force: bool) -> int:
    """Write the pairs of a journal that have a given state: the ids first, then what the server said."""
    wanted = states_of(states)
    journals.check_journal(journal, "export")
    from ..store.journal_reader import JournalReader

    with JournalReader(journal) as reader:
        names = json.loads(reader.meta().get("columns", "null")) or COMPLETED_LESSONS.fields
        lines = csv_lines(names, reader.export(wanted))
        if output == "-":
            written = write_stdout(lines)
            if written is None:
                return 0
            count = written
        else:
            check_output(Path(output), journal, force=force)
            count = write_file(Path(output), lines)
    kinds = " or ".join(describe.state(s.word) for s in sorted(wanted))
    put_stderr(f"{describe.quantity(count, 'pair')} {kinds}" + ("" if output == "-" else f", written to {output}"))
    return 0


def states_of(text: str) -> set[State]:
    """States from their words; `UsageError` with the nearest one for any other."""
    found: set[State] = set()
    for word in text.split(","):
        name = word.strip().lower().replace("-", "_")
        if name not in WORDS:
            near = difflib.get_close_matches(name, WORDS, n=1)
            raise UsageError(
                f"there is no state {word.strip()!r}" + (f"; did you mean {near[0]}?" if near else ""),
                hint=f"states are {', '.join(WORDS)}",
            )
        found.add(WORDS[name])
    return found


def csv_lines(names: Iterable[str], rows: Iterable[ExportRow]) -> Iterator[str]:
    """The header, then a record for each row."""
    return csv_rows(chain([[*names, *COLUMNS]], map(record, rows)))


def csv_rows(rows: Iterable[list[object]]) -> Iterator[str]:
    """Each row as a record of CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(row)
        yield buffer.getvalue()


def record(row: ExportRow) -> list[object]:
    first, second = row.pair or ("", "")
    said = "; ".join(e.message for e in row.errors) or row.message
    about = "; ".join(e.property_name for e in row.errors if e.property_name)
    return [
        first,
        second,
        "" if row.http_status is None else row.http_status,
        harmless(about),
        harmless(said),
        row.attempts,
        "" if row.line is None else row.line,
        row.state.word,
        "" if row.record_id is None else row.record_id,
        harmless(row.raw),
    ]


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def check_output(output: Path, journal: Path | None, *, force: bool) -> None:
    """Refuse to replace what must not be replaced."""
    target = output.resolve()
    if journal and target in [journal.resolve().with_name(journal.resolve().name + end) for end in JOURNAL_ENDS]:
        raise UsageError(f"{output} is the journal itself", hint="name another file with --output")
    try:
        is_there = target.exists()
    except OSError as e:
        raise UsageError(f"cannot write {output}: {e.strerror}", hint="name another file with --output") from None
    if is_there and not target.is_file():
        raise UsageError(f"{output} is no file that could be replaced", hint="--output - writes to stdout")
    if is_there and not force:
        raise UsageError(f"{output} is there already", hint="--force replaces it")
    if not target.parent.is_dir():
        raise UsageError(f"the folder of {output} does not exist", hint=f"mkdir -p {quote(str(target.parent))}")


def write_file(output: Path, lines: Iterator[str]) -> int:
    """Write the lines so that the file, its owner's alone, is there whole or not at all; how many rows there were."""
    from ..store import private

    target = output.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        draft.unlink(missing_ok=True)  # of a process that died with this number, or a link laid by another user
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, private.FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            count = pour(lines, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as e:
        raise UsageError(f"cannot write {output}: {e.strerror or e}", hint="nothing was replaced") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    for sentence in private.shown_to([target]):
        put_stderr(f"note: {sentence}")
    return count


def write_stdout(lines: Iterator[str]) -> int | None:
    """Write the lines to stdout; how many rows, or None where they do not arrive: its reader left, or it failed."""
    count = pour(takewhile(lambda _: stdout.is_read(), lines), sys.stdout)
    sys.stdout.flush()
    return count if stdout.is_read() else None


def pour(lines: Iterator[str], file: TextIO) -> int:
    """The header and the rows; how many rows."""
    count = -1
    for line in lines:
        file.write(line)
        count += 1
    return count
