"""Lists of the simulation's model server as a `GetPage`, with trouble on demand; for tests of what reads lists."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.listing.lists import Filters, ListFailed
from bulkwriter.net.api import ListPage

from ..sim.server import Pair, Server

filters_of = COMPLETED_LESSONS.filters


@dataclass
class ListServer:
    """`fails` is asked before each call, with its number from 1; a `ListFailed` that it returns is raised.  `calls` are
    (lesson, member, page)."""

    page_size: int = 1_000
    list_lag_s: float = 0.0
    fails: Callable[[int], ListFailed | None] = lambda call: None
    takes_s: float = 0.01
    calls: list[tuple[int | None, int | None, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = Server(
            rng=random.Random(1), list_lag_s=self.list_lag_s, page_cap=self.page_size, refused=set()
        )  # fmt: skip

    def add(self, *pairs: Pair, now: float = 0.0) -> list[int]:
        """Records that all lists show from `now` on; their ids."""
        return [self.server.add(pair, now, is_old=True).record_id for pair in pairs]

    def add_all(self, pairs: Iterable[Pair]) -> None:
        self.add(*pairs)

    async def get_page(self, filters: Filters, number: int) -> ListPage:
        loop = asyncio.get_running_loop()
        lesson, member = (filters.get(name) for name in COMPLETED_LESSONS.filter_names)
        lesson_id, member_id = int(lesson) if lesson else None, int(member) if member else None
        self.calls.append((lesson_id, member_id, number))
        failure = self.fails(len(self.calls))
        await asyncio.sleep(self.takes_s)
        if failure:
            raise failure
        found = self.server.listed(loop.time(), lesson_id, member_id, direction=-1)
        records, size = self.server.page(found, number, 1_000)
        return ListPage([(r.record_id, r.pair) for r in records], number, size, len(found), number * size < len(found))
