"""The cheapest way to people's e-mails, in calls.  Pure: counts in, a choice out.

    everybody      the whole list of people:       (people of the account / page size) calls, where it shows e-mails
    enrolled       the enrolled ones by their ids:  (enrolled / ids a call) calls, then those left over
    one by one     each e-mail of the table:        as many calls as e-mails, and one to test the filter

None is the cheapest everywhere: a table of 20,000 in an account of 20,000 takes 20 calls, 20,000 or 100; a table of
500 in an account of 50,000 takes 50, 500 or about 20.

`enrolled` shows nobody who is not enrolled.  Those e-mails must be asked for all the same, to tell "not enrolled" from
"not found".  How many they are is known only afterwards, so `LEFT_OVER` of the table is assumed.  They are then found
by the cheaper of the other two ways, so a wrong guess costs at most one reading of the whole list.

`seconds_for` tells how long so many calls take under the quotas.  First value: 160 calls at 120 a minute, 80 s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..model import QuotaWindow

LEFT_OVER: Final = 0.05
"""Share of a table's e-mails that nobody enrolled has, where nothing is known: one row in twenty is a slip."""
SHORT_S: Final = 60.0
"""Windows up to this length are paced evenly; a longer one can be spent at once."""


class Way(Enum):
    """A way to people's e-mails; the value is its name for people."""

    EVERYBODY = "the whole list of people"
    ENROLLED = "the enrolled ones by their ids"
    ONE_BY_ONE = "one e-mail at a time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the choice depends on.  `emails` are those of the table that are not known yet; `pages_read` of the whole
    list are there already.  The last three say which ways are open.
    """

    emails: int
    everybody: int
    page_size: int
    pages_read: int
    enrolled: int
    batch: int
    shows_emails: bool
    may_read: bool
    may_filter: bool


def costs(it: Situation) -> dict[Way, int]:
    """The calls that each open way takes, the leftovers of `ENROLLED` included."""
    found: dict[Way, int] = {}
    if it.shows_emails:
        found[Way.EVERYBODY] = max(0, pages(it.everybody, it.page_size) - it.pages_read)
    if it.may_filter:
        found[Way.ONE_BY_ONE] = it.emails + 1
    if it.may_read and it.enrolled:
        left = math.ceil(it.emails * LEFT_OVER)
        rest = [cost for way, cost in found.items() if way is Way.EVERYBODY]
        rest += [left] if it.may_filter else []
        if rest:
            found[Way.ENROLLED] = pages(it.enrolled, it.batch) + min(rest)
    return found


def cheapest(it: Situation) -> Way | None:
    """The open way with the fewest calls; of equals the first in `Way`.  None where none is open."""
    found = costs(it)
    return min(Way, key=lambda way: found.get(way, math.inf)) if found else None


def pages(records: int, size: int) -> int:
    return math.ceil(records / max(1, size))


def seconds_for(calls: int, windows: Iterable[QuotaWindow], kinds: Iterable[str]) -> float:
    """How long `calls` take at least, if nothing was spent before, under the windows of these kinds."""
    wanted = set(kinds)
    longest = 0.0
    for window in windows:
        if window.kind not in wanted:
            continue
        if window.window_s <= SHORT_S:
            longest = max(longest, calls * window.window_s / window.count)
        else:
            longest = max(longest, max(0, math.ceil(calls / window.count) - 1) * window.window_s)
    return longest
