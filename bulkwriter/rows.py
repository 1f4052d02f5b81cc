"""The rows of a journal as they are written: plain tuples, since one is made a pair, and the JSON of their details.

    AppendRow   a record of the source that the journal does not have yet
    SettleRow   what became of one that it has
    StoredRow   one as it is read to be compared

`detail` is JSON or None, by one function for each kind of row; `store.schema` describes it and reads it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from .model import BadRow, FieldError

AppendRow = tuple[int, int | None, int | None, int | None, int, str | None]
"""A new row: seq, the two ids (None, None where the row is no pair), line, state, detail."""
SettleRow = tuple[int, int, int, int | None, int | None, str | None]
"""An outcome: seq, state, attempts, record id, HTTP status, detail."""
STATE_ALONE: Final = -1
"""As attempts: this row changes the state alone, since what its attempts were and what they left is true still."""
StoredRow = tuple[int, int | None, int | None, int, int, int | None]
"""A row as it is read to be compared: seq, the two ids, state, attempts, line."""


def intent_detail(floor: int | None) -> str | None:
    """The `detail` of an intent: its floor, so that a doubt of a dead process can be settled cheaply."""
    return None if floor is None else f'{{"floor":{floor}}}'


def outcome_detail(errors: Sequence[FieldError], message: str) -> str:
    """The `detail` of what the server said, or of what became of a pair."""
    return orjson.dumps({"errors": [tuple(error) for error in errors], "message": message}).decode()


def doubt_detail(message: str, floor: int | None) -> str:
    """The `detail` of a doubt: why it is one, and the floor that its intent had."""
    return orjson.dumps({"message": message, "floor": floor}).decode()


def bad_row_detail(bad: BadRow) -> str:
    """The `detail` of a row that is no pair; `kind` only where it is not the reason."""
    kind = {"kind": bad.kind} if bad.kind and bad.kind != bad.reason else {}
    return orjson.dumps({"reason": bad.reason, "raw": bad.raw, **kind}).decode()


def text_of(errors: Iterable[Sequence[str]], message: str) -> str:
    """What the server said of a pair, on one line."""
    said = [f"{name}: {text}" if name and text else name or text for name, text in errors]
    return "; ".join(said) or message
