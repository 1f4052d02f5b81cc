"""What becomes of a row: two ids, or a reason why not.  Pure: a wish and the directory in, a value out.

The course comes first (its id, its title, or that of a known lesson or enrolment), then the lesson within the course,
then the person among the enrolled of the course.  The first trouble is told; the rest is looked at when that is mended.

    e-mail        everybody with that e-mail; of these exactly one enrolled in that course is the one
    full name     only where it was asked for and the row has no e-mail: exactly one enrolled of that name
    ids           believed, but held against the lists: the API checks nothing of the kind

Several that fit are never chosen from: the row is ambiguous, with all candidates.  A lesson that is not active and an
enrolment that is blocked or not approved are told too, unless `accepted`.  "Not found" may also mean that this token
may not see it, since lists can be narrowed to some locations; the reason says so.

`Unknown` is no reason: the directory does not know enough about an e-mail, and whoever matches must ask first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import NamedTuple

from .directory import CourseView, Directory
from .normal import is_email, title_key
from .records import ListedEnrolment, ListedLesson
from .wishes import Wish


class RowReason(Enum):
    """Why a row has no ids.  The value is the phrase in the file of what could not be resolved."""

    BAD_ROW = "the row cannot be read"
    BAD_ID = "an id in the row is no id"
    NO_PERSON = "the row names no person"
    NO_LESSON = "the row names no lesson"
    NO_COURSE = "the row names no course"
    NO_EMAIL = "not an e-mail"
    COURSE_NOT_FOUND = "course not found"
    COURSE_AMBIGUOUS = "course ambiguous"
    LESSON_NOT_FOUND = "lesson not found"
    LESSON_AMBIGUOUS = "lesson ambiguous"
    LESSON_ELSEWHERE = "lesson of another course"
    LESSON_INACTIVE = "lesson inactive"
    PERSON_NOT_FOUND = "person not found"
    PERSON_AMBIGUOUS = "person ambiguous"
    NOT_ENROLLED = "not enrolled"
    ENROLMENT_NOT_FOUND = "enrolment not found"
    ENROLMENT_AMBIGUOUS = "enrolment ambiguous"
    ENROLMENT_ELSEWHERE = "enrolment of another course"
    ENROLMENT_BLOCKED = "enrolment blocked"
    ENROLMENT_NOT_APPROVED = "enrolment not approved"
    IDS_DISAGREE = "ids disagree"


NAMES_NOTHING = frozenset({RowReason.NO_PERSON, RowReason.NO_LESSON, RowReason.NO_COURSE})
"""Reasons that an empty cell gives."""
ACCEPTABLE = {
    "inactive": RowReason.LESSON_INACTIVE,
    "blocked": RowReason.ENROLMENT_BLOCKED,
    "not-approved": RowReason.ENROLMENT_NOT_APPROVED,
}
"""What a person may want all the same, by the word that says so."""
STANDINGS = {"blocked": RowReason.ENROLMENT_BLOCKED, "not approved": RowReason.ENROLMENT_NOT_APPROVED}
NO_ACCESS = "or this sign-in may not see it"
MOST_CANDIDATES = 20


class Resolved(NamedTuple):
    """The two ids of a row.  `by` says what showed the person, and what was accepted: `e-mail, lesson inactive`."""

    lesson_id: int
    member_id: int
    by: str


class Unresolved(NamedTuple):
    """Why a row has no ids.  The ids that are known all the same are there, else 0."""

    reason: RowReason
    details: str = ""
    candidates: Sequence[str] = ()
    course_id: int = 0
    coworker_id: int = 0

    @property
    def can_be_enrolled(self) -> bool:
        """Whether an enrolment of one known person in one known course is all that is missing."""
        return self.reason is RowReason.NOT_ENROLLED and bool(self.course_id and self.coworker_id)


class Unknown(NamedTuple):
    """The server must be asked about this e-mail before the row can be judged."""

    email: str


class RowRefused(Exception):
    """A row that ends here."""

    def __init__(self, reason: RowReason, details: str = "", candidates: Sequence[str] = (), **ids: int) -> None:
        super().__init__(reason.value)
        self.unresolved = Unresolved(reason, details, tuple(candidates[:MOST_CANDIDATES]), **ids)


class MustAsk(Exception):
    """A row that nobody can judge yet."""

    def __init__(self, email: str) -> None:
        super().__init__("an e-mail that the server was not asked for")
        self.unknown = Unknown(email)


def match(
    wish: Wish, directory: Directory, *, accepted: Collection[RowReason] = (), by_name: bool = False
) -> Resolved | Unresolved | Unknown:
    """The ids that a row asks for, or why there are none."""
    try:
        check(wish, by_name=by_name)
        course_id = course_of(wish, directory)
        view = directory.view(course_id)
        assert view is not None, "lists are read before rows are matched"
        lesson = lesson_of(wish, course_id, view, directory)
        enrolment, by = enrolment_of(wish, course_id, view, directory)
        notes = [by]
        for reason in troubles(lesson, enrolment):
            if reason not in accepted:
                raise RowRefused(reason, course_id=course_id, coworker_id=enrolment.coworker_id)
            notes.append(reason.value)
        return Resolved(lesson.id, enrolment.id, ", ".join(notes))
    except RowRefused as refused:
        return refused.unresolved
    except MustAsk as ask:
        return ask.unknown


def check(wish: Wish, *, by_name: bool) -> None:
    """Refuse a row that does not say enough."""
    if wish.fault:
        raise RowRefused(RowReason.BAD_ID, wish.fault)
    if not (wish.email or (by_name and wish.name) or wish.coworker_id or wish.member_id):
        raise RowRefused(RowReason.NO_PERSON)
    if wish.email and not is_email(wish.email) and not (wish.coworker_id or wish.member_id):
        raise RowRefused(RowReason.NO_EMAIL)
    if not (wish.lesson or wish.lesson_id):
        raise RowRefused(RowReason.NO_LESSON)
    if not (wish.course or wish.course_id or wish.lesson_id or wish.member_id):
        raise RowRefused(RowReason.NO_COURSE)


def course_of(wish: Wish, directory: Directory) -> int:
    """The id of the row's course; its lists may not have been read yet."""
    if wish.course_id:
        if not directory.has_course(wish.course_id):
            raise RowRefused(RowReason.COURSE_NOT_FOUND, f"no course {wish.course_id}, {NO_ACCESS}")
        return wish.course_id
    if wish.course:
        found = directory.courses_titled(wish.course)
        if not found:
            raise RowRefused(RowReason.COURSE_NOT_FOUND, f"no course of this title, {NO_ACCESS}")
        if len(found) > 1:
            candidates = [f"course {course_id}" for course_id in found]
            raise RowRefused(RowReason.COURSE_AMBIGUOUS, "put the right one into a column CourseId", candidates)
        return found[0]
    if wish.lesson_id:
        lesson = directory.lesson_elsewhere(wish.lesson_id)
        if lesson is None:
            raise RowRefused(RowReason.LESSON_NOT_FOUND, f"no lesson {wish.lesson_id}, {NO_ACCESS}")
        return lesson.course_id
    enrolment = directory.enrolments_alone.get(wish.member_id)
    if enrolment is None:
        raise RowRefused(RowReason.ENROLMENT_NOT_FOUND, f"no enrolment {wish.member_id}, {NO_ACCESS}")
    return enrolment.course_id


def lesson_of(wish: Wish, course_id: int, view: CourseView, directory: Directory) -> ListedLesson:
    if wish.lesson_id:
        if found := view.lessons.get(wish.lesson_id):
            return found
        if other := directory.lesson_elsewhere(wish.lesson_id):
            raise RowRefused(RowReason.LESSON_ELSEWHERE, candidates=[told(other, directory)], course_id=course_id)
        raise RowRefused(
            RowReason.LESSON_NOT_FOUND, f"no lesson {wish.lesson_id} in this course, {NO_ACCESS}", course_id=course_id
        )
    fitting = view.titled(wish.lesson)
    if wish.section:
        from_section = [lesson for lesson in fitting if same_title(lesson.section, wish.section)]
        if fitting and not from_section:
            candidates = [told(lesson, directory) for lesson in fitting]
            raise RowRefused(RowReason.LESSON_NOT_FOUND, "not in this section", candidates, course_id=course_id)
        fitting = from_section
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        hint = "" if wish.section else "a column Section, or CourseLessonId, says which"
        raise RowRefused(
            RowReason.LESSON_AMBIGUOUS, hint, [told(lesson, directory) for lesson in fitting], course_id=course_id
        )
    if elsewhere := directory.titled_elsewhere(wish.lesson, course_id):
        candidates = [told(lesson, directory) for lesson in elsewhere]
        raise RowRefused(RowReason.LESSON_ELSEWHERE, "of this title", candidates, course_id=course_id)
    raise RowRefused(RowReason.LESSON_NOT_FOUND, f"no lesson of this title, {NO_ACCESS}", course_id=course_id)


def same_title(one: str, other: str) -> bool:
    return title_key(one) == title_key(other)


def enrolment_of(wish: Wish, course_id: int, view: CourseView, directory: Directory) -> tuple[ListedEnrolment, str]:
    """The enrolment that a row means, and what showed it."""
    if wish.member_id:
        found = view.enrolment(wish.member_id)
        if found is None:
            other = directory.enrolment_elsewhere(wish.member_id)
            reason = RowReason.ENROLMENT_ELSEWHERE if other else RowReason.ENROLMENT_NOT_FOUND
            words = "" if other else f"no enrolment {wish.member_id} in this course, {NO_ACCESS}"
            raise RowRefused(reason, words, course_id=course_id)
        if wish.coworker_id and wish.coworker_id != found.coworker_id:
            raise RowRefused(
                RowReason.IDS_DISAGREE, f"the enrolment is of coworker {found.coworker_id}", course_id=course_id
            )
        return found, "CourseMemberId"
    if wish.coworker_id:
        enrolments = view.enrolments_of([wish.coworker_id])
        return only(enrolments, [wish.coworker_id], course_id, directory), "CoworkerId"
    if wish.email:
        return by_email(wish.email, course_id, view, directory), "e-mail"
    named = view.named(wish.name)
    if not named:
        raise RowRefused(
            RowReason.PERSON_NOT_FOUND, "nobody of this name is enrolled in the course", course_id=course_id
        )
    return only(named, sorted({enrolment.coworker_id for enrolment in named}), course_id, directory), "full name"


def by_email(email: str, course_id: int, view: CourseView, directory: Directory) -> ListedEnrolment:
    profiles = directory.profiles(email)
    enrolments = view.enrolments_of(profiles)
    if not (directory.is_enrolled_known(email) if enrolments else directory.is_known(email)):
        raise MustAsk(email)
    if not profiles:
        raise RowRefused(RowReason.PERSON_NOT_FOUND, f"nobody has this e-mail, {NO_ACCESS}", course_id=course_id)
    return only(enrolments, profiles, course_id, directory)


def only(
    enrolments: Sequence[ListedEnrolment], profiles: Sequence[int], course_id: int, directory: Directory
) -> ListedEnrolment:
    """The one enrolment there is, or the reason why it is not one."""
    if len(enrolments) == 1:
        return enrolments[0]
    if not enrolments:
        is_one = len(profiles) == 1
        words = "" if is_one else "several profiles have this e-mail, and none is enrolled in the course"
        raise RowRefused(
            RowReason.NOT_ENROLLED,
            words,
            [shown(person, directory) for person in profiles],
            course_id=course_id,
            coworker_id=profiles[0] if is_one else 0,
        )
    candidates = [f"enrolment {e.id} of {shown(e.coworker_id, directory, e.name)}" for e in enrolments]
    people = {enrolment.coworker_id for enrolment in enrolments}
    if len(people) > 1:
        raise RowRefused(
            RowReason.PERSON_AMBIGUOUS, "several of them are enrolled in the course", candidates, course_id=course_id
        )
    raise RowRefused(
        RowReason.ENROLMENT_AMBIGUOUS,
        "enrolled more than once in the course",
        candidates,
        course_id=course_id,
        coworker_id=next(iter(people)),
    )


def troubles(lesson: ListedLesson, enrolment: ListedEnrolment) -> list[RowReason]:
    """What is not as it should be with a pair that was found."""
    found = [] if lesson.is_active else [RowReason.LESSON_INACTIVE]
    return [*found, STANDINGS[enrolment.standing]] if enrolment.standing else found


def told(lesson: ListedLesson, directory: Directory) -> str:
    """A lesson as a candidate: "lesson 7 (section Basics, course 3 Safety, not active)"."""
    facts = [f"section {lesson.section}"] if lesson.section else []
    facts.append(f"course {lesson.course_id} {directory.title(lesson.course_id)}".rstrip())
    facts += [] if lesson.is_active else ["not active"]
    return f"lesson {lesson.id} ({', '.join(facts)})"


def shown(person_id: int, directory: Directory, name: str = "") -> str:
    """A person as a candidate: "coworker 5 (Ann Lee, not active)"."""
    person = directory.person(person_id)
    facts = [name or (person.name if person else "")]
    facts += ["not active"] if person and not person.is_active else []
    words = ", ".join(fact for fact in facts if fact)
    return f"coworker {person_id} ({words})" if words else f"coworker {person_id}"
