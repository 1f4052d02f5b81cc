"""Which kind of record a run writes.  Each entity of the API is one frozen value, in a file of its own.

    completed_lessons      a member of a course has completed a lesson of it
    enrolments             a person is a member of a course

An entity is a resource of the API whose records link two ids.  The rest of the package speaks of pairs, of a pair's
first and second id, and of records.  Every name on the wire and every word for people comes from the entity.  A writer
is made with one, and its journal keeps the entity's `label`: `entity_of` finds by it what a journal holds, and a
journal of another entity is refused.  So one more entity takes one more file here, and its name in `_HOMES`.

Not here: the names of a `Pair`'s fields, the options `--lesson-column` and `--member-column`, and the help for people.
Those are contracts of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import import_module
from typing import Final, NamedTuple

ORIGINAL: Final = "CourseCompletedLesson"
"""The entity of whoever names none, and of a journal that names none."""
_HOMES: Final = {ORIGINAL: "completed_lessons.COMPLETED_LESSONS", "CourseMember": "enrolments.ENROLMENTS"}
"""Where the entity of a name is; its file is read when it is asked for."""


class Entity(NamedTuple):
    """A resource of the API.  Attributes that come in twos are in the order of a pair's ids.

    `name` is the name in the API's roles.  `path` is below the base URL: creates and lists go there, and single records
    are found below it by their ids.  `fields` are the names of the two ids in a record, in the body of a create, and as
    columns of a source.  `filter_names` select the records of a list by one id.  `words` are the names of the ids for
    people, and `plural` is what they call the records.  Each create has the fields of `constants` too.
    """

    name: str
    path: str
    fields: tuple[str, str]
    filter_names: tuple[str, str]
    words: tuple[str, str]
    plural: str
    constants: tuple[tuple[str, bool], ...] = ()

    @property
    def label(self) -> str:
        """What a journal keeps of it: the name, and the constants, since they are a part of what was written."""
        return " ".join([self.name, *(f"{field}={json.dumps(value)}" for field, value in self.constants)])

    def sending(self, **constants: bool) -> Entity:
        """The same entity, but each create has these fields too."""
        return self._replace(constants=tuple(constants.items()))

    @property
    def create_role(self) -> str:
        return f"{self.name}-Create"

    @property
    def list_role(self) -> str:
        return f"{self.name}-List"

    @property
    def read_role(self) -> str:
        """Opens reads by ids."""
        return f"{self.name}-Read"

    @property
    def delete_role(self) -> str:
        return f"{self.name}-Delete"

    def filters(self, first: int | None, second: int | None) -> dict[str, str]:
        """List filters for records with these ids; None filters nothing."""
        chosen = zip(self.filter_names, (first, second), strict=True)
        return {name: str(value) for name, value in chosen if value is not None}

    def describe(self, pair: Iterable[object]) -> str:
        """A pair for people: "lesson 11, member 42"."""
        return ", ".join(f"{word} {value}" for word, value in zip(self.words, pair, strict=True))


def entity_of(label: str) -> Entity | None:
    """The entity with this `label`, or None: a newer version may know more of them."""
    name, *constants = label.split(" ")
    parts = [constant.partition("=") for constant in constants]
    if name not in _HOMES or not all(value in ("true", "false") for _, _, value in parts):
        return None
    module, _, attribute = _HOMES[name].partition(".")
    entity: Entity = getattr(import_module(f"{__name__}.{module}"), attribute)
    return entity.sending(**{field: value == "true" for field, _, value in parts})
