"""Finds the pairs that are on the server already.  A list call brings up to 1,000 records; a write brings only one.

`find` makes sure that a list covers each given pair (`coverage` chooses the lists), and returns the pairs that exist.
The result is kept in bitmaps (`PairSet`), and the record ids of the first `MOST_IDS` pairs as well, so that an
`existing` outcome can name its record.  Others may add records meanwhile.  So every `FRESHEN_S` the newest records are
listed, down to the newest known one.

A list tells nothing by what it does not show until it is known to be whole.  But each record that any page shows is
there, so a page counts also where its scan passes over it or is given up.

The first pair that lists show with two records is told: somebody has doubled it.

A failed list is repeated with growing pauses for `give_up_after_s`; then the run stops.  It never counts as "nothing
there" (`retry_until_deadline`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from ..clocks import Clocks
from ..core.dedupe import PairSet
from ..entities import Entity
from ..events import Event, LookFailed, Note
from ..net.api import NOBODY, ListPage, Record
from ..settings import Settings
from .coverage import Coverage
from .lists import Filters, GetPage
from .retry_until_deadline import CallFailed, RetryUntilDeadline, needs_list

MOST_IDS: Final = 200_000
FRESHEN_S: Final = 3_600.0


class Existing:
    """Tells an intake and any number of single writes which pairs are on the server."""

    def __init__(
        self,
        get_page: GetPage,
        entity: Entity,
        settings: Settings,
        *,
        clocks: Clocks,
        tell: Callable[[Event], None],
        rng: random.Random,
    ) -> None:
        def tell_failed(failure: CallFailed, pause_s: float) -> None:
            tell(LookFailed(failure.reason, pause_s))

        self._retry = RetryUntilDeadline(
            settings,
            clocks=clocks,
            tell=tell_failed,
            rng=rng,
            hint=needs_list(entity.list_role),
            way_out="or, only if surely none of the pairs is there, use --existing skip",
        )
        self._get_page, self._entity, self._tell = get_page, entity, tell
        self._has_told = False
        self._coverage = Coverage(self._page, entity.filters, retry=self._retry)
        self._clock = clocks.clock
        self._found = PairSet()
        self._ids: dict[tuple[int, int], int] = {}
        self._fresh_at: float | None = None
        self._top: int | None = None
        self.listed = 0
        """How many pairs the lists have shown with a record that is older than the first list."""
        self._lock = anyio.Lock()

    @property
    def newest_id(self) -> int:
        """The highest record id seen in a list without filter."""
        return self._coverage.newest_id

    @property
    def calls(self) -> int:
        """List calls made."""
        return self._coverage.calls

    @property
    def trouble(self) -> str:
        """Why the last list call failed, or empty."""
        return self._retry.trouble

    @property
    def troubled_at(self) -> float:
        """When that trouble began."""
        return self._retry.troubled_at

    async def find(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """The pairs among `pairs` that are on the server, each with its record id or 0.  Waits for list calls and their
        quotas.
        """
        if not self._is_known(pairs):
            async with self._lock:  # one caller reads the lists for all
                await self._learn(pairs)
        found = self._found
        return {pair: self._ids.get(pair, 0) for pair in pairs if pair in found}

    def at_hand(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int] | None:
        """What `find` would return, where that takes no call; else None."""
        if not self._is_known(pairs):
            return None
        found = self._found
        return {pair: self._ids.get(pair, 0) for pair in pairs if pair in found}

    def _is_known(self, pairs: Sequence[tuple[int, int]]) -> bool:
        is_fresh = self._fresh_at is not None and self._clock() - self._fresh_at <= FRESHEN_S
        return not pairs or (is_fresh and self._coverage.has_covered(pairs))

    async def _learn(self, pairs: Sequence[tuple[int, int]]) -> None:
        if self._fresh_at is None:
            await self._coverage.begin()
            self._top = self._coverage.newest_id
            self._fresh_at = self._clock()
        elif self._clock() - self._fresh_at > FRESHEN_S:
            await self._coverage.freshen()
            self._fresh_at = self._clock()
        await self._coverage.cover(pairs)

    async def _page(self, filters: Filters, number: int) -> ListPage:
        """A page, whose records are there whatever becomes of the scan that it belongs to."""
        page = await self._get_page(filters, number)
        self._take(page.records)
        return page

    def remember(self, records: list[Record]) -> None:
        """These pairs are on the server, whatever lists show."""
        for record_id, pair in records:
            self._found.add(pair)
            if len(self._ids) < MOST_IDS:
                self._ids.setdefault(pair, record_id)

    def _take(self, records: list[Record]) -> None:
        for record_id, pair in records:
            if self._found.add(pair) and (self._top is None or record_id <= self._top):
                self.listed += 1
            has_room = len(self._ids) < MOST_IDS
            known = self._ids.setdefault(pair, record_id) if has_room else self._ids.get(pair, record_id)
            if known != record_id and known and NOBODY not in pair and not self._has_told:
                self._has_told = True
                named, ids = self._entity.describe(pair), f"ids {known} and {record_id}"
                self._tell(
                    Note(f"{named} is listed more than once ({ids}), and others may be: verify lists all such pairs")
                )
