"""The list calls of a look: what they show of the pairs of a batch of doubts.

    newest   the newest records, down to the lowest floor of the batch: a thousand records a call
    each     the list of each pair by both its ids

A list that fails ends the reading; what was seen before still counts, and so do the pairs whose lists were whole by
then.  A list below its witness (`witnesses`) is an old one, and says of nothing that it is absent: the newest records
show that by themselves, and before pairs are looked up one by one the top of the list is read.

Not here: when it is time to look, and what follows from what was seen (`looks`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from ..clocks import Clocks
from ..core.doubts import Doubt
from ..net.api import NOBODY, ListPage, Record
from .lister import StaleList
from .lists import Filters, GetPage, ListFailed, Outrun, is_newest_first, scan, top_page

STRAY_S: Final = 0.05
"""How long a look waits for a stray reply before it is believed: a connection out of step has one reply too many, which
comes last.  Replies do not name their request, so a list of another pair could pass for this one's."""

Seen = dict[tuple[int, int], int]
"""Record id by pair, of the pairs that a look found."""


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
    ) -> None:
        self._get_page = get_page
        self._filters_of = filters_of
        self._shifts = shifts
        self._clock, self._sleep = clocks.clock, clocks.sleep

    async def newest(self, batch: list[Doubt], witness: int) -> Looked:
        """Read the newest records.  Raises `ListFailed` where nothing of it is to be believed."""
        return await self._in_step(self._newest(batch, witness))

    async def each(self, batch: list[Doubt], witness: int) -> Looked:
        """Look up one by one.  With a `witness` of 0 the age of lists is not checked.  Raises as `newest` does."""
        return await self._in_step(self._each(batch, witness))

    async def _in_step(self, looking: Awaitable[Looked]) -> Looked:
        shifts = self._shifts()
        looked = await looking
        if looked.whole or looked.seen:
            await self._sleep(STRAY_S)
            if self._shifts() != shifts:
                raise ListFailed("a connection for list calls answered out of step")
        return looked

    async def _newest(self, batch: list[Doubt], witness: int) -> Looked:
        wanted = {doubt.intent.pair: doubt.intent.floor or 0 for doubt in batch}
        seen: Seen = {}
        orphans: set[Record] = set()

        def take(records: list[Record]) -> None:
            for record_id, pair in records:
                if pair in wanted and record_id > wanted[pair]:
                    seen[pair] = min(record_id, seen.get(pair, record_id))
                elif NOBODY in pair:
                    orphans.add((record_id, pair))

        try:
            newest = await scan(self._showing(take), {}, down_to=min(wanted.values()), sleep=self._sleep)
            if len(seen) < len(wanted):
                check_witness(newest, witness)
                if any(may_be(orphans, pair, floor) for pair, floor in wanted.items() if pair not in seen):
                    raise Outrun("a record of the list names no pair")
        except ListFailed as failure:
            return Looked(seen, 0, self._clock(), failure)
        return Looked(seen, len(batch), self._clock())

    async def _each(self, batch: list[Doubt], witness: int) -> Looked:
        seen: Seen = {}
        count = 0
        try:
            if witness:
                await self._check_top(witness)
            for doubt in batch:
                record_id = await self._one(doubt.intent.pair, doubt.intent.floor or 0)
                if record_id:
                    seen[doubt.intent.pair] = record_id
                count += 1
        except ListFailed as failure:
            return Looked(seen, count, self._clock(), failure)
        return Looked(seen, len(batch), self._clock())

    async def _check_top(self, witness: int) -> None:
        page = await top_page(self._get_page, self._sleep)
        if is_newest_first(page):
            check_witness(page.records[0][0] if page.records else 0, witness)

    async def _one(self, pair: tuple[int, int], floor: int) -> int | None:
        """The id of the pair's first record above the floor, or of any, or None."""
        ids: list[int] = []
        orphans: set[Record] = set()

        def take(records: list[Record]) -> None:
            ids.extend(record_id for record_id, its_pair in records if its_pair == pair)
            orphans.update(record for record in records if NOBODY in record[1])

        try:
            await scan(self._showing(take), self._filters_of(pair), sleep=self._sleep)
        except StaleList:
            if not ids:
                raise
        if not ids and may_be(orphans, pair, floor):
            raise ListFailed("the list of a pair shows a record that names no pair")
        return min([i for i in ids if i > floor] or ids, default=None)

    def _showing(self, take: Callable[[list[Record]], None]) -> GetPage:
        """A `GetPage` that takes what each page shows.

        A record that is shown is there, also where its page is too old to tell what is not, or is passed over.
        """

        async def get_page(filters: Filters, number: int) -> ListPage:
            try:
                page = await self._get_page(filters, number)
            except StaleList as stale:
                take(stale.page.records)
                raise
            take(page.records)
            return page

        return get_page


def may_be(orphans: Iterable[Record], pair: tuple[int, int], floor: int) -> bool:
    """Whether one of these records, each of which lacks an id, may be of this pair: then a look knows nothing of it."""
    return any(
        record_id > floor and all(known in (NOBODY, wanted) for known, wanted in zip(ids, pair, strict=True))
        for record_id, ids in orphans
    )


def check_witness(newest: int, witness: int) -> None:
    """Raise where a list whose newest record is `newest` is too old to say of anything that it is absent."""
    if newest < witness:
        raise ListFailed(f"the list ends at record {newest}, and record {witness} was made before: it is an old one")
