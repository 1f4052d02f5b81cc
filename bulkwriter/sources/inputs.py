"""The inputs of the library, checked where they come in: single pairs, iterables of pairs, and sources.

Invariant: the result is a plain tuple of two ids, or a source.  Nothing is read from an iterable here.

A single value that is no pair is the caller's mistake and raises `UsageError`.  An item of an iterable that is no pair
becomes a bad row, which is counted and kept (`sources.iterables`): it does not stop the other rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Collection, Iterable
from typing import Final, cast

from ..errors import UsageError
from ..model import Pair
from . import Source, iterable_source
from .iterables import pair_of, plain_pairs, shown
from .row_faults import RowFault

PairLike = Pair | tuple[int, int]
PairsLike = Iterable[PairLike] | AsyncIterable[PairLike] | Source

RETRIES: Final = frozenset({"rejected"})
"""Settled outcomes of which a call may ask for another try.  `failed` and `pending` are tried again in any case."""


def as_source(pairs: PairsLike) -> Source:
    """Any iterable as a source; a source stays as it is."""
    return cast(Source, pairs) if hasattr(pairs, "fraction") else iterable_source(cast(Iterable[PairLike], pairs))


def checked_retry(retry: Collection[str]) -> bool:
    """Whether rejected pairs are sent again.  Raises `UsageError` for anything but a collection of `RETRIES`."""
    if retry == ():  # nearly always; to ask whether something is a collection takes 1 µs
        return False
    if isinstance(retry, str) or not isinstance(retry, Collection) or not all(map(is_retry, retry)):
        raise UsageError(f"retry = {retry!r} is not of {', '.join(sorted(RETRIES))}", hint='write retry=("rejected",)')
    return bool(retry)


def is_retry(word: object) -> bool:
    return isinstance(word, str) and word in RETRIES


def checked_timeout(timeout: float | None) -> float | None:
    """The timeout.  Raises `UsageError` for what is no time."""
    if timeout is not None and (not isinstance(timeout, int | float) or not timeout >= 0):  # NaN is not either
        raise UsageError(f"timeout = {timeout!r} is no number of seconds from 0 on, and not None")
    return timeout


def checked_pair(pair: PairLike) -> tuple[int, int]:
    """The pair as a plain tuple.  Raises `UsageError` for a value that would be a bad row of an iterable."""
    found = pair_of(pair)
    if isinstance(found, RowFault):
        raise UsageError(f"{shown(pair)}: {found.reason}")
    return found


def checked_pairs(pairs: Iterable[PairLike]) -> list[tuple[int, int]]:
    """The pairs of a batch as plain tuples.  Raises `UsageError` for the first that is none."""
    items = list(pairs)
    plain = plain_pairs(items) if items else []
    return [checked_pair(item) for item in items] if plain is None else plain
