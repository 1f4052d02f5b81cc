"""Requests and replies of one entity of the API: bytes out, values in.  It sends nothing and waits for nothing.

A request is one byte string, head and body.  The head of a create is kept by body length while the token stays the
same, so a create costs one formatting and one concatenation.  Every request says `Accept-Encoding: identity` and no
`Connection`: keep-alive is what HTTP/1.1 means.

A page of a list is believed only if it is shaped as documented: records with integer ids, `HasNextPage`, `TotalItems`,
and the page's number and size (also under their older names).  Anything else is `BadList`: a list that cannot be read
must never look like an empty one.  A record may have lost what one of its ids named, which was deleted: such an
*orphan* has `NOBODY` there, so that it counts for paging and is no pair of anybody's.  Records are not compared with
the filters here; the caller does.

Every list and read carries another `NONCE`, which the API passes over: caches that do not heed `no-cache` keep replies
by their address.

What is special to an entity comes from the `Entity` that an `Api` is made with.  Source: developers.nexudus.com as of
November 2026; RFC 9112, 3.2 (Host); RFC 6750, 2.1 (what a bearer token may be: here a little more is let through).
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import orjson

from .. import __version__
from ..entities import Entity
from ..errors import UsageError
from ..model import BOM, ID_MAX

IDS_PER_CALL: Final = 50
"""Most ids for one `by_ids`: 20 digits each stay well under the 2,048 characters that IIS allows a query by default."""

TOKEN_CHARS: Final = 16_384
TOKEN: Final = re.compile(rf"[!-~]{{1,{TOKEN_CHARS}}}")
"""What goes into a header whole: visible ASCII without spaces; so no line end can smuggle in another header."""
FRESH: Final = "Cache-Control: no-cache\r\n"
"""A list that a cache on the way had kept would say twice that a record is not there (RFC 9111, 5.2.1.4)."""
DEFAULT_PORTS: Final = {"https": 443, "http": 80}

NONCE: Final = "_"
"""The parameter by whose changing values web pages have always kept caches out; the API has no filter of this name."""
NOBODY: Final = 0
"""Stands for an id that a record lacks; a pair's ids are positive."""
FEW_ORPHANS: Final = 3
MANY_ORPHANS: Final = 20
"""So many records of one page, and all of them orphans, are no accident: it is the fields that do not come, both or one
of them, and a list that shows no pairs must not say that none is there."""

CREATED_ON: Final = "CreatedOn"

Record = tuple[int, tuple[int, int]]


class BadList(ValueError):
    """A list's body is not what the API documents, so it says nothing, least of all that nothing is there.

    `is_list`: it is the API's list all the same, of another shape; else it may be anybody's page.
    """

    def __init__(self, reason: str, *, is_list: bool = False) -> None:
        super().__init__(reason)
        self.is_list = is_list


class ListedRecord(NamedTuple):
    """A record as a read by ids shows it; an orphan's pair holds `NOBODY`.  `created_on` is the field as it came."""

    record_id: int
    pair: tuple[int, int]
    created_on: object


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list: (record id, pair) in the order received, and what the envelope says of the whole list.

    The pair of an orphan holds `NOBODY`.  `created_on` are the same records' fields, as they came.
    """

    records: list[Record]
    page: int
    page_size: int
    total: int
    has_next: bool
    created_on: Sequence[object] = ()

    @property
    def orphans(self) -> int:
        """How many of the records lack one of their two ids."""
        return sum(NOBODY in pair for _, pair in self.records)


class Api:
    """Requests to one base URL, which may hold a port and a path prefix.  A bad token is a UsageError."""

    def __init__(self, base_url: str, entity: Entity) -> None:
        parts = urlsplit(base_url)
        self.entity = entity
        self._prefix = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=-._~")
        self._path = self._prefix + entity.path
        self._common = (
            f"Host: {host_header(parts.scheme, parts.hostname or '', parts.port)}\r\n"
            "Accept: application/json\r\n"
            "Accept-Encoding: identity\r\n"
            f"User-Agent: bulkwriter/{__version__}\r\n"
        )
        self._body = b'{"%b":%%d,"%b":%%d}' % tuple(field.encode() for field in entity.fields)
        self._token = ""
        self._create_heads: dict[int, bytes] = {}
        self._nonces = (f"{secrets.token_hex(4)}{n}" for n in itertools.count())

    def create(self, token: str, pair: tuple[int, int]) -> bytes:
        """The request that makes a record of `pair`."""
        body = self._body % pair
        if token != self._token:
            self._create_heads.clear()
            self._token = token
        head = self._create_heads.get(len(body))
        if head is None:
            head = self._create_heads[len(body)] = self._head(
                "POST", self._path, token=token, length=len(body), content_type="application/json"
            )
        return head + body

    def list_page(
        self,
        token: str,
        *,
        filters: Mapping[str, object] | None = None,
        page: int = 1,
        size: int = 1_000,
    ) -> bytes:
        """The request for one page, from 1, of the records that match, newest first."""
        query = {**(filters or {}), "page": page, "size": size, "orderBy": "Id", "dir": -1, NONCE: next(self._nonces)}
        return self._head("GET", f"{self._path}?{urlencode(query)}", token=token, extra=FRESH)

    def by_ids(self, token: str, ids: Iterable[int]) -> bytes:
        """The request for the records with these ids, at most `IDS_PER_CALL`; `parse_records` reads the reply."""
        chosen = ",".join(map(str, ids))
        return self._head(
            "GET", f"{self._path}/?id=%5B{chosen}%5D&{NONCE}={next(self._nonces)}", token=token, extra=FRESH
        )

    def delete(self, token: str, record_id: int) -> bytes:
        """The request that deletes one record."""
        return self._head("DELETE", f"{self._path}/{record_id}", token=token)

    def token_request(self, form: Mapping[str, str], client_id: str | None = None) -> bytes:
        """The request for an access token, by password or by refresh token."""
        body = urlencode(form).encode()
        extra = ""
        if client_id is not None:
            extra = f"client_id: {check_header(client_id, 'client id')}\r\n"
        return (
            self._head(
                "POST",
                f"{self._prefix}/api/token",
                length=len(body),
                content_type="application/x-www-form-urlencoded",
                extra=extra,
            )
            + body
        )

    def parse_page(self, body: bytes) -> ListPage:
        """Read a list's reply.  Raises BadList."""
        envelope = load(body)
        if not isinstance(envelope, dict):
            raise BadList("the list is not a JSON object")
        rows: Any = envelope.get("Records")
        if not isinstance(rows, list):
            raise BadList("the list has no Records")
        has_next = envelope.get("HasNextPage")
        if not isinstance(has_next, bool):
            raise BadList("the list has no HasNextPage that is true or false", is_list=True)
        records = self._records(rows)
        self._check_fields(records)
        return ListPage(
            records=records,
            page=count_of(envelope, "CurrentPage", "PageNumber"),
            page_size=count_of(envelope, "CurrentPageSize", "PageSize"),
            total=count_of(envelope, "TotalItems"),
            has_next=has_next,
            created_on=[row.get(CREATED_ON) for row in rows],
        )

    def parse_records(self, body: bytes) -> list[ListedRecord]:
        """Read the reply to `by_ids`, a bare array.  Raises BadList."""
        rows = load(body)
        if not isinstance(rows, list):
            raise BadList("the records by ids are no JSON array")
        return [
            ListedRecord(*record, row.get(CREATED_ON)) for record, row in zip(self._records(rows), rows, strict=True)
        ]

    def _records(self, rows: list[Any]) -> list[Record]:
        first, second = self.entity.fields
        records: list[Record] = []
        for row in rows:
            if not isinstance(row, dict) or not is_id(row.get("Id")):
                shown = row.get("Id", "none") if isinstance(row, dict) else row
                raise BadList(f"a record's Id is no positive 64-bit integer: {shown!r:.40}", is_list=True)
            ids = row.get(first), row.get(second)
            for name, value in zip((first, second), ids, strict=True):
                if is_id_in_other_words(value):  # it may be ours, and we would pass it over
                    raise BadList(f"record {row['Id']} has a {name} that is no integer: {value!r:.40}", is_list=True)
            records.append((row["Id"], (id_of(ids[0]), id_of(ids[1]))))
        return records

    def _check_fields(self, records: list[Record]) -> None:
        """Raise where it is not some records that lost an id, but the fields that do not come."""
        missing = [name for i, name in enumerate(self.entity.fields) if all(pair[i] == NOBODY for _, pair in records)]
        if missing and len(records) >= (FEW_ORPHANS if len(missing) > 1 else MANY_ORPHANS):
            raise BadList(f"none of {len(records)} records has a {' or a '.join(missing)}", is_list=True)

    def _head(
        self,
        method: str,
        target: str,
        *,
        token: str | None = None,
        length: int | None = None,
        content_type: str = "",
        extra: str = "",
    ) -> bytes:
        head = f"{method} {target} HTTP/1.1\r\n{self._common}"
        if token is not None:
            head += f"Authorization: Bearer {check_header(token, 'token')}\r\n"
        if length is not None:
            head += f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n"
        return f"{head}{extra}\r\n".encode("ascii")


def host_header(scheme: str, host: str, port: int | None) -> str:
    """The Host field: IDNA, brackets around IPv6, no port where it is the scheme's own."""
    name = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    return name if port in (None, DEFAULT_PORTS[scheme]) else f"{name}:{port}"


def check_header(value: str, what: str) -> str:
    """`value`, if it can stand in a header.  The error never shows it."""
    if TOKEN.fullmatch(value):
        return value
    if not value:
        why = "is empty"
    elif "\n" in value or "\r" in value:
        why = "has a line end"
    elif any(character.isspace() for character in value):
        why = "has a space"
    elif len(value) > TOKEN_CHARS and value.isascii() and value.isprintable():
        why = f"is longer than {TOKEN_CHARS:,} characters"
    else:
        why = f"has a character that no {what} has"
    raise UsageError(f"the {what} {why}", hint=f"look at where the {what} comes from; it is not shown here")


def is_id(value: object) -> bool:
    """Whether this can be the id of something."""
    return type(value) is int and 0 < value <= ID_MAX


def is_id_in_other_words(value: object) -> bool:
    """Whether this is a number that stands for an id, such as "42" or 42.0."""
    return (isinstance(value, str) and value.strip().isdecimal()) or (isinstance(value, float) and value.is_integer())


def id_of(value: Any) -> int:
    """The id, or `NOBODY` where this can be none."""
    return value if is_id(value) else NOBODY


def load(body: bytes) -> Any:
    """JSON, with a byte order mark or without, or BadList."""
    try:
        return orjson.loads(body.removeprefix(BOM))
    except orjson.JSONDecodeError:
        raise BadList("the list is not JSON") from None


def count_of(envelope: dict[str, Any], *names: str) -> int:
    """The first of these fields that is there, which must be a count."""
    for name in names:
        value = envelope.get(name)
        if value is not None:
            if type(value) is not int or value < 0:
                raise BadList(f"the list's {name} is not a count: {value!r:.40}", is_list=True)
            return value
    raise BadList(f"the list has no {names[0]}", is_list=True)
