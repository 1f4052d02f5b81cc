"""Puts broken twins in place, and tells how many worlds it takes to notice them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from .drive import Simulation
from .twins import TWINS
from .world import draw_world

SLIPS: Final = ("TypeError", "ValueError", "AttributeError", "NameError")
"""What a twin ends its process with that no longer fits what it stands for, and so shows nothing."""


@dataclass(frozen=True, slots=True)
class Caught:
    """By which seed a twin was caught, after how many that concern it, and how."""

    seed: int
    tried: int
    what: str


@contextmanager
def broken(name: str) -> Iterator[None]:
    """Everything in this block runs with the twin of this name."""
    with ExitStack() as stack:
        for change in TWINS[name].make():
            stack.enter_context(change)
        yield


def caught_by(name: str, most: int, *, first: int = 0) -> Caught | None:
    """The first seed from `first` on that catches a twin, among the first `most` that concern it."""
    tried = 0
    for seed in count(first):
        world = draw_world(seed)
        if not TWINS[name].concerns(world):
            continue
        tried += 1
        if tried > most:
            return None
        with broken(name):
            result = Simulation(world).run()
        if result.wrong:
            assert not any(f"a bug of ours: {kind}" in result.wrong[0] for kind in SLIPS), result.wrong[0]
            return Caught(seed, tried, result.wrong[0])
    raise AssertionError
