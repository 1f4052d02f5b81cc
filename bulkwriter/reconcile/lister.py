"""List calls, asked and judged: a page, or records by their ids, or a `ListFailed` that says whether to ask again.

A reply that is not a whole 200 with a list in it settles nothing, nor does one that answers another question: replies
do not name their request, so a page must say its number, and records by ids must be among those asked for.  A 401 may
be an expired token: it is refreshed once and asked again; a 401 on a fresh token or a 403 mean that this token may not
list, a 404, 405, 501 or a redirect that the address is wrong; so do HTML pages with 200 or 400 where `WEB_PAGES` of
them came and never a list: a web site answers so to every path, a gateway in trouble only now and then.  A failure to
connect that shows a wrong setting (certificate, host name, proxy) before anything was ever answered is a
`ConfigurationStop`: trying again would not help.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from ..core.classify import UNSENT_FAULTS, parse_retry_after, printable
from ..engine.stops import at_connect
from ..errors import ConfigurationStop
from ..model import Reply
from ..net.api import Api, BadList, Page, Seen
from .lists import PAGE_SIZE, Filters, ListFailed

FORBIDDEN = frozenset({401, 403})
MISPLACED = frozenset({300, 301, 302, 303, 304, 307, 308, 404, 405, 501})
WEB_PAGES = 20  # asked for within some 15 s: a gateway that restarts may answer so for a moment
SAID_BYTES = 800  # of what a server said instead of a list, looked at
SAID_CHARS = 120  # of that, shown: a failed look is told often

T = TypeVar("T")


class TokenLike(Protocol):
    """A bearer token and how many came before it."""

    @property
    def value(self) -> str: ...
    @property
    def generation(self) -> int: ...


class Tokens(Protocol):
    """Where tokens come from; see `net.auth`."""

    async def current(self) -> TokenLike: ...
    async def refresh(self, stale_generation: int) -> TokenLike: ...


Request = Callable[[bytes], Awaitable[Reply]]
"""Send these bytes on a lane and wait for the reply; failures are replies with a fault."""


class Lister:
    """Makes list calls; `page` is a `GetPage`."""

    def __init__(self, request: Request, api: Api, tokens: Tokens, *, wall: Callable[[], float]) -> None:
        self._request = request
        self._api = api
        self._tokens = tokens
        self._wall = wall
        self._has_connected = False
        self._has_read = False
        self._web_pages = 0
        self.calls = 0

    async def page(self, filters: Filters, number: int) -> Page:
        """Page `number` (from 1) of the records that match, newest first.  Raises `ListFailed`."""
        page = await self._read(
            lambda token: self._api.list_page(token, filters=filters, page=number, size=PAGE_SIZE),
            self._api.parse_page,
        )
        if page.page != number:
            raise ListFailed(f"list call: page {page.page} came for page {number}")
        return page

    async def records(self, ids: Sequence[int]) -> list[Seen]:
        """The records with these ids that are there, at most `IDS_PER_CALL`.  Raises `ListFailed`.

        One that is missing in the answer may be there all the same: nothing shows that such a list is whole.
        """
        records = await self._read(lambda token: self._api.by_ids(token, ids), self._api.parse_records)
        if not {record.record_id for record in records} <= set(ids):
            raise ListFailed("list call: records came that were not asked for")
        return records

    async def _read(self, request_with: Callable[[str], bytes], parse: Callable[[bytes], T]) -> T:
        token = await self._tokens.current()
        reply = await self._ask(request_with(token.value))
        if reply.status == 401:
            try:
                token = await self._tokens.refresh(token.generation)
            except ConfigurationStop as refused:
                raise ListFailed(refused.message, is_forbidden=True) from None
            reply = await self._ask(request_with(token.value))
        self._check(reply)
        try:
            answer = parse(reply.body)
        except BadList as bad:
            raise ListFailed(f"list call: {bad}") from None
        self._has_read = True
        return answer

    async def _ask(self, request: bytes) -> Reply:
        self.calls += 1
        return await self._request(request)

    def _check(self, reply: Reply) -> None:
        """Raise unless the reply is a whole 200."""
        if reply.fault in UNSENT_FAULTS and not self._has_connected:
            if error := at_connect(reply.fault, reply.detail, has_connected=False):
                raise error
        else:
            self._has_connected = True
        if reply.fault:
            raise ListFailed(f"list call: {reply.trouble}")
        is_web_page = reply.body[:100].lstrip()[:1] == b"<"
        self._web_pages += is_web_page and reply.status in (200, 400) and not self._has_read
        if reply.status != 200 or is_web_page:
            wait, said = reply.retry_after, printable(reply.body[:SAID_BYTES].decode(errors="replace"), SAID_CHARS)
            raise ListFailed(
                f"list call: {reply.trouble}" + (f"; it said: {said}" if said else ""),
                is_forbidden=reply.status in FORBIDDEN,
                is_misplaced=reply.status in MISPLACED or (not self._has_read and self._web_pages >= WEB_PAGES),
                retry_after_s=parse_retry_after(wait, reply.date, self._wall()) if wait else None,
            )
