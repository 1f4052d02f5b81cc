"""Shares of a source: every row is in exactly one of them, and a share is what its bytes say."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import orjson
import pytest

from bulkwriter.model import ID_MAX, BadRow, Batch
from bulkwriter.sources.parts import MOST_PARTS, PartRows, decode, divided, encode, part_of, together

BAD = BadRow("CourseLessonId is no number", "x,y", "no number")


def rows(count: int, seed: int) -> Batch:
    """Rows as files have them: repeated pairs, bad rows, and lines that are left out."""
    rng, line = random.Random(seed), 1
    pairs: list[tuple[int, int] | None] = []
    lines, bad = [], {}
    for i in range(count):
        line += rng.choice((1, 1, 1, 3))
        lines.append(line)
        if rng.random() < 0.05:
            bad[i] = BAD
        pairs.append(None if i in bad else (rng.randint(1, 9), rng.choice((rng.randint(1, 50), ID_MAX))))
    return Batch(pairs, lines, bad)


@pytest.mark.parametrize("parts", [1, 3, 4, 64, MOST_PARTS])
def test_the_shares_together_are_the_rows(parts: int) -> None:
    batch = rows(1_000, parts)
    shares = divided(batch, 7_000, parts)
    assert together([decode(encode(share)) for share in shares]) == batch
    assert sorted(seq for share in shares for seq in share.seqs) == list(range(7_000, 8_000))
    homes: dict[Any, set[int]] = {}
    for number, share in enumerate(shares):
        for pair in share.rows.pairs:
            homes.setdefault(pair, set()).add(number)
    assert all(len(numbers) == 1 for pair, numbers in homes.items() if pair)


def test_where_a_pair_goes_never_changes() -> None:
    """A job that one version has loaded is worked on by another: these numbers are for ever."""
    pairs = [(11, 42), (1, 1), (1, 2), (2, 1), (ID_MAX, ID_MAX), (123_456_789, 987_654_321), None]
    assert [part_of(pair, 5, 4) for pair in pairs] == PLACES_OF_4
    assert [part_of(pair, 5, 64) for pair in pairs] == PLACES_OF_64
    share = PartRows([3, 7], Batch([(11, 42), None], [5, 9], {1: BAD}))
    assert encode(share) == (
        b'{"seq":[3,4],"line":[5,4],"a":[11,null],"b":[42,null],'
        b'"bad":{"1":["CourseLessonId is no number","x,y","no number"]}}'
    )


PLACES_OF_4 = [0, 2, 2, 2, 3, 0, 2]
PLACES_OF_64 = [13, 36, 37, 47, 55, 15, 45]


@pytest.mark.parametrize(
    "pairs",
    [
        [(lesson, member) for lesson in range(1, 51) for member in range(1, 201)],
        [(7, member) for member in range(10_000)],
        [(lesson, 3) for lesson in range(10_000)],
        [(1_000_000 + i, 2_000_000 + i) for i in range(10_000)],
    ],
)
def test_parts_are_of_about_the_same_size(pairs: list[tuple[int, int]]) -> None:
    """Ids come in blocks.  The bound is five standard deviations of rows thrown by chance."""
    for parts in (4, 7, 16):
        sizes = Counter(part_of(pair, 0, parts) for pair in pairs)
        mean = len(pairs) / parts
        assert all(abs(sizes[part] - mean) < 5 * mean**0.5 for part in range(parts))


@pytest.mark.parametrize(
    "damage",
    [
        {"seq": [3]},
        {"seq": [3, 0]},
        {"seq": [3, -1]},
        {"seq": [-3, 9]},
        {"seq": [3, 4.0]},
        {"seq": [3, 1 << 63]},
        {"line": None},
        {"line": [5, -9]},
        {"a": [0, 1]},
        {"a": ["11", 1]},
        {"a": [True, 1]},
        {"b": [42, None]},
        {"b": [42, 1 << 63]},
        {"bad": []},
        {"bad": {"2": ["reason", "raw", ""]}},
        {"bad": {"1": ["reason", "raw"]}},
        {"bad": {"x": ["reason", "raw", ""]}},
        {"bad": {"1": ["reason", 5, ""]}},
    ],
)
def test_a_damaged_share_is_not_believed(damage: dict[str, Any]) -> None:
    whole = {"seq": [3, 4], "line": [5, 4], "a": [11, 12], "b": [42, 43]}
    assert decode(orjson.dumps(whole)).rows.pairs == [(11, 42), (12, 43)]
    with pytest.raises(ValueError):
        decode(orjson.dumps(whole | damage))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"null", b"\xff"])
def test_what_is_no_share(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


def test_a_share_of_no_rows() -> None:
    nothing = PartRows([], Batch([], [], {}))
    assert decode(encode(nothing)) == nothing
