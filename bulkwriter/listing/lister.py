"""Makes list calls and judges them: a page, records by their ids, or a `ListFailed` that says whether to ask again.

Only a whole 200 with a list in it settles anything.  Two further rules apply:

- Replies do not name their request.  So a page must state its number, and records must be among the ids asked for.
- A cache must not have kept the page for longer than `most_age_s`, by its `Age` header (RFC 9111, 5.1).  A record that
  is missing in an older page may exist all the same (`StaleList`).

`core.classify` says what a status means.  A 401 may mean an expired token: it is refreshed once, and the call repeated.

An *odd* answer may be so for good, so it must not be repeated for hours.  It is a list of another shape, an encoded
one (a proxy compresses it though nobody asked for that), or a refusal by the API.  Until a first list has come, it is
also any answer that is no list: a web site answers like that on every path, a gateway in trouble only now and then.  A
failure to connect may show a wrong certificate, host name or proxy before anything was ever answered.  That is a
`ConfigurationStop`, since a repetition would not help.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ..core.classify import UNSENT_FAULTS, judge_call, printable
from ..core.stops import at_connect
from ..entities import Entity
from ..errors import ConfigurationStop
from ..events import Event, Note
from ..model import CallKind, Fault, Reply
from ..net.api import NOBODY, Api, BadList, ListedRecord, ListPage
from ..net.auth import TokenRefused, TokenSource
from .lists import PAGE_SIZE, Filters, GetPage, ListFailed

SAID_BYTES = 800  # of a server's text in place of a list, looked at
SAID_CHARS = 120  # of that, shown: a failed look is told often

EMAIL = re.compile(r"[^\s\"'<>=&?:;,]+(?:@|%40)[^\s\"'<>&?:;,]+", re.IGNORECASE)

T = TypeVar("T")


class StaleList(ListFailed):
    """A page that a cache had kept for too long.  Its records were there; a missing record may exist as well."""

    def __init__(self, reason: str, page: ListPage) -> None:
        super().__init__(reason)
        self.page = page


class TooLarge(ListFailed):
    """A page that was larger than its bound.  A smaller page may not be."""


SendRequest = Callable[[bytes], Awaitable[Reply]]
"""Send these bytes on a lane and wait for the reply; failures are replies with a fault."""


class Lister:
    """Makes list calls; `page` is a `GetPage`."""

    def __init__(
        self, request: SendRequest, api: Api, tokens: TokenSource, *, wall: Callable[[], float], most_age_s: float
    ) -> None:
        self._request = request
        self._api = api
        self._tokens = tokens
        self._wall = wall
        self._most_age_s = most_age_s
        self._has_connected = False
        self._has_read: set[str] = set()  # of "lists" and "records by ids"
        self.calls = 0

    async def page(self, filters: Filters, number: int) -> ListPage:
        """Page `number` (from 1) of the records that match, newest first.  Raises `ListFailed`."""
        page, age = await self.read(
            lambda token: self._api.list_page(token, filters=filters, page=number, size=PAGE_SIZE),
            self._api.parse_page,
            what="lists",
        )
        if page.page != number:
            raise ListFailed(f"list call: page {page.page} came for page {number}", is_odd=True)
        if age:
            raise StaleList(age, page)
        return page

    async def records(self, ids: Sequence[int]) -> list[ListedRecord]:
        """The existing records with these ids, at most `IDS_PER_CALL`.  Raises `ListFailed`.

        A record that is missing in the answer may exist all the same: nothing shows that such a list is whole.
        """
        records, age = await self.read(
            lambda token: self._api.by_ids(token, ids), self._api.parse_records, what="records by ids"
        )
        if not {record.record_id for record in records} <= set(ids):
            raise ListFailed("list call: records came that were not asked for", is_odd=True)
        if age:
            raise ListFailed(age)
        return records

    async def read(
        self, request_with: Callable[[str], bytes], parse: Callable[[bytes], T], *, what: str
    ) -> tuple[T, str]:
        """The list that came, and a sentence about its age if that is too high.  Raises `ListFailed`.

        `request_with` makes the request of a token, `parse` reads the body and raises `BadList`.  `what` tells kinds of
        lists apart: an answer of another shape is odd once a list of its kind has come.
        """
        token = await self._tokens.current()
        reply = await self._ask(request_with(token.value))
        if judge_call(reply, 0.0).kind is CallKind.UNAUTHORIZED:
            try:
                token = await self._tokens.refresh(token.generation)
            except TokenRefused as refused:  # its hint names another role than that of lists
                raise ListFailed(refused.message, stop=ConfigurationStop(refused.message, code="token")) from None
            except ConfigurationStop as stop:
                raise ListFailed(stop.message, stop=stop) from None
            reply = await self._ask(request_with(token.value))
        self._check(reply, what)
        try:
            answer = parse(reply.body)
        except BadList as bad:
            words = "" if bad.is_list else said(reply)  # a list's records are people's
            raise ListFailed(f"list call: {bad}{words}", is_odd=bad.is_list or what not in self._has_read) from None
        self._has_read.add(what)
        if reply.age_s > self._most_age_s:
            return answer, f"list call: a cache on the way answered with what it had kept for {reply.age_s:,.0f} s"
        return answer, ""

    async def _ask(self, request: bytes) -> Reply:
        self.calls += 1
        return await self._request(request)

    def _check(self, reply: Reply, what: str) -> None:
        """Raise unless the reply is a whole 200."""
        if reply.fault in UNSENT_FAULTS and not self._has_connected:
            if error := at_connect(reply.fault, reply.detail, has_connected=False):
                raise error
        else:
            self._has_connected = True
        verdict = judge_call(reply, self._wall())
        kind = verdict.kind
        if reply.fault is Fault.OVERSIZED:
            raise TooLarge(f"list call: {reply.trouble}")
        if kind is CallKind.ANSWERED and reply.status == 200 and not is_web_page(reply):
            return
        raise ListFailed(
            f"list call: {reply.trouble}{said(reply)}",
            is_forbidden=verdict.is_forbidden,
            is_misplaced=kind is CallKind.STOP and not verdict.is_forbidden,
            is_odd=kind is CallKind.REFUSED
            or reply.fault is Fault.ENCODED
            or (kind is CallKind.ANSWERED and what not in self._has_read),
            is_slow_down=verdict.is_slow_down,
            is_busy=kind is not CallKind.THROTTLED,
            retry_after_s=verdict.retry_after_s,
        )


def telling_orphans(get_page: GetPage, tell: Callable[[Event], None], entity: Entity) -> GetPage:
    """Wrap `get_page`.  The first page with records that lost one of their ids is told, once."""
    is_told = False

    async def get(filters: Filters, number: int) -> ListPage:
        nonlocal is_told
        page = await get_page(filters, number)
        if page.orphans and not is_told:
            is_told = True
            example = next(record_id for record_id, pair in page.records if NOBODY in pair)
            count = f"{page.orphans:,} listed records have" if page.orphans > 1 else "1 listed record has"
            lost = " or ".join(f"no {word}" for word in entity.words)
            tell(Note(f"{count} {lost} any more (Id {example}): nobody's pair, so passed over"))
        return page

    return get


def is_web_page(reply: Reply) -> bool:
    return reply.body[:100].lstrip()[:1] == b"<"


def said(reply: Reply) -> str:
    """A quote of a reply that is no list, for people, without e-mails: an error may repeat what was asked for."""
    text = EMAIL.sub("(e-mail)", reply.body[:SAID_BYTES].decode(errors="replace"))
    words = printable(text, SAID_CHARS)
    return f"; it said: {words}" if words else ""
