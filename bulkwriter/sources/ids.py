"""Strict whole numbers: the only definition of an id in text, one at a time and by the column.

An id is ASCII digits with white space (space, tab, CR, LF) around them, with a value from 1 to 2^63-1.  `int()` accepts
more than that (signs, underscores, digits of other scripts), so it never gets unchecked text here.

Invariant: a function for whole columns either agrees with `parse_id` on every entry, or returns None, "look closer".
Callers then take the entries one by one.  So it may refuse a text that `parse_id` accepts (leading zeros), but never
accepts one that `parse_id` refuses.

Speed: `bytes.translate` removes all digits, and the rest must be exactly the separators.  So one comparison proves the
shape of thousands of numbers.  orjson then reads them at 40 ns each, and refuses empty entries and white space inside a
number.  It reads integers above 2^64 as floats; the range check refuses those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from ..model import ID_MAX

WHITE: Final = " \t\r\n"
WHITE_BYTES: Final = WHITE.encode()
DIGITS: Final = b"0123456789"


def parse_id(text: str) -> int | None:
    """The id in `text`, or None."""
    digits = text.strip(WHITE)
    if not (digits.isascii() and digits.isdigit()):
        return None
    significant = digits.lstrip("0")
    if not 0 < len(significant) <= 19:  # 2^63-1 has 19 digits; bounds what int() is given
        return None
    number = int(significant)
    return number if number <= ID_MAX else None


def are_in_range(numbers: Sequence[int]) -> bool:
    """Whether all of these, at least one, are 1 to 2^63-1."""
    return min(numbers) >= 1 and max(numbers) <= ID_MAX


def parse_column(texts: Sequence[str]) -> Sequence[int] | None:
    """The ids in `texts`, at least one; None where one of them wants a closer look."""
    joined = ",".join(texts).encode("utf-8", "replace")
    if joined.translate(None, DIGITS + WHITE_BYTES) != b"," * (len(texts) - 1):
        return None
    numbers = parse_list(joined, len(texts))
    return numbers if numbers is not None and are_in_range(numbers) else None


def parse_list(joined: bytes, count: int) -> Sequence[int] | None:
    """The `count` numbers, of any size, in digits, commas and white space alone; None where one wants a closer look."""
    try:
        numbers: list[int] = orjson.loads(b"[%b]" % joined)
    except orjson.JSONDecodeError:
        return None
    return numbers if len(numbers) == count else None  # a single empty entry reads as an empty list
