"""Reads a database or an older workbook in a process of its own, and writes its rows to stdout; run as a script.

    python spool_child.py KIND PATH OPTIONS        KIND: sqlite, duckdb, parquet or calamine; OPTIONS: JSON

A library that panics, aborts or takes all memory ends this process alone, before the first row is sent anywhere.  Its
memory, its time and what it writes are limited by the system.  Files are opened for reading only.

A line of JSON comes for each row: first `{"names": […] or null, "line": N}` with the number of the first row, then an
array of values a row, at last `{"rows": N}`.  A date is `{"date": text}`, bytes are `{"bytes": length}`.  In place of
anything `{"error": text, "hint": text, "is_usage": bool}` ends it.  `spool_table` reads all this.

It imports nothing of ours, so that it starts in 30 ms.  Invariant: without the last line nothing may be believed.
"""

from __future__ import annotations

import datetime
import json
import resource
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

MEMORY_BYTES: Final = 4 << 30
"""Address space, most of which is never touched: DuckDB alone maps 1 GB."""
SPOOL_BYTES: Final = 4 << 30
CPU_S: Final = 900
FETCHED_ROWS: Final = 2_000
DUCKDB: Final[dict[str, Any]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "512MB",
    "threads": "2",
}
TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
DUCK_TABLES: Final = "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' ORDER BY 1"


class Refused(Exception):
    """What ends the reading, for people."""

    def __init__(self, text: str, hint: str = "", *, is_usage: bool = False) -> None:
        super().__init__(text)
        self.facts = {"error": text, "hint": hint, "is_usage": is_usage}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def query_of(options: dict[str, Any], tables: Sequence[str], order: str) -> str:
    """The query that was given, or the one for the only table."""
    if options.get("query"):
        return str(options["query"])
    if len(tables) != 1:
        found = ", ".join(tables[:12]) or "none"
        hint = "name the rows: --query 'SELECT … FROM … ORDER BY …'"
        raise Refused(f"has {len(tables)} tables, and one is wanted; found: {found}", hint, is_usage=True)
    return f"SELECT * FROM {quoted(tables[0])}{order}"  # noqa: S608 the database's own name


def sqlite_rows(path: str, options: dict[str, Any]) -> Iterator[Any]:
    import sqlite3

    def text(data: bytes) -> str:
        return data.decode("utf-8", "surrogateescape")

    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=30)) as db:
            db.text_factory = text
            db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            db.execute("PRAGMA query_only = 1")
            db.execute("PRAGMA trusted_schema = 0")
            tables = [row[0] for row in db.execute(TABLES)]
            query = query_of(options, tables, "")
            has_rowid = not options.get("query") and is_rowid_table(db, tables[0])
            yield from described(db.execute(query + (" ORDER BY rowid" if has_rowid else "")))
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise Refused(f"SQLite says: {error}", "check the query, and that the file is whole") from error


def is_rowid_table(db: Any, table: str) -> bool:
    try:
        db.execute(f"SELECT rowid FROM {quoted(table)} LIMIT 1")  # noqa: S608 the database's own name
    except Exception:
        return False
    return True


def duckdb_rows(path: str, options: dict[str, Any], *, is_parquet: bool) -> Iterator[Any]:
    import duckdb

    try:
        if is_parquet:
            db = duckdb.connect(":memory:", config=DUCKDB)
            name = path.replace("'", "''")
            db.execute(f"CREATE VIEW source AS SELECT * FROM read_parquet('{name}')")  # noqa: S608 quoted above
            db.execute(f"SET allowed_paths = ['{name}']")
        else:
            db = duckdb.connect(path, read_only=True, config=DUCKDB)
        with closing(db):
            db.execute("SET enable_external_access = false")
            tables = ["source"] if is_parquet else [row[0] for row in db.execute(DUCK_TABLES).fetchall()]
            query = query_of(options, tables, "" if is_parquet else " ORDER BY rowid")
            db.execute("SET lock_configuration = true")
            yield from described(db.execute(query))
    except duckdb.Error as error:
        text = str(error).splitlines()[0][:300]
        raise Refused(f"DuckDB says: {text}", "check the query, and that nothing else writes the file") from error


def described(cursor: Any) -> Iterator[Any]:
    """The names of a result, then its rows, some at a time."""
    if cursor.description is None:
        raise Refused("the query gives no rows", "it must be a SELECT", is_usage=True)
    yield {"names": [str(column[0]) for column in cursor.description], "line": 1}
    while rows := cursor.fetchmany(FETCHED_ROWS):
        yield from rows


def calamine_rows(path: str, options: dict[str, Any]) -> Iterator[Any]:
    import python_calamine as calamine

    try:
        workbook = calamine.load_workbook(path)
        sheet = workbook.get_sheet_by_name(sheet_of(calamine, workbook.sheets_metadata, options.get("sheet")))
        first_row, first_column = sheet.start or (0, 0)
        yield {"names": None, "line": first_row + 1}
        before = [None] * first_column
        for row in sheet.to_python(skip_empty_area=True):
            yield [*before, *row]
    except calamine.CalamineError as error:
        hint = "open it in a spreadsheet and save it again, without a password"
        raise Refused(f"cannot be read: {str(error)[:300] or type(error).__name__}", hint) from error


def sheet_of(calamine: Any, sheets: Sequence[Any], wanted: str | None) -> str:
    """The name of the sheet to be read; `sheet_choice` has the same rules."""
    seen = [sheet for sheet in sheets if sheet.visible == calamine.SheetVisibleEnum.Visible]
    cells = calamine.SheetTypeEnum.WorkSheet
    if wanted is None:
        found = [sheet for sheet in seen if sheet.typ == cells]
    else:
        found = [sheet for sheet in sheets if sheet.name == wanted]
        found = found or [sheet for sheet in sheets if sheet.name.strip().casefold() == wanted.strip().casefold()]
        if not found and wanted.isdigit() and 0 < int(wanted[:6]) <= len(seen):
            found = [seen[int(wanted[:6]) - 1]]
    if not found or found[0].typ != cells:
        names = ", ".join(sheet.name for sheet in sheets[:12])
        what = "no visible worksheet" if wanted is None else f"no worksheet {wanted!r}"
        raise Refused(f"has {what}", f"it has {names}: --sheet NAME", is_usage=wanted is not None)
    return str(found[0].name)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        is_day = isinstance(value, datetime.datetime) and value.time() == datetime.time()
        return {"date": str(value.date() if isinstance(value, datetime.datetime) and is_day else value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": len(value)}
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return str(value)


def limit() -> None:
    """Ask the system to keep this process small."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, SPOOL_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def write(kind: str, path: str, options: dict[str, Any]) -> None:
    rows: Iterable[Any]
    match kind:
        case "sqlite":
            rows = sqlite_rows(path, options)
        case "calamine":
            rows = calamine_rows(path, options)
        case _:
            rows = duckdb_rows(path, options, is_parquet=kind == "parquet")
    count = -1
    out = sys.stdout
    try:
        for row in rows:
            line = row if isinstance(row, dict) else [*map(plain, row)]
            out.write(json.dumps(line) + "\n")
            count += 1
        out.write(json.dumps({"rows": count}) + "\n")
    except Refused as refused:
        out.write("\n" + json.dumps(refused.facts) + "\n")
    except MemoryError:
        out.write(
            "\n" + json.dumps({"error": "needs too much memory", "hint": "save it as CSV", "is_usage": False}) + "\n"
        )
    out.flush()


if __name__ == "__main__":
    limit()
    write(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
