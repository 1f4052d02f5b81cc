"""The scenario's people: how many coworkers, courses, lessons and enrolments the stub makes up, and how they show.

All of it follows from the scenario's seed.  `community.py` draws it, `people_endpoints.py` answers with it.  What is
drawn is marked in the text of its key, and counts from the start or a reset on; the other keys may change while the
stub runs.

Not here: the spreadsheet that somebody has of these people, see `sheet.py`.  Pure.
"""

# ruff: noqa: E501  # one line a field reads as a table; knob() is dataclasses.field()

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .fields import check, flag, knob, many, number, one_of, text, whole

LOCATIONS = 1_000
"""More would be more than any operator of coworking spaces has."""
share = number(0, 1)


def read_views(value: Any) -> Mapping[str, tuple[int, ...]]:
    """{token or user name: locations that it sees}."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a mapping of tokens or user names to locations")
    read = many(whole(1, LOCATIONS))
    return {text(holder): read(locations) for holder, locations in value.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Made-up people and their courses.  Shares are of what the key names."""

    # fmt: off
    coworkers: int = knob(1_000, whole(1, 10**6), "drawn: people, each a coworker with an e-mail")
    courses: int = knob(10, whole(1, 10**4), "drawn: courses")
    lessons: int = knob(12, whole(1, 10**4), "drawn: lessons of each course")
    enrolments: int = knob(4_000, whole(0, 10**7), "drawn: enrolments, at most coworkers x courses")
    locations: int = knob(2, whole(1, LOCATIONS), "drawn: locations, numbered from 1; courses and coworkers belong to one")
    sections: int = knob(3, whole(1, 1_000), "drawn: sections of each course")

    profiles: float = knob(0.02, share, "drawn: share of people with a second profile under the same e-mail, in another location, enrolled in the place of the first or beside it")
    both_enrolled: float = knob(0.25, share, "drawn: share of their enrolments that both profiles have")
    same_titles: float = knob(0.0, share, "drawn: share of courses with the title of the course before")
    repeated_lessons: float = knob(0.0, share, "drawn: share of lessons with the title of one in the section before")
    inactive_lessons: float = knob(0.02, share, "drawn: share of lessons that are not active")
    inactive_coworkers: float = knob(0.02, share, "drawn: share of people who are not active")
    blocked: float = knob(0.01, share, "drawn: share of enrolments that are blocked")
    unapproved: float = knob(0.01, share, "drawn: share of enrolments that are not approved")
    drifters: int = knob(10, whole(0, 1_000), "drawn: more coworkers, enrolled everywhere, who come and go, see moves")

    moves: float = knob(0.0, share, "share of pages after a list's first before which a drifter comes or goes, so that the list moves")
    views: Mapping[str, tuple[int, ...]] = knob((), lambda value: read_views(dict(value)), "token or user name -> locations that it sees; others see all")
    email_in_lists: bool = knob(True, flag, "false: listed coworkers have no Email; read one by one or by ids they have")
    batch_max: int = knob(0, whole(0, 10**6), "ids that a batch read of people's records takes; 0: any number")
    batch_over: str = knob("cut", one_of("cut", "refuse"), "a batch of more ids: only the first are read, without a word, or 400")
    record_bytes: int = knob(0, whole(0, 2**20), "bytes of ProfileSummary in each coworker's record")
    lesson_bytes: int = knob(0, whole(0, 2**24), "bytes of LessonContents in each lesson's record")
    unique: str = knob("no", one_of("no", "400", "409", "200"), "refuse an enrolment that is there already, with this status and an Errors body; 200: answer with its id")
    completions: str = knob("known", one_of("any", "known", "open"), "which pairs may be created: any; those of a lesson and an enrolment that are there; of these only active lessons and enrolments neither blocked nor unapproved")
    # fmt: on

    def __post_init__(self) -> None:
        check(self)
