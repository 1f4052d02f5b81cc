"""JSON Lines: keys and values by example; then that neither way nor cuts decide what a row is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import SourceError
from bulkwriter.model import ID_MAX
from bulkwriter.sources.batches import RowBuffer
from bulkwriter.sources.columns import Columns
from bulkwriter.sources.jsonrows import JsonRows

from .test_sources import Row, batches, outcome, read_all, reasons, rows_in

brief = settings(max_examples=40, deadline=None)
GOOD = b'{"CourseLessonId": 5, "CourseMemberId": 6}\n'
NOT_WHOLE = "is not a whole number from 1 to 2^63-1"
DECIMAL = "is a decimal number: save the column as whole numbers"


def read(data: bytes, line_bytes: int = 65_536) -> list[Row]:
    return read_all(data, "x.jsonl", line_bytes=line_bytes)


@pytest.mark.parametrize(
    "line",
    [
        '{"CourseLessonId": 1, "CourseMemberId": 2}',
        '{"courselessonid":1,"COURSEMEMBERID":2}',
        '{"CourseMemberId": 2, "Note": "caf\\u00e9 \\"x\\" é", "CourseLessonId": 1}',
        '{" CourseLessonId ": 1, "CourseMemberId": 2, "x": {"CourseLessonId": 7, "y": [1]}}',
        '{"CourseLessonId": "1", "CourseMemberId": " 002 "}',
        ' {"CourseLessonId": 1, "CourseMemberId": 2} \r',
        '{"CourseLessonId": 1, "CourseMemberId": 2, "Note": "CourseLessonId"}',
        '{"CourseLessonId": 1, "CourseMemberId": 2, "Note": "\\"CourseLessonId\\""}',
        '{"Course\\u004cessonId": 1, "CourseMemberId": 2}',
    ],
)
def test_lines_that_are_the_pair_1_2(line: str) -> None:
    for before in (b"", GOOD, GOOD * 600):
        rows = read(before + line.encode())
        assert rows[-1].pair == (1, 2)
        assert {row.pair for row in rows[:-1]} <= {(5, 6)}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "is not JSON: "),
        (b"CourseLessonId,CourseMemberId", "is not JSON: "),
        (b'{"CourseLessonId": 1, "CourseMemberId": 2} x', "is not JSON: "),
        (b'{"CourseLessonId": 1, "CourseMemberId": 2}{"CourseLessonId": 1, "CourseMemberId": 2}', "is not JSON: "),
        (b'{"CourseLessonId": 01, "CourseMemberId": 2}', "is not JSON: "),
        (b'{"CourseLessonId": NaN, "CourseMemberId": 2}', "is not JSON: "),
        (b'{"CourseLessonId": "1\xa0", "CourseMemberId": 2}', "CourseLessonId '1\ufffd' is not a whole number"),
        (b'{"CourseLessonId": 1, "CourseMemberId": 2, \xff}', "is not JSON: "),
        (b'{"CourseLessonId": 1, "CourseMemberId": 2}\0', "is not JSON: "),
        (b"[1, 2]", "is not a JSON object"),
        (b"7", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'"CourseLessonId CourseMemberId"', "is not a JSON object"),
        (b"{}", "has no CourseLessonId"),
        (b'{"CourseLessonId": 1}', "has no CourseMemberId"),
        (b'{"CourseLessonId": null, "CourseMemberId": 2}', "CourseLessonId is empty"),
        (b'{"CourseLessonId": 1, "CourseMemberId": ""}', "CourseMemberId is empty"),
        (b'{"CourseLessonId": true, "CourseMemberId": 2}', f"CourseLessonId 'true' {NOT_WHOLE}"),
        (b'{"CourseLessonId": 1.0, "CourseMemberId": 2}', f"CourseLessonId '1.0' {DECIMAL}"),
        (b'{"CourseLessonId": 1e3, "CourseMemberId": 2}', f"CourseLessonId '1000.0' {DECIMAL}"),
        (b'{"CourseLessonId": -1, "CourseMemberId": 2}', f"CourseLessonId '-1' {NOT_WHOLE}"),
        (b'{"CourseLessonId": 0, "CourseMemberId": 2}', f"CourseLessonId '0' {NOT_WHOLE}"),
        (
            b'{"CourseLessonId": 9223372036854775808, "CourseMemberId": 2}',
            f"CourseLessonId '9223372036854775808' {NOT_WHOLE}",
        ),
        (
            b'{"CourseLessonId": 18446744073709551617, "CourseMemberId": 2}',
            "CourseLessonId '1.8446744073709552e",
        ),
        (b'{"CourseLessonId": [1], "CourseMemberId": 2}', f"CourseLessonId '[1]' {NOT_WHOLE}"),
        (b'{"CourseLessonId": "1.0", "CourseMemberId": 2}', f"CourseLessonId '1.0' {DECIMAL}"),
        (b'{"CourseLessonId": 1, "courselessonid": 1, "CourseMemberId": 2}', "CourseLessonId is there twice"),
        (b'{"CourseLessonId": 1, "CourseMemberId": 3, "CourseMemberId": 2}', "CourseMemberId is there twice"),
        (b'{"CourseLessonId": 1, "CourseMemberId": 3, "CourseM\\u0065mberId": 2}', "CourseMemberId is there twice"),
        (b'{"CourseMemberId": 2, "CourseLessonId ": 9, "CourseLessonId": 1}', "CourseLessonId is there twice"),
    ],
)
def test_bad_lines_say_why_and_the_rest_goes_on(line: bytes, reason: str) -> None:
    for count in (1, 300):
        rows = read(GOOD * count + line + b"\n" + GOOD)
        assert [row.pair for row in rows] == [(5, 6)] * count + [None, (5, 6)]
        assert rows[count].reason.startswith(reason)
        assert rows[count].line == count + 1
        assert rows[count].raw


def test_a_nest_too_deep_for_one_of_the_parsers_is_no_crash() -> None:
    deep = b'{"CourseLessonId": 1, "CourseMemberId": 2, "x": ' + b"[" * 1_020 + b"]" * 1_020 + b"}"
    deeper = deep.replace(b"[", b"[[").replace(b"]", b"]]")
    hidden = deep.replace(b'"x"', b'"\\u0078"').replace(b"[", b"[" * 20).replace(b"]", b"]" * 20)
    rows = read(b"\n".join([GOOD.strip(), deep, deeper, hidden]))
    assert [row.pair for row in rows] == [(5, 6), (1, 2), None, None]


def test_long_lines_are_bad() -> None:
    assert reasons(GOOD + b'{"x": "' + b"y" * 100 + b'"}\n' + GOOD, "x.jsonl", 64) == ["", "longer than 64 bytes", ""]
    assert reasons(b"\n" * 65 + b"y" * 100, "x.jsonl", 64) == ["longer than 64 bytes"]


def test_blank_lines_are_no_rows_and_an_empty_text_has_none() -> None:
    assert [(row.pair, row.line) for row in read(b"\n" + GOOD + b" \r\n\n" + GOOD)] == [((5, 6), 2), ((5, 6), 5)]
    assert read(b"") == []
    assert read(b"\n\n") == []


def test_columns_by_another_name() -> None:
    data = '{"wer": 20, "Stück": 10, "CourseLessonId": 9}\n{"WER": 21, "ST\\u00dcCK": 11}\n'.encode() * 2
    found = [row for b in batches(data, "x.ndjson", columns=Columns("stück", "Wer")) for row in rows_in(b)]
    assert [row.pair for row in found] == [(10, 20), (11, 21)] * 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"Lesson": 1, "CourseMemberId": 2}\n', "line 1: no column CourseLessonId; found: Lesson, CourseMemberId"),
        (b'\nx\n{"a": 1}\n', "line 3: no column CourseLessonId and no CourseMemberId; found: a"),
        (b"{}\n", "found: nothing"),
        (b'[{"CourseLessonId": 1,\n', "a JSON array"),
        (b"\n[\n" + GOOD, "line 2: a JSON array"),
        (b"[" + b" " * 100, "a JSON array"),
    ],
)
def test_a_text_without_its_columns_is_an_error(data: bytes, words: str) -> None:
    for path in ("x.jsonl",) if b"x" in data else ("x.jsonl", "-"):
        with pytest.raises(SourceError) as caught:
            read_all(data, path, line_bytes=64)
        assert words in str(caught.value)
        assert caught.value.hint


def test_a_first_object_with_a_doubled_key_is_a_bad_row_only() -> None:
    data = b'{"CourseLessonId": 1, "COURSELESSONID": 1, "CourseMemberId": 2}\n' + GOOD
    assert [row.pair for row in read(data)] == [None, (5, 6)]


class CarefulJsonRows(JsonRows):
    """The defining way alone."""

    def _piece_pairs(self, lines: object) -> None:
        return None


def parsed(rows_type: type[JsonRows], block: bytes, line_bytes: int) -> list[Row]:
    parser, rows = rows_type("x.jsonl", Columns(), line_bytes), RowBuffer()
    parser.parse(GOOD, RowBuffer(), line=1, is_last=False)
    assert parser.parse(block, rows, line=2, is_last=False) == len(block)
    return rows_in(rows.batch()) if rows else []


values = st.one_of(
    st.integers(1, ID_MAX + 1),
    st.booleans(),
    st.floats(),
    st.none(),
    st.text("0123 e", max_size=3),
    st.just({"CourseLessonId": 1}),
)
keys = st.sampled_from(["CourseLessonId", "CourseMemberId", "courselessonid", "Note", "CourseMemberId "])
objects = st.lists(st.tuples(keys, values), max_size=4).map(
    lambda pairs: "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}"
)
ids = st.integers(1, ID_MAX)
plain = st.tuples(ids, ids, st.booleans()).map(
    lambda t: json.dumps({"CourseLessonId": t[0], "CourseMemberId": t[1], **({"Note": 'a "b" é'} if t[2] else {})})
)
odd = st.one_of(
    st.sampled_from(["", " ", "{", "}", "[1]", '{"CourseLessonId": [1', '"CourseLessonId"', "{},{}", "\ufeff{}"]),
    plain.map(lambda text: text.replace("I", "\\u0049", 1)),
    plain.map(lambda text: text.replace("}", ', "CourseLessonId": 3}')),
)
texts = st.lists(st.one_of(plain, plain, objects, odd), max_size=12).map(lambda lines: "\n".join(lines) + "\n")


@brief
@given(st.one_of(texts, st.lists(plain, max_size=9).map(lambda lines: "".join(line + "\n" for line in lines))))
def test_the_fast_way_agrees_with_the_careful_one(text: str) -> None:
    for line_bytes in (64, 65_536):
        assert parsed(JsonRows, text.encode(), line_bytes) == parsed(CarefulJsonRows, text.encode(), line_bytes)


@brief
@given(st.lists(plain, min_size=1, max_size=20))
def test_plain_objects_are_read_at_once(lines: list[str]) -> None:
    parser = JsonRows("x.jsonl", Columns(), 65_536)
    parser.parse(GOOD, RowBuffer(), line=1, is_last=False)
    expected = [(found["CourseLessonId"], found["CourseMemberId"]) for found in map(json.loads, lines)]
    assert parser._piece_pairs([line.encode() for line in lines]) == expected


@brief
@given(texts, st.lists(st.integers(1, 60), min_size=1, max_size=10), st.sampled_from(["x.jsonl", "-"]))
def test_cuts_do_not_decide_what_comes(text: str, sizes: list[int], path: str) -> None:
    for line_bytes in (64, 65_536):
        whole = outcome(text.encode(), path, [65_536], line_bytes)
        assert outcome(text.encode(), path, list(sizes), line_bytes) == whole


@brief
@given(st.binary(max_size=200), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_any_bytes_give_rows_or_a_source_error(data: bytes, sizes: list[int]) -> None:
    for head in (b"", GOOD):
        assert outcome(head + data, "x.jsonl", list(sizes), 64) == outcome(head + data, "x.jsonl", [65_536], 64)
