"""Which rows of single pairs were dropped: what `BulkWriter.prune` took out of a journal, so that its counts stay true.

Table `meta`, key `pruned`, JSON:
    before                        only rows of single pairs below this seq were dropped
    created, existing, rejected   how many rows in each of these states

Rows in other states are never dropped.  The rows that are missing below `before` are exactly as many as these, so a row
that is missing for another reason shows as damage (`bounds`).

Pure.  Not here: dropping them (`journal`), and which ones are old enough (`run.pruning`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from ..model import SINGLE_SEQ, State

PRUNED: Final = "pruned"
STATES: Final = (State.CREATED, State.EXISTING, State.REJECTED)
"""Settled states of single pairs.  A failed pair is tried again, and a doubt is looked up."""
SEQ_MAX: Final = 1 << 62


class Pruned(NamedTuple):
    """What was dropped so far."""

    before: int = SINGLE_SEQ
    created: int = 0
    existing: int = 0
    rejected: int = 0

    @property
    def by_state(self) -> dict[State, int]:
        return dict(zip(STATES, self[1:], strict=True))

    @property
    def rows(self) -> int:
        return sum(self[1:])

    def text(self) -> str:
        return orjson.dumps(self._asdict()).decode()


def pruned_of(meta: Mapping[str, str]) -> Pruned:
    """What a journal with this meta has dropped.  Raises `ValueError` if it does not tell."""
    if PRUNED not in meta:
        return Pruned()
    told = orjson.loads(meta[PRUNED])
    if type(told) is not dict or told.keys() != set(Pruned._fields):
        raise ValueError("table meta: pruned is not as it was written")
    found = Pruned(**told)
    are_whole = all(type(number) is int and 0 <= number <= SEQ_MAX for number in found)
    if not are_whole or found.before < SINGLE_SEQ or found.rows > found.before - SINGLE_SEQ:
        raise ValueError("table meta: pruned is not as it was written")
    return found
