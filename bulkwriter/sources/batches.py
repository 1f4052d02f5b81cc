"""Batches of consecutive rows, the common result of all sources, and the protocol `Source` to ask for them.

`RowBuffer` gathers the rows of a batch.  It keeps line numbers as a range while they follow each other, which they
nearly always do.  A list of numbers would cost a third of the pairs' memory again.

Invariant: a batch's lines and bad rows belong to its pairs by index, before and after a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ..model import BadRow, Batch

RAW_CHARS: Final = 500
"""A bad row is shown to people, not parsed again, so its text is cut."""
RAW_BYTES: Final = 4 * RAW_CHARS


class Source(Protocol):
    """A source of pairs.  One reader at a time; `name` is for people."""

    name: str

    async def read(self, max_rows: int) -> Batch | None:
        """The next 1 to `max_rows` rows as soon as there are any; None at the end, and again after it.

        It never blocks the loop.  A cancelled read loses nothing: the next one goes on from there.  Raises
        `SourceError` (or what a caller's own iterable raises) when all rows before the trouble are delivered.
        """

    def fraction(self) -> float | None:
        """The share of the source that `read` has delivered, 0 to 1, never falling; None where its size is unknown."""

    async def aclose(self) -> None:
        """Release the source, at once even if a read hangs.  A waiting read ends with `SourceError`."""


class RowBuffer:
    """Gathers rows until they are a batch."""

    __slots__ = ("bad", "lines", "pairs")

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int] | None] = []
        self.lines: range | list[int] = range(0)
        self.bad: dict[int, BadRow] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def add_all(self, pairs: Sequence[tuple[int, int] | None], first_line: int) -> None:
        """Add good rows on consecutive lines."""
        lines = range(first_line, first_line + len(pairs))
        if not self.pairs:
            self.lines = lines
        elif isinstance(self.lines, range) and self.lines.stop == first_line:
            self.lines = range(self.lines.start, lines.stop)
        else:
            self.lines = [*self.lines] if isinstance(self.lines, range) else self.lines
            self.lines.extend(lines)
        self.pairs.extend(pairs)

    def add_bad(self, row: BadRow, line: int) -> None:
        self.bad[len(self.pairs)] = row
        self.add_all((None,), line)

    def batch(self) -> Batch:
        return Batch(self.pairs, self.lines, self.bad)


def cut(batch: Batch, rows: int) -> tuple[Batch, Batch | None]:
    """The first `rows` rows, and what is left, or None."""
    pairs, lines, bad = batch
    if len(pairs) <= rows:
        return batch, None
    head = Batch(pairs[:rows], lines[:rows], {i: row for i, row in bad.items() if i < rows})
    return head, Batch(pairs[rows:], lines[rows:], {i - rows: row for i, row in bad.items() if i >= rows})


def printable(text: str) -> str:
    """`text` with escapes for all characters that could control a terminal or end a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def raw_text(data: bytes) -> str:
    """A bad row as people may see it, without the rest of a line's end of two bytes."""
    return printable(data[:RAW_BYTES].removesuffix(b"\r").decode("utf-8", "backslashreplace"))[:RAW_CHARS]
