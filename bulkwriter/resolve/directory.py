"""What the lists have shown so far: courses, their lessons and enrolments, and people by e-mail.  Pure: it waits for
nothing and asks nobody.

It also knows what it does *not* know.  A course counts as known only when both of its lists were read whole.  An e-mail
counts as known when everybody was listed, or when the server was asked for that very e-mail.  `matching` says "not
found" only of what is known.  Where all the enrolled were read, an enrolled profile is the only enrolled one, though
others may have its e-mail.

People are kept only if a row of the table has their e-mail.  So memory grows with the table and the enrolments of its
courses (about 300 bytes each), not with the account.

Invariant: adding a record twice changes nothing, so a list that is read again does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable

from .normal import email_key, title_key
from .records import ListedCourse, ListedEnrolment, ListedLesson, ListedPerson


class CourseView:
    """The lessons and enrolments of one course, as its lists have shown them."""

    def __init__(self, lessons: Iterable[ListedLesson], enrolments: Iterable[ListedEnrolment]) -> None:
        self.lessons = {lesson.id: lesson for lesson in lessons}
        self._by_title: dict[str, list[ListedLesson]] = {}
        for lesson in self.lessons.values():
            self._by_title.setdefault(title_key(lesson.title), []).append(lesson)
        self._enrolled: dict[int, ListedEnrolment | tuple[ListedEnrolment, ...]] = {}
        self._by_name: dict[str, list[ListedEnrolment]] | None = None
        self._by_id: dict[int, ListedEnrolment] | None = None
        for enrolment in enrolments:
            before = self._of(enrolment.coworker_id)
            if all(other.id != enrolment.id for other in before):
                self._enrolled[enrolment.coworker_id] = (*before, enrolment) if before else enrolment

    def titled(self, title: str) -> list[ListedLesson]:
        return self._by_title.get(title_key(title), [])

    def enrolments_of(self, people: Iterable[int]) -> list[ListedEnrolment]:
        """The enrolments of any of these people."""
        return [enrolment for person in people for enrolment in self._of(person)]

    def named(self, name: str) -> list[ListedEnrolment]:
        """The enrolments of everybody with this full name."""
        if self._by_name is None:
            self._by_name = {}
            for enrolment in self._all():
                self._by_name.setdefault(title_key(enrolment.name), []).append(enrolment)
        return self._by_name.get(title_key(name), [])

    def enrolment(self, enrolment_id: int) -> ListedEnrolment | None:
        if self._by_id is None:
            self._by_id = {enrolment.id: enrolment for enrolment in self._all()}
        return self._by_id.get(enrolment_id)

    def people(self) -> Iterable[int]:
        """The ids of everybody who is enrolled."""
        return self._enrolled.keys()

    def _of(self, person: int) -> tuple[ListedEnrolment, ...]:
        found = self._enrolled.get(person, ())
        return (found,) if isinstance(found, ListedEnrolment) else found

    def _all(self) -> list[ListedEnrolment]:
        return self.enrolments_of(self._enrolled)


class Directory:
    """All that is known.  `wanted` are the keys of the e-mails that rows have."""

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self.wanted = set(wanted)
        self._courses: dict[int, str] = {}
        self._by_title: dict[str, set[int]] = {}
        self._views: dict[int, CourseView] = {}
        self._people: dict[int, ListedPerson] = {}
        self._by_email: dict[str, set[int]] = {}
        self._asked: set[str] = set()
        self._read: set[int] = set()
        self.is_everybody_known = False
        self._are_enrolled_known = False
        self.lessons_alone: dict[int, ListedLesson] = {}
        """Lessons read by their ids, of rows that name no course.  An id that was asked for and is missing here does
        not exist, or may not be seen."""
        self.enrolments_alone: dict[int, ListedEnrolment] = {}

    # courses

    def add_courses(self, courses: Iterable[ListedCourse]) -> None:
        for course in courses:
            self._courses[course.id] = course.title
            self._by_title.setdefault(title_key(course.title), set()).add(course.id)

    def has_course(self, course_id: int) -> bool:
        return course_id in self._courses

    def courses_titled(self, title: str) -> list[int]:
        return sorted(self._by_title.get(title_key(title), ()))

    def title(self, course_id: int) -> str:
        return self._courses.get(course_id, "")

    def add_view(self, course_id: int, view: CourseView) -> None:
        """A course whose lists were read whole."""
        self._views[course_id] = view

    def view(self, course_id: int) -> CourseView | None:
        return self._views.get(course_id)

    def lesson_elsewhere(self, lesson_id: int) -> ListedLesson | None:
        """A lesson by its id, in whatever known course it is."""
        for view in self._views.values():
            if found := view.lessons.get(lesson_id):
                return found
        return self.lessons_alone.get(lesson_id)

    def enrolment_elsewhere(self, enrolment_id: int) -> ListedEnrolment | None:
        """An enrolment by its id, in whatever known course it is."""
        for view in self._views.values():
            if found := view.enrolment(enrolment_id):
                return found
        return self.enrolments_alone.get(enrolment_id)

    def titled_elsewhere(self, title: str, course_id: int) -> list[ListedLesson]:
        """Lessons of this title in other known courses."""
        return [lesson for at, view in self._views.items() if at != course_id for lesson in view.titled(title)]

    def enrolled(self) -> set[int]:
        """Everybody who is enrolled in one of the known courses."""
        return {person for view in self._views.values() for person in view.people()}

    # people

    def add_people(self, people: Iterable[ListedPerson]) -> None:
        for person in people:
            key = email_key(person.email)
            self._read.add(person.id)
            if key in self.wanted:
                self._people[person.id] = person
                self._by_email.setdefault(key, set()).add(person.id)

    def add_everybody(self) -> None:
        """Everybody that this token may see was added, with e-mails."""
        self.is_everybody_known = True

    def add_enrolled(self) -> None:
        """Everybody who is enrolled in a known course was added, as far as this token may read them."""
        self._are_enrolled_known = True

    def add_answer(self, email: str) -> None:
        """The server has answered for this e-mail, and whom it showed was added."""
        self._asked.add(email_key(email))

    def is_known(self, email: str) -> bool:
        """Whether everybody with this e-mail is known, as far as this token may see them."""
        return self.is_everybody_known or email_key(email) in self._asked

    def is_enrolled_known(self, email: str) -> bool:
        """Whether everybody with this e-mail who is enrolled in a known course is known."""
        return self._are_enrolled_known or self.is_known(email)

    def profiles(self, email: str) -> list[int]:
        return sorted(self._by_email.get(email_key(email), ()))

    def person(self, person_id: int) -> ListedPerson | None:
        return self._people.get(person_id)

    def unread(self, people: Iterable[int]) -> list[int]:
        """Those of these people whose record was not seen yet."""
        return sorted(set(people) - self._read)
