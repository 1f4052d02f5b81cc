"""Which kind of record a run writes.  Each entity of the API is one frozen value, in a file of its own.

    completed_lessons      a member of a course has completed a lesson of it

An entity is a resource of the API whose records link two ids.  The rest of the package speaks of pairs, of a pair's
first and second id, and of records.  Every name on the wire and every word for people comes from the entity.  So a
second entity takes a second file here, and one place that chooses it.

Not here: the names of a `Pair`'s fields, the options `--lesson-column` and `--member-column`, and the help for people.
Those are contracts of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A resource of the API.  Attributes that come in twos are in the order of a pair's ids.

    `name` is the name in the API's roles.  `path` is below the base URL: creates and lists go there, and single records
    are found below it by their ids.  `fields` are the names of the two ids in a record, in the body of a create, and as
    columns of a source.  `filter_names` select the records of a list by one id.  `words` are the names of the ids for
    people.
    """

    name: str
    path: str
    fields: tuple[str, str]
    filter_names: tuple[str, str]
    words: tuple[str, str]

    @property
    def create_role(self) -> str:
        return f"{self.name}-Create"

    @property
    def list_role(self) -> str:
        return f"{self.name}-List"

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
