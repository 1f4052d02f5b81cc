"""Which columns say what, and what a row then asks for."""

from __future__ import annotations

import pytest

from bulkwriter.cli.export import FORMULA, harmless
from bulkwriter.errors import SourceError, UsageError
from bulkwriter.resolve.wishes import Wish, WishColumns

USUAL = ["E-mail", "Course title", "lesson_title"]


@pytest.mark.parametrize(
    ("names", "cells", "wish"),
    [
        (USUAL, [" a@b ", "Safety", "Exits"], Wish(email="a@b", course="Safety", lesson="Exits")),
        (USUAL, ["a@b"], Wish(email="a@b")),
        (USUAL, [harmless("+a@b"), harmless("- Safety"), "'s Gravenhage"],
         Wish(email="+a@b", course="- Safety", lesson="'s Gravenhage")),
        (["Mail", "CourseLessonId"], ["a@b", "7"], Wish(email="a@b", lesson_id=7)),
        (["CourseMemberId", "LessonId"], ["0042", "7"], Wish(member_id=42, lesson_id=7)),
        (["CoworkerId", "Course", "Lesson", "Section"], ["5", "S", "L", "One"],
         Wish(coworker_id=5, course="S", lesson="L", section="One")),
        (["Email", "Name", "CourseId", "Lesson"], ["", "Ann", "3", "L"], Wish(course_id=3, lesson="L")),
        (["Email", "CourseId", "Lesson"], ["a@b", "3.0", "L"],
         Wish(email="a@b", lesson="L", fault="CourseId '3.0' is no id")),
        (["Email", "CourseId", "Lesson"], ["a@b", "9" * 20, "L"],
         Wish(email="a@b", lesson="L", fault=f"CourseId '{'9' * 20}' is no id")),
        (["Email", "CourseId", "Lesson"], ["a@b", "0", "L"],
         Wish(email="a@b", lesson="L", fault="CourseId '0' is no id")),
    ],
)  # fmt: skip
def test_a_row_says_what_its_columns_hold(names: list[str], cells: list[str], wish: Wish) -> None:
    assert WishColumns.find(names, "t.csv").wish(cells) == wish


@pytest.mark.parametrize("sign", FORMULA)
def test_what_our_own_tables_mark_against_formulas_is_read_as_it_was(sign: str) -> None:
    """A lesson called "- Intro" was not found when its unresolved row was resolved again."""
    wish = WishColumns.find(USUAL, "t.csv").wish(["a@b", "S", harmless(f"{sign}Intro")])
    assert wish.lesson == f"{sign}Intro".strip()


def test_full_names_are_read_only_where_that_was_asked_for() -> None:
    names, cells = ["Email", "Full name", "Course", "Lesson"], ["", "Ann Lee", "S", "L"]
    assert WishColumns.find(names, "t.csv").wish(cells).name == ""
    assert WishColumns.find(names, "t.csv", by_name=True).wish(cells).name == "Ann Lee"


def test_options_name_columns() -> None:
    columns = WishColumns.find(["Wer", "Kurs", "Lektion"], "t.csv",
                               chosen={"email": "wer", "course": "KURS", "lesson": "Lektion"})  # fmt: skip
    assert columns.wish(["a@b", "S", "L"]) == Wish(email="a@b", course="S", lesson="L")


@pytest.mark.parametrize(
    ("names", "chosen", "error", "words"),
    [
        (["Course", "Lesson"], {}, SourceError, "no column with e-mails"),
        (["Email", "Course"], {}, SourceError, "no column with lessons"),
        (["Email", "Lesson"], {}, SourceError, "no column with courses"),
        (["Email", "email", "Course", "Lesson"], {}, SourceError, "Email is there twice"),
        (["Email", "Course", "Lesson"], {"email": "Post"}, UsageError, "has no column 'Post'"),
        (["Name", "Course", "Lesson"], {}, SourceError, "--by-name"),
    ],
)
def test_a_table_that_cannot_be_resolved_says_what_is_missing(
    names: list[str], chosen: dict[str, str | None], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        WishColumns.find(names, "t.csv", chosen=chosen)


def test_a_first_row_in_place_of_the_names_shows_no_email() -> None:
    with pytest.raises(SourceError) as caught:
        WishColumns.find(["ann@example.com", "Safety", "Exits"], "t.csv")
    assert "ann@" not in str(caught.value)
