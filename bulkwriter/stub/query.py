"""Reads the query string of a list call: paging, order, filters, time ranges, and the ids of a batch read.

Parameters that every list knows are `page`, `size`, `orderBy` and `dir`.  A kind of record adds its own as `Reads`: by
name in lower case, the function that reads a value.  Others are ignored, as servers do.  A `size` above the scenario's
maximum is capped without a word; `CurrentPageSize` tells.  A value that is no number, no date or no truth is a
`BadParameter`, which becomes a 400, so that a client's mistake is seen.  Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

DEFAULT_SIZE = 25


class BadParameter(Exception):
    """A list parameter has no sense; the message is for the client."""


@dataclass(slots=True)
class Query:
    """What a query string asks for.  `filters` are by name in lower case; `low` and `high` bound the commit second, in
    wall seconds."""

    page: int = 1
    size: int = DEFAULT_SIZE
    order_by: str = "Id"
    direction: int = 1
    filters: dict[str, Any] = field(default_factory=dict)
    low: float = -math.inf
    high: float = math.inf


ReadValue = Callable[[Query, str, str], None]
Reads = Mapping[str, ReadValue]


def parse_query(raw: bytes, reads: Reads, *, size_max: int, zone_offset_s: float) -> Query:
    """What a query string asks for, or `BadParameter`."""
    query = Query()
    for name, value in parse_qsl(raw.decode("ascii", "replace"), keep_blank_values=True):
        read = _PAGING.get(name.lower()) or reads.get(name.lower())
        if read is not None:
            read(query, name, value.strip())
    query.size = min(query.size if query.size > 0 else DEFAULT_SIZE, size_max)
    query.low -= zone_offset_s
    query.high -= zone_offset_s
    return query


def parse_ids(raw: bytes) -> list[int] | None:
    """The ids of `?id=[1,2,3]`, or None where the query has none; `BadParameter` where they are not ids."""
    for name, value in parse_qsl(raw.decode("ascii", "replace")):
        if name.lower() == "id":
            inside = value.strip().removeprefix("[").removesuffix("]")
            return [_whole("id", part.strip()) for part in inside.split(",") if part.strip()]
    return None


def page_of_list(query: Query, total: int, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The API's envelope around `records`, the page that the query asks for, of `total`."""
    first = (query.page - 1) * query.size
    pages = -(-total // query.size)
    return {
        "Records": records,
        "CurrentPageSize": query.size,
        "CurrentPage": query.page,
        "CurrentOrderField": query.order_by,
        "CurrentSortDirection": query.direction,
        "FirstItem": first + 1 if records else 0,
        "LastItem": first + len(records) if records else 0,
        "HasNextPage": query.page < pages,
        "HasPreviousPage": query.page > 1,
        "TotalItems": total,
        "TotalPages": pages,
    }


def matches(text: str, wanted: str, *, is_exact: bool) -> bool:
    """Whether a text passes a filter; case never counts."""
    return text.lower() == wanted.lower() if is_exact else wanted.lower() in text.lower()


def read_id(query: Query, name: str, value: str) -> None:
    query.filters[name.lower()] = _whole(name, value)


def read_text(query: Query, name: str, value: str) -> None:
    query.filters[name.lower()] = value


def read_flag(query: Query, name: str, value: str) -> None:
    if value.lower() not in ("true", "false"):
        raise BadParameter(f"{name}: {value} is neither true nor false")
    query.filters[name.lower()] = value.lower() == "true"


def read_bound(query: Query, name: str, value: str) -> None:
    """`from_…` and `to_…`: both ends count."""
    try:
        when = datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadParameter(f"{name}: {value} is not like YYYY-MM-DDTHH:mm") from None
    if name.lower().startswith("from_"):
        query.low = max(query.low, when)
    else:
        query.high = min(query.high, when)


def _whole(name: str, value: str) -> int:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 19:
        raise BadParameter(f"{name}: {value} is not a number")
    return int(value)


def _read_whole(attribute: str, low: int) -> ReadValue:
    def read(query: Query, name: str, value: str) -> None:
        number = _whole(name, value)
        if number < low:
            raise BadParameter(f"{name}: {value} is less than {low}")
        setattr(query, attribute, number)

    return read


def _read_order(query: Query, name: str, value: str) -> None:
    query.order_by = value


def _read_direction(query: Query, name: str, value: str) -> None:
    if value not in ("1", "-1"):
        raise BadParameter(f"{name}: {value} is neither 1 nor -1")
    query.direction = int(value)


_PAGING: Reads = {
    "page": _read_whole("page", 1),
    "size": _read_whole("size", -(2**31)),
    "orderby": _read_order,
    "dir": _read_direction,
}
