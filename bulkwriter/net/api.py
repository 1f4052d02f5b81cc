"""Requests and replies of one entity of the API, as bytes and values.  It sends nothing and waits for nothing.

A request is one byte string, head and body.  The head of a create is kept by body length while the token stays the
same, so a create costs one formatting and one concatenation.  Every request says `Accept-Encoding: identity`.  None has
a `Connection` header, since keep-alive is the default of HTTP/1.1.

A page of a list is believed only if it has the documented shape: records with integer ids, `HasNextPage`, `TotalItems`,
and the page's number and size (also under their older names).  Any other shape is `BadList`: a list that cannot be read
must never look like an empty one.  What one of a record's ids names may be deleted.  Such an *orphan* has
`NOBODY` as that id: it counts for paging, and matches no pair.  The caller compares records with the filters.

Every list and read carries a new `NONCE`, which the API ignores: caches that ignore `no-cache` keep replies by address.

An `Api` is made with an `Entity`, which knows everything special to that entity.  Source: developers.nexudus.com as of
November 2026; RFC 9112, 3.2 (Host); RFC 6750, 2.1 (the characters of a bearer token; a few more are accepted here).
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import orjson

from .. import __version__
from ..entities import Entity
from ..errors import UsageError
from ..model import BOM, ID_MAX

IDS_PER_CALL: Final = 50
"""The most ids for one `by_ids`.  With 20 digits each they stay well under IIS's default limit of 2,048 characters a
query.
"""

TOKEN_CHARS: Final = 16_384
TOKEN: Final = re.compile(rf"[!-~]{{1,{TOKEN_CHARS}}}")
"""A text that may be put into a header: visible ASCII without spaces, so that no line end can add another header."""
FRESH: Final = "Cache-Control: no-cache\r\n"
"""A cached list could say twice that a record is not there (RFC 9111, 5.2.1.4)."""
DEFAULT_PORTS: Final = {"https": 443, "http": 80}

NONCE: Final = "_"
"""The parameter that web pages use with changing values against caches.  The API has no filter of this name."""
NOBODY: Final = 0
"""Stands for an id that a record lacks; a pair's ids are positive."""
FEW_ORPHANS: Final = 3
MANY_ORPHANS: Final = 20
"""If a page has so many records and all are orphans, the server does not send one of the fields.  Such a list shows no
pairs, so it must not count as "none is there".
"""

CREATED_ON: Final = "CreatedOn"

Record = tuple[int, tuple[int, int]]


class BadList(ValueError):
    """The body of a list differs from the documentation, so it says nothing; it does not say that nothing is there.

    `is_list`: it is a list of the API in another shape.  Otherwise it may be anybody's page.
    """

    def __init__(self, reason: str, *, is_list: bool = False) -> None:
        super().__init__(reason)
        self.is_list = is_list


class ListedRecord(NamedTuple):
    """A record as a read by ids shows it.  The pair of an orphan holds `NOBODY`.  `created_on` is the raw field."""

    record_id: int
    pair: tuple[int, int]
    created_on: object


class PagePlace(NamedTuple):
    """What the envelope of a page says of it and of its whole list."""

    page: int
    page_size: int
    total: int
    has_next: bool


class ListPage(NamedTuple):
    """One page of a list: (record id, pair) in the order received, and the envelope's facts about the whole list.

    The pair of an orphan holds `NOBODY`.  `created_on` has the raw fields of the same records.
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
    """Requests to one base URL, which may have a port and a path prefix.  A bad token is a UsageError."""

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
        self._body = body_format(entity)
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

    def probe(self, token: str) -> bytes:
        """A create without a pair, which no server takes: its refusal tells whether this token may create."""
        return self._head("POST", self._path, token=token, length=2, content_type="application/json") + b"{}"

    def list_page(
        self,
        token: str,
        *,
        filters: Mapping[str, object] | None = None,
        page: int = 1,
        size: int = 1_000,
        path: str | None = None,
    ) -> bytes:
        """The request for one page, from 1, of the records that match, newest first.

        `path`, below the base URL, is that of another list than the entity's.
        """
        query = {**(filters or {}), "page": page, "size": size, "orderBy": "Id", "dir": -1, NONCE: next(self._nonces)}
        return self._head("GET", f"{self._at(path)}?{urlencode(query)}", token=token, extra=FRESH)

    def by_ids(self, token: str, ids: Iterable[int], *, path: str | None = None) -> bytes:
        """The request for the records with these ids, at most `IDS_PER_CALL`; `parse_records` reads the reply.

        `path` is as in `list_page`.
        """
        chosen = ",".join(map(str, ids))
        return self._head(
            "GET", f"{self._at(path)}/?id=%5B{chosen}%5D&{NONCE}={next(self._nonces)}", token=token, extra=FRESH
        )

    def _at(self, path: str | None) -> str:
        return self._path if path is None else self._prefix + path

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
        rows, place = parse_envelope(body)
        records = self._records(rows)
        self._check_fields(records)
        return ListPage(records=records, **place._asdict(), created_on=[row.get(CREATED_ON) for row in rows])

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
                if is_id_in_other_words(value):  # it may be ours, and we would miss it
                    raise BadList(f"record {row['Id']} has a {name} that is no integer: {value!r:.40}", is_list=True)
            records.append((row["Id"], (id_of(ids[0]), id_of(ids[1]))))
        return records

    def _check_fields(self, records: list[Record]) -> None:
        """Raise if the server does not send the fields at all, as opposed to some records without an id."""
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


def body_format(entity: Entity) -> bytes:
    """The body of a create, with two places for numbers."""
    constants = b"".join(b",%b:%b" % (orjson.dumps(field), orjson.dumps(value)) for field, value in entity.constants)
    return b"{%b:%%d,%b:%%d%b}" % (*(orjson.dumps(field) for field in entity.fields), constants)


def parse_envelope(body: bytes) -> tuple[list[Any], PagePlace]:
    """The records of a page as they came, and its place in its list.  Raises BadList."""
    envelope = load(body)
    if not isinstance(envelope, dict):
        raise BadList("the list is not a JSON object")
    rows: Any = envelope.get("Records")
    if not isinstance(rows, list):
        raise BadList("the list has no Records")
    has_next = envelope.get("HasNextPage")
    if not isinstance(has_next, bool):
        raise BadList("the list has no HasNextPage that is true or false", is_list=True)
    return rows, PagePlace(
        page=count_of(envelope, "CurrentPage", "PageNumber"),
        page_size=count_of(envelope, "CurrentPageSize", "PageSize"),
        total=count_of(envelope, "TotalItems"),
        has_next=has_next,
    )


def host_header(scheme: str, host: str, port: int | None) -> str:
    """The Host field: IDNA, brackets around IPv6, no port if it is the scheme's default."""
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
    """Whether this value can be an id."""
    return type(value) is int and 0 < value <= ID_MAX


def is_id_in_other_words(value: object) -> bool:
    """Whether this is a number that stands for an id, such as "42" or 42.0."""
    return (isinstance(value, str) and value.strip().isdecimal()) or (isinstance(value, float) and value.is_integer())


def id_of(value: Any) -> int:
    """The id, or `NOBODY` if this value cannot be one."""
    return value if is_id(value) else NOBODY


def load(body: bytes) -> Any:
    """Parse JSON, with a byte order mark or without.  Raises BadList."""
    try:
        return orjson.loads(body.removeprefix(BOM))
    except orjson.JSONDecodeError:
        raise BadList("the list is not JSON") from None


def count_of(envelope: dict[str, Any], *names: str) -> int:
    """The value of the first of these fields that exists; it must be a count."""
    for name in names:
        value = envelope.get(name)
        if value is not None:
            if type(value) is not int or value < 0:
                raise BadList(f"the list's {name} is not a count: {value!r:.40}", is_list=True)
            return value
    raise BadList(f"the list has no {names[0]}", is_list=True)
