"""Iterables as sources: every item one row, strangers' exceptions passed on, async ones taken as they come."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import SourceError, UsageError
from bulkwriter.model import ID_MAX, Pair
from bulkwriter.sources import Source, iterable_source
from bulkwriter.sources.iterables import batch_of, pair_of, plain_pairs
from bulkwriter.sources.row_faults import RowFault

from .test_sources import Row, rows_in

NOT_WHOLE = "is not a whole number from 1 to 2^63-1"


class Seven(IntEnum):
    SEVEN = 7


class Odd:
    """No pair, and not even showable."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


class Indexed:
    """As numpy's integers are: no int, but counts as one."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __index__(self) -> int:
        return 100 // self._number


async def rows_of(source: Source, max_rows: int = 1_000) -> list[Row]:
    found: list[Row] = []
    while (batch := await source.read(max_rows)) is not None:
        assert len(batch.pairs) <= max_rows
        found += rows_in(batch)
    assert await source.read(max_rows) is None
    await source.aclose()
    return found


async def aiter_of(items: list[Any], pause: bool = False) -> AsyncIterator[Any]:
    for item in items:
        if pause:
            await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize("kind", ["list", "generator", "async", "async with pauses"])
@pytest.mark.parametrize("max_rows", [1, 3, 1_000])
async def test_every_item_is_a_row_in_order(kind: str, max_rows: int) -> None:
    items = [(i, i + 1) for i in range(1, 500)]
    kinds: dict[str, Any] = {
        "list": items,
        "generator": (item for item in items),
        "async": aiter_of(items),
        "async with pauses": aiter_of(items, pause=True),
    }
    source = iterable_source(kinds[kind])
    assert await rows_of(source, max_rows) == [Row(pair, i) for i, pair in enumerate(items, 1)]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("12", "str is not a pair of two ids"),
        (b"12", "bytes is not a pair of two ids"),
        (12, "int is not a pair of two ids"),
        (None, "NoneType is not a pair of two ids"),
        ({1, 2}, "set is not a pair of two ids"),
        ({1: 1, 2: 2}, "dict is not a pair of two ids"),
        ((1,), "tuple is not a pair of two ids"),
        ((1, 2, 3), "tuple is not a pair of two ids"),
        (Odd(), "Odd is not a pair of two ids"),
        ((True, 2), "lesson id True is of type bool, not a whole number"),
        ((1, 2.0), "member id 2.0 is of type float, not a whole number"),
        (("1", 2), "lesson id '1' is of type str, not a whole number"),
        ((0, 2), f"lesson id '0' {NOT_WHOLE}"),
        ((1, -2), f"member id '-2' {NOT_WHOLE}"),
        ((1, ID_MAX + 1), f"member id '{ID_MAX + 1}' {NOT_WHOLE}"),
        ((1, 10**5_000), f"member id '<int>' {NOT_WHOLE}"),
        ((1, Odd()), "is of type Odd, not a whole number"),
        ((1, Indexed(0)), "is of type Indexed, not a whole number"),
    ],
)
async def test_what_is_no_pair_is_a_bad_row(item: object, reason: str) -> None:
    items: list[Any] = [(5, 6), item, (7, 8)]
    for source in (iterable_source(items), iterable_source(aiter_of(items))):
        rows = await rows_of(source)
        assert [(row.pair, row.line) for row in rows] == [((5, 6), 1), (None, 2), ((7, 8), 3)]
        assert rows[1].reason.endswith(reason)
        assert rows[1].kind == re.sub("(?<=id) .*(?= is )", "", rows[1].reason)
        assert 0 < len(rows[1].raw) <= 500


async def test_whatever_counts_as_an_integer_will_do() -> None:
    items: list[Any] = [Pair(1, 2), [3, 4], (Seven.SEVEN, Indexed(10)), (ID_MAX, 1)]
    batch = await iterable_source(items).read(10)
    assert batch is not None
    assert batch.pairs == [(1, 2), (3, 4), (7, 10), (ID_MAX, 1)]
    assert {type(pair) for pair in batch.pairs} == {tuple}
    assert {type(number) for pair in batch.pairs if pair for number in pair} == {int}


entries = st.one_of(st.integers(1, 9), st.integers(0, ID_MAX + 1), st.booleans(), st.floats(), st.just("1"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.tuples(entries, entries), st.tuples(entries), entries), min_size=1, max_size=4))
def test_the_fast_way_agrees_with_the_careful_one(items: list[Any]) -> None:
    found = map(pair_of, items)
    exact = [None if isinstance(pair, RowFault) else pair for pair in found]
    assert plain_pairs(items) in (None, exact)
    assert batch_of(items, 1).pairs == exact


@pytest.mark.parametrize("wrong", ["pairs.csv", b"x", Pair(1, 2), 5, None])
def test_what_is_no_iterable_of_pairs_is_told_at_once(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not an iterable of pairs"):
        iterable_source(wrong)


async def test_the_fraction_is_known_for_what_has_a_length() -> None:
    source = iterable_source([(1, 2)] * 10)
    assert source.fraction() == 0.0
    await source.read(4)
    assert source.fraction() == 0.4
    assert len(await rows_of(source)) == 6
    assert source.fraction() == 1.0
    assert iterable_source([]).fraction() == 1.0
    assert iterable_source(iter([(1, 2)])).fraction() is None
    assert iterable_source(aiter_of([])).fraction() is None


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_iterables_own_exception_comes_after_the_rows_before_it(is_async: bool) -> None:
    def failing() -> Iterator[tuple[int, int]]:
        yield 1, 2
        yield 3, 4
        raise LookupError("the caller's own")

    async def failing_async() -> AsyncIterator[tuple[int, int]]:
        for pair in failing():
            yield pair

    source = iterable_source(failing_async() if is_async else failing())
    batch = await source.read(100)
    assert batch is not None
    assert batch.pairs == [(1, 2), (3, 4)]
    for _ in range(2):
        with pytest.raises(LookupError, match="the caller's own"):
            await source.read(100)
    await source.aclose()


async def test_a_slow_sync_iterable_holds_the_loop_for_a_bounded_time() -> None:
    def slow() -> Iterator[tuple[int, int]]:
        while True:
            time.sleep(0.001)
            yield 1, 2

    source = iterable_source(slow())
    batch = await source.read(100_000)
    assert batch is not None
    assert len(batch.pairs) <= 128
    await source.aclose()


async def test_an_async_iterable_gives_what_has_come_so_far() -> None:
    gate = asyncio.Event()

    async def gated() -> AsyncIterator[tuple[int, int]]:
        yield 1, 2
        yield 3, 4
        await gate.wait()
        yield 5, 6

    source = iterable_source(gated())
    batch = await source.read(100)
    assert batch is not None
    assert batch.pairs == [(1, 2), (3, 4)]
    with pytest.raises(TimeoutError):  # cancels the read alone, not the generator
        await asyncio.wait_for(source.read(100), 0.005)
    gate.set()
    batch = await source.read(100)
    assert batch is not None
    assert batch.pairs == [(5, 6)]
    assert batch.lines[0] == 3
    assert await source.read(100) is None
    await source.aclose()


async def test_an_async_iterable_is_pulled_no_further_than_a_batch_ahead() -> None:
    pulled = 0

    async def endless() -> AsyncIterator[tuple[int, int]]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled, 1

    source = iterable_source(endless())
    for taken in range(10, 100, 10):
        batch = await source.read(10)
        assert batch is not None
        assert batch.pairs[-1] == (taken, 1)
        await asyncio.sleep(0)
        assert pulled <= taken + 11
    await source.aclose()


async def test_closing_ends_the_generator_and_a_waiting_read() -> None:
    is_ended = False

    async def waiting() -> AsyncIterator[tuple[int, int]]:
        nonlocal is_ended
        try:
            await asyncio.Event().wait()
            yield 1, 2
        finally:
            is_ended = True

    source = iterable_source(waiting())
    reading = asyncio.create_task(source.read(1))
    await asyncio.sleep(0.001)
    await source.aclose()
    await source.aclose()
    assert is_ended
    for again in (reading, source.read(1)):
        with pytest.raises(SourceError, match="was closed"):
            await again


async def test_a_generator_that_was_cancelled_does_not_look_finished() -> None:
    async def cancelled() -> AsyncIterator[tuple[int, int]]:
        yield 1, 2
        raise asyncio.CancelledError

    source = iterable_source(cancelled())
    assert await source.read(1) is not None
    with pytest.raises(SourceError, match="was cancelled"):
        await source.read(1)
    await source.aclose()


async def test_a_closed_sync_source_does_not_look_finished() -> None:
    source = iterable_source([(1, 2)])
    await source.aclose()
    with pytest.raises(SourceError, match="was closed"):
        await source.read(1)
