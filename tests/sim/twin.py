"""What a broken twin is, and the register of them; `twins` holds them, `hunt` catches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .world import World

Make = Callable[[], list[Any]]
"""Makes the patches of one twin."""


@dataclass(frozen=True, slots=True)
class Twin:
    """`make` puts it in place; only worlds that `concerns` can show it."""

    make: Make
    concerns: Callable[[World], bool]

    @property
    def words(self) -> str:
        return self.make.__doc__ or ""


TWINS: dict[str, Twin] = {}


def twin(concerns: Callable[[World], bool] = lambda world: True) -> Callable[[Make], Make]:
    """Name a twin by its function."""

    def name(make: Make) -> Make:
        TWINS[make.__name__.replace("_", " ")] = Twin(make, concerns)
        return make

    return name
