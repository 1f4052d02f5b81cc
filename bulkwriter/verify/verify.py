"""Holds what a journal or a source says against the server's own lists: what is missing, what is doubled.

    1. every record with a first id that is expected is listed: the whole table, or one list a first id, whichever is
       fewer pages
    2. pairs not seen, and pairs seen twice, are looked up once more by whatever lists cover them with few calls
       (`coverage`); for the missing ones not before `list_lag_s` have passed, since a list may lag
    3. pairs that are missing still are read by the record ids that the journal has of them, where it has: a record that
       is shown so is there, though lists hide it.  Where lists show no pair of a first or second id, although the
       journal has record ids of several, its pairs are `not_shown` instead of missing: this token may not see them
    4. what both looks agree on is told: `missing` pairs, `doubled` pairs with their record ids, and how many records
       with a first id of the run's belong to pairs that it does not know (`strangers`)

It only reads.  A list that failed or is not whole is made again and never believed (`lists.scan`,
`retry_until_deadline`).  Never more than twice the pages of the whole table in step 1: with L first ids and T pages of
table, L lists are at most L + T pages, and they are chosen only where L < T.  Memory: three bitmaps of pairs, one of
record ids, and the ids of at most `MOST_DOUBLED` pairs.

Others who write meanwhile, and a run at work, are not held off: what they add after the expected pairs were read counts
as strangers, or not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Final

from ..core.dedupe import IdSet, PairSet
from ..listing.coverage import Coverage, FiltersOf, table_pages
from ..listing.lists import Filters, GetPage, scan
from ..listing.retry_until_deadline import RetryUntilDeadline
from ..listing.visibility import perhaps_hidden
from ..net.api import ListPage, Record
from .expected import ExpectedPairs, ObservedPairs

MOST_DOUBLED: Final = 100_000
"""Doubled pairs whose ids are kept, at about 400 bytes each; more are counted."""
RETRY_PAIRS: Final = 1_000
"""Pairs looked up again at a time, from which lists are chosen."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.  `doubled_ids` are the record ids of doubled pairs, ascending; of the first `MOST_DOUBLED`."""

    checked: int
    in_doubt: int
    pending: int
    failed: int
    not_read: int | None
    """Rows of the source that no start has read; None where it is not known how many."""
    strangers: int
    unseen: PairSet
    """Pairs that the first look did not see."""
    found: PairSet
    """Those of them that the second look saw."""
    doubled_ids: dict[tuple[int, int], list[int]]
    doubled_more: int
    """Doubled pairs whose ids are not kept."""
    not_shown: PairSet
    """Pairs that may be there, though neither lists nor reads by id show them."""
    unlisted: int = 0
    """Pairs found by their record ids alone."""

    @property
    def missing(self) -> int:
        return len(self.unseen) - len(self.found) - len(self.not_shown)

    @property
    def doubled(self) -> int:
        return len(self.doubled_ids) + self.doubled_more

    def missing_pairs(self) -> Iterator[tuple[int, int]]:
        return (p for p in self.unseen if p not in self.found and p not in self.not_shown)


class Verification:
    """One check of what is expected.  `calls` and `records`, the different ones listed, tell how far it is."""

    def __init__(
        self,
        expected: ExpectedPairs,
        *,
        get_page: GetPage,
        filters_of: FiltersOf,
        retry: RetryUntilDeadline,
        list_lag_s: float,
        sleep: Callable[[float], Awaitable[None]],
        find_by_ids: Callable[[PairSet], Awaitable[tuple[PairSet, PairSet]]] | None = None,
    ) -> None:
        """`find_by_ids` tells of which pairs a record id is known, and which of them a read by that id shows."""
        self._expected = expected
        self._get_page = get_page
        self._filters_of = filters_of
        self._retry = retry
        self._list_lag_s = list_lag_s
        self._sleep = sleep
        self._find_by_ids = find_by_ids
        self._observed = ObservedPairs(expected)
        self.calls = 0
        self._listed = IdSet()

    @property
    def records(self) -> int:
        return len(self._listed)

    async def run(self) -> Findings:
        """List, look again at what is not as it should be, and return what was found."""
        await self._list_all()
        expected, observed = self._expected, self._observed
        unseen = PairSet(pair for pair in expected.required if pair not in observed.seen)
        if unseen:
            await self._sleep(self._list_lag_s)
        look = SecondLook(unseen, observed.doubled)
        if unseen or observed.doubled:
            await self._look_again(look, chain(unseen, observed.doubled))
        left = PairSet(pair for pair in unseen if pair not in look.found)
        known, unlisted = await self._find_by_ids(left) if left and self._find_by_ids else (PairSet(), PairSet())
        for pair in unlisted:
            look.found.add(pair)
        return Findings(
            checked=len(expected.required),
            in_doubt=expected.doubts,
            pending=expected.pending,
            failed=expected.failed,
            not_read=expected.not_read,
            strangers=observed.strangers,
            unseen=unseen,
            found=look.found,
            doubled_ids={pair: sorted(ids) for pair, ids in look.ids.items() if len(ids) > 1},
            doubled_more=len(look.more),
            not_shown=perhaps_hidden(expected.required, left, known, unlisted),
            unlisted=len(unlisted),
        )

    async def _page(self, filters: Filters, number: int) -> ListPage:
        page = await self._retry(partial(self._get_page, filters, number))  # one that fails costs no other page
        self.calls += 1
        self._listed.add_all([record_id for record_id, _ in page.records])
        return page

    async def _list_all(self) -> None:
        """List all records with a first id that is expected."""
        first_ids = self._expected.first_ids
        if len(first_ids) > 1:
            page = await self._page({}, 1)
            if table_pages(page) <= len(first_ids):
                await self._retry(self._list_table)
                return
        for first in first_ids:
            await self._retry(partial(self._list_one, first))

    async def _list_table(self) -> None:
        self._observed.begin_table()
        await scan(self._page, {}, take=self._observed.take_table)

    async def _list_one(self, first: int) -> None:
        self._observed.begin_list(first)
        await scan(self._page, self._filters_of(first, None), take=self._observed.take_list)
        self._observed.end_list()

    async def _look_again(self, look: SecondLook, pairs: Iterator[tuple[int, int]]) -> None:
        coverage = Coverage(self._page, self._filters_of, take=look.take, retry=self._retry)
        await coverage.begin()
        while some := list(islice(pairs, RETRY_PAIRS)):
            await coverage.cover(some)


class SecondLook:
    """What the second look saw: which pairs are there after all, and the ids of those that seemed doubled."""

    def __init__(self, unseen: PairSet, doubled: PairSet, *, most: int = MOST_DOUBLED) -> None:
        self._most = most
        self._unseen = unseen
        self._doubled = doubled
        self.found = PairSet()
        self.ids: dict[tuple[int, int], set[int]] = {}
        self.more = PairSet()

    def take(self, records: list[Record]) -> None:
        """Take records, some of them perhaps more than once."""
        for record_id, pair in records:
            if pair in self._unseen:
                self.found.add(pair)
            elif pair not in self._doubled:
                continue
            ids = self.ids.get(pair)
            if ids is not None:
                ids.add(record_id)
            elif len(self.ids) < self._most:
                self.ids[pair] = {record_id}
            elif pair in self._doubled:
                self.more.add(pair)
