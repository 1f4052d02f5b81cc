"""What becomes of a row: every reason once, and the cases that resolve."""

from __future__ import annotations

from typing import Any

import pytest

from bulkwriter.resolve.directory import CourseView, Directory
from bulkwriter.resolve.matching import ACCEPTABLE, Resolved, RowReason, Unknown, Unresolved, match
from bulkwriter.resolve.normal import email_key
from bulkwriter.resolve.records import ListedCourse, ListedEnrolment, ListedLesson, ListedPerson
from bulkwriter.resolve.wishes import Wish

SAFETY, PRINT, TWIN_1, TWIN_2 = 1, 2, 3, 4
EXITS = ListedLesson(11, "Exits", SAFETY, "One", True)
LIFTS = ListedLesson(12, "Lifts", SAFETY, "One", False)
TWICE_1, TWICE_2 = ListedLesson(13, "Twice", SAFETY, "One", True), ListedLesson(14, "Twice", SAFETY, "Two", True)
PAPER = ListedLesson(21, "Paper", PRINT, "", True)
ANN, BOB, BOB_TOO, CAT, CAT_TOO, DAN, EVE, EVE_TOO, FAY = range(101, 110)


def enrolled(
    enrolment_id: int, person: int, name: str = "", standing: str = "", course: int = SAFETY
) -> ListedEnrolment:
    return ListedEnrolment(enrolment_id, course, person, name, standing)


SAFETY_ENROLMENTS = [
    enrolled(1001, ANN, "Ann Lee"),
    enrolled(1002, BOB_TOO, "Bob Ray"),
    enrolled(1003, CAT, "Cat One"),
    enrolled(1004, CAT_TOO, "Cat One"),
    enrolled(1005, DAN, "Dan", "blocked"),
    enrolled(1006, FAY, "Fay", "not approved"),
    enrolled(1007, 200, "Gus Twice"),
    enrolled(1008, 200, "Gus Twice"),
]
PEOPLE = [
    ListedPerson(ANN, "Ann@x.com", "Ann Lee", True),
    ListedPerson(BOB, "bob@x.com", "Bob Ray", True),
    ListedPerson(BOB_TOO, "BOB@x.com", "Bob Ray", False),
    ListedPerson(CAT, "cat@x.com", "Cat One", True),
    ListedPerson(CAT_TOO, "cat@x.com", "Cat One", True),
    ListedPerson(DAN, "dan@x.com", "Dan", True),
    ListedPerson(EVE, "eve@x.com", "Eve", True),
    ListedPerson(EVE_TOO, "eve@x.com", "Eve", True),
    ListedPerson(FAY, "fay@x.com", "Fay", True),
    ListedPerson(200, "gus@x.com", "Gus Twice", True),
    ListedPerson(300, "hal@x.com", "Hal", True),
]


def directory() -> Directory:
    found = Directory({email_key(person.email) for person in PEOPLE} | {"nobody@x.com"})
    found.add_courses(
        [
            ListedCourse(SAFETY, "Safety"),
            ListedCourse(PRINT, "Printing"),
            ListedCourse(TWIN_1, "Twin"),
            ListedCourse(TWIN_2, "twin "),
        ]
    )
    found.add_view(SAFETY, CourseView([EXITS, LIFTS, TWICE_1, TWICE_2], SAFETY_ENROLMENTS))
    found.add_view(PRINT, CourseView([PAPER], [enrolled(2001, ANN, "Ann Lee", course=PRINT)]))
    found.add_people(PEOPLE)
    found.add_everybody()
    return found


SHOWN = directory()


def by_email(email: str, lesson: str = "Exits", course: str = "Safety", **more: Any) -> Wish:
    return Wish(email=email, course=course, lesson=lesson)._replace(**more)


@pytest.mark.parametrize(
    ("wish", "ids", "by"),
    [
        (by_email(" aNN@x.com "), (11, 1001), "e-mail"),
        (by_email("ann@x.com", "PAPER", "printing"), (21, 2001), "e-mail"),
        (by_email("bob@x.com"), (11, 1002), "e-mail"),  # of two profiles the enrolled one, active or not
        (by_email("ann@x.com", "Twice", section="two"), (14, 1001), "e-mail"),
        (by_email("ann@x.com", "Exits", "", course_id=SAFETY), (11, 1001), "e-mail"),
        (by_email("ann@x.com", "", "", lesson_id=11), (11, 1001), "e-mail"),
        (by_email("ann@x.com", "of another name", lesson_id=11), (11, 1001), "e-mail"),  # ids win
        (Wish(coworker_id=ANN, course="Safety", lesson="Exits"), (11, 1001), "CoworkerId"),
        (Wish(member_id=1003, course="Safety", lesson="Exits"), (11, 1003), "CourseMemberId"),
        (Wish(member_id=1003, lesson_id=11), (11, 1003), "CourseMemberId"),
        (Wish(name="ann lee", course="Safety", lesson="Exits"), (11, 1001), "full name"),
        (by_email("nobody", coworker_id=ANN), (11, 1001), "CoworkerId"),
    ],
)  # fmt: skip
def test_a_row_that_names_one_person_and_one_lesson_gets_their_ids(wish: Wish, ids: tuple[int, int], by: str) -> None:
    assert match(wish, SHOWN, by_name=True) == Resolved(*ids, by)


REASONS = [
    (Wish(fault="CourseId 'x' is no id"), RowReason.BAD_ID, []),
    (Wish(course="Safety", lesson="Exits"), RowReason.NO_PERSON, []),
    (by_email("ann at x.com"), RowReason.NO_EMAIL, []),
    (by_email("ann@x.com", ""), RowReason.NO_LESSON, []),
    (by_email("ann@x.com", course=""), RowReason.NO_COURSE, []),
    (by_email("ann@x.com", course="Safet"), RowReason.COURSE_NOT_FOUND, []),
    (by_email("ann@x.com", course="", course_id=99), RowReason.COURSE_NOT_FOUND, []),
    (by_email("ann@x.com", course="Twin"), RowReason.COURSE_AMBIGUOUS, ["course 3", "course 4"]),
    (by_email("ann@x.com", "Exit"), RowReason.LESSON_NOT_FOUND, []),
    (by_email("ann@x.com", lesson_id=99), RowReason.LESSON_NOT_FOUND, []),
    (by_email("ann@x.com", "", "", lesson_id=99), RowReason.LESSON_NOT_FOUND, []),
    (by_email("ann@x.com", "Twice"), RowReason.LESSON_AMBIGUOUS,
     ["lesson 13 (section One, course 1 Safety)", "lesson 14 (section Two, course 1 Safety)"]),
    (by_email("ann@x.com", "Exits", section="Two"), RowReason.LESSON_NOT_FOUND,
     ["lesson 11 (section One, course 1 Safety)"]),
    (by_email("ann@x.com", "Paper"), RowReason.LESSON_ELSEWHERE, ["lesson 21 (course 2 Printing)"]),
    (by_email("ann@x.com", "", lesson_id=21), RowReason.LESSON_ELSEWHERE, ["lesson 21 (course 2 Printing)"]),
    (by_email("ann@x.com", "Lifts"), RowReason.LESSON_INACTIVE, []),
    (by_email("nobody@x.com"), RowReason.PERSON_NOT_FOUND, []),
    (Wish(name="No One", course="Safety", lesson="Exits"), RowReason.PERSON_NOT_FOUND, []),
    (by_email("cat@x.com"), RowReason.PERSON_AMBIGUOUS,
     [f"enrolment 1003 of coworker {CAT} (Cat One)", f"enrolment 1004 of coworker {CAT_TOO} (Cat One)"]),
    (Wish(name="Cat One", course="Safety", lesson="Exits"), RowReason.PERSON_AMBIGUOUS,
     [f"enrolment 1003 of coworker {CAT} (Cat One)", f"enrolment 1004 of coworker {CAT_TOO} (Cat One)"]),
    (by_email("hal@x.com"), RowReason.NOT_ENROLLED, ["coworker 300 (Hal)"]),
    (by_email("bob@x.com", "Paper", "Printing"), RowReason.NOT_ENROLLED,
     [f"coworker {BOB} (Bob Ray)", f"coworker {BOB_TOO} (Bob Ray, not active)"]),
    (Wish(coworker_id=999, course="Safety", lesson="Exits"), RowReason.NOT_ENROLLED, ["coworker 999"]),
    (Wish(member_id=999, course="Safety", lesson="Exits"), RowReason.ENROLMENT_NOT_FOUND, []),
    (Wish(member_id=999, lesson="Exits"), RowReason.ENROLMENT_NOT_FOUND, []),
    (Wish(member_id=2001, course="Safety", lesson="Exits"), RowReason.ENROLMENT_ELSEWHERE, []),
    (by_email("gus@x.com"), RowReason.ENROLMENT_AMBIGUOUS,
     ["enrolment 1007 of coworker 200 (Gus Twice)", "enrolment 1008 of coworker 200 (Gus Twice)"]),
    (by_email("dan@x.com"), RowReason.ENROLMENT_BLOCKED, []),
    (by_email("fay@x.com"), RowReason.ENROLMENT_NOT_APPROVED, []),
    (Wish(member_id=1001, coworker_id=BOB, course="Safety", lesson="Exits"), RowReason.IDS_DISAGREE, []),
]  # fmt: skip


@pytest.mark.parametrize(("wish", "reason", "candidates"), REASONS)
def test_a_row_that_cannot_be_resolved_says_why(wish: Wish, reason: RowReason, candidates: list[str]) -> None:
    outcome = match(wish, SHOWN, by_name=True)
    assert isinstance(outcome, Unresolved)
    assert (outcome.reason, [*outcome.candidates]) == (reason, candidates)


def test_every_reason_is_in_the_table() -> None:
    assert {reason for _, reason, _ in REASONS} == set(RowReason) - {RowReason.BAD_ROW}


@pytest.mark.parametrize("word", ACCEPTABLE)
def test_what_is_not_as_it_should_be_is_taken_where_that_was_asked_for(word: str) -> None:
    reason = ACCEPTABLE[word]
    wish = next(wish for wish, its_reason, _ in REASONS if its_reason is reason)
    outcome = match(wish, SHOWN, accepted=[reason])
    assert isinstance(outcome, Resolved)
    assert outcome.by == f"e-mail, {reason.value}"
    others = [other for other in ACCEPTABLE.values() if other is not reason]
    assert isinstance(match(wish, SHOWN, accepted=others), Unresolved)


def test_only_one_known_person_in_one_known_course_can_be_enrolled() -> None:
    one, two = match(by_email("hal@x.com"), SHOWN), match(by_email("bob@x.com", "Paper", "Printing"), SHOWN)
    assert isinstance(one, Unresolved)
    assert (one.can_be_enrolled, one.course_id, one.coworker_id) == (True, SAFETY, 300)
    assert isinstance(two, Unresolved)
    assert not two.can_be_enrolled


def test_nothing_is_said_of_an_email_that_nobody_was_asked_for() -> None:
    found = Directory({"ann@x.com", "zoe@x.com"})
    found.add_courses([ListedCourse(SAFETY, "Safety")])
    found.add_view(SAFETY, CourseView([EXITS], SAFETY_ENROLMENTS))
    assert match(by_email("zoe@x.com"), found) == Unknown("zoe@x.com")
    found.add_people([ListedPerson(300, "zoe@x.com", "Zoe", True)])  # read by its id: others may have the e-mail too
    assert match(by_email("zoe@x.com"), found) == Unknown("zoe@x.com")
    found.add_people([ListedPerson(ANN, "ann@x.com", "Ann", True)])
    assert match(by_email("ann@x.com"), found) == Unknown("ann@x.com")  # another profile may be enrolled as well
    found.add_enrolled()
    assert match(by_email("zoe@x.com"), found) == Unknown("zoe@x.com")
    assert match(by_email("ann@x.com"), found) == Resolved(11, 1001, "e-mail")
    found.add_answer(" ZOE@x.com")
    outcome = match(by_email("zoe@x.com"), found)
    assert isinstance(outcome, Unresolved)
    assert outcome.reason is RowReason.NOT_ENROLLED
    assert match(by_email("Zoe@x.com "), found) == outcome


def test_a_record_added_twice_changes_nothing() -> None:
    twice = Directory({"ann@x.com"})
    twice.add_courses([ListedCourse(SAFETY, "Safety")] * 2)
    twice.add_view(SAFETY, CourseView([EXITS, EXITS], [*SAFETY_ENROLMENTS, *SAFETY_ENROLMENTS]))
    twice.add_people([ListedPerson(ANN, "ann@x.com", "Ann", True)] * 2)
    twice.add_everybody()
    assert match(by_email("ann@x.com"), twice) == Resolved(11, 1001, "e-mail")
