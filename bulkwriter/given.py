"""What callers of the library give: pairs one by one, iterables of pairs, sources; checked where they come in.

Invariant: what leaves here is a plain tuple of two ids, or a source.  Nothing is read from an iterable here.

A single pair that is none is the caller's slip and raises `UsageError`; an item of an iterable that is no pair is a bad
row, counted and kept (`sources.iterables`), since the other rows are not to blame for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import cast

from .errors import UsageError
from .model import ID_MAX, Pair
from .sources import Source, iterable_source

PairLike = Pair | tuple[int, int]
Pairs = Iterable[PairLike] | AsyncIterable[PairLike] | Source


def as_source(pairs: Pairs) -> Source:
    """Any iterable as a source; a source stays as it is."""
    return cast(Source, pairs) if hasattr(pairs, "fraction") else iterable_source(cast(Iterable[PairLike], pairs))


def checked_pair(pair: PairLike) -> tuple[int, int]:
    """The pair as a plain tuple.  Raises `UsageError` unless both ids are integers from 1 to 2^63-1."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise UsageError(f"{type(pair).__name__} is not a pair of two ids")
    first, second = pair
    for number in (first, second):
        if type(number) is not int or not 1 <= number <= ID_MAX:
            raise UsageError(f"{number!r} is not an id: ids are whole numbers from 1 to 2^63-1")
    return first, second
