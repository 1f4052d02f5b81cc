"""Whether a record is older than the run, or than a request of it: by its id and by its CreatedOn.

A server may answer the second POST of a pair with the id of the record that was there before.  That reply looks like a
creation.  While ids rise, its id shows what it is: the run knew that id, or a higher one, before it sent the request.
Where ids do not rise, the id shows nothing.  So such a pair is in doubt until a look shows its record (`is_own`):

    CreatedOn clearly before the request was sent         older, so the pair was there
    CreatedOn of that second or later, in any zone        the run's, and ids do not rise
    else                                                  not known by the clock; it is as the ids of all replies say

The same holds for a lost request whose record is not above its floor, in a run as in an `undo`.

Before anything is deleted, `Baseline` tells the run's records from those that were there when the run began.  With
`--existing skip` nobody had looked before.  `undo` and `verify --repair` must not delete an older record.

    id above the highest id of that time                      the run's, whatever any clock says
    CreatedOn not after that of a record of that time         older, by the server's own clock
    CreatedOn clearly before the run began                    older
    CreatedOn later                                           the run's: ids do not rise
    no readable CreatedOn, highest id of that time known      counts as older: nothing shows that it is the run's
    no readable CreatedOn, highest id not known               counts as the run's

A run (`run.baseline_keeper`) keeps this state in the journal's meta, key `began`.  A journal of an older version has no
such key; the time at which it was made then counts.

No documentation gives the time zone of a CreatedOn without one.  Such a record counts as older only if it is older in
every zone.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson

from ..errors import JournalError

BEGAN: Final = "began"
"""Key of the journal's meta; JSON: `at`, `floor` and `newest_on` of a `Baseline`."""
MOST_BELOW: Final = 3
SHARE: Final = 20
"""More than `MOST_BELOW` ids below their floors, and more than one in `SHARE` of all, and floors tell nothing."""
MARGIN_S: Final = 10.0
"""How far the clock of CreatedOn may lag behind the clock of the server's `Date`."""
SECOND_S: Final = 1.0
"""A CreatedOn is cut to its second."""
ZONES_S: Final = 12 * 3_600.0
"""No place on earth is further behind UTC."""
EAST_S: Final = 14 * 3_600.0
"""No place on earth is further ahead of UTC."""
STAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|[+-]\d\d:?\d\d))?", re.ASCII)


class Baseline(NamedTuple):
    """The state of the server when the run began.

    `at`: epoch seconds, by the server's clock if it was known.  `floor`: the highest record id.  `newest_on`: the
    `latest` CreatedOn that was seen.  None stands for "not known".
    """

    at: float | None = None
    floor: int | None = None
    newest_on: float | None = None

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> Baseline:
        """Read it from a journal's meta.  Raises `JournalError` if it is damaged, since a guess could cost a record."""
        if BEGAN not in meta:
            return cls(latest(meta.get("created_at")))
        try:
            kept = orjson.loads(meta[BEGAN])
            at, floor, newest_on = (kept[name] for name in ("at", "floor", "newest_on"))
            return cls(*(None if value is None else value + 0 for value in (at, floor, newest_on)))
        except (ValueError, KeyError, TypeError):
            hint = "restore the journal from a copy; nothing was deleted"
            raise JournalError(f"the journal is damaged: {BEGAN!r} in its table meta", hint=hint) from None

    def text(self) -> str:
        """The text for the journal's meta."""
        return orjson.dumps({"at": self.at, "floor": self.floor, "newest_on": self.newest_on}).decode()

    def is_before(self, record_id: int, created_on: object) -> bool:
        """Whether this record is older than the run, or cannot be told from an older one."""
        if self.floor is not None and record_id > self.floor:
            return False
        made_at = latest(created_on)
        if made_at is None:
            return self.floor is not None
        return made_at <= max(self.newest_on or 0.0, (self.at or 0.0) - MARGIN_S)


def floors_tell(below: int, checked: int) -> bool:
    """Whether looks may go by floors: of so many ids few were `below` their floors, and are not known to be older."""
    return below <= MOST_BELOW or below * SHARE <= checked


def is_own(
    record_id: int, created_on: object, *, floor: int | None, sent_at: float | None, are_rising: bool
) -> bool | None:
    """Whether a record that a look shows was made by the request with this floor, sent at that time (None: not known).

    `are_rising`: ids rise.  None where neither its id nor its time tells.
    """
    if floor is not None and record_id > floor:
        return True
    is_new = None if sent_at is None else is_newer(created_on, sent_at)
    if is_new is None and floor is not None and are_rising:
        return False
    return is_new


def is_newer(created_on: object, sent_at: float) -> bool | None:
    """Whether a record was made after its request was sent, as far as its CreatedOn shows; None: not known."""
    span = span_of(created_on)
    if span and span[1] <= sent_at - MARGIN_S:
        return False
    return True if span and span[0] > sent_at - SECOND_S else None


def is_near(created_on: object, sent_at: float) -> bool:
    """Whether a record's time is known, and so shortly before its request that clocks may differ by as much."""
    span = span_of(created_on)
    return span is not None and sent_at - MARGIN_S < span[0] + SECOND_S <= sent_at


def latest(stamp: object) -> float | None:
    """The last instant that this text can mean (epoch seconds), or None if it is no time."""
    span = span_of(stamp)
    return span[1] if span else None


def span_of(stamp: object) -> tuple[float, float] | None:
    """The first and the last instant that this text can mean (epoch seconds), or None if it is no time."""
    match = STAMP.fullmatch(stamp) if isinstance(stamp, str) else None
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match.group())
    except ValueError:
        return None
    blur_s = 1.0 if match[1] else 60.0
    if moment.tzinfo is None:
        at = moment.replace(tzinfo=UTC).timestamp()
        return at - EAST_S, at + blur_s + ZONES_S
    return moment.timestamp(), moment.timestamp() + blur_s
