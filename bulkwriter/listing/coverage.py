"""Reads lists that cover given pairs, with few calls: by first id, by second id, pair by pair, or the whole table.

A pair is covered once a list of its first id, of its second id, of both, or of the whole table was read.  Which of
these costs the fewest calls is decided along the way, since later pairs are not known yet:

- The first call, newest first and without a filter, tells the size of the table (`TotalItems`) and the newest id.
- A small table (`SMALL_PAGES`) is read whole at once.
- In a larger one a list is read for each first id or each second id, whichever the pairs at hand have fewer of.  If a
  list has more pages than it has pairs to check, it is given up for one call a pair.
- Once these calls are as many as the whole table costs, the whole table is read.  So there are never more than about
  twice as many calls as the best choice needs.

`take` receives the records of the lists.  It may receive a record more than once: a failed page is asked for again by
itself, but a scan that contradicts itself is repeated whole.  This module remembers only which pairs are covered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from ..core.dedupe import PairSet
from ..net.api import ListPage, Record
from .lists import PAGE_SIZE, Filters, GetPage, ListFailed, Outrun, is_newest_first, scan, take_none, top_page
from .retry_until_deadline import RetryUntilDeadline

SMALL_PAGES: Final = 5
PAIR_PAGES: Final = 100
"""The list of one pair has one record or none.  A server that ignores filters sends the table, again for each pair."""
MOST_FRESHEN_PAGES: Final = 100
"""A freshening of more pages than this is skipped, since our own writes fill the top of the list too fast."""

FiltersOf = Callable[[int | None, int | None], Filters]
"""(first id or None, second id or None) -> list filters."""


class TooManyPages(Exception):
    """A list has more pages than it saves calls."""


class Coverage:
    """Call `begin` once, then `cover` with some thousands of pairs at a time."""

    def __init__(
        self,
        get_page: GetPage,
        filters_of: FiltersOf,
        *,
        take: Callable[[list[Record]], None] = take_none,
        retry: RetryUntilDeadline,
    ) -> None:
        self._get_page = get_page
        self._filters_of = filters_of
        self._take = take
        self._retry = retry
        self._covered: tuple[set[int], set[int]] = (set(), set())
        self._covered_pairs = PairSet()
        self._is_whole = False
        self._pages_spent = 0
        self._whole_pages = 0
        self.newest_id = 0
        self.calls = 0

    async def begin(self) -> None:
        """Learn the size of the table, and read a small table whole."""
        await self._retry(self._begin)

    async def cover(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Read the lists that show all records of `pairs`.  Waits on list calls and their quotas."""
        while not self._is_whole and (missing := [pair for pair in pairs if not self._is_covered(pair)]):
            await self._retry(partial(self._cover, missing))

    def has_covered(self, pairs: Sequence[tuple[int, int]]) -> bool:
        """Whether the lists of all of `pairs` were read."""
        return self._is_whole or all(map(self._is_covered, pairs))

    async def freshen(self) -> None:
        """Read the newest records down to the newest one known."""
        await self._retry(self._freshen)

    def _is_covered(self, pair: tuple[int, int]) -> bool:
        firsts, seconds = self._covered
        return pair[0] in firsts or pair[1] in seconds or pair in self._covered_pairs

    async def _page(self, filters: Filters, number: int) -> ListPage:
        """One page.  If it fails, it alone is read again: of a thousand pages one will be throttled."""

        async def ask() -> ListPage:
            self.calls += 1
            return await self._get_page(filters, number)

        return await self._retry(ask)

    async def _begin(self) -> None:
        first = await top_page(self._page)
        self._whole_pages = table_pages(first)
        if first.has_next and self._whole_pages > SMALL_PAGES and is_newest_first(first):
            self.newest_id = first.records[0][0]
            self._take(first.records)
        else:
            await self._read_whole(at_least=first.total)

    async def _freshen(self) -> None:
        newest = self.newest_id
        with suppress(TooManyPages, Outrun):
            top = await self._scan({}, most_pages=MOST_FRESHEN_PAGES, trusts_total=False, down_to=newest)
            self.newest_id = max(newest, top)

    async def _read_whole(self, *, at_least: int = 0) -> None:
        """Read the whole table.  It had `at_least` so many records a moment ago; of two backends one may be empty."""
        newest = await self._scan({})
        if newest < self.newest_id or (at_least and not newest):
            raise ListFailed("the list is shorter than a moment ago: older than it was, or empty", is_flawed=True)
        self.newest_id = newest
        self._is_whole = True
        self._covered = (set(), set())

    async def _cover(self, pairs: list[tuple[int, int]]) -> None:
        """Cover at least one of these pairs, none of which is covered yet."""
        axis = 0 if len({pair[0] for pair in pairs}) <= len({pair[1] for pair in pairs}) else 1
        (value, count), *_ = Counter(pair[axis] for pair in pairs).most_common(1)
        if self._pages_spent + 1 >= self._whole_pages:
            await self._read_whole()
            return
        filters = self._filters_of(value, None) if axis == 0 else self._filters_of(None, value)
        try:
            await self._scan(filters, most_pages=max(2, count))
            self._covered[axis].add(value)
        except TooManyPages:
            pair = next(pair for pair in pairs if pair[axis] == value)
            await self._cover_one(pair)

    async def _cover_one(self, pair: tuple[int, int]) -> None:
        try:
            await self._scan(self._filters_of(*pair), most_pages=PAIR_PAGES, trusts_total=False)
        except TooManyPages:
            reason = "the list of one pair is as long as that of many: the server ignores filters"
            raise ListFailed(reason, is_odd=True) from None
        self._covered_pairs.add(pair)

    async def _scan(
        self,
        filters: Filters,
        *,
        most_pages: int | None = None,
        trusts_total: bool = True,
        down_to: int | None = None,
    ) -> int:
        """Scan a list, but raise `TooManyPages` where it has more than `most_pages`, by its total or as it is read."""

        async def page(filters: Filters, number: int) -> ListPage:
            page = await self._page(filters, number)
            self._pages_spent += 1
            if most_pages is not None:
                is_long = trusts_total and page.total > most_pages * max(1, page.page_size)
                if is_long or number > most_pages:
                    raise TooManyPages
            return page

        return await scan(page, filters, take=self._take, down_to=down_to)


def table_pages(first: ListPage) -> int:
    """About how many pages a list with this first page has: 1 for an empty list, 3 for 2,500 records."""
    return 1 + first.total // max(1, min(PAGE_SIZE, first.page_size))
