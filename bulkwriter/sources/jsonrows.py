"""JSON Lines text to rows, in one of two ways, as for CSV.  The first object decides the spelling of the keys.

  piece     256 lines at a time, if every line is an object with both keys, each once, and integers behind them
  object    one line at a time, with a reason for every bad one: this way *defines* what a row is

A key may come twice.  In two spellings (`thingid`), the parsed object shows both.  In the same spelling it does not:
parsers silently keep the last one, which may be the wrong one.  So the quoted key is counted in the text.  If it is not
there exactly once, or if an escape might hide one, the standard library's parser lists all keys.

Invariant: piece gives exactly the result of object, or nothing.

Speed, µs a row: piece 0.7 (orjson 0.3); object 3.  Source of the format: https://jsonlines.org, RFC 8259.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

import orjson

from ..model import BadRow
from .batches import RowBuffer
from .columns import Columns, places
from .csv_records import has_long_line, too_long
from .header import Place, names_columns
from .ids import WHITE_BYTES, are_in_range, parse_id
from .row_faults import EMPTY, RowFault, no_id

PIECE_LINES: Final = 256


class JsonRows:
    """Rows of one JSON Lines text; `name` is the source's, for its errors."""

    def __init__(self, name: str, columns: Columns, line_bytes: int) -> None:
        self._name = name
        self._columns = columns
        self._line_bytes = line_bytes
        self._keys: tuple[str, str] | None = None  # as the first object spells them
        self._hiding = hiding(columns)
        self._is_begun = False

    def buffer(self) -> RowBuffer:
        return RowBuffer()

    def parse(self, block: bytes, rows: RowBuffer, *, line: int, is_last: bool, is_cut: bool = False) -> int:
        """Add the rows of `block`, whole lines of which the first is number `line`; always uses all of it."""
        lines = block.split(b"\n")
        lines.pop()
        for at in range(0, len(lines), PIECE_LINES):
            piece = lines[at : at + PIECE_LINES]
            pairs = self._piece_pairs(piece)
            if pairs is not None:
                rows.add_all(pairs, line + at)
                continue
            for i, text in enumerate(piece, line + at):
                if text.strip(WHITE_BYTES):
                    self._add(text, rows, i)
        return len(block)

    def too_long(self, head: bytes, line: int) -> BadRow:
        """Add a bad row for a line of more than `line_bytes`; `head` is its beginning."""
        self._begin(head, line)
        return RowFault.plain(too_long(self._line_bytes)).row(head[: self._line_bytes])

    def finish(self) -> None:
        """There is no more.  An empty text has no rows."""

    def _piece_pairs(self, lines: Sequence[bytes]) -> list[tuple[int, int]] | None:
        """The pairs of these lines, if each is a plain object."""
        if self._keys is None:
            return None
        joined = b"\n".join(lines)
        if has_long_line(joined, self._line_bytes):
            return None
        if self._hiding.search(joined) or any(joined.count(quoted(key)) != len(lines) for key in self._keys):
            return None
        try:
            objects = list(map(orjson.loads, lines))
            firsts, seconds = (list(map(itemgetter(key), objects)) for key in self._keys)
        except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):  # the last two: no object
            return None
        if {*map(type, firsts), *map(type, seconds)} != {int} or {*map(type, objects)} != {dict}:
            return None
        if {*map(len, objects)} != {2} and any(self._find(keys) != self._keys for keys in {*map(tuple, objects)}):
            return None
        return list(zip(firsts, seconds, strict=True)) if are_in_range(firsts) and are_in_range(seconds) else None

    def _find(self, keys: Sequence[str]) -> tuple[str, str] | None:
        """The two wanted among `keys` as they are spelled there; None unless each is there once."""
        firsts, seconds = (places(keys, wanted) for wanted in (self._columns.first, self._columns.second))
        return (keys[firsts[0]], keys[seconds[0]]) if len(firsts) == len(seconds) == 1 else None

    def _add(self, text: bytes, rows: RowBuffer, line: int) -> None:
        found = self._pair_of(text, line)
        if isinstance(found, RowFault):
            rows.add_bad(found.row(text[: self._line_bytes]), line)
        else:
            rows.add_all((found,), line)

    def _pair_of(self, text: bytes, line: int) -> tuple[int, int] | RowFault:
        """The pair in one line, or why there is none."""
        self._begin(text, line)
        if len(text) > self._line_bytes:
            return RowFault.plain(too_long(self._line_bytes))
        if not is_utf8(text):  # as in CSV: such bytes are some other column's, or spoil an id visibly
            text = text.decode("utf-8", "replace").encode()
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return RowFault("is not JSON", f"is not JSON: {error.msg}")
        if not isinstance(found, dict):
            return RowFault.plain("is not a JSON object")
        if self._keys is None:  # the first object: without the columns no other will be better
            if not self._columns.is_in(list(found)):
                self._columns.find(list(found), self._name, line)
            self._keys = self._find(list(found))
        return self._pair_in(found, text)

    def _pair_in(self, found: dict[str, Any], text: bytes) -> tuple[int, int] | RowFault:
        numbers = []
        for column in (self._columns.first, self._columns.second):
            keys = list(found)
            at = places(keys, column)
            if not at:
                return RowFault.plain(f"has no {column}")
            if len(at) > 1 or self._is_repeated(keys[at[0]], text):
                return RowFault.plain(f"{column} is there twice")
            value = found[keys[at[0]]]
            number = id_in(value)
            if number is None:
                return RowFault.plain(f"{column} {EMPTY}") if value is None else no_id(column, text_of(value))
            numbers.append(number)
        return numbers[0], numbers[1]

    def _is_repeated(self, key: str, text: bytes) -> bool:
        """Whether an object's text names `key` more than once; also True where that cannot be told."""
        if text.count(quoted(key)) == 1 and not self._hiding.search(text):
            return False
        try:
            pairs = json.loads(text, object_pairs_hook=list)
        except (ValueError, RecursionError):  # deeper than the standard library goes
            return True
        return [name for name, _ in pairs].count(key) != 1

    def _begin(self, text: bytes, line: int) -> None:
        """Refuse one big array, and CSV by this name, of which otherwise every line would be a bad row."""
        if self._is_begun:
            return
        place = Place(self._name, line)
        if text.lstrip(WHITE_BYTES).startswith(b"["):
            raise place.error(
                "a JSON array, not JSON Lines with one object a line",
                hint="turn it into JSON Lines, for example with: jq -c '.[]'",
            )
        if names_columns(text, self._columns):
            raise place.error(
                "this names columns as CSV does: it is not JSON Lines", hint="let the file's name end with .csv"
            )
        self._is_begun = True


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def id_in(value: object) -> int | None:
    """The id that a JSON value is: an integer (`true` is none), or a string of digits as in CSV."""
    if type(value) is int:
        return value if are_in_range((value,)) else None
    return parse_id(value) if isinstance(value, str) else None


def text_of(value: object) -> str:
    """A value that is no id, for people: as it stands in JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def quoted(key: str) -> bytes:
    return b'"%b"' % key.encode()


def hiding(columns: Columns) -> re.Pattern[bytes]:
    """The escapes that could spell a character of the key in a JSON text.

    Other escapes stand for characters that have no other spelling, so a key with them is never found by its bytes.
    """
    is_ascii = (columns.first + columns.second).isascii()
    return re.compile(rb"\\(?:u00[0-7]|/)" if is_ascii else rb"\\[u/]")
