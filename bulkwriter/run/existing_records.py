"""What is known of the server's records before pairs are sent: which exist, and the highest record id so far.

With `--existing check` both come from `listing.existing`.  With `skip` nothing is looked up, but one list call before
the first write tells the highest id, so that a later look can tell this run's records from older ones; where the server
does not answer it, the id of the first created record serves from then on.

The highest id is a *floor*: of a pair sent later, a record with a higher id was made by this run.  One with a lower id
was there before, where the server gives rising ids; `RecordIds` notices when it does not.

After a lost journal (`--after-loss`) the first look waits until all that its process had on its way was applied and is
in every list: what a look finds then is all that there will be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio

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


OUTWAITING: Final = "--after-loss: requests of the run whose journal was lost may still be applied"


class KnownRecords:
    """Answers `find` and `floor` for intake and single writes; a token is there before the first call goes out."""

    def __init__(
        self,
        ids: RecordIds,
        *,
        existing: Existing | None,
        baseline: BaselineKeeper,
        token_refresh: TokenRefresh,
        stats: Stats,
        not_before: float = -math.inf,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
    ) -> None:
        self._ids = ids
        self._not_before, self._clock, self._tell = not_before, clock, tell
        self._has_told = False
        self._keeps_floors = ids.are_rising
        self._existing = existing
        self._baseline = baseline
        self._token_refresh = token_refresh
        self._stats = stats
        self._lock = anyio.Lock()
        self._watermark: int | None = None
        self._has_begun = False
        self.is_listing = False

    async def find(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Those of `pairs` that are on the server, with the record id or 0."""
        if not pairs:
            return {}
        await self._outwait_lost()
        await self._token_refresh.begin()
        self.is_listing = True
        try:
            there = await self._existing.find(pairs) if self._existing else {}
        finally:
            self.is_listing = False
        async with self._lock:  # a second caller waits for the first one's look, or it had no floor
            if not self._has_begun:
                await self._begin_floors()
        return there

    def adopt(self, doubts: Iterable[Intent]) -> None:
        """Doubts of an earlier start may be sent again before anything is looked up: then their floors are the run's.
        The lowest of them: a lane out of step may have made a higher one up."""
        if self._ids.run_floor is None and not self._existing:
            self._ids.begin_at(min((doubt.floor for doubt in doubts if doubt.floor is not None), default=None))

    @property
    def calls(self) -> int:
        """List calls made to find what exists."""
        return self._existing.calls if self._existing else 0

    @property
    def listed(self) -> int:
        """Pairs that lists have shown and that this process did not make."""
        return self._existing.listed if self._existing else 0

    @property
    def trouble(self) -> str:
        """Why the last of them failed, or empty."""
        return self._existing.trouble if self._existing else ""

    def floor(self) -> int | None:
        """The highest record id known, or None; without a list only where ids rise, since older ones may be higher."""
        known = self._existing.newest_id if self._existing else self._watermark
        newest = self._ids.newest
        if known is None:
            return newest or None if self._ids.are_rising else None
        return max(known, newest)

    def outwaits_s(self, now: float) -> float:
        """For how much longer requests of a process whose journal is lost may still be applied and not be listed."""
        return max(0.0, self._not_before - now)

    def floors_to_forget(self) -> Callable[[Journal], None] | None:
        """Once record ids turn out not to rise: what to do in the journal, so that no later start trusts its floors."""
        if self._ids.are_rising or not self._keeps_floors:
            return None
        self._keeps_floors = False
        self._tell(Note(NOT_RISING))
        return forget_floors

    async def _outwait_lost(self) -> None:
        wait_s = self.outwaits_s(self._clock())
        if not wait_s:
            return
        if not self._has_told:  # many single writes may wait here at once
            self._has_told = True
            self._tell(Note(f"{OUTWAITING}: nothing is looked up or sent for {wait_s:,.0f} s"))
        await anyio.sleep(wait_s)

    async def _begin_floors(self) -> None:
        if not self._existing:
            await self._look_at_top()
        floor = self.floor()
        await self._baseline.note(floor)
        self._has_begun = True
        if floor is not None and not self._stats.attempts:  # doubts may have been, while the first lists were read
            self._ids.begin_at(floor)

    async def _look_at_top(self) -> None:
        try:
            page = await top_page(self._baseline.get_page)
        except ListFailed:
            return
        if is_newest_first(page):
            self._watermark = page.records[0][0] if page.records else 0


def outwait_s(settings: Settings) -> float:
    """How long after its start a run looks at nothing: so long what a lost journal had on its way may be unseen."""
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
        clock=ports.clock,
        wall=ports.wall,
        tell=tell,
        rng=ports.rng,
    )


def forget_floors(journal: Journal) -> None:
    """Keep in the journal that floors tell nothing, or the next start would trust those of its doubts."""
    journal.meta_set(RISING_IDS, "no")
