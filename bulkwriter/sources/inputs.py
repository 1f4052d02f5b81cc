"""What callers of the library give: pairs one by one, iterables of pairs, sources; checked where they come in.

Invariant: what leaves here is a plain tuple of two ids, or a source.  Nothing is read from an iterable here.

A single pair that is none is the caller's slip and raises `UsageError`; an item of an iterable that is no pair is a bad
row, counted and kept (`sources.iterables`), since the other rows are not to blame for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import cast

from ..errors import UsageError
from ..model import Pair
from . import Source, iterable_source
from .faults import Fault
from .iterables import pair_of, shown

PairLike = Pair | tuple[int, int]
Pairs = Iterable[PairLike] | AsyncIterable[PairLike] | Source


def as_source(pairs: Pairs) -> Source:
    """Any iterable as a source; a source stays as it is."""
    return cast(Source, pairs) if hasattr(pairs, "fraction") else iterable_source(cast(Iterable[PairLike], pairs))


def checked_pair(pair: PairLike) -> tuple[int, int]:
    """The pair as a plain tuple.  Raises `UsageError` for what would be a bad row of an iterable."""
    found = pair_of(pair)
    if isinstance(found, Fault):
        raise UsageError(f"{shown(pair)}: {found.reason}")
    return found
