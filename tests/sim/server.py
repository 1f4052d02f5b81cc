"""The model of the server: records, what it does with a create, lists with lag, limits, tokens.  No bytes, no lanes.

It keeps the assumptions that the README states, and nothing more: a request whose sender has lost it is applied within
`late_apply_s` or never; a list shows each record within `list_lag_s`; ids rise.  Within these it does what its fates
say.  Records of our own and of others are told apart only by `Truth`, which the engine never sees.

Time is an argument: requests wait in a heap until `advance` passes their time, so that a request of a process that was
killed is still applied later.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Pair = tuple[int, int]


@dataclass(slots=True)
class Record:
    """One record, also after it was deleted.  `visible_at`: from then on lists show it."""

    record_id: int
    pair: Pair
    visible_at: float
    is_ours: bool
    gone_at: float = float("inf")


@dataclass(slots=True)
class Answer:
    """What the server would reply, before anything happens to the reply on its way."""

    status: int
    record_id: int = 0
    retry_after: str | None = None


@dataclass(slots=True, eq=False)
class Request:
    """A create on its way.  `answer` is there once it was taken."""

    number: int
    pair: Pair
    token: str
    at: float
    answer: Answer | None = None
    is_taken: bool = False
    is_dropped: bool = False
    is_ours: bool = True

    def __lt__(self, other: Request) -> bool:
        return (self.at, self.number) < (other.at, other.number)


@dataclass(slots=True)
class Limit:
    """At most `count` creates in any `window_s`; how a refusal looks."""

    count: int
    window_s: float
    status: int = 429
    states_wait: bool = True
    _taken: deque[float] = field(default_factory=deque)

    def refuse(self, now: float) -> Answer | None:
        while self._taken and self._taken[0] <= now - self.window_s:
            self._taken.popleft()
        if len(self._taken) < self.count:
            self._taken.append(now)
            return None
        wait_s = int(self._taken[0] + self.window_s - now) + 1
        return Answer(self.status, retry_after=str(wait_s) if self.states_wait else None)


class Server:
    """One account's records."""

    def __init__(
        self, *, rng: random.Random, list_lag_s: float, page_cap: int, refused: set[Pair], is_unique: bool = False
    ) -> None:
        self._rng = rng
        self._lag_s = list_lag_s
        self._page_cap = page_cap
        self._refused = refused
        self._is_unique = is_unique
        self._requests: list[Request] = []
        self._numbers = 0
        self.records: dict[int, Record] = {}
        self.limit: Limit | None = None
        self.date: Callable[[float], str] | None = None
        """What replies to creates say as their `Date`; none where it is not set."""
        self.tokens = {"token-0"}
        self.newest_token = 0
        self.next_id = 1_000

    # creates

    def submit(self, pair: Pair, token: str, at: float) -> Request:
        """Take a create that arrives at `at`."""
        self._numbers += 1
        request = Request(self._numbers, pair, token, at)
        heapq.heappush(self._requests, request)
        return request

    def lose(self, request: Request, now: float, late_apply_s: float) -> None:
        """Its sender has lost it at `now`: it is applied soon or never."""
        if not request.is_taken and request.at > now + late_apply_s:
            request.at = now + late_apply_s
            heapq.heapify(self._requests)

    def lose_all(self, now: float, late_apply_s: float) -> None:
        """The sender of everything that is on its way is gone."""
        for request in list(self._requests):
            self.lose(request, now, late_apply_s)

    def advance(self, now: float) -> None:
        """Take what has arrived."""
        while self._requests and self._requests[0].at <= now:
            request = heapq.heappop(self._requests)
            request.is_taken = True
            if not request.is_dropped:
                request.answer = self._take(request)

    def on_their_way(self) -> Iterator[Pair]:
        """Pairs that may yet be applied."""
        return (request.pair for request in self._requests if request.is_ours and not request.is_dropped)

    def _take(self, request: Request) -> Answer:
        if request.token not in self.tokens:
            return Answer(401)
        refusal = self.limit.refuse(request.at) if self.limit else None
        if refusal:
            return refusal
        if request.pair in self._refused:
            return Answer(400)
        if self._is_unique and any(r.pair == request.pair and r.gone_at > request.at for r in self.records.values()):
            return Answer(422)
        return Answer(200, self.add(request.pair, request.at, is_ours=request.is_ours).record_id)

    # records

    def add(self, pair: Pair, now: float, *, is_ours: bool = False, is_old: bool = False) -> Record:
        lag_s = 0.0 if is_old else self._rng.uniform(0, self._lag_s)
        record = Record(self.next_id, pair, now + lag_s, is_ours)
        self.records[record.record_id] = record
        self.next_id += self._rng.choice((1, 1, 1, 2, 7))
        return record

    def delete(self, record_id: int, now: float) -> None:
        self.records[record_id].gone_at = now

    def listed(self, now: float, lesson: int | None, member: int | None, *, direction: int) -> list[Record]:
        """What a list of the moment `now` shows, in its order."""
        self.advance(now)
        found = [
            record
            for record in self.records.values()
            if record.visible_at <= now < record.gone_at
            and lesson in (None, record.pair[0])
            and member in (None, record.pair[1])
        ]
        return found[::-1] if direction < 0 else found

    def page(self, found: list[Record], number: int, size: int) -> tuple[list[Record], int]:
        """One page, and the size that the server gives pages."""
        size = min(size, self._page_cap)
        return found[(number - 1) * size : number * size], size

    def ours(self) -> Counter[Pair]:
        """How many records of each pair our requests have made."""
        return Counter(record.pair for record in self.records.values() if record.is_ours)

    def disown(self) -> set[Pair]:
        """What our requests have made, or may yet make, is somebody else's from now on; its pairs."""
        disowned = set(self.ours()) | set(self.on_their_way())
        for record in self.records.values():
            record.is_ours = False
        for request in self._requests:
            request.is_ours = False
        return disowned

    # tokens

    def renew_token(self) -> str:
        """A new token; the old ones stay valid until `revoke`."""
        self.newest_token += 1
        token = f"token-{self.newest_token}"
        self.tokens.add(token)
        return token

    def revoke(self) -> None:
        """No token that is out is valid any more."""
        self.tokens.clear()
