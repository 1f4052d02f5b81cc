"""What `verify` and `undo` have on the wire beside each other's logic: lists, reads and deletes that share one pace.

All of it obeys one `halt`, one pause after throttles, and one rule for what fails: it is made again with growing
pauses, until it succeeds, is forbidden, or has failed for `give_up_after_s`.

It decides nothing: what a list shows, and what may be deleted, is for those who ask.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from ..events import Event
from ..listing.lister import telling_orphans
from ..listing.lists import Record, scan
from ..listing.persist import Persistence, needs_list
from ..net.api import Seen
from ..quota.eta import Eta
from ..server_client import Connection
from ..settings import Settings
from .deletes import Deleter
from .paced import PacedRequests
from .stop_signal import Halt


class Conversation:
    """Made of one `Connection`; parts are attributes."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        tell: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rng = random.Random()  # noqa: S311 jitter, not a secret
        self.tell = tell
        self.clock = clock
        self.halt = Halt()
        if connection.quotas:
            self.halt.also, connection.quotas.tell = connection.quotas.halt, tell
        self.eta = Eta(connection.quotas)
        self.entity = connection.entity
        self.filters_of = connection.entity.filters
        self.shifts: Callable[[], int] = lambda: connection.calls.shifts
        self.paced = PacedRequests(
            connection.request, settings, clock=clock, wall=time.time, tell=tell, rng=self.rng, halt=self.halt
        )
        self.lister = connection.lister_over(self.paced)
        self.get_page = telling_orphans(self.lister.page, tell, connection.entity)
        self.persist = Persistence(
            clock=clock,
            give_up_after_s=settings.give_up_after_s,
            tell=tell,
            rng=self.rng,
            sleep=self.halt.sleep,
            hint=needs_list(connection.entity.list_role),
        )
        self.deleter = Deleter(
            self.paced, connection.api, connection.tokens, settings,
            clock=clock, tell=tell, rng=self.rng, halt=self.halt,
        )  # fmt: skip

    async def read(self, ids: list[int]) -> dict[int, Seen]:
        """The records with these ids that a read shows; one that is not shown may be there all the same."""
        return {record.record_id: record for record in await self.persist(partial(self.lister.records, ids))}

    async def list_ids(self, pair: tuple[int, int]) -> set[int]:
        """The ids of all records of `pair`, from a list that is known to be whole."""

        async def step() -> set[int]:
            ids: set[int] = set()

            def take(records: list[Record]) -> None:
                ids.update(record_id for record_id, its_pair in records if its_pair == pair)

            await scan(self.get_page, self.filters_of(*pair), take=take)
            return ids

        return await self.persist(step)
