"""Shares of a source: which part a row belongs to, and a share of consecutive rows as bytes.

A job divides its source among parts, each written by one worker at a time.  A pair always belongs to the same part, so
rows of the same pair meet in one journal, and the later ones are duplicates there.  A row that is no pair goes by its
place in the source.

    part = mix(first id, second id) · parts / 2^64        mix: two rounds of multiplication and shift (splitmix64)

The function is part of the format of jobs: it never changes, on any machine.

A *share* is those of some consecutive rows of the source that are of one part.  Its bytes are JSON, so that `psql` can
show them, with an entry a row in each list:

    seq, line   place in the source and its line, each as the difference from the row before (the first from 0)
    a, b        the two ids, null if the row is no pair
    bad         an object: index of a row that is no pair -> [reason, raw, kind] of its `BadRow`; left out if empty

Invariants: the shares of some rows, put together by seq, are those rows.  `decode` believes no value before its type,
range and order were checked.  Pure.  Not here: where shares are kept (`postgres`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

import orjson

from ..model import ID_MAX, BadRow, Batch
from .ids import are_in_range

MOST_PARTS: Final = 256
"""Each part has a journal, a lease and its own look at what exists; more workers than this no account can use."""
_WORD: Final = (1 << 64) - 1
_FIRST: Final = 0x9E3779B97F4A7C15
_SECOND: Final = 0xBF58476D1CE4E5B9
_THIRD: Final = 0x94D049BB133111EB
"""The odd constants of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""


class PartRows(NamedTuple):
    """Rows of one part: `seqs` are their places in the source, `rows` the rows themselves, in the same order."""

    seqs: list[int]
    rows: Batch


def part_of(pair: tuple[int, int] | None, seq: int, parts: int) -> int:
    """The part, 0 to `parts` - 1, of a row; (11, 42) is in part 0 of 4."""
    first, second = pair or (0, seq)
    word = (first * _FIRST + second) & _WORD
    word = ((word ^ word >> 30) * _SECOND) & _WORD
    word = ((word ^ word >> 27) * _THIRD) & _WORD
    return (word ^ word >> 31) * parts >> 64


def divided(batch: Batch, first_seq: int, parts: int) -> list[PartRows]:
    """The share of each part in these rows, of which the first has the place `first_seq`."""
    places: list[list[int]] = [[] for _ in range(parts)]
    for i, pair in enumerate(batch.pairs):
        places[part_of(pair, first_seq + i, parts)].append(i)
    pairs, lines, bad = batch
    shares = []
    for chosen in places:
        faults = {new: bad[old] for new, old in enumerate(chosen) if old in bad} if bad else {}
        rows = Batch([pairs[i] for i in chosen], [lines[i] for i in chosen], faults)
        shares.append(PartRows([first_seq + i for i in chosen], rows))
    return shares


def encode(share: PartRows) -> bytes:
    """The share as bytes."""
    seqs, (pairs, lines, bad) = share
    known: dict[str, Any] = {
        "seq": differences(seqs),
        "line": differences(lines),
        "a": [pair and pair[0] for pair in pairs],
        "b": [pair and pair[1] for pair in pairs],
    }
    if bad:
        known["bad"] = {str(i): tuple(row) for i, row in bad.items()}
    return orjson.dumps(known)


def decode(data: bytes) -> PartRows:
    """The share that `encode` has made bytes of.  Raises `ValueError` for anything else."""
    known = orjson.loads(data)
    if type(known) is not dict:
        raise ValueError("a share of the source is no object")
    lists = [known.get(name) for name in ("seq", "line", "a", "b")]
    if not all(type(one) is list and len(one) == len(lists[0] or ()) for one in lists):
        raise ValueError("the lists of a share of the source differ in length")
    seqs, lines = (wholes(one or []) for one in lists[:2])
    if any(after <= before for before, after in pairwise(seqs)) or (seqs and seqs[0] < 0):
        raise ValueError("the rows of a share of the source are not in order")
    faults = known.get("bad", {})
    if type(faults) is not dict:
        raise ValueError("a share of the source has no object of bad rows")
    bad = {int(i): bad_row(row) for i, row in faults.items()}
    first, second = lists[2] or [], lists[3] or []
    pairs = [None if i in bad else (a, b) for i, (a, b) in enumerate(zip(first, second, strict=True))]
    ids = [number for i, pair in enumerate(zip(first, second, strict=True)) if i not in bad for number in pair]
    if not {*map(type, ids)} <= {int} or (ids and not are_in_range(ids)) or any(i >= len(pairs) for i in bad):
        raise ValueError("a share of the source has what is no id")
    return PartRows(seqs, Batch(pairs, lines, bad))


def together(shares: Sequence[PartRows]) -> Batch:
    """The rows of all shares in the order of the source."""
    places = sorted((seq, n, i) for n, share in enumerate(shares) for i, seq in enumerate(share.seqs))
    pairs = [shares[n].rows.pairs[i] for _, n, i in places]
    lines = [shares[n].rows.lines[i] for _, n, i in places]
    bad = {at: shares[n].rows.bad[i] for at, (_, n, i) in enumerate(places) if i in shares[n].rows.bad}
    return Batch(pairs, lines, bad)


def differences(numbers: Sequence[int]) -> list[int]:
    """Each number less the one before, the first as it is: [7, 8, 10] gives [7, 1, 2]."""
    return [after - before for before, after in pairwise([0, *numbers])]


def wholes(steps: list[Any]) -> list[int]:
    """The numbers of which `differences` made these.  Raises `ValueError` for what is no row's place or line."""
    if not {*map(type, steps)} <= {int}:
        raise ValueError("a share of the source has a place that is no number")
    numbers = list(accumulate(steps))
    if numbers and not (min(numbers) >= 0 and max(numbers) <= ID_MAX):
        raise ValueError("a share of the source has a place that cannot be")
    return numbers


def bad_row(values: Any) -> BadRow:
    if type(values) is not list or len(values) != 3 or not all(type(value) is str for value in values):
        raise ValueError("a share of the source has a bad row without its reason")
    return BadRow(*values)
