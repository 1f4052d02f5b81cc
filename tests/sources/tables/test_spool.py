"""Databases and older workbooks: their rows as text, options that suit them, and a child that breaks off."""

from __future__ import annotations

import base64
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from bulkwriter.errors import BulkwriterError, SourceError, UsageError
from bulkwriter.sources import open_source
from bulkwriter.sources.tables import TableOptions, TableRow, open_table, spool_table
from bulkwriter.sources.tables.spool_table import require_module
from tests.support.workbooks import HEAD, SheetOf, workbook

from ..test_sources import Row
from .test_xlsx import rows_of, whole_rows

PAIRS = "CREATE TABLE pairs(CourseLessonId, CourseMemberId, Name)"
VALUES = [(1, 2, "Zoë"), (3.0, 4, None), ("5", 6, b"x"), (None, 7, 1.5), (1e16, 8, "")]


def database(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(PAIRS)
        db.executemany("INSERT INTO pairs VALUES (?, ?, ?)", VALUES)
        for statement in statements:
            db.execute(statement)
    return path


def duck(path: Path) -> Path:
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE pairs(CourseLessonId BIGINT, CourseMemberId HUGEINT, Day DATE, Price DECIMAL(9, 2))")
        db.execute("INSERT INTO pairs VALUES (11, 42, '2026-05-01', 3.00), (11, 9223372036854775807, NULL, 0.50)")
    return path


def parquet(path: Path) -> Path:
    with duckdb.connect() as db:
        db.execute("CREATE TABLE p AS SELECT 11 AS CourseLessonId, range AS CourseMemberId FROM range(1, 10001)")
        db.execute(f"COPY p TO '{path}' (FORMAT parquet)")
    return path


NUMBER = '<table:table-cell office:value-type="float" office:value="{0}"><text:p>{0}</text:p></table:table-cell>'
TEXT = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
)


MANIFEST = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"


def ods(path: Path, attributes: str = "") -> Path:
    def row(*values: str, attributes: str = "") -> str:
        cells = ((NUMBER if v.isdigit() else TEXT).format(v) for v in values)
        return f"<table:table-row{attributes}>{''.join(cells)}</table:table-row>"

    rows = row("Our people") + row(*HEAD) + row("1", "2", attributes=attributes) + row("3", "1234567890123456")
    table = f'<table:table table:name="People">{rows}</table:table>'
    body = f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{MANIFEST}"/>')
        archive.writestr("content.xml", f"<office:document-content {NAMESPACES}>{body}</office:document-content>")
    return path


OLD_EXCEL = zlib.decompress(
    base64.b85decode(
        "c-rk)O-NKx6#njeZ+;XVXG{f+hC$HEG_W=;(y6pWXv89@Bq(j(BGeg~sYPwF%vA(ItD=oyi&|K1`k{i_wFs121VW&-bX63z(0QG6-"
        "g`Dq1P+v8yzg<(z4zSv-"
        "E;rWz3;u5>B!u~!@7ACpdC7LRtfxhIz^$x&4fYamc>ao4pOi@tSgiRX(9bSJS%?_;5Fp+o`;49#w(J*M+zq}f}V8BjIAN|Ngw(Z_o0oX!fn!oP"
        "%FKv6nR?Y29fur=5vvIL~~7K8`YgteVC5-"
        "H0^SB@iDDl%0l3F9}8zzG_9z{Yu?2duPeK*4|_9b`iIt8LDVS2Bxpgq%#@kod<E{H6gW<3NhDf2JLgbEi#>^NRt)&+diBegr(avW0_nf6)CYc}"
        "57HtQ>ThTUFbeCGILSC|>ITDh<X$s9GGs1dH|+{Y2mu}GbD6Ap(9CAjsqW;mB4G{>n3?V*QG5D_O&#b<FOWyH?kMF$Uk-"
        "`zibJAYoTrRr5*3n;hzo_Omy35lzfBDE#!rf7R4xYl`e@+Z!onqH5IH1T`;sA}XcERYk(Z^_jgqbtSw*9uxUsj|NgNoHI#;B$k?iagyo+znOK+"
        "j{_`;zl(eY35t(2bXn!ivr^*%m<db-"
        "Y%#OG%W&8k`5y2*GNcVp!oH6KLQ{&MUDwXlpphvnRn6<8uiV_ifPc8+I9E$1|6u9&SAuwOV9BiJtTp3EHcG~wwEk7Lc@#T=`;FnES_nps_}Vxj"
        "5Fk*kpo<`{V#*Onp2X>Nwwt`S>Y(^pW_k4>Vp?ejHn7X=Vii1H1h1*w8P%yz93k9Z7p68}UgJb3Wn!Gi}69z6VeD0$JdU%n0JGr=z}cJ_arB?>"
        "w3H_3mC!${L}mOd)?BSmor=Zo4uHSj67EwxIH`@fKJl&ohkhym%xVA1=RK9*Gecveje|2Y>b)_$&-e*R_qKL90^=7s"
    )
)
"""A workbook that xlwt 1.3 wrote: names in row 2, then a text, a rounded id, a date, a formula and a truth value."""


async def test_an_old_workbook_is_read_with_its_own_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(OLD_EXCEL)
    rows = await rows_of(path)
    assert [(row.pair, row.line) for row in rows] == [((11, 42), 3), (None, 4), (None, 5), (None, 6)]
    assert "has more than 15 digits in a number cell" in rows[1].reason
    assert "'2026-05-01' is formatted as a date" in rows[2].reason
    assert whole_rows(path)[0].values[2] == "Zoë"


def test_the_only_table_of_a_database_is_read_as_text(tmp_path: Path) -> None:
    rows = whole_rows(database(tmp_path / "a.sqlite"))
    assert [row.values for row in rows] == [
        ["1", "2", "Zoë"], ["3", "4", ""], ["5", "6", "1 bytes"], ["", "7", "1.5"], ["10000000000000000", "8", ""],
    ]  # fmt: skip
    assert [row.line for row in rows] == [1, 2, 3, 4, 5]


async def test_pairs_of_a_database_and_why_some_are_none(tmp_path: Path) -> None:
    rows = await rows_of(database(tmp_path / "a.db"))
    assert [row.pair for row in rows] == [(1, 2), (3, 4), (5, 6), None, None]
    assert rows[3].reason == "CourseLessonId is empty"
    assert "has more than 15 digits in a number cell" in rows[4].reason


async def test_a_query_chooses_rows_and_their_order(tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite3", "CREATE TABLE other(a)")
    with pytest.raises(UsageError, match="has 2 tables, and one is wanted; found: other, pairs") as caught:
        await rows_of(path)
    assert "--query" in caught.value.hint.typed
    query = "SELECT * FROM pairs WHERE CourseLessonId < 4 ORDER BY CourseMemberId DESC"
    assert await rows_of(path, query=query) == [Row((3, 4), 1), Row((1, 2), 2)]


async def test_a_table_comes_in_the_order_of_its_rows_whatever_an_index_says(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", "CREATE INDEX i ON pairs(CourseMemberId DESC, CourseLessonId, Name)")
    assert [row.pair for row in await rows_of(path)][:3] == [(1, 2), (3, 4), (5, 6)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("DELETE FROM pairs", "attempt to write a readonly database"),
        ("ATTACH 'x.db' AS x", "too many attached databases"),
        ("SELECT absent FROM pairs", "no such column"),
        ("PRAGMA user_version = 3", "attempt to write a readonly database"),
        ("PRAGMA cache_size = 3", "the query gives no rows"),
        (" ", "the query must not be empty"),
    ],
)
async def test_a_query_reads_and_nothing_else(tmp_path: Path, query: str, words: str) -> None:
    path = database(tmp_path / "a.sqlite")
    before = path.read_bytes()
    with pytest.raises(BulkwriterError, match=words):
        await rows_of(path, query=query)
    assert path.read_bytes() == before
    assert not (tmp_path / "x.db").exists()


async def test_files_of_duckdb_are_read(tmp_path: Path) -> None:
    path = duck(tmp_path / "a.duckdb")
    assert await rows_of(path) == [Row((11, 42), 1), Row((11, 2**63 - 1), 2)]
    assert [row.values[2:] for row in whole_rows(path)] == [["2026-05-01", "3"], ["", "0.50"]]
    assert await rows_of(path.rename(tmp_path / "a.db")) == await rows_of(path.with_suffix(".db"))
    found = await rows_of(parquet(tmp_path / "a.parquet"))
    assert [row.pair for row in found] == [(11, n) for n in range(1, 10_001)], "in the order of the file"
    query = "SELECT * FROM source WHERE CourseMemberId > 9998 ORDER BY CourseMemberId DESC"
    assert [row.pair for row in await rows_of(tmp_path / "a.parquet", query=query)] == [(11, 10_000), (11, 9_999)]


@pytest.mark.parametrize(
    "query",
    ["SELECT * FROM read_csv('{other}')", "COPY source TO '{other}'", "ATTACH '{other}'", "INSTALL httpfs", "SELEC"],
)
async def test_a_query_of_duckdb_reaches_no_other_file(tmp_path: Path, query: str) -> None:
    path, other = parquet(tmp_path / "a.parquet"), tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n", encoding="ascii")
    with pytest.raises(BulkwriterError, match=r"DuckDB says|no rows"):
        await rows_of(path, query=query.format(other=other))
    assert other.read_text(encoding="ascii") == "a,b\n1,2\n"


async def test_an_open_document_is_read_with_its_own_line_numbers(tmp_path: Path) -> None:
    path = ods(tmp_path / "a.ods")
    rows = await rows_of(path, header_line=2)
    assert (rows[0], rows[1].line) == (Row((1, 2), 3), 4)
    assert "has more than 15 digits in a number cell" in rows[1].reason
    assert whole_rows(path, TableOptions(header_line=2, sheet="people"))[0] == TableRow(3, ["1", "2"])
    with pytest.raises(UsageError, match="has no worksheet 'x'"):
        await rows_of(path, sheet="x")
    with pytest.raises(UsageError, match="cannot be told"):
        await rows_of(path, hidden_rows="skip")


async def test_hidden_rows_of_an_open_document_are_asked_about(tmp_path: Path) -> None:
    path = ods(tmp_path / "a.ods", ' table:visibility="filter"')
    with pytest.raises(UsageError, match="has rows that are hidden or filtered out"):
        await rows_of(path, header_line=2)
    assert len(await rows_of(path, header_line=2, hidden_rows="include")) == 2


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("a.sqlite", {"sheet": "1"}),
        ("a.db", {"header_line": 2}),
        ("a.ods", {"query": "SELECT 1"}),
        ("a.csv", {"query": "x"}),
    ],
)
async def test_an_option_of_another_kind_is_refused(tmp_path: Path, name: str, option: dict[str, str]) -> None:
    path = tmp_path / name
    if name.endswith("ods"):
        ods(path)
    elif name.endswith("csv"):
        path.write_text("a,b\n", encoding="ascii")
    else:
        database(path)
    with pytest.raises(UsageError, match="does not go with"):
        await rows_of(path, **option)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.sqlite", b"SQLite format 3\0" + b"\xff" * 5_000, "SQLite says"),
        ("a.db", b"a,b\n1,2\n", "is text, whatever its name says"),
        ("a.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "DuckDB says"),
        ("a.xls", workbook(SheetOf([HEAD])), "is an Excel workbook (.xlsx)"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2_000, "a.xls"),
        ("a.ods", workbook(SheetOf([HEAD]))[:-30], "is damaged or was not copied whole"),
        ("a.xlsb", b"", "is empty: it has 0 bytes"),
    ],
)
async def test_a_damaged_file_is_told(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        await rows_of(tmp_path / name)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("end", ["import os; os.abort()", "print('{\"names\": null, \"line\": 1}'); print('[1]')"])
async def test_a_library_that_breaks_off_gives_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(end, encoding="ascii")
    monkeypatch.setattr(spool_table, "CHILD", str(child))
    with pytest.raises(SourceError, match="the library that reads it broke off"):
        await rows_of(database(tmp_path / "a.sqlite"))


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_table, "MODULES", {"parquet": ("no_such_module", "duckdb")})
    with pytest.raises(UsageError, match="the extra 'duckdb', which is not installed") as caught:
        require_module("parquet", ".parquet")
    assert "pipx install --force '.[duckdb]'" in caught.value.hint.typed
    assert "uv tool install" in caught.value.hint


def test_a_source_that_changes_while_it_is_written_out_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(tmp_path / "a.sqlite")
    spooled: Callable[..., int] = spool_table.spooled

    def spooled_and_changed(*args: object) -> int:
        status = spooled(*args)
        database(path.with_name("b.sqlite")).replace(path)
        return status

    monkeypatch.setattr(spool_table, "spooled", spooled_and_changed)
    with open_table(path) as table, pytest.raises(SourceError, match="was replaced by another file"):
        table.header()


def test_a_change_of_a_database_says_that_the_order_must_stay(tmp_path: Path) -> None:
    source = open_source(database(tmp_path / "a.sqlite"))
    assert "ORDER BY" in getattr(source, "order_hint", "")
