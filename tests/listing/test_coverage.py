"""Which lists are read for which pairs: every call is noted, and each failure is the end, since nobody tries again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from bulkwriter.listing.coverage import SMALL_PAGES, Coverage, table_pages
from bulkwriter.listing.lists import Filters, ListFailed
from bulkwriter.listing.retry_until_deadline import RetryUntilDeadline
from bulkwriter.net.api import ListPage, Record

SIZE = 10
LARGE = SMALL_PAGES * SIZE * 20


async def once(step: Callable[[], Awaitable[Any]]) -> Any:
    """Stands for a retry that never tries again."""
    return await step()


def filters_of(first: int | None, second: int | None) -> dict[str, str]:
    return {name: str(value) for name, value in (("first", first), ("second", second)) if value is not None}


class Lists:
    """Records by falling id, `SIZE` a page; `calls` are (first, second, page)."""

    def __init__(self, *pairs: tuple[int, int]) -> None:
        self.records: list[Record] = [(len(pairs) - i, pair) for i, pair in enumerate(pairs)]
        self.calls: list[tuple[str | None, str | None, int]] = []
        self.taken: set[tuple[int, int]] = set()
        self.coverage = Coverage(self.page, filters_of, take=self.take, retry=cast(RetryUntilDeadline, once))

    async def page(self, filters: Filters, number: int) -> ListPage:
        first, second = filters.get("first"), filters.get("second")
        self.calls.append((first, second, number))
        chosen = [
            (i, pair)
            for i, pair in self.records
            if (first or str(pair[0]), second or str(pair[1])) == tuple(map(str, pair))
        ]
        shown = chosen[(number - 1) * SIZE : number * SIZE]
        return ListPage(shown, number, SIZE, len(chosen), number * SIZE < len(chosen))

    def take(self, records: list[Record]) -> None:
        self.taken |= {pair for _, pair in records}


def large(*pairs: tuple[int, int]) -> Lists:
    """The same in a table that is too large to be read whole for a few pairs."""
    return Lists(*pairs, *[(1_000 + i, 1_000 + i) for i in range(LARGE)])


async def test_a_small_table_is_read_whole_and_covers_everything() -> None:
    lists = Lists(*[(1, i) for i in range(1, 25)])
    await lists.coverage.begin()
    assert lists.coverage.has_covered([(1, 1), (9, 9)])
    calls = len(lists.calls)
    await lists.coverage.cover([(1, 1), (9, 9)])
    assert len(lists.calls) == calls == lists.coverage.calls
    assert (len(lists.taken), lists.coverage.newest_id) == (24, 24)


@pytest.mark.parametrize(
    ("pairs", "calls"),
    [
        ([(1, 1), (1, 2), (1, 3)], [("1", None, 1)]),  # one first id
        ([(1, 7), (2, 7), (3, 7)], [(None, "7", 1)]),  # one second id
        ([(1, 1), (1, 2), (2, 3)], [("1", None, 1), ("2", None, 1)]),  # fewer first ids than second ones
    ],
)
async def test_the_ids_that_are_fewer_are_listed(
    pairs: list[tuple[int, int]], calls: list[tuple[str | None, str | None, int]]
) -> None:
    lists = large(*pairs)
    await lists.coverage.begin()
    assert not lists.coverage.has_covered(pairs)
    await lists.coverage.cover(pairs)
    assert lists.calls[1:] == calls
    assert lists.taken >= set(pairs)
    await lists.coverage.cover(pairs)
    assert lists.calls[1:] == calls


async def test_a_list_longer_than_it_is_worth_is_left_for_one_of_the_pair() -> None:
    lists = large(*[(1, i) for i in range(1, 5 * SIZE)])
    await lists.coverage.begin()
    await lists.coverage.cover([(1, 7)])
    assert lists.calls[1:] == [("1", None, 1), ("1", "7", 1)]


async def test_never_more_calls_than_about_twice_the_table() -> None:
    pairs = [(i, i) for i in range(1, 500)]
    lists = large(*pairs)
    await lists.coverage.begin()
    pages = len(lists.records) // SIZE
    for pair in pairs:
        await lists.coverage.cover([pair])
    assert pages < len(lists.calls) <= 2 * pages + 2
    assert lists.coverage.has_covered([(123_456, 1)])


async def test_only_what_is_new_is_read_to_freshen() -> None:
    lists = large((1, 1))
    await lists.coverage.begin()
    newest = lists.coverage.newest_id
    lists.records[:0] = [(newest + 2, (5, 5)), (newest + 1, (5, 6))]
    await lists.coverage.freshen()
    assert lists.calls[1:] == [(None, None, 1)]
    assert (lists.coverage.newest_id, lists.taken >= {(5, 5), (5, 6)}) == (newest + 2, True)


async def test_a_table_that_became_shorter_than_a_moment_ago_is_not_believed() -> None:
    lists = Lists((1, 1))

    async def page(filters: Filters, number: int) -> ListPage:
        lists.calls.append((None, None, number))
        records = lists.records if len(lists.calls) == 1 else []
        return ListPage(records, number, SIZE, len(records), False)

    coverage = Coverage(page, filters_of, take=lists.take, retry=cast(RetryUntilDeadline, once))
    with pytest.raises(ListFailed, match="shorter than a moment ago"):
        await coverage.begin()
    assert not coverage.has_covered([(1, 1)])


@pytest.mark.parametrize(("total", "pages"), [(0, 1), (9, 1), (10, 2), (25, 3)])
def test_a_first_page_tells_about_how_many_there_are(total: int, pages: int) -> None:
    assert table_pages(ListPage([], 1, SIZE, total, False)) == pages
