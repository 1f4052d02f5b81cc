"""A fast path for replies to creates: reads the record id without parsing JSON again.

Servers answer creates alike.  The text around the id stays the same for as long as the second in `UpdatedOn` does.  So
the text before and after the id of one reply is kept.  A later reply may begin and end with the same bytes and have a
plain number between them.  It then means the same with another id.  This takes 0.35 µs instead of 0.9 (JSON: 0.6).

A text is learnt only after a proof that the number is the id and that nothing else depends on it: the same text around
another number must parse as a creation of that id.  A place inside a string, a part of a longer number, or an `Id` that
does not count would fail this proof.

Invariant: the answer is that of `created_id`.  Only one in `PATIENCE` of the replies that had to be parsed is learnt
from, so a server with ever different replies costs hardly more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..model import Reply

PATIENCE: Final = 64
DIGITS_MAX: Final = 18  # any number of so many digits is below 2^63
ZERO: Final = b"0"[0]


class CreatedIds:
    """Offers `read`, a faster version of the `created_id` that it is given."""

    __slots__ = ("_before", "_begin", "_behind", "_created_id", "_end", "_left", "_status")

    def __init__(self, created_id: Callable[[Reply], int]) -> None:
        self._created_id = created_id
        self._before, self._behind, self._status = b"", b"", 0
        self._begin, self._end = 0, 0
        self._left = 1

    def read(self, reply: Reply) -> int:
        """The id of the record that this reply proves to be created, or 0."""
        status, text, _, _, fault, _, _ = reply
        if status == self._status and fault is None and text.startswith(self._before) and text.endswith(self._behind):
            digits = text[self._begin : self._end]
            if len(digits) <= DIGITS_MAX and digits.isdigit() and digits[0] != ZERO:
                return int(digits)
        record_id = self._created_id(reply)
        if record_id:
            self._left -= 1
            if self._left <= 0:
                self._left = PATIENCE
                self._learn(reply, record_id)
        return record_id

    def _learn(self, reply: Reply, record_id: int) -> None:
        text, name = reply.body, b'"Id":%d' % record_id
        before, found, behind = text.partition(name)
        before += name[:5]
        other = record_id + 1
        if found and behind and self._created_id(reply._replace(body=b"%b%d%b" % (before, other, behind))) == other:
            self._before, self._behind, self._status = before, behind, reply.status
            self._begin, self._end = len(before), -len(behind)
