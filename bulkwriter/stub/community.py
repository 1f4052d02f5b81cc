"""Makes up the people of a scenario: coworkers, courses, lessons and enrolments, all from the seed.

    coworkers     ids from 300,001: first the drifters, then the people, then the second profiles
    courses       ids from 101
    lessons       ids from 5,001, course by course
    enrolments    ids from 700,001: the drifters' first, then all others in random order

The spans of ids are apart, so that an id of the wrong kind is seen.  Enrolments stand in a table of records that grows
and shrinks; the rest stays as it was made, but for drifters, who come and go.  E-mails end in example.com.
Chance is an argument: the same seed makes the same people.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from .people import People
from .records import Records

T = TypeVar("T")
FIRST_COWORKER = 300_001
FIRST_COURSE = 101
FIRST_LESSON = 5_001
FIRST_ENROLMENT = 700_001

GIVEN = (
    "Ada", "Amir", "Ana", "Björn", "Bruno", "Chiara", "Chloé", "Daan", "Deniz", "Elif", "Emma", "Fatima", "Felix",
    "Grace", "Hana", "Hugo", "Ines", "Ivo", "Jana", "João", "Kai", "Lena", "Leo", "Lucía", "Malik", "Mara", "Mehmet",
    "Mina", "Nadia", "Noah", "Nora", "Olga", "Oskar", "Paula", "Pedro", "Priya", "Quentin", "Rosa", "Ruben", "Sara",
    "Selim", "Sofia", "Søren", "Tara", "Tomás", "Uma", "Victor", "Wanda", "Yara", "Yusuf", "Zoë", "Zlatan",
)  # fmt: skip
FAMILY = (
    "Abe", "Ahmed", "Almeida", "Ångström", "Bakker", "Bauer", "Bianchi", "Bošković", "Brown", "Castro", "Chen",
    "Costa", "Cruz", "Dahl", "Díaz", "Dubois", "Engel", "Evans", "Ferrari", "Fischer", "García", "Gomes", "Haas",
    "Hansen", "Ito", "Jansen", "Jensen", "Kaya", "Keller", "Khan", "Kim", "Kowalski", "Larsen", "Lefèvre",
    "Lindqvist", "López", "Maier", "Martin", "Moreau", "Müller", "Nakamura", "Nguyen", "Novák", "O'Brien", "Okafor",
    "Olsen", "Patel", "Peeters", "Petrov", "Rossi", "Ruiz", "Sato", "Schmidt", "Silva", "Smith", "Sørensen", "Suzuki",
    "Tanaka", "Urban", "Vega", "Visser", "Wagner", "Weber", "White", "Wójcik", "Xu", "Yılmaz", "Zhang",
)  # fmt: skip
THEMES = (
    "Fire safety", "First aid", "House rules", "Data protection", "Access and keys", "Meeting rooms", "Printing",
    "Accessible spaces", "Working at height", "Community events",
)  # fmt: skip
SHARED_TOPICS = (
    "Welcome", "What you need", "Step by step", "A short quiz", "Summary",
)  # fmt: skip
"""Every course may have a lesson of this title."""
OWN_TOPICS = (
    "Who to call", "On the day", "When something goes wrong", "Good habits", "Tools",
)  # fmt: skip
"""A lesson with one of these names its course, so its title is of that course alone."""


class Coworker(NamedTuple):
    """One profile of a person.  `location` counts from 1."""

    email: str
    full_name: str
    location: int
    is_active: bool
    is_default: bool


class Course(NamedTuple):
    title: str
    location: int


class Lesson(NamedTuple):
    course_id: int
    title: str
    section: str
    is_active: bool
    order: int


class Community:
    """Everybody and everything that a scenario's people are.  `enrolments` link a course and a coworker."""

    def __init__(self, people: People, rng: random.Random, *, seeded_at: float) -> None:
        self.made_from = people
        self._rng = rng
        self.courses = list(_courses(people, rng))
        self.lessons = list(_lessons(people, self.courses, rng))
        drifters = [_coworker(i, people, rng, is_drifter=True) for i in range(people.drifters)]
        persons = [_coworker(i, people, rng) for i in range(people.coworkers)]
        twins = rng.sample(range(people.coworkers), round(people.coworkers * people.profiles))
        others = [persons[place]._replace(is_default=False) for place in twins]
        self.coworkers = [*drifters, *persons, *(_moved(other, people) for other in others)]
        self._twin_of = {
            len(drifters) + place: len(drifters) + len(persons) + i for i, place in enumerate(twins)
        }  # by index in `coworkers`
        self.enrolments = Records(FIRST_ENROLMENT)
        self.blocked: set[int] = set()
        self.unapproved: set[int] = set()
        self.hidden: set[int] = set()
        """Ids of drifters who are gone at present."""
        self._enrol(people, seeded_at)

    def coworker(self, coworker_id: int) -> Coworker | None:
        return _at(self.coworkers, coworker_id - FIRST_COWORKER)

    def course(self, course_id: int) -> Course | None:
        return _at(self.courses, course_id - FIRST_COURSE)

    def lesson(self, lesson_id: int) -> Lesson | None:
        return _at(self.lessons, lesson_id - FIRST_LESSON)

    def course_of(self, lesson_id: int) -> int:
        """The course of a lesson that is there."""
        return self.lessons[lesson_id - FIRST_LESSON].course_id

    def has_open_enrolment(self, enrolment_id: int) -> bool:
        """Whether it is there, approved and not blocked."""
        is_there = self.enrolments.position(enrolment_id) is not None
        return is_there and enrolment_id not in self.blocked and enrolment_id not in self.unapproved

    def pair_of(self, enrolment_id: int) -> tuple[int, int]:
        """Course and coworker of an enrolment that is there, or was."""
        place = enrolment_id - self.enrolments.first_id
        return self.enrolments.firsts[place], self.enrolments.seconds[place]

    def move(self) -> None:
        """A drifter comes or goes."""
        if self.made_from.drifters:
            self.hidden ^= {FIRST_COWORKER + self._rng.randrange(self.made_from.drifters)}

    def ids_of(self, email: str) -> list[int]:
        """All profiles of an e-mail; case does not count.  Looks at everybody."""
        wanted = email.casefold()
        return [FIRST_COWORKER + i for i, c in enumerate(self.coworkers) if c.email.casefold() == wanted]

    def _enrol(self, people: People, seeded_at: float) -> None:
        rng, courses = self._rng, range(FIRST_COURSE, FIRST_COURSE + people.courses)
        self.enrolments.seed(
            ((course, FIRST_COWORKER + i) for course in courses for i in range(people.drifters)), seeded_at
        )
        self.enrolments.seed(self._pairs(people), seeded_at)
        last = FIRST_ENROLMENT + len(self.enrolments)
        for enrolment_id in range(FIRST_ENROLMENT + people.drifters * people.courses, last):
            draw = rng.random()
            if draw < people.blocked:
                self.blocked.add(enrolment_id)
            elif draw < people.blocked + people.unapproved:
                self.unapproved.add(enrolment_id)

    def _pairs(self, people: People) -> Iterator[tuple[int, int]]:
        """Who is enrolled in what.  A second profile is enrolled in the place of the first, or beside it."""
        rng, total = self._rng, people.courses * people.coworkers
        for place in rng.sample(range(total), min(people.enrolments, total)):
            course, person = FIRST_COURSE + place // people.coworkers, people.drifters + place % people.coworkers
            twin = self._twin_of.get(person)
            if twin is None:
                yield course, FIRST_COWORKER + person
                continue
            enrolled, other = rng.sample((person, twin), 2)
            yield course, FIRST_COWORKER + enrolled
            if rng.random() < people.both_enrolled:
                yield course, FIRST_COWORKER + other


def _at(rows: list[T], place: int) -> T | None:
    return rows[place] if 0 <= place < len(rows) else None


def _coworker(number: int, people: People, rng: random.Random, *, is_drifter: bool = False) -> Coworker:
    given, family = rng.choice(GIVEN), rng.choice(FAMILY)
    tail = f"drifts{number}" if is_drifter else str(number)
    email = f"{_ascii(given)}.{_ascii(family)}.{tail}@example.com"
    email = email.title() if rng.random() < 0.05 else email  # as people type them: case does not count
    is_active = rng.random() >= people.inactive_coworkers
    return Coworker(email, f"{given} {family}", rng.randint(1, people.locations), is_active, True)


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.translate({ord("ø"): "o", ord("ı"): "i"}))
    return "".join(c for c in plain if c.isascii() and c.isalpha()).lower()


def _moved(coworker: Coworker, people: People) -> Coworker:
    return coworker._replace(location=coworker.location % people.locations + 1)


def _courses(people: People, rng: random.Random) -> Iterator[Course]:
    title = ""
    for i in range(people.courses):
        is_same = i > 0 and rng.random() < people.same_titles
        title = title if is_same else f"{THEMES[i % len(THEMES)]} {i // len(THEMES) + 1}"
        yield Course(title, i % people.locations + 1)


def _lessons(people: People, courses: Sequence[Course], rng: random.Random) -> Iterator[Lesson]:
    each = -(-people.lessons // people.sections)
    total = people.lessons * people.courses
    inactive = set(rng.sample(range(total), round(total * people.inactive_lessons)))
    for place, course in enumerate(courses):
        titles: list[str] = []
        for i in range(people.lessons):
            is_repeated = i >= each and rng.random() < people.repeated_lessons
            titles.append(titles[i - each] if is_repeated else _title(i, course))
            is_active = place * people.lessons + i not in inactive
            yield Lesson(FIRST_COURSE + place, titles[i], f"Section {i // each + 1}", is_active, i + 1)


def _title(place: int, course: Course) -> str:
    """Every second title could be one of any course."""
    number, topic = divmod(place // 2, len(SHARED_TOPICS))
    shown = f" {number + 1}" if number else ""
    if place % 2:
        return f"{course.title}: {OWN_TOPICS[topic].lower()}{shown}"
    return SHARED_TOPICS[topic] + shown
