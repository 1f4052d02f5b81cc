"""Lists and records of the four kinds, from the cache or else from the server, whole or not at all.

`Lists.whole` reads a list with the same care as a run does (`listing.lists.scan`): overlapping pages, totals, tries
again.  Each page that comes is kept at once.  A list that is read after a kill begins with the pages that were kept; if
these do not fit the rest, they are forgotten and the list is read anew.  `Lists.by_ids` reads records by their ids, as
many at a time as an address holds; what is left out is asked for once more in smaller portions, since a server may cap
a portion without a word.  Whoever calls it must not take what is missing then for "not there".  An empty list is asked
for twice: where nothing is, each row of the table that needs it is called unresolved.

A page that is larger than its bound is asked for with fewer records.  A failed call is repeated until the deadline;
what stays failed is an error (exit 4 or 75) and never an empty list.  All calls wait for the read quota
(`ServerClient.request`).

Not here: which lists are needed, and what they mean.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from ..clocks import Clocks
from ..errors import ConfigurationStop
from ..events import ConnectionTrouble, Event, LookFailed, ServerBusy, Throttled
from ..listing.lister import Lister, TooLarge
from ..listing.lists import Filters, ListFailed, scan
from ..listing.retry_until_deadline import CallFailed, RetryUntilDeadline, needs_list
from ..net.api import Api, BadList, ListPage, PagePlace, load, parse_envelope
from ..net.calls import LANES
from ..settings import Settings
from .cache import Cache
from .records import KINDS, Kept, ListKind

IDS_CHARS: Final = 1_700
"""Of the ids in one address: IIS takes 2,048 characters of a query by default, and some go to the rest of it."""
FEWER: Final = 4
"""A page that was too large is asked for with a fourth of its records."""
FIRST: Final[Filters] = {}


class ShownPage(NamedTuple):
    """One page: the kept records, those without a use as None, and its place in its list."""

    rows: list[Kept | None]
    ids: list[int]
    place: PagePlace


class Oversized(Exception):
    """A page was larger than its bound: ask for fewer records."""


class BatchRefused(Exception):
    """The server does not read several records by their ids for this token; `reason` is why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Lists:
    """Made of the calls of one `ServerClient` and of one `Cache`.

    `calls` counts list calls that were made, `planned` those known to
    be needed, so that progress can be told.
    """

    def __init__(
        self,
        api: Api,
        lister: Lister,
        cache: Cache,
        settings: Settings,
        *,
        tell: Callable[[Event], None],
        clocks: Clocks,
    ) -> None:
        self._api = api
        self._lister = lister
        self._cache = cache
        self._tell = tell
        rng = random.Random()  # noqa: S311 jitter, not a secret
        self._retries = {
            name: RetryUntilDeadline(
                settings, clocks=clocks, tell=self._tell_failed, rng=rng, hint=needs_list(kind.list_role)
            )
            for name, kind in KINDS.items()
        }
        self.planned = 0
        self.throttled = 0

    @property
    def calls(self) -> int:
        """List calls that were made, tries included."""
        return self._lister.calls

    def expect(self, calls: int) -> None:
        """About so many calls are to come, as far as nothing was kept."""
        self.planned = self.calls + calls

    async def whole(self, kind: ListKind, filters: Filters = FIRST) -> list[Kept]:
        """Every record of a list.  Records of nobody are left out.  Raises `ConfigurationStop` or `TryLater`."""
        while True:
            reading = WholeReading(self, self._cache, kind, filters)
            try:
                await self._retries[kind.name](reading.attempt, what=f"the list of {kind.word} cannot be read")
            except Oversized:
                self._take_fewer(kind)
            else:
                return reading.found

    async def first(self, kind: ListKind, filters: Filters = FIRST) -> ShownPage:
        """The first page of a list, which tells how long it is."""
        while True:
            try:
                return await self.page(kind, filters, 1)
            except Oversized:
                self._take_fewer(kind)

    async def page(self, kind: ListKind, filters: Filters, number: int, *, is_cache_used: bool = True) -> ShownPage:
        """One page.  Raises `Oversized`, `ConfigurationStop`, `TryLater`."""
        key = list_name(kind, filters), number, self.size(kind)
        if is_cache_used and (kept := self._cache.page(key)) is not None:
            return ShownPage(restored(kind, kept["rows"]), kept["ids"], PagePlace(*kept["place"]))
        fetch = partial(self._fetch, kind, filters, number)
        page = await self._retries[kind.name](fetch, what=f"the list of {kind.word} cannot be read")
        if page is None:
            raise Oversized
        self._cache.put_page(key, list(page.place), page.ids, [row and list(row) for row in page.rows])
        return page

    def size(self, kind: ListKind) -> int:
        """How many records of this kind to ask for."""
        return self._cache.sizes.get(kind.name, kind.page_size)

    async def by_ids(self, kind: ListKind, ids: Iterable[int]) -> list[Kept]:
        """The records with these ids that the server shows.  Raises `BatchRefused`."""
        wanted, found = set(ids), dict[int, Kept]()
        for line in self._cache.reads(kind.name):
            if not wanted.isdisjoint(line["asked"]):
                found.update((row.id, row) for row in restored(kind, line["rows"]) if row and row.id in wanted)
                wanted.difference_update(line["asked"])
        most = len(wanted)
        for _ in range(2):
            missing: list[int] = []
            cap = 0
            portions = list(portioned(sorted(wanted), most))
            while portions:
                asked = portions.pop()
                rows = await self._read(kind, asked)
                if rows is None:
                    if len(asked) == 1:
                        raise BatchRefused(f"{kind.word} cannot be read by their ids")
                    most = max(1, len(asked) // 2)
                    portions += portioned(asked, most)
                    continue
                got = {row.id for row in rows if row}
                found.update((row.id, row) for row in rows if row)
                missing += [record_id for record_id in asked if record_id not in got]
                cap = max(cap, len(got))
                self._cache.put_read(kind.name, [i for i in asked if i in got], [list(row) for row in rows if row])
            wanted, most = set(missing), max(1, cap)
            if not missing or not cap:
                break
        if wanted:
            self._cache.put_read(kind.name, sorted(wanted), [])
        return list(found.values())

    async def _read(self, kind: ListKind, ids: Sequence[int]) -> list[Kept | None] | None:
        """The records of one portion; None if a smaller portion may do."""

        async def step() -> list[Kept | None] | None:
            try:
                rows, age = await self._lister.read(
                    lambda token: self._api.by_ids(token, ids, path=kind.path),
                    partial(parse_records, kind),
                    what=f"{kind.word} by ids",
                )
            except TooLarge:
                return None
            except ListFailed as failure:
                if failure.stop and failure.stop.hint:  # else the token was refused, as it is where a role is missing
                    raise
                if failure.is_forbidden and not failure.is_misplaced:
                    raise BatchRefused(failure.reason) from None
                if failure.is_misplaced or failure.is_odd:
                    return None
                raise
            if age:
                raise ListFailed(age)
            if not {row.id for row in rows if row} <= set(ids):
                raise ListFailed("list call: records came that were not asked for", is_odd=True)
            return rows

        return await self._retries[kind.name](step, what=f"{kind.word} cannot be read by their ids")

    async def _fetch(self, kind: ListKind, filters: Filters, number: int) -> ShownPage | None:
        """A page from the server; None if it is too large."""
        size = self.size(kind)
        try:
            page, age = await self._lister.read(
                lambda token: self._api.list_page(token, filters=filters, page=number, size=size, path=kind.path),
                partial(parse_page, kind),
                what=kind.word,
            )
        except TooLarge:
            return None
        if page.place.page != number:
            raise ListFailed(f"list call: page {page.place.page} came for page {number}", is_odd=True)
        if age:
            raise ListFailed(age)
        return page

    def _take_fewer(self, kind: ListKind) -> None:
        size = self.size(kind)
        if size == 1:
            raise ConfigurationStop(
                f"a record of the list of {kind.word} is larger than any reply may be", hint="help resolve"
            )
        self._cache.put_size(kind.name, max(1, size // FEWER))

    def _tell_failed(self, failure: CallFailed, pause_s: float) -> None:
        if failure.is_slow_down:
            self.throttled += not failure.is_busy
            kind = ServerBusy if failure.is_busy else Throttled
            self._tell(kind(pause_s, failure.retry_after_s, LANES))
        elif isinstance(failure, ListFailed):
            self._tell(LookFailed(failure.reason, pause_s))
        else:
            self._tell(ConnectionTrouble(pause_s, failure.reason))


class WholeReading:
    """One whole list in the making, from its first try to the one that is believed."""

    def __init__(self, lists: Lists, cache: Cache, kind: ListKind, filters: Filters) -> None:
        self._lists = lists
        self._cache = cache
        self._kind = kind
        self._filters = filters
        self._name = list_name(kind, filters)
        self._rows: dict[int, Kept | None] = {}
        self._served: set[int] = set()
        self.found: list[Kept] = []

    async def attempt(self) -> None:
        """Read the list once.  Raises `ListFailed` if anything can have been missed; then nothing is kept of it."""
        self._rows.clear()
        self._served.clear()
        is_kept = self._cache.page((self._name, 1, self._lists.size(self._kind))) is not None
        try:
            await scan(self._page, self._filters)
            if not self._rows and not is_kept:
                await scan(self._page, self._filters)
        except ListFailed:
            self._cache.drop(self._name)
            raise
        self.found = [row for row in self._rows.values() if row is not None]
        self._rows = {}

    async def _page(self, filters: Filters, number: int) -> ListPage:
        """A page as `scan` wants it.  One that it asks for again must be new."""
        is_new = number in self._served
        self._served.add(number)
        page = await self._lists.page(self._kind, filters, number, is_cache_used=not is_new)
        self._rows.update(zip(page.ids, page.rows, strict=True))
        return ListPage(records=[(record_id, (0, 0)) for record_id in page.ids], **page.place._asdict())


def list_name(kind: ListKind, filters: Mapping[str, str]) -> str:
    return f"{kind.name}?{urlencode(sorted(filters.items()))}"


def parse_page(kind: ListKind, body: bytes) -> ShownPage:
    """The kept fields of a page.  Raises `BadList`."""
    rows, place = parse_envelope(body)
    return ShownPage([kind.read(as_record(row)) for row in rows], [row["Id"] for row in rows], place)


def parse_records(kind: ListKind, body: bytes) -> list[Kept | None]:
    """The kept fields of records that were read by their ids, a bare array.  Raises `BadList`."""
    rows = load(body)
    if not isinstance(rows, list):
        raise BadList("the records by ids are no JSON array")
    return [kind.read(as_record(row)) for row in rows]


def as_record(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadList("a record of the list is no JSON object", is_list=True)
    return row


def restored(kind: ListKind, rows: list[Any]) -> list[Kept | None]:
    return [None if row is None else kind.restore(*row) for row in rows]


def portioned(ids: Sequence[int], most: int) -> Iterator[list[int]]:
    """The ids in portions that an address can hold, of at most `most`."""
    portion: list[int] = []
    chars = 0
    for record_id in ids:
        length = len(str(record_id)) + 1
        if portion and (chars + length > IDS_CHARS or len(portion) >= most):
            yield portion
            portion, chars = [], 0
        portion.append(record_id)
        chars += length
    if portion:
        yield portion


def batch_size(ids: Iterable[int]) -> int:
    """How many of such ids an address holds: about 150 of ten digits."""
    longest = max((len(str(record_id)) for record_id in ids), default=10)
    return max(1, IDS_CHARS // (longest + 1))
