"""The reason why a row is no pair, in words that help to correct it: the value, what it looks like, and what to do.

A fault has two forms.  `reason` is for one row and holds its value, shortened and escaped, unless an e-mail is in it.
`kind` is the same without the values of the row, so that rows can be counted by it.

This module does not decide what an id is (ids.py does), and it guesses nothing.  `1.234` may mean 1,234 or 1.234, so it
is refused.  The digits that a spreadsheet rounded away are lost.  The first match in the table is told.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self

from ..model import BadRow
from .batches import printable, raw_text

SHOWN_CHARS: Final = 40
LOOKED_AT: Final = 200
"""Characters of a value that are looked at; a longer one is no slip of a spreadsheet's."""
NOT_AN_ID: Final = "is not a whole number from 1 to 2^63-1"
EMPTY: Final = "is empty"

# Bytes that are no UTF-8 come as lone surrogates: U+DCA0 is the no-break space of Latin-1.
ESCAPED: Final = re.compile("[\udc80-\udcff]")
SPACES: Final = "\u00a0\u2000-\u200f\u202f\u205f\u2060\u3000\ufeff\udca0"
LOOKS: Final = tuple(
    (re.compile(pattern, re.ASCII), words)
    for pattern, words in (
        (
            r"[^@\s]+@[^@\s]+",
            "is an e-mail and not an id: see bulkwriter help ids for where the id is found",
        ),
        (
            r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            "is a UniqueId: the record's whole number, its Id, is wanted",
        ),
        (
            r"[+-]?\d+([.,]\d*)?[eE][+-]?\d+",
            "was rounded, as spreadsheets do, so the id is lost: take it again from its source, into a column of text",
        ),
        (
            rf"[+-]?\d{{1,3}}([.,_'’ {SPACES}]\d{{3}})+([.,]\d*)?",
            "has thousands separators: write the digits alone",
        ),
        (r"[+-]?\d*[.,]\d+|[+-]?\d+[.,]", "is a decimal number: save the column as whole numbers"),
        (rf"[{SPACES} ]*\d[\d{SPACES} ]*", "has a space or an invisible character in it: delete it"),
        (r"'\d+'?|=?\"\d+\"|=\d+", "has a spreadsheet's mark of text around it: write the digits alone"),
        (r"#+", "was in a column too narrow for its numbers: make it wider and export again"),
        (r"#[A-Z/0]+[!?]?", "is a spreadsheet's error: mend its formula and export again"),
        (r"(?i)null|none|nan|n/a|nil|<na>|-", "is a word for an empty field"),
    )
)


class RowFault(NamedTuple):
    """Why a row is no pair.  `reason` equals `kind` if it holds no value of its row."""

    kind: str
    reason: str

    @classmethod
    def plain(cls, reason: str) -> RowFault:
        return cls(reason, reason)

    def row(self, raw: bytes) -> BadRow:
        """The bad row whose text is `raw`."""
        return BadRow(self.reason, raw_text(raw), self.kind)


class Flawed(str):
    """A value as people see it, of which no id may be made.  `why` continues the sentence "COLUMN 'value' …"."""

    __slots__ = ("why",)
    why: str

    def __new__(cls, text: str, why: str) -> Self:
        made = super().__new__(cls, text)
        made.why = why
        return made


def no_id(column: str, text: str) -> RowFault:
    """Why `text`, which is no id, is none; `column` is what people call its place."""
    value = text.strip(" \t\r\n")
    if isinstance(text, Flawed):
        return RowFault(
            f"{column} {text.why}", f"{column} '{shortened(value)}' {text.why}" if value else f"{column} {text.why}"
        )
    if not value:
        return RowFault.plain(f"{column} {EMPTY}")
    words = looks_like(value)
    if "@" in value:  # an address of a person: reasons reach logs and reports, and the line says where it is
        return RowFault.plain(f"{column} {words}")
    return RowFault(f"{column} {words}", f"{column} '{shortened(value)}' {words}")


def looks_like(value: str) -> str:
    """What is wrong with `value`, and what to do."""
    if len(value) > LOOKED_AT:
        return NOT_AN_ID
    found = next((words for pattern, words in LOOKS if pattern.fullmatch(value)), NOT_AN_ID)
    is_plain = value.isascii() and value.isdigit()  # 0, or too large: nothing invisible about it
    return NOT_AN_ID if is_plain else found


def shortened(value: str) -> str:
    """A value as people may see it: undecodable bytes as `\\xff`, cut in the middle of nothing that matters."""
    text = printable(ESCAPED.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", value[:LOOKED_AT]))
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
