"""Numbers, dates and errors of cells as texts, and why some of them are no ids.

A spreadsheet keeps a number as a double and shows 15 digits of it, so a longer id was rounded when it was typed or
imported.  Below 10^15 every whole number is exact.  The same holds for numbers with a point in databases.

Invariant: a plain `str` of digits is exactly the number of its cell.  Whatever is not certain is `Flawed`.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from ..row_faults import Flawed

EXACT_BELOW: Final = 10**15
EXACT_CHARS: Final = 15
SHOWN_BELOW: Final = 1e21
"""Whole numbers up to here are shown with all their digits, larger ones with an exponent."""

ROUNDED: Final = (
    "has more than 15 digits in a number cell, and spreadsheets round those: take it again from its source, into a "
    "column of text"
)
IS_DATE: Final = "is formatted as a date: format the column as a number, and check the values"
IS_ERROR: Final = "is an error of the spreadsheet: mend its formula and save the file again"
IS_UNSAVED: Final = "is a formula without a saved value: open the file in a spreadsheet and save it again"
IS_BINARY: Final = "is binary"

EPOCH_1900: Final = datetime.datetime(1899, 12, 30)  # noqa: DTZ001 cells have no time zone
EPOCH_1904: Final = datetime.datetime(1904, 1, 1)  # noqa: DTZ001
LEAP_BUG_DAY: Final = 60
"""Serial 60 is 29 February 1900, a day that never was; so earlier serials are a day short."""
LAST_DAY: Final = 2_958_465
"""31 December 9999, the last date of a spreadsheet."""

BUILT_IN_DATES: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
"""Formats that are dates or times without being written out (ECMA-376, part 1, 18.8.30)."""
NO_PLACEHOLDER: Final = re.compile(r'"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]?')
"""The parts of a format that show text, space or a colour."""
ELAPSED: Final = re.compile(r"\[[hms]+\]", re.IGNORECASE)
DATE_LETTERS: Final = re.compile("[dmyhs]", re.IGNORECASE)
ESCAPE: Final = re.compile("_x([0-9A-Fa-f]{4})_")


def number_text(text: str) -> str:
    """The number in a cell, which the file writes as `text`."""
    if len(text) <= EXACT_CHARS and text.isascii() and text.isdigit():
        return text
    try:
        number = float(text)
    except ValueError:
        return Flawed(text, "is no number, although its cell says so")
    return float_text(number)


def float_text(number: float) -> str:
    """A double as a text: whole numbers without a point."""
    if number != number or abs(number) >= SHOWN_BELOW:
        return Flawed(repr(number), ROUNDED)
    if not number.is_integer():
        return repr(number)
    text = str(int(number))
    return text if abs(number) < EXACT_BELOW else Flawed(text, ROUNDED)


def date_text(text: str, *, is_1904: bool) -> str:
    """A number that its cell shows as a date or time, in ISO form where there is such a date."""
    try:
        days = float(text)
    except ValueError:
        return Flawed(text, IS_DATE)
    if not 0 <= days <= LAST_DAY:
        return Flawed(text, IS_DATE)
    if not is_1904 and 1 <= days < LEAP_BUG_DAY:
        days += 1
    epoch = EPOCH_1904 if is_1904 else EPOCH_1900
    moment = epoch + datetime.timedelta(seconds=round(days * 86_400))
    return Flawed(moment_text(moment.time() if days < 1 else moment), IS_DATE)


def moment_text(moment: datetime.date | datetime.time) -> str:
    """A date, a time, or both as people write them; midnight is no time of its own."""
    if isinstance(moment, datetime.datetime):
        is_day = moment.time() == datetime.time() and moment.tzinfo is None
        return moment.date().isoformat() if is_day else moment.isoformat(" ")
    return moment.isoformat()


def is_date_format(code: str) -> bool:
    """Whether a number format shows a date or a time."""
    return bool(ELAPSED.search(code) or DATE_LETTERS.search(NO_PLACEHOLDER.sub("", code)))


def unescaped(text: str) -> str:
    """Text with `_x000D_` and its like as the characters that they stand for (ECMA-376, part 1, 22.9.2.19)."""
    return ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text
