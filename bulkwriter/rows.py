"""The rows of a journal as they are written, and the JSON of their details.

    AppendRow   a record of the source that the journal does not have yet
    SettleRow   a change to a row that the journal has
    StoredRow   a row as it is read for a comparison
    StepRow     a step in the way of a record that was no plain success

The rows are plain tuples, since one is made for each pair.  `detail` is JSON or None; there is one function for each
kind.  `store.schema` describes it and reads it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import orjson

from .model import BadRow, FieldError

AppendRow = tuple[int, int | None, int | None, int | None, int, str | None]
"""A new row: seq, the two ids (None, None where the row is no pair), line, state, detail."""
SettleRow = tuple[int, int, int, int | None, int | None, str | None]
"""An outcome: seq, state, attempts, record id, HTTP status, detail."""
STATE_ALONE: Final = -1
"""In place of attempts: this row changes only the state.  The stored attempts and details are still true."""
StoredRow = tuple[int, int | None, int | None, int, int, int | None]
"""A row as it is read for a comparison: seq, the two ids, state, attempts, line."""


class Named(NamedTuple):
    """What is known of a request whose pair is in doubt, beside its floor.

    `record_id`: its reply told of a creation, but this record is not above the floor, so that it may have been there
    before; 0 where no reply told of one.  `at`: when the request was sent, in epoch seconds, by the server's clock if
    that is known.
    """

    record_id: int
    at: float


class RecordStep(IntEnum):
    """One step in the way of a record that was no plain success.  The numbers are stored and keep their meaning.

    What came of an attempt: `THROTTLED` not applied, the server said "too fast" · `UNSENT` not applied, nothing was
    written or the token was an older one · `STOPPED` not applied, a setting, role or token is wrong · `LOST` may have
    been applied · `REFUSED` the server refuses the pair.
    Then: `RECALLED` the connection that answered was out of step, so it is in doubt · `ADOPTED` an earlier start had
    sent it or was about to · `FOUND` a look saw its record · `ABSENT` looks agreed that there is none · `SETTLED` its
    row is final.
    """

    THROTTLED = 1
    UNSENT = 2
    STOPPED = 3
    LOST = 4
    REFUSED = 5
    RECALLED = 6
    ADOPTED = 7
    FOUND = 8
    ABSENT = 9
    SETTLED = 10

    @property
    def word(self) -> str:
        return self.name.lower()


ABSENT_REFUSED: Final = "absent_refused"
"""Beside the words of steps in their totals: how many of `ABSENT` were looks at refused pairs."""

DELETED: Final = "then deleted by an undo"
"""What the detail of an undone row ends with where an undo has deleted its record."""
OLDER: Final = "older"
"""The word of a `LOST` step: the reply named a record that may be older than its request."""

StepRow = tuple[int, float, int, int | None, str | None, int | None, int | None, float | None, float | None]
"""A step in the way of one record: seq, time (epoch seconds), `RecordStep`, HTTP status, word, record id, state, how
long the attempt took and which wait the server asked for (seconds).
"""


def intent_detail(floor: int | None) -> str | None:
    """The `detail` of an intent: its floor, so that a doubt of a dead process can be settled cheaply."""
    return None if floor is None else f'{{"floor":{floor}}}'


def outcome_detail(errors: Sequence[FieldError], message: str) -> str:
    """The `detail` of an outcome: the server's words, or a reason of ours."""
    return orjson.dumps({"errors": [tuple(error) for error in errors], "message": message}).decode()


def doubt_detail(message: str, floor: int | None, named: Named | None = None) -> str:
    """The `detail` of a doubt: its reason, the floor of its intent, and what its reply named."""
    more = {"named": tuple(named)} if named else {}  # orjson takes no named tuple
    return orjson.dumps({"message": message, "floor": floor, **more}).decode()


def undone_detail(record_id: int, *, is_deleted: bool) -> str:
    """The `detail` of a pair whose record an undo has deleted, or found gone."""
    how = DELETED if is_deleted else "an undo found it gone"
    message = f"undone: record {record_id} was created by this run, and {how}"
    return orjson.dumps({"undone": record_id, "message": message}).decode()


def bad_row_detail(bad: BadRow) -> str:
    """The `detail` of a row that is no pair.  `kind` is added only if it differs from the reason."""
    kind = {"kind": bad.kind} if bad.kind and bad.kind != bad.reason else {}
    return orjson.dumps({"reason": bad.reason, "raw": bad.raw, **kind}).decode()


def text_of(errors: Iterable[Sequence[str]], message: str) -> str:
    """The server's words about a pair, on one line."""
    said = [f"{name}: {text}" if name and text else name or text for name, text in errors]
    return "; ".join(said) or message
