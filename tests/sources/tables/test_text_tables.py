"""CSV and JSON Lines as whole rows: all columns as written, on the lines that `open_source` gives its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.errors import SourceError, UsageError
from bulkwriter.sources.columns import Columns
from bulkwriter.sources.ids import parse_id
from bulkwriter.sources.tables import Flawed, TableHeader, TableOptions, TableRow, open_table
from bulkwriter.sources.tables.csv_records import CsvTableRows
from bulkwriter.sources.tables.text_table import TextTable

from ..test_sources import HEAD, FakeStream, brief, outcome


def rows_of(path: Path, options: TableOptions | None = None) -> tuple[TableHeader, list[TableRow]]:
    with open_table(path, options) as table:
        header = table.header()
        return header, [row for piece in table.pieces() for row in piece]


def has_email(names: Sequence[str]) -> bool:
    return "E-Mail" in names


def test_all_columns_come_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b'\xef\xbb\xbf\n E-Mail ;Course, or so;\n a@b ;"x\ny";\n;;\n007;2;3;4\nshort\n')
    header, rows = rows_of(path)
    assert header == (["E-Mail", "Course, or so", ""], 2, "")
    assert rows == [(3, ["a@b ", "x\ny", ""]), (6, ["007", "2", "3", "4"]), (7, ["short"])]


def test_other_encodings_are_read_as_western_letters(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes("Name,E-Mail\nMüller,m@x\nÉ,é@x\n".encode("cp1252"))
    assert [values[0] for _, values in rows_of(path)[1]] == ["Müller", "É"]


def test_a_row_that_cannot_be_read_keeps_its_line_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b'a,b\n"x"y,2\n3,4\n')
    (bad, good) = rows_of(path)[1]
    assert good == (3, ["3", "4"])
    assert bad == (2, ['"x"y,2'])
    assert isinstance(bad.values[0], Flawed)
    assert bad.values[0].why == "text behind a closing quote"


def test_a_header_below_a_title_is_told(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"Our people, 2026\nas of May\nName;E-Mail\nx;y@z\n")
    with open_table(path, is_header=has_email) as table:
        assert table.header().hint == "line 3 names the columns: give --header-line 3"
    with open_table(path, TableOptions(header_line=3), is_header=has_email) as table:
        assert table.header() == (["Name", "E-Mail"], 3, "")
        assert [*table.pieces()] == [[(4, ["x", "y@z"])]]


def test_a_delimiter_with_the_wanted_names_goes_before_one_with_more_of_them(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"a,b,c,d;E-Mail\n1,2;3\n")
    with open_table(path, is_header=has_email) as table:
        assert table.header().names == ["a,b,c,d", "E-Mail"]
    assert rows_of(path)[0].names == ["a", "b", "c", "d;E-Mail"]


def test_json_lines_have_a_column_for_each_key_of_any_line(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text('{"a": 12345678901234567890123, "b": "x"}\n\nno\n{"c": {"d": 1.50}, "b": null, "a": true}\n')
    header, rows = rows_of(path)
    assert header == (["a", "b", "c"], 0, "")
    assert rows == [(1, ["12345678901234567890123", "x", ""]), (3, ["no"]), (4, ["true", "", '{"d": "1.50"}'])]
    assert isinstance(rows[1].values[0], Flawed)


def test_keys_without_end_are_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"{n}": 1}}\n' for n in range(1_001)))
    with pytest.raises(SourceError, match=r"line 1001: more than 1,000 different keys"):
        rows_of(path)


@pytest.mark.parametrize("text", [b"", b"\n \n"])
def test_a_file_without_a_header_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(SourceError, match="is empty"):
        rows_of(tmp_path / "a.csv")
    with pytest.raises(SourceError, match="has no line 9"):
        rows_of(tmp_path / "a.csv", TableOptions(header_line=9))


def test_what_cannot_be_read_twice_or_has_no_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="standard input is read once"):
        open_table("-")
    with pytest.raises(SourceError, match="no regular file"):
        open_table("/dev/null")
    with pytest.raises(SourceError, match="there is no such file"):
        open_table(tmp_path / "b.csv")
    with pytest.raises(UsageError, match="has no header"):
        open_table(tmp_path / "a.jsonl", TableOptions(header_line=2))
    with pytest.raises(UsageError, match="header line 0"):
        TableOptions(header_line=0)


FIELD = st.sampled_from(["1", "22", " 3 ", "x", "", '"4"', '"a\nb"', '"', '""', "é", "9,9", "\0", "y" * 70])
LINES = st.lists(st.lists(FIELD, max_size=4).map(",".join), max_size=30)


@brief
@given(LINES, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]))
def test_rows_stand_on_the_lines_of_the_pairs(lines: list[str], sizes: list[int], end: str) -> None:
    """Whatever the bytes and however they are cut: the pairs of a run are in the table's rows of the same lines."""
    data = (HEAD + "\n".join(lines).encode() + b"\n").replace(b"\n", end.encode())
    pairs = outcome(data, "x.csv", [65_536], 64)
    parser = CsvTableRows("x.csv", 64, 1, Columns().is_in)
    table = TextTable(FakeStream(data, sizes), parser, name="x.csv", line_bytes=64, is_unpacked=False)
    rows = [row for piece in table.pieces() for row in piece]
    assert isinstance(pairs, list)
    assert [row.line for row in rows] == [row.line for row in pairs]
    for row, pair in zip(rows, pairs, strict=True):
        if pair.pair:
            assert (parse_id(row.values[0]), parse_id(row.values[1])) == pair.pair
        if len(row.values) == 2 and not pair.pair:
            assert None in (parse_id(row.values[0]), parse_id(row.values[1]))
