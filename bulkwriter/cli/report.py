"""`bulkwriter report JOURNAL`: one HTML page of a run, made from its journal alone, at any time.

The facts are those of `status --json`; the journal's history adds how it went.  Read-only, beside a run at work or
after a kill.  The file appears whole or not at all.  It replaces an earlier report, and no other file without
`--force`.  `--private` leaves ids only, so that a page can be passed on.  `--json` prints the facts and the figures of
the history.

Not here: the page itself (`report`), and `run --report`, which keeps one fresh (`report_kept`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .. import __version__
from ..errors import UsageError
from ..store import private
from . import journals, options, status
from .drafts import replacing
from .export import check_output, write_file, write_stdout
from .main import put_stderr
from .stdout import put

if TYPE_CHECKING:
    from ..postgres.address import Address
    from ..store.history import HistoryRow

MARK: Final = b'<meta name="generator" content="bulkwriter'
"""What stands near the begin of each report of ours."""
NAMES: Final = ("journal", "base_url", "account", "columns", "ended_reason", "trouble", "held_by", "parts")
"""Facts that name a file, a host or an account, or may: the codes beside them tell as much."""
HEAD_BYTES: Final = 1_000


@click.command("report")
@click.argument("journal", metavar="JOURNAL", type=options.JOURNAL)
@click.option("--output", metavar="FILE.html|-", help="where to write; - is stdout [default SOURCE.report.html]")
@click.option("--private", "is_private", is_flag=True, help="leave ids only: no names, no texts of server or source")
@click.option("--force", is_flag=True, help="replace FILE.html also if it is no report")
@click.option("--json", "as_json", is_flag=True, help="no page: one JSON object on stdout")
def command(journal: Path | Address, output: str | None, is_private: bool, force: bool, as_json: bool) -> int:
    """Make one HTML page of a run: totals, rates, causes, quotas, reasons, doubts, and the end in sight."""
    if as_json and output not in (None, "-"):
        raise UsageError("--json prints an object on stdout, and --output writes a page", hint="give one of the two")
    journals.check_journal(journal, "report")
    facts, rows, source = read(journal)
    if as_json:
        facts |= {"history": figures(facts, rows)}
        put(json.dumps(bare_facts(facts) if is_private else facts))
        return 0
    named = str(journal).removesuffix(".journal") if isinstance(journal, Path) else journal.job
    target = Path(output or f"{named}.report.html")
    if output != "-":
        check_target(target, journal, force=force, source=source)
    text = page_of(facts, rows, is_private=is_private)
    if output == "-":
        write_stdout(lines_of(text))
        return 0
    write_file(target, lines_of(text))
    put_stderr(f"the report is in {target}")
    return 0


def check_target(target: Path, journal: Path | Address, *, force: bool = False, source: str = "") -> None:
    """Refuse to replace what is no report of ours, and what names no file."""
    if str(target) == "-":
        raise UsageError(
            "a page that is kept fresh needs a file", hint="bulkwriter report JOURNAL --output - writes one"
        )
    is_ours = False
    try:
        if target.is_file():
            with target.open("rb") as file:
                is_ours = MARK in file.read(HEAD_BYTES)
    except OSError as error:
        raise UsageError(f"{target} cannot be read: {error.strerror}", hint="name another file") from None
    check_output(target, journal, force=force or is_ours, source=source)


def made(journal: Path | Address, *, refresh_s: int | None = None) -> str:
    """The page as of now.  `refresh_s` counts only while somebody writes the journal.  Raises `JournalError`."""
    facts, rows, _ = read(journal)
    return page_of(facts, rows, refresh_s=refresh_s)


def page_of(
    facts: dict[str, Any], rows: list[HistoryRow], *, is_private: bool = False, refresh_s: int | None = None
) -> str:
    """The page of what was read just now."""
    from ..report.page import Making, page

    refresh_s = refresh_s if facts["writer"] else None
    making = Making(at=time.time(), version=__version__, is_private=is_private, refresh_s=refresh_s)
    return page(facts, rows, making)


def read(journal: Path | Address) -> tuple[dict[str, Any], list[HistoryRow], str]:
    """The facts of `status --json`, the history, and the path of the source as the journal notes it, or ""."""
    from .source_rows import origin_of

    with journals.reading(journal) as reader:
        _, _, facts = status.facts_of(reader, journal)
        return facts, reader.history(), str(origin_of(reader.meta()).get("path", ""))


def bare_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a private report: numbers, times, codes and ids, as its page has them."""
    from ..report.page import bare, ids_in

    told = {name: facts[name] for name in facts if name not in NAMES}
    told["reasons"] = {
        state: [{**reason, "reason": bare(reason["reason"], state), "example": ids_in(reason["example"])}
                for reason in reasons]
        for state, reasons in facts["reasons"].items()
    }  # fmt: skip
    return told | {"writer": bool(facts["writer"])}


def figures(facts: dict[str, Any], rows: list[HistoryRow]) -> dict[str, Any]:
    """What the page tells from the history, as `--json` has it."""
    from ..report.series import Series

    if not rows:
        return {"rows": 0}
    series = Series.of(facts, rows)
    moment = series.last.moment
    return {
        "rows": len(rows),
        "since": series.since,
        "until": series.told_at,
        "is_whole": series.is_whole,
        "attempts": moment.attempts,
        "throttled": moment.throttled,
        "held_s": series.held_s(),
        "steps": dict(moment.steps),
        "causes": dict(moment.causes),
        "days": [
            {"since": day.since.date().isoformat(), "until": day.until.date().isoformat(), "attempts": day.attempts,
             "created": day.created}
            for day in series.days()
        ],
        "starts": [
            {"start": span.number, "began": span.began_at, "last": span.last_at, "ended": span.ended or None,
             "attempts": span.attempts, "created": span.created}
            for span in series.starts()
        ],
    }  # fmt: skip


def write_page(target: Path, text: str) -> None:
    """Replace the page of a run.  Its mode stays as it is, so that a web server may be allowed to read it."""
    mode = private.mode_of(target) & 0o777 or private.FILE_MODE
    with replacing(target, mode=mode) as file:
        file.write(text)


def lines_of(text: str) -> Iterator[str]:
    """A page as `write_file` takes it."""
    yield text
