"""Why a text is no id: the value and what to do, in every form that spreadsheets and people give it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.model import BadRow
from bulkwriter.rows import bad_row_detail
from bulkwriter.sources.ids import parse_id
from bulkwriter.sources.row_faults import SHOWN_CHARS, no_id, shortened

from .test_sources import HEAD, read_all


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1,234", "thousands separators"),
        ("1.234", "thousands separators"),
        ("12 345 678", "thousands separators"),
        ("1'234", "thousands separators"),
        ("1\u2019234", "thousands separators"),
        ("1\u202f234", "thousands separators"),
        ("1\u00a0234", "thousands separators"),
        ("1_234", "thousands separators"),
        ("1,234.00", "thousands separators"),
        ("42.0", "decimal number: save the column as whole numbers"),
        ("42,0", "decimal number"),
        ("42.", "decimal number"),
        ("1234.0", "decimal number"),
        (".5", "decimal number"),
        ("1.23457E+15", "the id is lost: take it again from its source"),
        ("1,23457E+15", "the id is lost"),
        ("1E+15", "the id is lost"),
        ("\u00a042", "invisible character"),
        ("42\u200b", "invisible character"),
        ("\udca042", "invisible character"),  # the byte of Latin-1, as undecodable bytes come
        ("4 2", "a space"),
        ("0b6ff8a4-93f1-4b6e-9f25-2d3a4f5e6a7b", "UniqueId: the record's whole number, its Id"),
        ("'42", "mark of text"),
        ('="42"', "mark of text"),
        ("#####", "too narrow"),
        ("#N/A", "spreadsheet's error"),
        ("#VALUE!", "spreadsheet's error"),
        ("NULL", "a word for an empty field"),
        ("nan", "a word for an empty field"),
        ("0", "is not a whole number from 1 to 2^63-1"),
        ("-3", "is not a whole number from 1 to 2^63-1"),
        ("9223372036854775808", "is not a whole number from 1 to 2^63-1"),
        ("Ann", "is not a whole number from 1 to 2^63-1"),
        ("４２", "is not a whole number from 1 to 2^63-1"),
        ("12" * 200 + ".0", "is not a whole number from 1 to 2^63-1"),
    ],
)
def test_a_value_is_told_with_what_to_do(value: str, words: str) -> None:
    assert parse_id(value) is None
    fault = no_id("CourseLessonId", value)
    assert words in fault.reason
    assert fault.reason.startswith(f"CourseLessonId '{shortened(value)}' ")
    assert fault.kind == fault.reason.replace(f" '{shortened(value)}'", "")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ann@example.com", "is an e-mail and not an id: see bulkwriter help ids for where the id is found"),
        ("Ann <ann@example.com>", "is not a whole number from 1 to 2^63-1"),
    ],
)
def test_no_reason_holds_an_email(value: str, words: str) -> None:
    fault = no_id("CourseLessonId", value)
    assert fault.reason == fault.kind == f"CourseLessonId {words}"


def test_values_are_shortened_and_cannot_steer_a_terminal() -> None:
    assert shortened("x" * 41) == "x" * 39 + "…"
    assert shortened("\x1b[2J\udcff\u202e") == "\\x1b[2J\\xff\\u202e"


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789 ,.'eE+-_@#x\u00a0\udca0é\"=N", max_size=30))
def test_rows_of_one_kind_count_as_one_whatever_they_hold(text: str) -> None:
    if parse_id(text) is not None:
        return
    fault = no_id("C", text)
    assert fault.kind.isprintable()
    assert len(fault.reason) <= len(fault.kind) + SHOWN_CHARS + 3
    assert fault.kind == no_id("C", text.replace("7", "8")).kind


def test_a_bad_row_of_a_file_has_its_kind() -> None:
    rows = read_all(HEAD + b'"1,234",5\n"7,890",5\n1,2,3\n1\n,5\nCourseLessonId,CourseMemberId\n')
    assert [row.kind for row in rows] == [
        "CourseLessonId has thousands separators: write the digits alone",
        "CourseLessonId has thousands separators: write the digits alone",
        "has more fields than the header: a , that wants quotes may have moved the ids",
        "has too few fields, none for CourseMemberId",
        "CourseLessonId is empty",
        "the header line again",
    ]
    assert "'7,890'" in rows[1].reason


def test_a_kind_is_kept_only_where_it_is_not_the_reason() -> None:
    assert bad_row_detail(BadRow("is empty", "x", "is empty")) == '{"reason":"is empty","raw":"x"}'
    assert bad_row_detail(BadRow("'1' is", "1", "is")) == '{"reason":"\'1\' is","raw":"1","kind":"is"}'
