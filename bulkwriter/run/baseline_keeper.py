"""Notes in the journal what the server held before a run wrote anything.  `undo` and `verify --repair` depend on it.

Only a start that finds nothing created and nothing in doubt makes this note, and it does so before its first write.
The note holds the time, the highest record id, and the latest CreatedOn in the lists that were read until then.  Of
each page only the CreatedOn that sorts last as text is looked at.  Every record listed then was there before, so any of
them serves.  See `listing.baseline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..listing.baseline import BEGAN, Baseline, latest
from ..listing.lists import Filters
from ..model import State
from ..net.api import ListPage
from .ports import Ports, Stored

MADE: Final = (State.CREATED, State.INTENT, State.IN_DOUBT)
"""States of pairs that earlier starts may have created."""


def began_at(meta: Mapping[str, str]) -> float | None:
    """When the run of a journal with this meta began, in epoch seconds; None where that is not known."""
    return Baseline.of(meta).at


class BaselineKeeper:
    """Reads list pages for the look-up of existing records, and remembers the latest CreatedOn until `note` is
    called.
    """

    def __init__(self, ports: Ports, stored: Stored) -> None:
        self._ports = ports
        self._is_watching = not any(map(stored.tally.get, MADE))
        self._newest_on: float | None = None

    async def get_page(self, filters: Filters, number: int) -> ListPage:
        """Read one page; a `GetPage`."""
        page = await self._ports.get_page(filters, number)
        if self._is_watching:
            text = max((stamp for stamp in page.created_on if isinstance(stamp, str)), default=None)
            self._newest_on = max(filter(None, (self._newest_on, latest(text))), default=None)
        return page

    async def note(self, floor: int | None) -> None:
        """Keep the baseline, durably, if this start has one.  `floor`: the highest record id, if known."""
        if self._is_watching:
            self._is_watching = False
            text = Baseline(self._ports.server_wall(), floor, self._newest_on).text()
            await self._ports.store.run(lambda journal: journal.meta_set(BEGAN, text))
