"""What the rows of a table name, each once: it says which lists are needed.  Pure: wishes in, sets out.

    e-mails                  of rows that say who by an e-mail alone
    courses                  by title or id
    ids without a course     lessons and enrolments that must be read by their ids before anything is known of them
    ids with a course        these are looked for in the course, and read by themselves if they are not there

Memory: a text for each different e-mail, and an id for each different lesson and enrolment.
"""

from __future__ import annotations

from .directory import Directory
from .normal import email_key, is_email, title_key
from .wishes import Wish


class Names:
    """The names in all rows."""

    def __init__(self) -> None:
        self.emails: set[str] = set()
        """Keys, as `normal.email_key` makes them."""
        self.lessons: set[int] = set()
        self.enrolments: set[int] = set()
        self.lessons_alone: set[int] = set()
        self.enrolments_alone: set[int] = set()
        self._titles: dict[str, str] = {}
        self._courses: set[int] = set()

    def add(self, wish: Wish) -> None:
        """Take what one row names."""
        has_course = bool(wish.course or wish.course_id)
        if wish.email and not (wish.coworker_id or wish.member_id) and is_email(wish.email):
            self.emails.add(email_key(wish.email))
        if wish.course_id:
            self._courses.add(wish.course_id)
        elif wish.course:
            self._titles.setdefault(title_key(wish.course), wish.course)
        if wish.lesson_id:
            (self.lessons if has_course else self.lessons_alone).add(wish.lesson_id)
        if wish.member_id:
            is_alone = not (has_course or wish.lesson_id)
            (self.enrolments_alone if is_alone else self.enrolments).add(wish.member_id)

    def courses_in(self, directory: Directory) -> list[int]:
        """The ids of all courses that rows mean, rising.  A title of several courses means none of them."""
        found = {course_id for course_id in self._courses if directory.has_course(course_id)}
        for title in self._titles.values():
            titled = directory.courses_titled(title)
            if len(titled) == 1:
                found.add(titled[0])
        found.update(lesson.course_id for lesson in directory.lessons_alone.values())
        found.update(enrolment.course_id for enrolment in directory.enrolments_alone.values())
        return sorted(found)
