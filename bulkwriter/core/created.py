"""The usual reply to a create: told by its ends and its digits alone, without a parser for HTTP or JSON.

Servers answer creates alike.  Head and body stay the same for as long as the second in `Date` and `UpdatedOn` does, but
for the id.  So the text before and after the id of one reply is kept.  A later reply may have the same length, begin
and end with the same bytes, and have a plain number between them.  It then means the same with another id.  This takes
0.3 µs instead of 2.

A text is learnt only after a proof that the number is the id and that nothing else depends on it: the same body around
another number must parse as a creation of that id.  A place inside a string, a part of a longer number, or an `Id` that
does not count would fail this proof.  The head says how long the body is, and the length is the same.

Invariant: the answer is that of `net.framing` and `created_id` together.  Only one in `PATIENCE` of the replies that
had to be parsed is learnt from, so a server with ever different replies costs hardly more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ..model import Reply

PATIENCE: Final = 64
DIGITS_MAX: Final = 18  # any number of so many digits is below 2^63
ZERO: Final = b"0"[0]


class UsualReply:
    """What the usual reply looks like.  `status` is its HTTP status.  `created_id` reads the id out of any reply."""

    __slots__ = ("_before", "_begin", "_behind", "_bytes", "_created_id", "_end", "_left", "status")

    def __init__(self, created_id: Callable[[Reply], int]) -> None:
        self._created_id = created_id
        self._before, self._behind, self._bytes = b"", b"", -1
        self._begin, self._end = 0, 0
        self._left = 1
        self.status = 0

    def ids_in(self, texts: Iterable[bytes]) -> list[int]:
        """The ids of the records that replies of these bytes prove to be created; 0 for each that is no usual one."""
        before, behind, begin, end, size = self._before, self._behind, self._begin, self._end, self._bytes
        found: list[int] = []
        for text in texts:
            if len(text) == size and text.startswith(before) and text.endswith(behind):
                digits = text[begin:end]
                found.append(int(digits) if digits.isdigit() and digits[0] != ZERO else 0)
            else:
                found.append(0)
        return found

    def learn(self, text: bytes, reply: Reply, record_id: int) -> None:
        """A reply that had to be parsed proves the creation of `record_id`.  `text` is the whole of it, the end of
        which is its body; or nothing, if other connections might read the same bytes in another way.
        """
        self._left -= 1
        if self._left > 0 or not text:
            return
        self._left = PATIENCE
        digits = b"%d" % record_id
        before, found, behind = reply.body.partition(b'"Id":' + digits)
        other = record_id - 1 if digits.strip(b"9") == b"" else record_id + 1  # of as many digits
        body = b'%b"Id":%d%b' % (before, other, behind)
        if found and behind and len(digits) <= DIGITS_MAX and self._created_id(reply._replace(body=body)) == other:
            self._end = len(text) - len(behind)
            self._begin = self._end - len(digits)
            self._before, self._behind, self._bytes = text[: self._begin], behind, len(text)
            self.status = reply.status
