"""`bulkwriter export JOURNAL --state S[,S…] --output FILE.csv`: pairs by state, as a CSV that is a SOURCE again.

Columns of a CSV: the two ids under the names that the source gave them; then `status` (of the server's last whole
reply), `property` and `message` (what the server said, several parted by "; ", or why a row is no pair), `attempts`,
`line` (of the source), `state`, `record_id`, and `row` (of an invalid row: its text, cut to 500 characters).

Behind these stand the other columns of the source, as they are in its own rows.  The ids of an invalid row are then the
texts that it has there, so that it can be mended in its place; else they are empty.  That needs the source as it was
(`source_rows`).  If it is gone or has changed, a line on stderr says so.  A name of the source that is one of ours too
is followed by "(source)".  `--format jsonl` writes an object a line with the same names.

A CSV file begins with a byte order mark, by which Excel knows UTF-8; a source may have one.  In it, text that a
spreadsheet would take for a formula (it begins with = + - @, tab or a line end) gets an apostrophe in front, as
spreadsheets themselves do it.

The file appears whole or not at all: written beside its name, synced, then renamed.  It never replaces a file without
`--force`, and never the journal.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import OutputError, SourceError, UsageError
from ..model import State, column_key
from ..shell import quote
from . import describe, journals, options, stdout
from .main import put_stderr
from .source_rows import OwnRows, origin_of, own_rows

if TYPE_CHECKING:
    from ..postgres.address import Address
    from ..store.schema import ExportRow

WORDS = {s.word: s for s in State if s is not State.INTENT}
COLUMNS = ("status", "property", "message", "attempts", "line", "state", "record_id", "row")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet may take for a formula; the last four are the wide forms of East Asia."""
NUMBER = re.compile(r"-[0-9]+([.,][0-9]+)?")
"""What begins like a formula and is none: a spreadsheet reads its value."""
BOM = "\ufeff"
JOURNAL_ENDS = ("", "-wal", "-shm", ".lock", ".seal")


@click.command("export")
@click.argument("journal", metavar="JOURNAL", type=options.JOURNAL)
@click.option("--state", "states", metavar="S[,S…]", required=True, help=f"which pairs: {', '.join(WORDS)}")
@click.option("--output", metavar="FILE.csv|-", required=True, help="where to write; - is stdout")
@click.option("--force", is_flag=True, help="replace FILE.csv if it exists")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="what to write [default csv]")
@click.option("--source", metavar="SOURCE", type=options.PATH, help="where the run's SOURCE lies now, if it was moved")
def command(
    journal: Path | Address, states: str, output: str, force: bool, form: str | None, source: Path | None
) -> int:
    """Write the pairs of a journal that have a given state: the ids, what the server said, and the source's own row."""
    wanted = states_of(states)
    journals.check_journal(journal, "export")
    with journals.reading(journal) as reader:
        names = json.loads(reader.meta().get("columns", "null")) or COMPLETED_LESSONS.fields
        if output != "-":
            for path in (source or "", origin_of(reader.meta()).get("path", "")):
                check_output(Path(output), journal, force=force, source=path)
        own = own_rows(reader, (names[0], names[1]), source)
        if isinstance(own, str):
            put_stderr(f"note: the ids alone, without the other columns of the source: {own}")
        is_csv = form == "csv" or (form is None and not output.lower().endswith((".jsonl", ".ndjson")))
        records = joined(names, reader.export(wanted), None if isinstance(own, str) else own)
        lines = csv_lines(records, mark=BOM if output != "-" else "") if is_csv else json_lines(records)
        if output == "-":
            written = write_stdout(lines)
            if written is None:
                return 0
            count = written
        else:
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


def joined(names: Sequence[str], rows: Iterable[ExportRow], own: OwnRows | None) -> Iterator[list[object]]:
    """The names of all columns, then the values of each row."""
    if own is None:
        yield [*names, *COLUMNS]
        yield from map(record, rows)
        return
    earlier = len(COLUMNS) if own.names[: len(COLUMNS)] == [*COLUMNS] else 0  # the source is an export itself
    taken = {column_key(name) for name in (*names, *COLUMNS)}
    others = [f"{name} (source)" if column_key(name) in taken else name for name in own.names[earlier:]]
    yield [*names, *COLUMNS, *others]
    from ..sources.ids import parse_id

    for row, ids, values in own.joined(rows):
        made = record(row)
        if ids and row.pair is None:
            made[:2] = ids
        elif ids and row.pair and (parse_id(ids[0]), parse_id(ids[1])) != tuple(row.pair):
            raise SourceError(f"the source has changed: line {row.line} differs from the run in the journal")
        yield [*made, *values[earlier:]]


def csv_lines(records: Iterator[list[object]], *, mark: str) -> Iterator[str]:
    """The header behind a `mark`, then a record for each row; nothing in it is a formula."""
    lines = csv_rows([value if isinstance(value, int) else harmless(str(value)) for value in row] for row in records)
    yield mark + next(lines)
    yield from lines


def json_lines(records: Iterator[list[object]]) -> Iterator[str]:
    """Nothing in place of a header, then an object for each row."""
    names: list[str] = []
    for name in map(str, next(records)):
        wanted = name or "column"
        same = sum(1 for other in names if other == wanted or other.startswith(f"{wanted} ("))
        names.append(f"{wanted} ({same + 1})" if wanted in names else wanted)
    yield ""
    for row in records:
        yield json.dumps(dict(zip(names, row, strict=False)), ensure_ascii=False) + "\n"


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
        about,
        said,
        row.attempts,
        "" if row.line is None else row.line,
        row.state.word,
        "" if row.record_id is None else row.record_id,
        row.raw,
    ]


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else text


def check_output(output: Path, journal: Path | Address | None, *, force: bool, source: str | Path = "") -> None:
    """Refuse to replace what must not be replaced; `source` is where the run's rows come from."""
    target = output.resolve()
    if source and target == Path(source).resolve():
        raise UsageError(f"{output} is the source itself", hint="name another file with --output")
    kept = journal.resolve() if isinstance(journal, Path) else None
    if kept and target in [kept.with_name(kept.name + end) for end in JOURNAL_ENDS]:
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
    from .drafts import replacing

    target = output.resolve()
    try:
        with replacing(target, errors="backslashreplace") as file:
            count = pour(lines, file)
    except OSError as e:
        raise OutputError(f"cannot write {output}: {e.strerror or e}", hint="nothing was replaced") from None
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
