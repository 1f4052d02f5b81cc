"""Enrolments.  Each record says that a person is a member of a course.

The first id is the `Id` of a course (GET /api/content/courses).  The second is the `Id` of a coworker, that is, of one
profile of a person (GET /api/spaces/coworkers).  The `Id` of an enrolment is what a completed lesson names as its
member.  A create may say `Approved`: private and paid courses show their contents to approved members alone.  Without
it the server decides.

Not known: whether the server tells a person that he or she was enrolled, and whether it refuses a second enrolment of
the same person in the same course.  Source: developers.nexudus.com as of November 2026.
"""

from __future__ import annotations

from typing import Final

from . import Entity

ENROLMENTS: Final = Entity(
    name="CourseMember",
    path="/api/content/coursemembers",
    fields=("CourseId", "CoworkerId"),
    filter_names=("CourseMember_Course", "CourseMember_Coworker"),
    words=("course", "coworker"),
    plural="enrolments",
)

APPROVED: Final = ENROLMENTS.sending(Approved=True)
"""Enrolments whose creates say that the member is approved."""
