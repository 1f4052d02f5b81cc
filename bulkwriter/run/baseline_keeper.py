"""Keeps in the journal how the server stood before a run wrote anything, for `undo` and `verify --repair` to go by.

Only a start that finds nothing created and nothing in doubt may say so, and it says so before its first write: when
that was, the highest record id, and the latest CreatedOn in the lists that were read until then, of each page the one
that sorts last as text: whatever record it is of was there before, so any one does.  See `listing.baseline`.
"""

from __future__ import annotations

from typing import Final

from ..listing.baseline import BEGAN, Baseline, latest
from ..listing.lists import Filters
from ..model import State
from ..net.api import ListPage
from .ports import Ports, Stored

MADE: Final = (State.CREATED, State.INTENT, State.IN_DOUBT)
"""States of pairs that earlier starts may have created."""


class BaselineKeeper:
    """Reads lists for whoever asks what exists, and notes what they show until `note` is called."""

    def __init__(self, ports: Ports, stored: Stored) -> None:
        self._ports = ports
        self._is_watching = not any(map(stored.tally.get, MADE))
        self._newest_on: float | None = None

    async def get_page(self, filters: Filters, number: int) -> ListPage:
        """A `GetPage`."""
        page = await self._ports.get_page(filters, number)
        if self._is_watching:
            text = max((stamp for stamp in page.created_on if isinstance(stamp, str)), default=None)
            self._newest_on = max(filter(None, (self._newest_on, latest(text))), default=None)
        return page

    async def note(self, floor: int | None) -> None:
        """Keep the baseline, durably, if this start has one.  `floor`: the highest record id, if known."""
        if self._is_watching:
            self._is_watching = False
            quotas = self._ports.quotas
            at = quotas.exchanges.wall() if quotas else self._ports.wall()
            text = Baseline(at, floor, self._newest_on).text()
            await self._ports.store.run(lambda journal: journal.meta_set(BEGAN, text))
