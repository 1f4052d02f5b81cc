"""Completed lessons.  Each record says that a member of a course has completed a lesson of it.

The first id is the `Id` of a lesson (GET /api/content/courselessons).  The second is the `Id` of an enrolment: one
person in one course (GET /api/content/coursemembers).  It is neither the person's own id nor an e-mail address.  The
only date in such a record is that of its creation.

Source: developers.nexudus.com as of November 2026.
"""

from __future__ import annotations

from typing import Final

from . import ORIGINAL, Entity

COMPLETED_LESSONS: Final = Entity(
    name=ORIGINAL,
    path="/api/content/coursecompletedlessons",
    fields=("CourseLessonId", "CourseMemberId"),
    filter_names=("CourseCompletedLesson_CourseLesson", "CourseCompletedLesson_CourseMember"),
    words=("lesson", "member"),
    plural="completed lessons",
)
