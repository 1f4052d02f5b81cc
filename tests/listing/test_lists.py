"""Scans: what returns normally has missed nothing that was there all the time, whatever others do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from bulkwriter.listing.lists import (
    PAGE_TRIES,
    STEPS_BACK,
    Filters,
    ListFailed,
    is_newest_first,
    scan,
    top_page,
)
from bulkwriter.net.api import ListPage, Record

from ..sim.loop import run_virtual


def page_of(records: list[Record], page_size: int, total: int, *, has_next: bool) -> ListPage:
    """One page as the API tells it; nobody here looks at its number."""
    return ListPage(records, 1, page_size, total, has_next)


@dataclass
class Table:
    """A list of records that changes between two calls: `steps[i]` happens before call i."""

    ids: list[int]
    size: int
    steps: Sequence[Callable[[Table], None]] = ()
    is_ascending: bool = False
    calls: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.always = set(self.ids)
        self.top = max(self.ids, default=0)

    def insert(self, count: int) -> None:
        self.ids += range(self.top + 1, self.top + 1 + count)
        self.top += count

    def delete(self, at: int) -> None:
        """The record at a place of the list, from the top."""
        if self.ids:
            gone = sorted(self.ids, reverse=True)[at % len(self.ids)]
            self.ids.remove(gone)
            self.always.discard(gone)

    async def get(self, filters: Filters, number: int) -> ListPage:
        if len(self.calls) < len(self.steps):
            self.steps[len(self.calls)](self)
        self.calls.append(number)
        await asyncio.sleep(0)
        ids = sorted(self.ids, reverse=not self.is_ascending)
        first = (number - 1) * self.size
        page = [(i, (i, i)) for i in ids[first : first + self.size]]
        return page_of(page, self.size, len(ids), has_next=first + self.size < len(ids))


def scanned(table: Table, *, down_to: int | None = None) -> tuple[int, list[int]]:
    """The newest id and all ids that a scan gives."""
    seen: list[int] = []

    def take(records: list[Record]) -> None:
        seen.extend(record_id for record_id, _ in records)

    async def main() -> int:
        return await scan(table.get, {}, take=take, down_to=down_to)

    return run_virtual(main), seen


def test_an_empty_list() -> None:
    assert scanned(Table([], 10)) == (0, [])


def test_pages_are_read_newest_first_and_each_record_once() -> None:
    table = Table(list(range(1, 26)), 10)
    assert scanned(table) == (25, list(range(25, 0, -1)))
    assert table.calls == [1, 2, 3]


def test_a_scan_down_to_an_id_stops_at_the_page_that_holds_it() -> None:
    table = Table(list(range(1, 101)), 10)
    newest, seen = scanned(table, down_to=85)
    assert newest == 100
    assert seen == list(range(100, 80, -1))
    assert table.calls == [1, 2]


def test_inserts_meanwhile_make_pages_overlap_and_cost_nothing() -> None:
    table = Table(list(range(1, 26)), 10, [lambda t: None, lambda t: t.insert(3), lambda t: t.insert(3)])
    newest, seen = scanned(table)
    assert newest == 25  # newer ones came after it began
    assert set(seen) >= set(range(1, 26))


def test_a_delete_meanwhile_makes_it_go_back_a_page() -> None:
    table = Table(list(range(1, 31)), 10, [lambda t: None, lambda t: t.delete(0)])
    _, seen = scanned(table)
    assert set(seen) >= table.always
    assert table.calls[:3] == [1, 2, 1]


def test_as_many_inserts_as_deletes_cannot_hide_a_record() -> None:
    def swap(table: Table) -> None:
        table.delete(3)
        table.insert(1)

    table = Table(list(range(1, 31)), 10, [lambda t: None, swap, swap])
    assert set(scanned(table)[1]) >= table.always


def test_who_deletes_faster_than_we_read_makes_it_fail() -> None:
    def shrink(table: Table) -> None:
        for _ in range(12):
            table.delete(0)

    table = Table(list(range(1, 5_000)), 10, [lambda t: None, *[shrink] * 400])
    with pytest.raises(ListFailed, match="faster than it can be read"):
        scanned(table)
    assert len(table.calls) <= 2 * STEPS_BACK + 60


@pytest.mark.parametrize("is_last", [False, True])
def test_a_page_that_lacks_a_record_is_asked_for_again(is_last: bool) -> None:
    table = Table(list(range(1, 26)), 10)
    real, flawed = table.get, [3 if is_last else 2]

    async def get(filters: Filters, number: int) -> ListPage:
        page = await real(filters, number)
        if number in flawed:
            flawed.remove(number)
            del page.records[1]
        return page

    table.get = get  # type: ignore[method-assign]
    assert scanned(table) == (25, list(range(25, 0, -1)))
    assert len(table.calls) == 4


@pytest.mark.parametrize("short", [1, 2, 3])
def test_a_page_that_stays_short_fails_the_scan_though_the_total_fell(short: int) -> None:
    """A record that others deleted must not stand for one that the page lacks."""
    table = Table(list(range(1, 26)), 10, [lambda t: None, lambda t: t.delete(20)])
    real = table.get

    async def get(filters: Filters, number: int) -> ListPage:
        page = await real(filters, number)
        if number == short:
            del page.records[1]
        return page

    table.get = get  # type: ignore[method-assign]
    with pytest.raises(ListFailed):
        scanned(table)


@pytest.mark.parametrize(
    "page",
    [
        page_of([], 10, 5, has_next=False),
        page_of([], 10, 50, has_next=True),
        page_of([(2, (1, 1)), (2, (1, 2))], 10, 2, has_next=False),
        page_of([(3, (1, 1)), (5, (1, 2)), (4, (1, 3))], 10, 4, has_next=False),
        page_of([(3, (1, 1)), (2, (1, 2))], 10, 12, has_next=False),
    ],
)
def test_a_list_that_contradicts_itself_is_not_believed(page: ListPage) -> None:
    calls = 0

    async def get(filters: Filters, number: int) -> ListPage:
        nonlocal calls
        calls += 1
        return page

    async def main() -> None:
        with pytest.raises(ListFailed):
            await scan(get, {}, take=lambda records: None)

    run_virtual(main)
    assert calls <= PAGE_TRIES


def test_a_failure_is_tried_again_but_not_one_that_asks_to_wait_or_forbids() -> None:
    for failure, tries in (
        (ListFailed("lost"), PAGE_TRIES),
        (ListFailed("later", retry_after_s=5.0), 1),
        (ListFailed("no role", is_forbidden=True), 1),
    ):
        calls = 0

        async def get(filters: Filters, number: int, failure: ListFailed = failure) -> ListPage:
            nonlocal calls
            calls += 1
            raise failure

        async def main(failure: ListFailed = failure) -> None:
            with pytest.raises(ListFailed) as raised:
                await scan(get, {}, take=lambda records: None)
            assert raised.value.reason == failure.reason

        run_virtual(main)
        assert calls == tries, failure


def test_a_list_in_another_order_is_read_to_its_end_and_once_more() -> None:
    table = Table(list(range(1, 26)), 10, is_ascending=True)
    newest, seen = scanned(table, down_to=20)
    assert newest == 25
    assert sorted(seen) == sorted([*range(1, 26), *range(1, 26)])


def test_a_list_in_no_order_is_believed_too_when_all_of_it_came() -> None:
    ids = [5, 9, 1, 8, 3, 7, 2]

    async def get(filters: Filters, number: int) -> ListPage:
        page = [(i, (i, i)) for i in ids[(number - 1) * 3 : number * 3]]
        return page_of(page, 3, len(ids), has_next=number < 3)

    async def main() -> int:
        return await scan(get, {}, take=lambda records: None)

    assert run_virtual(main) == 9
    ids[0] = 8  # twice on the second page's and the first page's behalf, and one is missing
    with pytest.raises(ListFailed, match="its pages hold 6"):
        run_virtual(main)


def test_a_delete_and_an_insert_that_keep_the_total_hide_nothing_in_another_order() -> None:
    """Found by the property below: the list was [1 2][3 4][5], then [1 2][3 5][6]; record 4 was not seen."""

    def swap(table: Table) -> None:
        table.delete(len(table.ids) - 1)
        table.insert(1)

    table = Table(list(range(1, 6)), 2, [lambda t: None, lambda t: None, swap], is_ascending=True)
    with pytest.raises(ListFailed, match="changed while it was read"):
        scanned(table)


def test_the_top_page_is_whole_or_fails() -> None:
    table = Table([3, 2, 1], 10)
    page = run_virtual(lambda: top_page(table.get))
    assert is_newest_first(page)
    assert [record_id for record_id, _ in page.records] == [3, 2, 1]
    assert not is_newest_first(run_virtual(lambda: top_page(Table([1, 2, 3], 2, is_ascending=True).get)))

    async def empty(filters: Filters, number: int) -> ListPage:
        return page_of([], 10, 3, has_next=False)

    with pytest.raises(ListFailed, match="too few"):
        run_virtual(lambda: top_page(empty))
