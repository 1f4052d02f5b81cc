"""Where the package names what completed lessons are made of: in their entity, and in contracts that are listed here.

The list is exact in both directions, word by word: a file that names a lesson or a member anew fails, and so does an
entry whose file has stopped to.  The local server is no part of it: it imitates the API of completed lessons.
Neither is `resolve`, which looks up lessons and enrolments by what people call them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..test_tidy import MODULES, PACKAGE

NAMED = re.compile(r"\b\w*(?:lesson|(?<!re)member)\w*", re.IGNORECASE)
CHOSEN = re.compile(r"entities\.completed_lessons|\bCOMPLETED_LESSONS\b")
"""How the entity is chosen: by the file that names it, for whoever is given no other."""
OPTIONS = {"lesson_column", "member_column"}
FLAGS = {"lesson", "member"}
CONTRACTS: dict[str, set[str]] = {
    # the public face: what the package is for, and the fields of a pair
    "__init__.py": {"CourseLessonId", "CourseMemberId"},
    "model.py": {"lesson_id", "member_id", "CourseMember"},
    "sources/files.py": OPTIONS,
    "sources/columns.py": FLAGS,
    # the command line: --lesson-column, --member-column, and one sentence on what it does
    "cli/choose.py": OPTIONS,
    "cli/main.py": FLAGS,
    "cli/options.py": OPTIONS | FLAGS,
    "store/opening.py": FLAGS,
    "wording.py": FLAGS,
    # the example speaks of completed lessons
    "examples/service.py": {"lesson_id", "member_id"},
}
PROSE = {
    "cli/manual.py",
    "cli/manual_operators.py",
    "cli/manual_reference.py",
    "cli/manual_testing.py",
    "cli/manual_tokens.py",
    "cli/resolve.py",
    "cli/enrol.py",
}
"""Help that people read, about the API's own lessons and enrolments."""


def inside(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


WATCHED = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] not in ("entities", "resolve", "stub")]


def named_in(text: str) -> set[str]:
    return set(NAMED.findall(CHOSEN.sub("", text)))


@pytest.mark.parametrize("path", [path for path in WATCHED if inside(path) not in PROSE], ids=inside)
def test_a_lesson_and_a_member_are_named_in_their_entity_and_in_contracts(path: Path) -> None:
    assert named_in(path.read_text(encoding="utf-8")) == CONTRACTS.get(inside(path), set())


def test_every_contract_is_one_of_a_file_that_is_there() -> None:
    assert CONTRACTS.keys() | PROSE <= {inside(path) for path in WATCHED}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the lessons of a CourseMember", {"lessons", "CourseMember"}),
        ("lesson_id, members", {"lesson_id", "members"}),
        ("remember, REMEMBERED, December", set()),
        ("from ..entities.completed_lessons import COMPLETED_LESSONS", set()),
        ("a completed_lesson", {"completed_lesson"}),
        ('"/api/content/coursecompletedlessons"', {"coursecompletedlessons"}),
    ],
)
def test_every_way_to_name_them_is_seen(text: str, words: set[str]) -> None:
    assert named_in(text) == words
