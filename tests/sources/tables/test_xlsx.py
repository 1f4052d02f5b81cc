"""Excel workbooks: the right value or a clear reason for each kind of cell, and a clear error for each kind of file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkwriter.errors import BulkwriterError, SourceError, UsageError
from bulkwriter.sources import Source, open_source
from bulkwriter.sources.tables import TableOptions, TableRow, open_table
from bulkwriter.sources.tables.cell_values import is_date_format
from bulkwriter.sources.tables.shared_texts import SharedTexts
from bulkwriter.sources.tables.xml_events import SpoiledXml
from tests.support.workbooks import HEAD, STRICT, Cell, SheetOf, Value, packed, parts, rows_as_workbook, workbook

from ..test_sources import Row, rows_in


async def rows_of(path: Path, **options: str | int | None) -> list[Row]:
    source = open_source(path, **options)  # type: ignore[arg-type]
    found: list[Row] = []
    try:
        while batch := await source.read(1_000):
            found += rows_in(batch)
        assert source.fraction() == 1.0
    finally:
        await source.aclose()
    return found


def whole_rows(path: Path, options: TableOptions | None = None) -> list[TableRow]:
    with open_table(path, options) as table:
        return [row for piece in table.pieces() for row in piece]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[bytes], Path]:
    def written(data: bytes) -> Path:
        path = tmp_path / "people.xlsx"
        path.write_bytes(data)
        return path

    return written


Make = Callable[[bytes], Path]


def text(value: str, attributes: str = 't="inlineStr"') -> Cell:
    return Cell(f"<is><t>{value}</t></is>", attributes)


def number(written: str, style: int | None = None, formula: str = "") -> Cell:
    return Cell(formula + f"<v>{written}</v>", "" if style is None else f's="{style}"')


GOOD: list[tuple[Value, int]] = [
    (42, 42),
    ("42", 42),
    (" 0042 ", 42),
    (999_999_999_999_999, 999_999_999_999_999),
    ("9223372036854775807", 2**63 - 1),
    ("1234567890123456", 1_234_567_890_123_456),
    (number("42.0"), 42),
    (number("4.2E1"), 42),
    (number("1.5E14"), 150_000_000_000_000),
    (number("42", formula="<f>6*7</f>"), 42),
    (Cell("<f>A1</f><v>42</v>", 't="str"'), 42),
    (text("42"), 42),
    (Cell("<is><r><t>4</t></r><r><rPr><b/></rPr><t>2</t></r><rPh><t>9</t></rPh></is>", 't="inlineStr"'), 42),
]


@pytest.mark.parametrize(("value", "id_"), GOOD, ids=lambda value: str(value)[:30])
async def test_a_value_that_is_certain_is_an_id(make: Make, value: Value, id_: int) -> None:
    assert await rows_of(make(rows_as_workbook((value, 7)))) == [Row((id_, 7), 2)]


BAD: list[tuple[Value, str]] = [
    (1_000_000_000_000_000, "'1000000000000000' has more than 15 digits in a number cell"),
    (number("1.2345678901234568E+18"), "'1234567890123456768' has more than 15 digits in a number cell"),
    (number("1E+300"), "'1e+300' has more than 15 digits"),
    (number("NaN"), "'nan' has more than 15 digits"),
    (12.5, "'12.5' is a decimal number"),
    (-3, "'-3' is not a whole number"),
    ("1.23457E+15", "was rounded"),
    ("a@b.example", "is an e-mail and not an id"),
    (Cell("<f>A1*2</f>"), "CourseLessonId is a formula without a saved value"),
    (Cell("<f>A1</f>", 't="str"'), "CourseLessonId is a formula without a saved value"),
    (Cell("<f>A1</f><v></v>", 't="str"'), "CourseLessonId is empty"),
    (Cell("<v>#N/A</v>", 't="e"'), "'#N/A' is an error of the spreadsheet"),
    (Cell("<v>1</v>", 't="b"'), "'TRUE' is not a whole number"),
    (Cell("<v>2026-05-01</v>", 't="d"'), "'2026-05-01' is formatted as a date"),
    (number("45000", style=1), "'2023-03-15' is formatted as a date"),
    (number("45000.5", style=2), "'2023-03-15 12:00:00' is formatted as a date"),
    (number("9999999", style=1), "'9999999' is formatted as a date"),
    (number("x"), "'x' is no number, although its cell says so"),
    (None, "CourseLessonId is empty"),
]


@pytest.mark.parametrize(("value", "words"), BAD, ids=lambda value: str(value)[:30])
async def test_a_value_that_is_not_certain_says_why(make: Make, value: Value, words: str) -> None:
    (row,) = await rows_of(make(rows_as_workbook((value, 7))))
    assert row.pair is None
    assert words in row.reason


async def test_lines_are_those_that_people_see_and_rows_of_nothing_are_none(make: Make) -> None:
    data = workbook(SheetOf([None, ("", None), HEAD, None, (1, 2), (" ", None), (3, 4, "note")]))
    assert await rows_of(make(data)) == [Row((1, 2), 5), Row((3, 4), 7)]


async def test_a_cell_in_the_last_corner_costs_nothing(make: Make) -> None:
    corner = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    sheet = SheetOf([HEAD, (1, 2)])
    found = parts([sheet])
    found["xl/worksheets/sheet1.xml"] = found["xl/worksheets/sheet1.xml"].replace(
        "</sheetData>", f"{corner}</sheetData>"
    )
    assert await rows_of(make(packed(found))) == [Row((1, 2), 2)]


async def test_references_may_be_left_out(make: Make) -> None:
    assert await rows_of(make(workbook(SheetOf([HEAD, (1, 2), (3, "4")], has_references=False)))) == [
        Row((1, 2), 2),
        Row((3, 4), 3),
    ]


@pytest.mark.parametrize(("namespace", "prefix"), [(STRICT, ""), (STRICT, "x"), ("urn:any", "")])
async def test_namespaces_and_prefixes_make_no_difference(make: Make, namespace: str, prefix: str) -> None:
    data = workbook(SheetOf([HEAD, (1, "2")]), namespace=namespace, prefix=prefix)
    assert await rows_of(make(data)) == [Row((1, 2), 2)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16be", "iso-8859-1"])
async def test_other_encodings_of_xml_are_read(make: Make, encoding: str) -> None:
    found: dict[str, str | bytes] = {**parts([SheetOf([(*HEAD, "Name"), (1, 2, text("Zoë"))])])}
    part = "xl/worksheets/sheet1.xml"
    xml = str(found[part]).replace('encoding="UTF-8"', f'encoding="{encoding}"')
    found[part] = xml.encode(encoding) if encoding != "utf-16be" else b"\xfe\xff" + xml.encode(encoding)
    path = make(packed(found))
    assert await rows_of(path) == [Row((1, 2), 2)]
    assert whole_rows(path) == [(2, ["1", "2", "Zoë"])]


def test_whole_rows_have_texts_as_people_see_them(make: Make) -> None:
    values = (
        Cell("<v>1</v>", 't="b"'),
        number("45000", 1),
        "a_x000D_\nb",
        number("60", 1),
        number("0.25", 2),
        0.1,
        "<&>",
    )
    path = make(workbook(SheetOf([("A", "B"), values])))
    assert whole_rows(path)[0].values == ["TRUE", "2023-03-15", "a\r\nb", "1900-02-28", "06:00:00", "0.1", "<&>"]
    assert whole_rows(make(workbook(SheetOf([("A",), (number("1", 1),)]), is_1904=True)))[0].values == ["1904-01-02"]


# Hidden rows and merged cells


HIDDEN = workbook(
    SheetOf(
        [HEAD, (1, 2), (3, 4), (5, 6), None, ()],
        row_attributes={3: ' hidden="1"', 4: ' hidden="true"', 6: ' hidden="1"'},
    )
)


async def test_hidden_rows_are_asked_about_before_the_first_row(make: Make) -> None:
    path = make(HIDDEN)
    with pytest.raises(UsageError, match="2 rows are hidden or filtered out, the first is row 3") as caught:
        await rows_of(path)
    assert "--hidden-rows include" in caught.value.hint.typed
    assert await rows_of(path, hidden_rows="include") == [Row((1, 2), 2), Row((3, 4), 3), Row((5, 6), 4)]
    assert await rows_of(path, hidden_rows="skip") == [Row((1, 2), 2)]


async def test_a_word_hidden_elsewhere_asks_nothing(make: Make) -> None:
    data = workbook(SheetOf([HEAD, (1, 2, text("hidden"))], tail='<cols><col hidden="1"/></cols>'))
    assert await rows_of(make(data)) == [Row((1, 2), 2)]


async def test_an_empty_cell_inside_merged_ones_says_so(make: Make) -> None:
    tail = '<mergeCells count="1"><mergeCell ref="A2:A3"/></mergeCells>'
    rows = await rows_of(make(workbook(SheetOf([HEAD, (1, 2), (None, 3), (None, 4)], tail=tail))))
    assert rows[0].pair == (1, 2)
    assert rows[1].reason == (
        "CourseLessonId is inside the merged cells A2:A3, of which the first alone holds the value"
    )
    assert rows[2].reason == "CourseLessonId is empty"


# Sheets


SHEETS = (
    SheetOf([("secret",)], name="Old", state="hidden"),
    SheetOf(name="Chart", kind="chartsheet", xml="<chartsheet/>"),
    SheetOf([HEAD, (1, 2)], name="People"),
    SheetOf([HEAD, (3, 4)], name="2"),
    SheetOf([("x", "y")], name="Notes"),
)


async def test_the_first_visible_worksheet_is_read_or_the_one_named(make: Make) -> None:
    path = make(workbook(*SHEETS))
    assert await rows_of(path) == [Row((1, 2), 2)]
    assert await rows_of(path, sheet="people") == [Row((1, 2), 2)]
    assert await rows_of(path, sheet="2") == [Row((3, 4), 2)], "a name goes before a number"
    assert await rows_of(path, sheet="3") == [Row((3, 4), 2)], "the third tab that people see"


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        ("9", "has no sheet '9'"),
        ("Nobody", "has no sheet 'Nobody'"),
        ("Chart", "'Chart' is a chart"),
        ("1", "'Chart' is a chart"),
        (" ", "must not be empty"),
    ],
)
async def test_a_sheet_that_cannot_be_read_is_told(make: Make, sheet: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        await rows_of(make(workbook(*SHEETS)), sheet=sheet)
    assert words in caught.value.message


async def test_columns_on_another_sheet_or_below_a_title_are_told(make: Make) -> None:
    with pytest.raises(SourceError, match=r"no column CourseLessonId .* found: a") as caught:
        await rows_of(make(workbook(SheetOf([("a",)]), SheetOf([HEAD], name="Pairs"))))
    assert "--sheet NAME, of Pairs" in caught.value.hint.typed
    path = make(workbook(SheetOf([("Our people",), None, HEAD, (1, 2)])))
    with pytest.raises(SourceError) as caught:
        await rows_of(path)
    assert caught.value.hint.typed == "row 3 names the columns: give --header-line 3"
    assert await rows_of(path, header_line=3) == [Row((1, 2), 4)]


async def test_no_sheet_and_no_rows_are_told(make: Make) -> None:
    with pytest.raises(SourceError, match="no visible worksheet"):
        await rows_of(make(workbook(SHEETS[0], SHEETS[1])))
    with pytest.raises(SourceError, match="'Sheet1' is empty"):
        await rows_of(make(workbook(SheetOf())))
    with pytest.raises(SourceError, match="has no row 5"):
        await rows_of(make(workbook(SheetOf([HEAD]))), header_line=5)


# Files that are something else, or damaged


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
DOCTYPE = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'


def spoiled(part: str, old: str, new: str, count: int = 1) -> bytes:
    found = parts([SheetOf([HEAD, (1, "2")])])
    assert old in found[part]
    return packed({**found, part: found[part].replace(old, new, count)})


SHEET = "xl/worksheets/sheet1.xml"
WRONG = [
    (b"", "is empty: it has 0 bytes"),
    (b"<html><table>", "is a web page (HTML), whatever its name says"),
    (b"CourseLessonId,CourseMemberId\n1,2\n", "is text, whatever its name says"),
    (OLE + "EncryptedPackage".encode("utf-16-le"), "is protected with a password"),
    (OLE, "is an old Excel workbook (.xls)"),
    (b"%PDF-1.7", "is a PDF document"),
    (b"\x01\x02\x03", "is no file of that kind, or is damaged"),
    (rows_as_workbook((1, 2))[:-40], "is damaged or was not copied whole"),
    (packed({"a.txt": "x"}), "it has no part xl/workbook.xml"),
    (spoiled(SHEET, "</row>", ""), "is damaged: mismatched tag"),
    (spoiled(SHEET, "<worksheet", f"{DOCTYPE}<worksheet"), "it declares a document type"),
    (spoiled(SHEET, 'r="2"', 'r="1"'), "row '1' comes behind row 1"),
    (spoiled(SHEET, 'r="A2"', 'r="?2"'), "a cell is in column '?'"),
    (spoiled(SHEET, "<v>2</v>", "<v>99</v>"), "a cell has text 99 of 3"),
    (spoiled("_rels/.rels", "xl/workbook.xml", "xl/workbook.bin"), "is a binary workbook (.xlsb)"),
    (spoiled("xl/workbook.xml", "</sheets>", ""), "is damaged: mismatched tag"),
]


@pytest.mark.parametrize(("data", "words"), WRONG, ids=[words for _, words in WRONG])
async def test_a_file_that_is_no_workbook_says_what_it_is(make: Make, data: bytes, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        await rows_of(make(data))
    assert words in caught.value.message
    assert caught.value.hint


async def test_a_bomb_is_refused_before_it_goes_off(make: Make) -> None:
    tag = "<worksheet><sheetData>" + f'<row a="{"x" * (3 << 20)}">' + "</row></sheetData></worksheet>"
    with pytest.raises(SourceError, match="a tag without end"):
        await rows_of(make(packed({**parts([SheetOf([HEAD])]), SHEET: tag})))
    long = "".join(("<sst><si><t>", "y" * (2 << 20), "</t></si></sst>"))
    with pytest.raises(SourceError, match="a text is longer than 1,048,576 characters"):
        await rows_of(make(packed({**parts([SheetOf([HEAD])]), "xl/sharedStrings.xml": long})))
    directory = bytearray(rows_as_workbook((1, 2)))
    at = directory.rfind(b"PK\x05\x06")
    directory[at + 12 : at + 16] = b"\xff\xff\xff\x7f"
    with pytest.raises(SourceError, match="its list of parts is too long"):
        await rows_of(make(bytes(directory)))


async def test_a_row_that_is_too_long_is_bad_and_the_next_one_is_read(make: Make) -> None:
    rows = await rows_of(make(rows_as_workbook((1, 2, "x" * 300), (3, 4), (5, 6, text("y" * 300)))), line_bytes=256)
    assert [row.pair for row in rows] == [None, (3, 4), None]
    assert rows[0].reason == rows[2].reason == "longer than 256 bytes"


async def test_a_workbook_that_is_saved_while_it_is_read_ends_the_reading(make: Make) -> None:
    path = make(rows_as_workbook(*((n, n) for n in range(1, 30_000))))
    source = open_source(path)
    assert await source.read(10)
    os.utime(path, (0, 0))
    with pytest.raises(SourceError, match="was written to while it was read"):
        await read_on(source)
    await source.aclose()


async def read_on(source: Source) -> None:
    while await source.read(4_000):
        pass


# Shared texts


@pytest.mark.parametrize("memory_bytes", [0, 40, 1 << 20])
def test_shared_texts_are_the_same_wherever_they_lie(memory_bytes: int) -> None:
    texts = SharedTexts(memory_bytes)
    wanted = [f"{n}é" * (n % 5) for n in range(5_000)]
    for wish in wanted:
        texts.add(wish)
    texts.end()
    assert [texts[n] for n in range(5_000)] == wanted
    assert texts[4_999] == wanted[4_999]
    with pytest.raises(SpoiledXml):
        texts[5_000]
    texts.close()


def test_shared_texts_have_a_bound() -> None:
    texts = SharedTexts(10, most_bytes=1_000)
    for _ in range(111):
        texts.add("x")
    with pytest.raises(SpoiledXml, match="larger than"):
        texts.add("x")
    texts.close()


@pytest.mark.parametrize(
    ("code", "is_date"),
    [
        ("General", False), ("0.00", False), ('0" days"', False), ("[Red]0", False), ("0.00E+00", False), ("@", False),
        ("yyyy-mm-dd", True), ("[$-407]d. mmm", True), ("[h]:mm", True), ('#,##0 "d"', False), (r"0\d", False),
    ],
)  # fmt: skip
def test_formats_of_dates_are_told_from_others(code: str, is_date: bool) -> None:
    assert is_date_format(code) == is_date


def test_nothing_but_our_errors_for_spoiled_parts(make: Make) -> None:
    """Every part cut at some places: rows or our error."""
    found = parts([SheetOf([HEAD, (1, "2")])])
    for part, xml in found.items():
        for at in range(0, len(xml), max(1, len(xml) // 12)):
            path = make(packed({**found, part: xml[:at]}))
            try:
                whole_rows(path)
            except BulkwriterError:
                continue
