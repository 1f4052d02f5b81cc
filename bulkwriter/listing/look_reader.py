"""The list calls of a look: what they show of the pairs of a batch of doubts.

    newest   the newest records, down to the lowest floor of the batch: a thousand records a call
    each     the list of each pair by both its ids

A list that fails ends the reading; what was seen before still counts, and so do the pairs whose lists were whole by
then.  A list below its witness (`witnesses`) is an old one, and says of nothing that it is absent: the newest records
show that by themselves, and before pairs are looked up one by one the top of the list is read.

A list may also hide records (`visibility`).  Where it may be said of pairs that they are absent, the records that the
run made near them (`own`) must be in the lists.  The newest records and the top of the list show that without a further
call.  A pair that has a list of its own, and whose ids the top does not show, costs a list for one record of each id.

Not here: when it is time to look, and what follows from what was seen (`looks`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ..clocks import Clocks
from ..core.doubts import Doubt
from ..net.api import NOBODY, ListedRecord, ListPage, Record
from .lister import StaleList
from .lists import Filters, GetPage, ListFailed, Outrun, is_newest_first, scan, top_page
from .visibility import Hidden, Visibility, wanted_of

STRAY_S: Final = 0.05
"""How long a look waits for a stray reply before it is believed: a connection out of step has one reply too many, which
comes last.  Replies do not name their request, so a list of another pair could pass for this one's."""

WITNESSES_PER_ID: Final = 2
"""Records of a first or second id that are listed before it counts as not shown: one may have been deleted."""

Own = Mapping[int, tuple[int, int]]
"""Records of the run, by id, that lists had to show before the look began."""
Seen = dict[tuple[int, int], ListedRecord]
"""The record of each pair that a look found."""


class Looked(NamedTuple):
    """What was seen, of how many doubts of the batch everything was, when that was, and the failure that ended it."""

    seen: Seen
    whole: int
    ended_at: float
    failure: ListFailed | None = None


class LookReader:
    """Reads lists for looks.  `shifts` tells how many connections for list calls have answered out of step."""

    def __init__(
        self,
        *,
        get_page: GetPage,
        filters_of: Callable[[tuple[int, int]], Filters],
        shifts: Callable[[], int],
        clocks: Clocks,
        visibility: Visibility,
    ) -> None:
        self._get_page = get_page
        self._visibility = visibility
        self._filters_of = filters_of
        self._shifts = shifts
        self._clock, self._sleep = clocks.clock, clocks.sleep

    async def newest(self, batch: list[Doubt], witness: int, own: Own) -> Looked:
        """Read the newest records.  Raises `ListFailed` where nothing of it is to be believed."""
        return await self._in_step(self._newest(batch, witness, own))

    async def each(self, batch: list[Doubt], witness: int, own: Own) -> Looked:
        """Look up one by one.  With a `witness` of 0 the age of lists is not checked.  Raises as `newest` does."""
        return await self._in_step(self._each(batch, witness, own))

    async def _in_step(self, looking: Awaitable[Looked]) -> Looked:
        shifts = self._shifts()
        looked = await looking
        if looked.whole or looked.seen:
            await self._sleep(STRAY_S)
            if self._shifts() != shifts:
                raise ListFailed("a connection for list calls answered out of step")
        return looked

    async def _newest(self, batch: list[Doubt], witness: int, own: Own) -> Looked:
        wanted = {doubt.intent.pair: doubt.intent.floor or 0 for doubt in batch}
        floor, ids = min(wanted.values()), wanted_of(list(wanted))
        unseen = {record_id: pair for record_id, pair in own.items() if record_id > floor}
        seen: Seen = {}
        orphans: set[Record] = set()

        def take(page: ListPage) -> None:
            self._visibility.note_shown(page.records, ids)
            for record in listed(page):
                record_id, pair, _ = record
                unseen.pop(record_id, None)
                if pair in wanted and record_id > wanted[pair]:
                    seen[pair] = min(record, seen.get(pair, record), key=record_id_of)
                elif NOBODY in pair:
                    orphans.add((record_id, pair))

        try:
            newest = await scan(self._showing(take), {}, down_to=floor, sleep=self._sleep)
            if len(seen) < len(wanted):
                self._check(newest, witness, unseen)
                if any(may_be(orphans, pair, floor) for pair, floor in wanted.items() if pair not in seen):
                    raise Outrun("a record of the list names no pair")
        except ListFailed as failure:
            return Looked(seen, 0, self._clock(), failure)
        return Looked(seen, len(batch), self._clock())

    async def _each(self, batch: list[Doubt], witness: int, own: Own) -> Looked:
        seen: Seen = {}
        count = 0
        try:
            if witness or own:
                await self._check_top(batch, witness, own)
            for doubt in batch:
                record = await self._one(doubt)
                if record:
                    seen[doubt.intent.pair] = record
                elif own and doubt.absent_at is not None:
                    await self._see(doubt.intent.pair, own)
                count += 1
        except ListFailed as failure:
            return Looked(seen, count, self._clock(), failure)
        return Looked(seen, len(batch), self._clock())

    async def _check_top(self, batch: list[Doubt], witness: int, own: Own) -> None:
        page = await top_page(self._get_page, self._sleep)
        is_sorted = is_newest_first(page)
        self._visibility.note_shown(page.records, wanted_of([doubt.intent.pair for doubt in batch]))
        if is_sorted or not page.has_next:
            lowest = page.records[-1][0] if page.has_next else 0
            shown = {record_id for record_id, _ in page.records}
            newest = max(shown, default=0) if is_sorted else witness
            self._check(newest, witness, {i: pair for i, pair in own.items() if i >= lowest and i not in shown})

    def _check(self, newest: int, witness: int, unseen: Own) -> None:
        """A list whose newest record is `newest` lacks these records of the run.  Raise where it is too old to say of
        anything that it is absent.

        An old list, too, shows what is older than its newest record, or hides it.
        """
        is_old = newest < witness
        self._visibility.note_hidden((i, pair) for i, pair in unseen.items() if i <= newest or not is_old)
        if is_old and self._visibility.hides:
            raise self._visibility.failure()
        check_witness(newest, witness)

    async def _see(self, pair: tuple[int, int], own: Own) -> None:
        """Find out whether lists show the first and the second id of a pair that they do not show, by what the run
        made.
        """
        for axis in (0, 1):
            witnesses = [(i, its_pair) for i, its_pair in own.items() if its_pair[axis] == pair[axis]]
            for record_id, its_pair in witnesses[:WITNESSES_PER_ID]:
                if self._visibility.is_seen(axis, pair[axis]):
                    break
                pages: list[ListPage] = []
                await scan(self._showing(pages.append), self._filters_of(its_pair), sleep=self._sleep)
                shown = [record for page in pages for record in page.records]
                self._visibility.note_shown(shown, wanted_of([pair]))
                if record_id not in {i for i, _ in shown}:
                    self._visibility.note_hidden([(record_id, its_pair)])

    async def _one(self, doubt: Doubt) -> ListedRecord | None:
        """The pair's record that its reply named, else its first one above the floor, else its first one, or None."""
        pair, floor = doubt.intent.pair, doubt.intent.floor or 0
        own: list[ListedRecord] = []
        orphans: set[Record] = set()

        def take(page: ListPage) -> None:
            own.extend(record for record in listed(page) if record.pair == pair)
            orphans.update(record for record in page.records if NOBODY in record[1])

        try:
            await scan(self._showing(take), self._filters_of(pair), sleep=self._sleep)
        except StaleList:
            if not own:
                raise
        if not own and may_be(orphans, pair, floor):
            raise ListFailed("the list of a pair shows a record that names no pair")
        wanted = [record for record in own if doubt.named and record.record_id == doubt.named.record_id]
        above = [record for record in own if record.record_id > floor]
        return min(wanted or above or own, key=record_id_of, default=None)

    def _showing(self, take: Callable[[ListPage], None]) -> GetPage:
        """A `GetPage` that takes what each page shows.

        A record that is shown is there, also where its page is too old to tell what is not, or is passed over.
        """

        async def get_page(filters: Filters, number: int) -> ListPage:
            try:
                page = await self._get_page(filters, number)
            except StaleList as stale:
                take(stale.page)
                raise
            take(page)
            return page

        return get_page


def listed(page: ListPage) -> Iterator[ListedRecord]:
    """The records of a page with their CreatedOn, where the page has it."""
    dates = page.created_on or [None] * len(page.records)
    return (ListedRecord(*record, date) for record, date in zip(page.records, dates, strict=True))


def record_id_of(record: ListedRecord) -> int:
    return record.record_id


def may_be(orphans: Iterable[Record], pair: tuple[int, int], floor: int) -> bool:
    """Whether one of these records, each of which lacks an id, may be of this pair: then a look knows nothing of it."""
    return any(
        record_id > floor and all(known in (NOBODY, wanted) for known, wanted in zip(ids, pair, strict=True))
        for record_id, ids in orphans
    )


def check_witness(newest: int, witness: int) -> None:
    """Raise where a list whose newest record is `newest` is too old to say of anything that it is absent."""
    if newest < witness:
        raise Hidden(
            f"the list ends at record {newest}, and this run made record {witness} before: it is an old one, or "
            "this token does not see that record",
            least_s=math.inf,  # a later start looks without it
        )
