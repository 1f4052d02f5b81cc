"""Reasons: which texts are of one kind, what is told of them, and that neither memory nor a terminal suffers."""

from __future__ import annotations

import sys
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.core.reasons import (
    MOST_KINDS,
    NOT_SAID,
    OTHER,
    REASON_CHARS,
    ReasonCounter,
    escaped,
    kind_of,
    place_of,
    shown_first,
    words_of,
)
from bulkwriter.model import FieldError, Reason, Verdict, VerdictKind, reasons_json
from bulkwriter.rows import text_of


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("there is no member 42", "there is no member 4,311"),
        ("'a' is no id", "'b c' is no id"),
        ('CourseLessonId "7" isn\'t known', 'CourseLessonId "" isn\'t known'),
        ("‘1’ and “2”, `3`", "‘x’ and “y z”, `w`"),
        ("since 2026-11-30T08:00:01Z", "since 2026-12-01T09:30"),
        ("A17: 1.23457E+15 is rounded.", "B2: 1,234.5 is rounded."),
        ("anna@example.org is an e-mail", "b.c@example.org is an e-mail"),
        ("no 3f2a9b00-1234-4321-8765-0123456789ab", "no 00000000-0000-0000-0000-000000000000"),
    ],
)
def test_texts_that_differ_in_values_alone_are_of_one_kind(text: str, other: str) -> None:
    if "@" in text:
        other = other.replace("b.c@", "bc@")
    assert kind_of(text) == kind_of(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [("is unknown", "is blocked"), ("isn't there, can't be", "isn't here, can't be"), ("no member 1", "no lesson 1")],
)
def test_other_words_are_another_kind(text: str, other: str) -> None:
    assert kind_of(text) != kind_of(other)


def test_a_reason_keeps_the_values_that_never_change_and_one_example() -> None:
    counter = ReasonCounter()
    for line in range(2, 5):
        counter.add("invalid", f"'{line}0x' is no number from 1 to 2^63-1", place=partial(place_of, line, None))
    counter.add("rejected", "there is no member 42", place=lambda: place_of(1_007, (11, 42)))
    assert counter.top() == {
        "invalid": (Reason("… is no number from 1 to 2^63-1", 3, "line 2: '20x' is no number from 1 to 2^63-1"),),
        "rejected": (Reason("there is no member 42", 1, "line 1007 (11,42): there is no member 42"),),
    }


def test_the_most_frequent_come_first_and_the_rest_is_told_as_one() -> None:
    counter = ReasonCounter()
    for word, count in zip("abcd", (3, 500, 20, 1), strict=True):
        counter.add("failed", word, count=count, place=lambda: place_of(None, (1, 2)))
    told = counter.top(2)["failed"]
    assert told == (Reason("b", 500, "1,2: b"), Reason("c", 20, "1,2: c"), Reason(OTHER, 4, "1,2: a"))
    assert shown_first(told, 1) == ([told[0]], 24)


@pytest.mark.parametrize("rows", [(3, 5, 7, 4), (7, 5, 4, 3), (4, 7, 3, 5)])
def test_what_is_told_does_not_depend_on_the_order_in_which_replies_come(rows: tuple[int, ...]) -> None:
    counter = ReasonCounter()
    for row in rows:  # even rows have another reason than odd ones, row 7 one that is not named
        word = "late" if row == 7 else ("odd", "even")[row % 2 == 0]
        counter.add("rejected", f"{word} member {row}", place=partial(place_of, row, None), at=row)
        counter.add("rejected", f"{word} member {row + 10}", place=partial(place_of, row + 10, None), at=row + 10)
    told = counter.top(2)["rejected"]
    assert told == (
        Reason("odd member …", 4, "line 3: odd member 3"),
        Reason("even member …", 2, "line 4: even member 4"),
        Reason(OTHER, 2, "line 7: late member 7"),
    )


def test_kinds_without_end_take_bounded_memory_and_every_pair_is_counted() -> None:
    counter = ReasonCounter()
    for i in range(5_000):
        counter.add("rejected", "ab"[i % 2] * (1 + i // 2))
    kinds = counter._kinds["rejected"]
    assert len(kinds) == MOST_KINDS + 1
    assert sum(reason.count for reason in counter.top()["rejected"]) == 5_000


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "two\nlines", "right\u202eleft", "\x9b2J", "é is fine"])
def test_nothing_told_can_move_a_cursor(text: str) -> None:
    counter = ReasonCounter()
    counter.add("rejected", text)
    (reason,) = counter.top()["rejected"]
    assert reason.reason.isprintable()
    assert reason.example.isprintable()
    assert escaped(text).encode().decode("unicode_escape" if text.isascii() else "utf-8")


@given(st.text(), st.integers(4, 300))
def test_escaped_is_short_and_printable_whatever_comes(text: str, chars: int) -> None:
    shown = escaped(text, chars)
    assert len(shown) <= chars
    assert shown.isprintable()


@given(st.lists(st.text(st.sampled_from("ab 19'\"@.-…\x1b")), max_size=20))
def test_counts_add_up_and_a_reason_of_one_text_is_that_text(texts: list[str]) -> None:
    counter = ReasonCounter()
    for text in texts:
        counter.add("failed", text)
    told = counter.top(1_000).get("failed", ())
    assert sum(reason.count for reason in told) == len(texts)
    for reason in told:
        if reason.count == 1:
            assert reason.reason == reason.example
            assert reason.reason in [escaped(text) or NOT_SAID for text in texts]


def test_an_endless_text_is_told_shortly() -> None:
    counter = ReasonCounter()
    counter.add("failed", "x" * 10**6)
    (reason,) = counter.top()["failed"]
    assert len(reason.reason) == len(reason.example) == REASON_CHARS
    assert sys.getsizeof(counter._kinds["failed"].popitem()[1].example) < 10_000


def test_who_says_it_may_know_its_kind() -> None:
    counter = ReasonCounter()
    for value in ("anna@example.org", "b@c", "no e-mail at all"):
        counter.add("invalid", f"CourseMemberId {value} is an e-mail", kind="CourseMemberId is an e-mail")
    (reason,) = counter.top()["invalid"]
    assert reason == Reason("CourseMemberId is an e-mail", 3, "CourseMemberId anna@example.org is an e-mail")


def test_words_of_a_refusal_and_what_was_said() -> None:
    one, other = (
        Verdict(VerdictKind.REJECTED, errors=(FieldError("Id", f"member {number} is unknown"),)) for number in (1, 22)
    )
    assert words_of(400, one) == words_of(400, other) != words_of(409, one)
    assert text_of(one.errors, "bad request") == "Id: member 1 is unknown"
    assert text_of((), "bad request") == "bad request"


def test_json_names_each_state_that_can_have_reasons() -> None:
    counter = ReasonCounter()
    counter.add("invalid", "no id", place=lambda: place_of(3, None))
    assert reasons_json(counter.top()) == {
        "rejected": [],
        "invalid": [{"reason": "no id", "count": 1, "example": "line 3: no id"}],
        "failed": [],
    }
