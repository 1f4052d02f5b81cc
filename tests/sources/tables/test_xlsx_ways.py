"""The plain way through a sheet against the careful one, and spoiled files: the same rows, or rows or our error."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import BulkwriterError
from bulkwriter.sources.tables import Flawed, TableOptions, TableRow, open_table
from bulkwriter.sources.tables.shared_texts import SharedTexts
from bulkwriter.sources.tables.xlsx_look import look_at
from bulkwriter.sources.tables.xlsx_rows import BlockRows, CarefulRows, CellRules, PlainRows
from bulkwriter.sources.tables.xml_events import SpoiledXml
from tests.support.workbooks import HEAD, Cell, SheetOf, Value, sheet_xml, workbook

SPOILED_FILES = 400
"""As the issue asks; each takes some milliseconds."""

values = st.one_of(
    st.none(),
    st.integers(-5, 10**18),
    st.floats(0, 100),
    st.sampled_from(["a", "", " ", "é", "42", "<&"]),
    st.sampled_from(
        [
            Cell(),
            Cell("", 's="1"'),
            Cell("<v>5</v>", 's="1"'),
            Cell("<v>5</v>", 's="2"'),
            Cell("<v>5</v>", 't="s" s="2"'),
            Cell("<f>A1</f><v>7</v>"),
            Cell("<f>A1</f>"),
            Cell("<v>é</v>"),
            Cell("<v> 8 </v>"),
            Cell("<v>x&amp;y</v>", 't="str"'),
            Cell("<is><t>z</t></is>", 't="inlineStr"'),
            Cell("<v>1</v>", 't="b"'),
            Cell("<v>#N/A</v>", 't="e"'),
            Cell("<v>1</v>\n"),
            Cell("<v>77</v>", 't="s"'),
        ]
    ),
)
rows = st.lists(st.one_of(st.none(), st.lists(values, max_size=5)), max_size=12)
attributes = st.dictionaries(st.integers(1, 12), st.sampled_from([' hidden="1"', ' spans="1:2"', ' ht="1.5" x:y="0"']))


def outcome(found: list[BlockRows] | SpoiledXml) -> list[tuple[int, list[tuple[str, str]]]] | str:
    if isinstance(found, SpoiledXml):
        return str(found)
    return [(row.line, [(v, getattr(v, "why", "")) for v in row.values]) for block in found for row in block.rows]


def collected(way: object) -> list[BlockRows] | SpoiledXml:
    try:
        return list(way)  # type: ignore[call-overload, no-any-return]
    except SpoiledXml as error:
        return error


class Slices(io.BytesIO):
    """Gives at most `size` bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._most = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most)


@settings(max_examples=150, deadline=None)
@given(rows, attributes, st.booleans(), st.booleans(), st.integers(20, 200))
def test_plain_and_careful_give_the_same(
    rows: list[list[Value] | None], attributes: dict[int, str], has_references: bool, takes_hidden: bool, size: int
) -> None:
    texts: dict[str, int] = {}
    sheet = SheetOf(rows, row_attributes=attributes, has_references=has_references)
    data = sheet_xml(sheet, texts).encode()
    shared = SharedTexts()
    for text in texts:
        shared.add(text)
    rules = CellRules(shared, frozenset({"1"}), False, 40)
    careful = outcome(collected(CarefulRows(rules, takes_hidden=takes_hidden).read(io.BytesIO(data))))
    assert look_at(io.BytesIO(data)).is_plain
    plain = outcome(collected(PlainRows(rules, takes_hidden=takes_hidden).read(Slices(data, size))))
    if isinstance(careful, str):
        assert isinstance(plain, str)
    else:
        assert plain == careful


def test_most_rows_go_the_plain_way() -> None:
    """The property above would hold as well if no row did."""
    texts: dict[str, int] = {}
    data = sheet_xml(SheetOf([HEAD, *((n, "x") for n in range(1, 500))]), texts).encode()
    shared = SharedTexts()
    for text in texts:
        shared.add(text)

    class NeverCareful(PlainRows):
        def _careful(self, chunks: list[str]) -> list[TableRow]:
            raise AssertionError(chunks)

    plain = NeverCareful(CellRules(shared, frozenset(), False, 1_000), takes_hidden=True)
    assert sum(len(block.rows) for block in plain.read(io.BytesIO(data))) == 500


@pytest.mark.parametrize(
    "xml",
    [
        "<worksheet><!-- <sheetData> --><sheetData/></worksheet>",
        "<worksheet><sheetData><![CDATA[x]]></sheetData></worksheet>",
        "<worksheet><?do it?><sheetData></sheetData></worksheet>",
        "<x:worksheet><x:sheetData></x:sheetData></x:worksheet>",
        '<?xml version="1.0" encoding="iso-8859-1"?><worksheet><sheetData></sheetData></worksheet>',
    ],
)
def test_what_is_unusual_is_not_plain(xml: str) -> None:
    assert not look_at(Slices(xml.encode(), 7 if "encoding" not in xml else 99)).is_plain


def spoil(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled or cut off."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30))):
        at = rng.randrange(len(spoiled))
        end = min(len(spoiled), at + rng.choice((1, 4, 200)))
        match rng.randrange(4):
            case 0:
                spoiled[at:end] = rng.randbytes(end - at)
            case 1:
                del spoiled[at:end]
            case 2:
                spoiled[at:at] = spoiled[at:end]
            case _:
                del spoiled[max(at, 30) :]
        if not spoiled:
            break
    return bytes(spoiled)


@pytest.mark.slow
def test_spoiled_files_give_rows_or_our_error(tmp_path: Path) -> None:
    rng = random.Random(17)
    path = tmp_path / "a.xlsx"
    sheet = SheetOf([HEAD, *((n, f"text {n}", Cell("<f>1</f><v>2</v>")) for n in range(40))])
    whole = workbook(sheet, SheetOf([("a",)], name="b"))
    read = 0
    for _ in range(SPOILED_FILES):
        path.write_bytes(spoil(whole, rng))
        try:
            with open_table(path, TableOptions(hidden_rows="skip")) as table:
                found = [row for piece in table.pieces() for row in piece]
        except BulkwriterError:
            continue
        read += 1
        assert all(isinstance(value, str | Flawed) for row in found for value in row.values)
    assert 0 < read < SPOILED_FILES, "some are readable, and some are not"


@pytest.mark.slow
def test_spoiled_xml_gives_rows_or_our_error(tmp_path: Path) -> None:
    """The archive is whole here, so that what is spoiled reaches the parsers of the parts."""
    from tests.support.workbooks import packed, parts

    rng = random.Random(18)
    path = tmp_path / "a.xlsx"
    whole = parts([SheetOf([HEAD, (1, "2", Cell("<v>3</v>", 's="1"')), (4, "5")], tail="<mergeCells/>")])
    for _ in range(SPOILED_FILES):
        part = rng.choice([*whole])
        path.write_bytes(packed({**whole, part: spoil(whole[part].encode(), rng)}))
        try:
            with open_table(path, TableOptions(hidden_rows="include")) as table:
                list(table.pieces())
        except BulkwriterError:
            continue
