"""List calls that can be believed: one page, or a scan of many pages that knows when it has missed nothing.

`scan` reads newest first, by falling record id.  Meanwhile others may change the table.  Their inserts push records to
later pages, so pages overlap.  Their deletes pull records to earlier pages, so some would be missed.  Nothing was
missed between two pages in two cases:

- The pages overlap.
- `TotalItems` did not change.  Without an overlap the shift was not forward.  With as many inserts (all at the top) as
  deletes it was not backward.

Otherwise the scan goes back a page at a time until pages overlap again.  At the end it compares the number of different
ids with the total of the first page, less the falls of the total that were seen.  Later inserts are newer than the
first page, so they do not count.

A server may not sort newest first.  Its list is read to the end twice, and believed only if both gave the same ids.

Only new ids count as progress, so that no list is read without end.  A scan ends as failed after the same page again
and again, after many pages without an older record, and after far more records than the list announced.

A record that a scan has seen exists.  A record that it has not seen counts as absent only after `scan` has returned.
Any other ending is a `ListFailed`, which settles nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import anyio

from ..net.api import ListPage, Record
from .retry_until_deadline import CallFailed

PAGE_SIZE: Final = 1_000
"""Records asked for in one page: the API's maximum by its older documentation.  A server with a lower cap is
noticed.
"""
PAGE_TRIES: Final = 4
PAGE_PAUSE_S: Final = 0.1
"""A page that fails or is flawed is asked for again after 0.1, 0.2 and 0.3 s, then the scan fails."""
STEPS_BACK: Final = 50
STEPS_BACK_IN_A_ROW: Final = 5
"""So many steps back without anything new end a scan: others delete faster than we read, or each total differs."""
SAME_PAGES: Final = 2
"""So many repeated pages in a row show that the server ignores the page number.  One may occur if others add exactly a
page while we read one.
"""
IDLE_PAGES: Final = 20
"""So many pages in a row without an older record end a scan: others add more than a page while we read one."""
SURPLUS_PAGES: Final = 10
"""A list may bring twice as much as it announced, and so many pages more, since records may become visible late."""

UNSORTED_PAGES: Final = 1_000
"""An unsorted list is read twice from end to end; a million records are the most that this is done for."""
UNSORTED: Final = "the list changed while it was read, and is not sorted newest first"

Filters = Mapping[str, str]


class ListFailed(CallFailed):
    """A list call or scan that must not be believed."""


class Outrun(ListFailed):
    """Records come faster than the list can be read."""


GetPage = Callable[[Filters, int], Awaitable[ListPage]]
"""(filters, page from 1) -> that page, newest first; raises `ListFailed`."""
Sleep = Callable[[float], Awaitable[None]]


def take_none(records: list[Record]) -> None:
    """A `take` for callers whose own `get_page` has seen the records already."""


async def scan(
    get_page: GetPage,
    filters: Filters,
    *,
    take: Callable[[list[Record]], None] = take_none,
    down_to: int | None = None,
    sleep: Sleep = anyio.sleep,
) -> int:
    """Give all matching records to `take`, newest first, down to the first page with an id ≤ `down_to` (None: to the
    end).

    Returns the newest id seen, or 0.  Raises `ListFailed` if anything can have been missed.  The records that `take`
    received exist in any case.
    """
    progress = _Progress()
    number, steps_back, in_a_row, must_overlap = 1, 0, 0, False
    while True:
        page = await _good_page(get_page, filters, number, progress, sleep)
        ids = [record_id for record_id, _ in page.records]
        if number == 1 and not is_newest_first(page):
            return await _scan_unsorted(get_page, filters, take)
        if number > 1 and not progress.joins(ids, page.total, must_overlap=must_overlap):
            number, steps_back, in_a_row, must_overlap = number - 1, steps_back + 1, in_a_row + 1, True
            if steps_back > STEPS_BACK or in_a_row > STEPS_BACK_IN_A_ROW:
                raise ListFailed(
                    "records vanish from the list faster than it can be read, or its total is wrong", is_flawed=True
                )
            continue
        must_overlap = False
        fresh = progress.advance(page)
        take(fresh)
        if fresh:
            in_a_row = 0
        elif page.has_next:
            progress.check(number, is_again=in_a_row > 0)
        if down_to is not None and progress.low is not None and progress.low <= down_to:
            return progress.newest
        if not page.has_next:
            return progress.newest
        number += 1


async def top_page(get_page: GetPage, sleep: Sleep = anyio.sleep) -> ListPage:
    """The first page of all records, whole.  Raises `ListFailed`."""
    return await _good_page(get_page, {}, 1, _Progress(), sleep)


def is_newest_first(page: ListPage) -> bool:
    """Whether a list with this first page may be sorted by falling id.  Some servers may ignore the order asked for."""
    ids = [record_id for record_id, _ in page.records]
    return ids == sorted(ids, reverse=True)


async def _good_page(get_page: GetPage, filters: Filters, number: int, progress: _Progress, sleep: Sleep) -> ListPage:
    """The page, asked for again if it fails or is flawed, so that one bad page does not restart a long scan."""
    for attempt in range(PAGE_TRIES):
        if attempt:
            await sleep(PAGE_PAUSE_S * attempt)
        try:
            page = await get_page(filters, number)
        except ListFailed as failure:
            if failure.is_forbidden or failure.is_odd or failure.retry_after_s is not None:
                raise
            last = failure
        else:
            flaw = progress.flaw(page, number)
            if not flaw:
                return page
            last = ListFailed(flaw, is_flawed=True)
    raise last


@dataclass(slots=True)
class _Progress:
    """What a scan has seen so far.  `low` is the lowest id down to which nothing was missed."""

    seen: int = 0
    newest: int = 0
    low: int | None = None
    first_total: int | None = None
    total: int = 0
    lost: int = 0  # the sum of all falls of the total from page to page
    last: frozenset[int] = frozenset()  # ids of the page before
    same: int = 0  # pages in a row that repeated the one before
    idle: int = 0  # pages in a row without a lower id

    def flaw(self, page: ListPage, number: int) -> str:
        """The sign that this page lacks records, or empty."""
        ids = [record_id for record_id, _ in page.records]
        if len(set(ids)) < len(ids):
            return "the list has a record twice"
        if len(ids) > page.total:
            return (
                f"page {number} of the list holds {len(ids)} records, more than the {page.total} that are there in all"
            )
        if number > 1 and not is_newest_first(page):  # a first page in another order is for `_scan_unsorted` to judge
            return "the list is not sorted by Id throughout"
        if self.seen > 2 * (self.first_total or page.total) + SURPLUS_PAGES * max(1, page.page_size):
            return f"the list said {self.first_total} records, and has brought {self.seen} without an end"
        if len(ids) < min(page.page_size, page.total - (number - 1) * page.page_size):
            return f"page {number} of the list holds {len(ids)} records, too few for {page.total} in all"
        if page.has_next:
            if len(ids) < page.page_size or not ids:
                return f"page {number} of the list holds {len(ids)} records instead of {page.page_size}"
            return ""
        there = page.total if self.first_total is None else self.first_total
        lost = self.lost + max(0, self.total - page.total)
        seen = self.seen + sum(self.low is None or i < self.low for i in ids)
        if seen + lost < there:
            return f"the list says {there} records, but its pages hold {seen}"
        return ""

    def joins(self, ids: list[int], total: int, *, must_overlap: bool) -> bool:
        """Whether nothing can have been missed between the earlier pages and this one."""
        overlaps = bool(ids) and self.low is not None and ids[0] >= self.low
        return overlaps or (not must_overlap and total == self.total)

    def advance(self, page: ListPage) -> list[Record]:
        """Note the page.  Returns its records that are older than all before."""
        low, ids = self.low, frozenset(record_id for record_id, _ in page.records)
        fresh = page.records if low is None else [record for record in page.records if record[0] < low]
        self.seen += len(fresh)
        if fresh:
            self.low = fresh[-1][0]
            self.newest = self.newest or fresh[0][0]
        if self.first_total is None:
            self.first_total = page.total
        else:
            self.lost += max(0, self.total - page.total)
        self.total = page.total
        self.same = self.same + 1 if ids <= self.last else 0
        self.idle = 0 if fresh else self.idle + 1
        self.last = ids
        return fresh

    def check(self, number: int, *, is_again: bool) -> None:
        """Page `number` brought nothing older.  Raise if too many pages before it did not either.

        `is_again`: the scan went back a page, so a page may repeat.
        """
        if self.same >= SAME_PAGES and not is_again:
            raise ListFailed(f"page {number} of the list brings no record that was not there before", is_odd=True)
        if self.idle >= IDLE_PAGES:
            raise Outrun("records come faster than the list can be read", is_flawed=True)


async def _scan_unsorted(get_page: GetPage, filters: Filters, take: Callable[[list[Record]], None]) -> int:
    """Read every page of an unsorted list twice.  Believe it only if both passes gave the same ids.

    One pass would not do.  A deletion from a page already read pulls an unread record over the edge between two pages,
    and an insert keeps the total.  But the deleted record is missing in the second pass.
    """
    ids = await _read_all(get_page, filters, take)
    if ids != await _read_all(get_page, filters, take):
        raise ListFailed(UNSORTED, is_flawed=True)
    return max(ids, default=0)


async def _read_all(get_page: GetPage, filters: Filters, take: Callable[[list[Record]], None]) -> set[int]:
    ids: set[int] = set()
    number, total = 0, None
    while True:
        number += 1
        page = await get_page(filters, number)
        take(page.records)
        if page.total > UNSORTED_PAGES * max(1, page.page_size):
            raise ListFailed(f"the list says {page.total:,} records, and is not sorted by Id", is_odd=True)
        before = len(ids)
        ids.update(record_id for record_id, _ in page.records)
        total = page.total if total is None else total
        if page.total != total:
            raise ListFailed(UNSORTED, is_flawed=True)
        if not page.has_next or len(ids) > total:
            break
        if len(ids) == before:
            raise ListFailed(f"page {number} of the list brings no record that was not there before", is_odd=True)
    if len(ids) != total:
        raise ListFailed(f"the list says {total} records, but its pages hold {len(ids)}", is_flawed=True)
    return ids
