"""Files as people have them: what spreadsheets write, loose headers, titles above them, and what is no CSV at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import SourceError, UsageError
from bulkwriter.sources import open_source
from bulkwriter.sources.columns import Columns
from bulkwriter.sources.csvrows import CsvRows
from bulkwriter.sources.files import make_reader, refuse_path
from bulkwriter.sources.kinds import is_undecided, kind_of

from .test_csv import NOTE_HEAD, CarefulCsvRows, parsed
from .test_files import gzipped, pairs_of
from .test_sources import HEAD, FakeStream, outcome, read_all, reasons

CUTS = ([1], [7], [65_536])


def pairs(data: bytes, path: str = "x.csv") -> list[tuple[int, int] | None]:
    found = [[row.pair for row in read_all(data, path, sizes=list(sizes))] for sizes in CUTS]
    assert found[0] == found[1] == found[2]
    return found[0]


# Other encodings


def test_bytes_that_are_no_utf8_do_not_matter_in_other_columns() -> None:
    text = "Prénom,CourseLessonId,CourseMemberId\nZoë,1,2\nRené,3,4\n"
    for encoding in ("cp1252", "latin-1", "utf-8", "utf-8-sig"):
        assert pairs(text.encode(encoding)) == [(1, 2), (3, 4)]


def test_a_column_is_named_in_the_encoding_of_the_file() -> None:
    data = "Leçon;Élève;CourseLessonId\n1;2;9\n"
    for encoding in ("cp1252", "utf-8"):
        stream = FakeStream(data.encode(encoding))
        reader = make_reader(stream, "x.csv", columns=Columns("leçon", "ÉLÈVE"), line_bytes=65_536)
        batch = reader.read()
        assert batch is not None
        assert batch.pairs == [(1, 2)]
        with pytest.raises(SourceError, match="found: Leçon, Élève, CourseLessonId"):
            read_all(data.encode(encoding))


def test_bytes_that_are_no_utf8_do_not_matter_in_json_either() -> None:
    plain = b'{"CourseLessonId": 1, "CourseMemberId": 2}\n'
    other = b'{"Pr\xe9nom": "Zo\xeb", "CourseLessonId": 3, "CourseMemberId": 4}\n'
    twice = b'{"x": "\\u0041\xeb", "CourseLessonId": 3, "CourseLessonId": 3, "CourseMemberId": 4}\n'
    assert pairs(other + plain * 300 + other + twice, "x.jsonl") == [(3, 4), *[(1, 2)] * 300, (3, 4), None]


def test_a_no_break_space_of_latin_1_is_told_as_one() -> None:
    (reason,) = reasons(HEAD + b"\xa042,7\n")
    assert reason == "CourseLessonId '\\xa042' has a space or an invisible character in it: delete it"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"1,2", b"3,4,", b",", b",,", b"5,6\xe9", b"7,8,\xe9", b"1,2,,9", b'"1",2,']), max_size=40
    ),
    st.sampled_from([HEAD, NOTE_HEAD]),
)
def test_the_fast_ways_agree_on_these_too(lines: list[bytes], head: bytes) -> None:
    text = b"".join(line + b"\n" for line in lines) + b"1,2\n"
    assert parsed(CsvRows, head, [text], 65_536) == parsed(CarefulCsvRows, head, [text], 65_536)


# Headers


@pytest.mark.parametrize(
    "header",
    [
        b"Course Lesson Id,Course Member Id",
        b"course_lesson_id,course-member-id",
        b"COURSE LESSON ID,courseMember_ID",
        b"Course\xc2\xa0Lesson\xc2\xa0Id,CourseMemberId",
        b"CourseLessonId|CourseMemberId",
        b"CourseLessonId,CourseMemberId,",
    ],
)
def test_names_are_compared_loosely(header: bytes) -> None:
    row = b"1|2" if b"|" in header else b"1,2"
    assert pairs(header + b"\n" + row + b"\n") == [(1, 2)]


def test_a_name_as_it_was_asked_for_goes_before_one_that_is_alike() -> None:
    assert pairs(b"Course_Lesson_Id,CourseLessonId,CourseMemberId\n9,1,2\n") == [(1, 2)]
    with pytest.raises(SourceError, match="is there twice") as caught:
        read_all(b"Course Lesson Id,course_lesson_id,CourseMemberId\n9,1,2\n")
    assert "Course Lesson Id, course_lesson_id" in caught.value.hint
    with pytest.raises(UsageError):
        Columns("Lesson Id", "lesson_id")


def test_keys_of_json_are_compared_alike() -> None:
    line = b'{"course_lesson_id": 1, "Course Member Id": 2}\n'
    assert pairs(line * 300, "x.jsonl") == [(1, 2)] * 300
    assert pairs(line + b'{"CourseLessonId": 3, "course_lesson_id": 9, "CourseMemberId": 4}\n', "-") == [(1, 2), (3, 4)]


def test_a_delimiter_at_the_end_of_each_row_and_rows_of_nothing_are_nothing() -> None:
    assert pairs(HEAD + b"11,42,\n12,43,,\n13,44, ,\t\n,\n,,,\n") == [(11, 42), (12, 43), (13, 44)]
    assert pairs(HEAD.replace(b",", b"\t") + b"11\t42\t\n\t\t\n \t\n") == [(11, 42)]
    assert pairs(NOTE_HEAD + b'1,2,x\n"","",\n,,\n') == [(1, 2)]
    assert pairs(HEAD + b"1,2,,3\n") == [None]
    assert pairs(HEAD + b"11,42,\n" * 2_000) == [(11, 42)] * 2_000


@pytest.mark.parametrize("mark", [b"sep=;", b"SEP=;", b'"sep=;"', b"sep=;\r", b"\xef\xbb\xbfsep=;", b"\nsep=;;"])
def test_a_line_that_names_the_delimiter_is_understood(mark: bytes) -> None:
    rows = read_all(mark + b'\nCourseLessonId;CourseMemberId;"a,b"\n1;2;"x;y"\n')
    assert [(row.pair, row.line) for row in rows] == [((1, 2), 3 + mark.count(b"\n"))]


def test_the_named_delimiter_goes_before_others() -> None:
    assert pairs(b"sep=|\nCourseLessonId|CourseMemberId\n1|2\n") == [(1, 2)]
    with pytest.raises(SourceError, match="found: CourseLessonId;CourseMemberId"):
        read_all(b"sep=|\nCourseLessonId;CourseMemberId\n1;2\n")


TITLED = b"Completed lessons,,\n# made by hand; do not edit\n\n" + HEAD + b"1,2\n"


def test_the_hint_says_in_which_line_the_columns_are() -> None:
    for sizes in CUTS:
        with pytest.raises(SourceError, match=r"line 1: no column .* found: Completed lessons") as caught:
            read_all(TITLED, sizes=list(sizes))
        assert caught.value.hint.typed == "line 4 names the columns: give --header-line 4"
    with pytest.raises(SourceError) as caught:
        read_all(b'A "title", with a quote" that is odd\n' + HEAD)
    assert "--header-line 2" in caught.value.hint.typed
    for blank, hint in ((18, "--header-line 20"), (19, "name the right one with")):
        with pytest.raises(SourceError) as caught:
            read_all(b"title\n" + b"\n" * blank + HEAD)
        assert hint in caught.value.hint.typed


def read_from(data: bytes, header_line: int, sizes: list[int], path: str = "x.csv") -> list[tuple[int, int] | None]:
    stream = FakeStream(data, sizes)
    reader = make_reader(stream, path, columns=Columns(), line_bytes=65_536, header_line=header_line)
    found: list[tuple[int, int] | None] = []
    while batch := reader.read():
        found += batch.pairs
    return found


def test_lines_above_the_header_are_passed_over() -> None:
    for sizes in CUTS:
        assert read_from(TITLED, 4, list(sizes)) == [(1, 2)]
        assert read_from(TITLED, 3, list(sizes)) == [(1, 2)]  # a blank line names nothing
        assert read_from(HEAD + HEAD + b"1,2\n", 2, list(sizes)) == [(1, 2)]
        assert read_from(b"sep=;\ntitle\nCourseLessonId;CourseMemberId\n1;2\n", 3, list(sizes)) == [(1, 2)]
        with pytest.raises(SourceError, match="has no line 9 to name the columns"):
            read_from(TITLED, 9, list(sizes))


def test_a_header_line_is_counted_from_1_and_is_one_of_a_csv() -> None:
    with pytest.raises(UsageError, match="header line 0"):
        open_source("x.csv", header_line=0)
    with pytest.raises(SourceError, match="JSON Lines, which has no header"):
        read_from(b'{"CourseLessonId": 1}\n', 2, [100], "-")


@pytest.mark.parametrize("end", [b"\r", b"\r\r\n", b"\r\n", b"\n"])
def test_line_ends_of_any_system(end: bytes) -> None:
    data = (HEAD + b"1,2\n3,4\n5,6\n").replace(b"\n", end)
    assert pairs(data) == [(1, 2), (3, 4), (5, 6)]
    assert pairs(data.rstrip(b"\r\n")) == [(1, 2), (3, 4), (5, 6)]
    json = b'{"CourseLessonId":1,"CourseMemberId":2}\n' * 3
    assert pairs(json.replace(b"\n", end), "x.jsonl") == [(1, 2)] * 3
    assert pairs(json.replace(b"\n", end), "-") == [(1, 2)] * 3


# What is no CSV


@pytest.mark.parametrize(
    ("head", "what", "hint"),
    [
        (b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml", "an Excel workbook (.xlsx)", "ends with .xlsx"),
        (b"PK\x03\x04" + b"\0" * 26 + b"_rels/.rels", "an Excel workbook (.xlsx)", "ends with .xlsx"),
        (
            b"PK\x03\x04" + b"\0" * 26 + b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
            "an OpenDocument spreadsheet",
            "ends with .ods",
        ),
        (b"PK\x03\x04" + b"\0" * 26 + b"pairs.csv", "a ZIP archive", "unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", "ends with .xls"),
        (b"PAR1\x15\x04", "a Parquet file", "duckdb"),
        (b"SQLite format 3\0\x10", "an SQLite database", "sqlite3 -csv"),
        (b"%PDF-1.7\n", "a PDF document", "CSV"),
        (b"<!DOCTYPE html>\n<html>", "a web page", "sign in"),
        (b"\xef\xbb\xbf \n<HTML><body>", "a web page", "sign in"),
        (b'<?xml version="1.0"?>', "XML", "CSV"),
        (b"{\\rtf1\\ansi", "formatted text (RTF)", "plain text"),
        (b"BZh91AY", "compressed (bzip2)", "bzip2 -dc"),
        (b"\x28\xb5\x2f\xfd\x04", "compressed (zstd)", "zstd -dc"),
        (b'{\0"\0C\0', "UTF-16 text", "UTF-8"),
        (b'\0{\0"', "UTF-16 text", "UTF-8"),
        (b"\xff\xfe\0\0C\0\0\0", "UTF-32 text", "UTF-8"),
    ],
)
def test_what_is_no_text_of_rows_is_named(tmp_path: Path, head: bytes, what: str, hint: str) -> None:
    for path in ("x.csv", "x.jsonl", "-"):
        for sizes in CUTS:
            with pytest.raises(SourceError) as caught:
                read_all(head + b"\n", path, sizes=list(sizes))
            assert f" is {what}" in caught.value.message
            assert hint in caught.value.hint
    book = tmp_path / "book.txt"
    book.write_bytes(head + b"\n")
    if not head.startswith(b"\xef\xbb\xbf"):
        with pytest.raises(SourceError) as caught:
            refuse_path(str(book))
        assert f" is {what}" in caught.value.message
        assert "run - <" not in caught.value.hint


def test_few_bytes_are_waited_for() -> None:
    """A pipe that has given a short row must not be asked for more just to look at it."""
    assert not is_undecided(b"CourseLessonId")
    assert not is_undecided(b'{"C')
    assert is_undecided(b"{")
    assert is_undecided(b"<h")
    assert kind_of(b"Course") is None
    assert kind_of(b"<id>,CourseLessonId,CourseMemberId\n") is None


@pytest.mark.parametrize(
    ("name", "data", "words", "hint"),
    [
        ("a.csv.gz", HEAD + b"1,2\n", "is not compressed (gzip), although its name ends with .gz", "mv "),
        ("a.csv.gz", b"PK\x03\x04" + b"\0" * 26 + b"xl/", "an Excel workbook (.xlsx), although", "ends with .xlsx"),
        ("a.csv.gz", gzipped(gzipped(HEAD)), "is compressed twice", "gzip -dc"),
        ("a.csv", gzipped(HEAD), "is compressed (gzip)", ".gz"),
        ("a.txt", HEAD, "the name does not tell the format", "name it a.csv"),
        ("a.json", b'[\n  {"CourseLessonId": 1}]', "is a JSON array", "a.json > a.jsonl"),
        ("a.txt", HEAD.replace(b",", b"\t"), "the name does not tell the format", "name it a.tsv"),
        ("a", b'{"CourseLessonId": 1}', "the name does not tell the format", "name it a.jsonl"),
        ("a.jsonl", HEAD + b"1,2\n", "names columns as CSV does", ".csv"),
        ("a.csv", b'{"CourseLessonId": 1, "CourseMemberId": 2}\n', "no column", ".jsonl"),
    ],
)
async def test_a_name_that_does_not_fit_is_told(tmp_path: Path, name: str, data: bytes, words: str, hint: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError) as caught:
        await pairs_of(open_source(str(path)))
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_a_quote_that_is_never_closed_says_where_it_is() -> None:
    rows = read_all(NOTE_HEAD + b'1,2,"note\n3,4,\n')
    assert [(row.pair, row.reason) for row in rows] == [
        (None, "a quote opened in line 2 is never closed"),
        ((3, 4), ""),
    ]
    assert rows[0].kind == "a quote is opened and never closed"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"title", b"sep=;", b"", b",,", b'"a', b"x" * 70, HEAD.strip(), b"1,2", b"1;2", b"\r", b"\xe9"]
        ),
        max_size=25,
    ),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_cuts_do_not_decide_what_is_made_of_any_of_it(lines: list[bytes], end: bytes, sizes: list[int]) -> None:
    data = end.join(lines)
    assert outcome(data, "x.csv", list(sizes), 64) == outcome(data, "x.csv", [65_536], 64)
    assert outcome(gzip.compress(data)[:20], "-", list(sizes), 64) == outcome(gzip.compress(data)[:20], "-", [99], 64)


async def test_a_descriptors_name_tells_no_format(tmp_path: Path) -> None:
    path = tmp_path / "whatever"
    for data in (HEAD + b"1,2\n", b'{"CourseLessonId": 1, "CourseMemberId": 2}\n'):
        path.write_bytes(data)
        with path.open("rb") as file:
            name = f"/dev/fd/{file.fileno()}"
            refuse_path(name)
            assert await pairs_of(open_source(name)) == [(1, 2)]
