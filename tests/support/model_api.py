"""A model of the API for virtual time: takes requests as bytes, answers with `Reply`, and misbehaves when told to.

It knows lists (filters, paging, lag), reads by ids and deletes, which is all that `verify` and `undo` send, of either
entity.  `Weather` says how often a request meets which trouble; nothing here sleeps but for `latency_s`, on the loop's
own clock.
`tests/support/test_model_api.py` holds it against the real stub, so that what is tested over it means something.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bulkwriter.entities import Entity
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.listing.lister import Lister
from bulkwriter.model import Fault, Reply
from bulkwriter.net.api import Api
from bulkwriter.net.auth import TokenSource

Pair = tuple[int, int]
BASE_URL = "https://example.test"


@dataclass
class Weather:
    """Shares of requests that meet a trouble; `*_after` ones are applied all the same."""

    unsent: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    broken_after: float = 0.0  # 500
    throttled: float = 0.0  # 429 with Retry-After
    short_lists: float = 0.0  # a page lacks a record


class Tokens(TokenSource):
    """As many tokens as are asked for, all the same."""

    def __init__(self) -> None:
        super().__init__(self._supply_one)

    async def _supply_one(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        return "canary", math.inf


class ModelApi:
    """Records by id, and what happened to them.  Also stands in for `connection.ServerClient`."""

    def __init__(
        self,
        pairs: Iterable[Pair] = (),
        *,
        seed: int = 0,
        weather: Weather | None = None,
        entity: Entity = COMPLETED_LESSONS,
        first_id: int = 1,
    ) -> None:
        self.records: dict[int, Pair] = {}
        self.born_at: dict[int, float] = {}
        self.created_on: dict[int, object] = {}  # fields that are shown, where any is
        self.deleted: list[int] = []
        self.weather = weather or Weather()
        self.rng = random.Random(seed)
        self.latency_s = 0.01
        self.list_lag_s = 0.0
        self.page_size_max = 1_000
        self.ignores_filters = False
        self.answers: dict[str, Reply] = {}  # by method: every request of it is answered so
        self.hides_ids = False  # reads by ids show nothing
        self.deletes_with: Reply | None = None  # the answer to a DELETE that did it, if not the documented one
        self.on_request: Callable[[str], None] = lambda method: None
        self.requests: dict[str, int] = {"GET": 0, "DELETE": 0}
        self._next_id = first_id
        self.add(*pairs)
        # what a connection has
        self.api = Api(BASE_URL, entity)
        self.tokens = Tokens()
        self.entity = entity
        self.lister = Lister(self.request, self.api, self.tokens, wall=lambda: 0.0, most_age_s=5.0)
        self.calls = SimpleNamespace(shifts=0)
        self.quotas = None

    def add(self, *pairs: Pair, at: float = -1e9) -> list[int]:
        """Put records there; they are listed from `at` + `list_lag_s` on."""
        ids = list(range(self._next_id, self._next_id + len(pairs)))
        self._next_id += len(pairs)
        self.records.update(zip(ids, pairs, strict=True))
        self.born_at.update(dict.fromkeys(ids, at))
        return ids

    async def request(self, data: bytes) -> Reply:
        """Send a whole request and wait for what comes back."""
        method, target = data.decode("ascii").split(" ", 2)[:2]
        self.requests[method] += 1
        self.on_request(method)
        draw, weather = self.rng.random(), self.weather
        for share, reply, is_applied in (
            (weather.unsent, Reply(0, fault=Fault.REFUSED), False),
            (weather.throttled, Reply(429, retry_after="1"), False),
            (weather.lost_before, Reply(0, fault=Fault.LOST), False),
            (weather.lost_after, Reply(0, fault=Fault.LOST), True),
            (weather.broken_after, Reply(500, b'{"Message":"An error has occurred."}'), True),
        ):
            draw -= share
            if draw < 0:
                await asyncio.sleep(self.latency_s)
                if is_applied:
                    self._answer(method, target)
                return reply
        await asyncio.sleep(self.latency_s)
        return self.answers.get(method) or self._answer(method, target)

    def _answer(self, method: str, target: str) -> Reply:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        if method == "DELETE":
            return self._delete(int(parts.path.rsplit("/", 1)[1]))
        if "id" in query:
            ids = [] if self.hides_ids else json.loads(query["id"])
            return as_reply([self._record(i) for i in ids if i in self.records and self._shows(i)])
        return as_reply(self._page(query))

    def _delete(self, record_id: int) -> Reply:
        if self.records.pop(record_id, None) is None:
            return as_reply("Not found", 404)
        self.deleted.append(record_id)
        return self.deletes_with or as_reply({"Status": 200, "Value": None, "Errors": None, "WasSuccessful": True})

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        chosen = [i for i in self.records if self._shows(i) and (self.ignores_filters or self._matches(i, query))]
        chosen.sort(reverse=query["dir"] == "-1")
        number, size = int(query["page"]), min(int(query["size"]), self.page_size_max)
        shown = [self._record(i) for i in chosen[(number - 1) * size : number * size]]
        if shown and self.rng.random() < self.weather.short_lists:
            del shown[self.rng.randrange(len(shown))]
        return {
            "Records": shown, "CurrentPage": number, "CurrentPageSize": size,
            "HasNextPage": number * size < len(chosen), "TotalItems": len(chosen),
        }  # fmt: skip

    def _matches(self, record_id: int, query: dict[str, str]) -> bool:
        wanted = map(query.get, self.entity.filter_names)
        return all(w is None or int(w) == had for w, had in zip(wanted, self.records[record_id], strict=True))

    def _shows(self, record_id: int) -> bool:
        return self.born_at[record_id] + self.list_lag_s <= asyncio.get_running_loop().time()

    def _record(self, record_id: int) -> dict[str, Any]:
        shown = {"CreatedOn": self.created_on[record_id]} if record_id in self.created_on else {}
        return {"Id": record_id, **dict(zip(self.entity.fields, self.records[record_id], strict=True)), **shown}


def as_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())
