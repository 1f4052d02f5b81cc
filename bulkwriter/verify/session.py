"""What `verify` and `undo` have on the wire beside each other's logic: lists, reads and deletes.

All of it obeys one signal to stop, one pause where the server asks for it, and one rule for what fails: it is made
again with growing pauses, until it succeeds, is forbidden, or has failed for `give_up_after_s`.  At most `LANES` calls
are on the wire at once (`net.calls`).

It decides nothing: what a list shows, and what may be deleted, is for those who ask.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from ..clocks import Clocks
from ..events import ConnectionTrouble, Event, LookFailed, ServerBusy, Throttled
from ..listing.lister import telling_orphans
from ..listing.lists import Filters, ListFailed, scan
from ..listing.retry_until_deadline import CallFailed, RetryUntilDeadline, needs_list
from ..net.api import IDS_PER_CALL as IDS_PER_CALL
from ..net.api import ListedRecord, ListPage, Record
from ..net.calls import LANES
from ..quota.view import Eta
from ..server_client import ServerClient
from ..settings import Settings
from .deletes import Deleter
from .stop_signal import StopSignal


class ServerSession:
    """Made of one `ServerClient`; parts are attributes.  `get_page` tries once, all else until the deadline."""

    def __init__(
        self,
        client: ServerClient,
        settings: Settings,
        *,
        tell: Callable[[Event], None],
        clocks: Clocks | None = None,
    ) -> None:
        self.rng = random.Random()  # noqa: S311 jitter, not a secret
        self.tell = tell
        self.clocks = clocks = clocks or client.clocks
        self.clock, self.wall = clocks.clock, clocks.wall
        self.throttled = 0
        """How often the server asked to slow down."""
        quotas = client.quotas
        self.stop = StopSignal(quotas.halt) if quotas else StopSignal()
        self.eta = Eta(quotas)
        self.entity = client.entity
        self.shifts: Callable[[], int] = lambda: client.calls.shifts
        self.get_page = telling_orphans(client.lister.page, tell, client.entity)
        self._read = client.lister.records
        self.retry = RetryUntilDeadline(
            settings,
            clocks=clocks,
            tell=self._tell_failed,
            rng=self.rng,
            hint=f"{needs_list(client.entity.list_role)}, and {client.entity.read_role} where records are read by ids",
            sleep=self.stop.sleep,
        )
        self.deleter = Deleter(
            client.request, client.api, client.tokens, settings,
            wall=clocks.wall, retry=self.retry, stop=self.stop,
        )  # fmt: skip

    def _tell_failed(self, failure: CallFailed, pause_s: float) -> None:
        if failure.is_slow_down:
            self.throttled += not failure.is_busy
            kind = ServerBusy if failure.is_busy else Throttled
            self.tell(kind(pause_s, failure.retry_after_s, LANES))
        elif isinstance(failure, ListFailed):
            self.tell(LookFailed(failure.reason, pause_s))
        else:
            self.tell(ConnectionTrouble(pause_s, failure.reason))

    async def read(self, ids: list[int]) -> dict[int, ListedRecord]:
        """The records with these ids that a read shows; one that is not shown may be there all the same."""
        return {record.record_id: record for record in await self.retry(partial(self._read, ids))}

    async def list_ids(self, pair: tuple[int, int]) -> set[int]:
        """The ids of all records of `pair`, from a list that is known to be whole."""

        async def page(filters: Filters, number: int) -> ListPage:
            return await self.retry(partial(self.get_page, filters, number))

        async def step() -> set[int]:
            ids: set[int] = set()

            def take(records: list[Record]) -> None:
                ids.update(record_id for record_id, its_pair in records if its_pair == pair)

            await scan(page, self.entity.filters(*pair), take=take)
            return ids

        return await self.retry(step)
