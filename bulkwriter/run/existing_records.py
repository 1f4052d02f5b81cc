"""What is known of the server's records before pairs are sent: which pairs exist, and the highest record id.

With `--existing check` both come from `listing.existing`.  With `--existing skip` nothing is looked up.  One list call
before the first write still tells the highest id, so that a later look can tell this run's records from older ones.  If
the server does not answer that call, the id of the first created record serves from then on.

The highest id is a *floor*.  If a record of a pair that is sent later has a higher id, this run made it.  If it has a
lower id, it was there before.  This holds where the server gives rising ids; `RecordIds` notices if it does not.

After a lost journal (`--after-loss`), after an undo and where the journal of a run is gone that has just ended, the
first look waits.  By then all that was sent is applied, and lists show it, so the look finds everything and nothing
else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio

from ..clocks import Clocks
from ..core.stats import Stats
from ..events import Event, Note
from ..listing.existing import Existing
from ..listing.lists import ListFailed, is_newest_first, top_page
from ..model import Intent
from ..settings import Settings
from ..store.journal import Journal
from ..store.schema import RISING_IDS
from .baseline_keeper import BaselineKeeper
from .ports import Ports
from .record_ids import RecordIds
from .token import TokenRefresh

NOT_RISING: Final = (
    "the server answers creations with record ids that are not above those it had: its ids do not rise, or these "
    "records were there before; undo leaves alone what nothing shows to be newer than the run"
)


OUTWAITING: Final = "lists may not show yet what was sent before this start"


class KnownRecords:
    """Answers `find` and `floor` for intake and single writes.  It gets a token before its first call goes out."""

    def __init__(
        self,
        ids: RecordIds,
        *,
        existing: Existing | None,
        baseline: BaselineKeeper,
        token_refresh: TokenRefresh,
        stats: Stats,
        not_before: float = -math.inf,
        clocks: Clocks,
        tell: Callable[[Event], None],
    ) -> None:
        self._ids = ids
        self._not_before, self._clocks, self._tell = not_before, clocks, tell
        self._has_told = False
        self._keeps_floors = ids.are_rising
        self._existing = existing
        self._baseline = baseline
        self._token_refresh = token_refresh
        self._stats = stats
        self._lock = anyio.Lock()
        self._watermark: int | None = None
        self._first_listed: int | None = None  # not begun
        self.is_listing = False

    async def find(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """The pairs among `pairs` that are on the server, each with its record id or 0."""
        if not pairs:
            return {}
        await self._outwait_lost()
        await self._token_refresh.begin()
        self.is_listing = True
        try:
            there = await self._existing.find(pairs) if self._existing else {}
        finally:
            self.is_listing = False
        async with self._lock:  # a second caller must wait for the first one's look, or it would have no floor
            if self._first_listed is None:
                await self._begin_floors()
        return there

    def at_hand(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int] | None:
        """What `find` would return, where that takes neither a call nor a wait; else None."""
        if self._first_listed is None or self.outwaits_s(self._clocks.clock()):
            return None
        return self._existing.at_hand(pairs) if self._existing else {}

    def remember(self, records: list[tuple[int, tuple[int, int]]]) -> None:
        """The journal forgets the rows of these records (id, or 0, and pair); `find` will still know them."""
        assert self._existing, "without lists nobody would know them after this process"
        self._existing.remember(records)

    def adopt(self, doubts: Iterable[Intent]) -> None:
        """Take over the floors of an earlier start's doubts, since these may be sent again before anything is looked
        up.

        The lowest floor counts: a lane out of step may have made up a higher one.
        """
        if self._ids.run_floor is None and not self._existing:
            self._ids.begin_at(min((doubt.floor for doubt in doubts if doubt.floor is not None), default=None))

    @property
    def calls(self) -> int:
        """List calls made to find existing records."""
        return self._existing.calls if self._existing else 0

    @property
    def listed(self) -> int:
        """Pairs that lists have shown and that this process did not make."""
        return self._existing.listed if self._existing else 0

    @property
    def trouble(self) -> str:
        """Why the last list call failed, or empty."""
        return self._existing.trouble if self._existing else ""

    @property
    def troubled_at(self) -> float:
        """When that trouble began."""
        return self._existing.troubled_at if self._existing else 0.0

    def floor(self) -> int | None:
        """The highest record id known, or None.  Without a list it is known only where ids rise."""
        known = self._existing.newest_id if self._existing else self._watermark
        newest = self._ids.newest
        if known is None:
            return newest or None if self._ids.are_rising else None
        return max(known, newest)

    @property
    def first_listed(self) -> int:
        """The highest record id on the first list; 0 where ids tell nothing.  What another writer created with a higher
        one may be on no list that was read.
        """
        return (self._first_listed or 0) if self._ids.are_rising else 0

    def outwaits_s(self, now: float) -> float:
        """For how much longer lists may not show what was sent before this start."""
        return max(0.0, self._not_before - now)

    def floors_to_forget(self) -> Callable[[Journal], None] | None:
        """If record ids turn out not to rise: a step for the journal, so that no later start trusts its floors."""
        if self._ids.are_rising or not self._keeps_floors:
            return None
        self._keeps_floors = False
        self._tell(Note(NOT_RISING))
        return forget_floors

    async def _outwait_lost(self) -> None:
        wait_s = self.outwaits_s(self._clocks.clock())
        if not wait_s:
            return
        if not self._has_told:  # many single writes may wait here at once
            self._has_told = True
            self._tell(Note(f"{OUTWAITING}: nothing is looked up or sent for {wait_s:,.0f} s"))
        await self._clocks.sleep(wait_s)

    async def _begin_floors(self) -> None:
        if not self._existing:
            await self._look_at_top()
        floor = self.floor()
        await self._baseline.note(floor)
        self._first_listed = (self._existing.newest_id if self._existing else self._watermark) or 0
        if floor is not None and not self._stats.attempts:  # doubts may have been, while the first lists were read
            self._ids.begin_at(floor)

    async def _look_at_top(self) -> None:
        try:
            page = await top_page(self._baseline.get_page, self._clocks.sleep)
        except ListFailed:
            return
        if is_newest_first(page):
            self._watermark = page.records[0][0] if page.records else 0


def outwait_s(settings: Settings) -> float:
    """How long after its start a run must not look: requests of a lost journal may stay unseen for so long."""
    return settings.late_apply_s + settings.list_lag_s if settings.after_loss else 0.0


def existing_of(
    settings: Settings, ports: Ports, baseline: BaselineKeeper, tell: Callable[[Event], None]
) -> Existing | None:
    """The look-up that `--existing` asks for, or None for `skip`."""
    if settings.existing == "skip":
        return None
    return Existing(
        baseline.get_page,
        ports.entity,
        settings,
        clocks=ports.clocks,
        tell=tell,
        rng=ports.rng,
    )


def forget_floors(journal: Journal) -> None:
    """Note in the journal that floors tell nothing, or the next start would trust the floors of its doubts."""
    journal.meta_set(RISING_IDS, "no")
