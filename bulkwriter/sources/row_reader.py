"""Turns a stream of bytes into batches of rows: blocks, lines, line numbers, and the format by the first bytes.

A block is the rest of the block before and the bytes of one read, up to `BLOCK_BYTES`.  Its whole lines go to the
parser of the format.  Lines that the parser does not use, and the incomplete last line, wait for the next block.  A
line longer than `line_bytes` is one bad row, and its rest is dropped as it comes.  So memory is bounded by `BLOCK_BYTES
+ 2 * line_bytes` and the rows of one block.

Invariant: the bytes decide which rows come; how reads cut them does not.

Not here: waits without blocking (`threaded`), and what a row is (`csvrows`, `jsonrows`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from ..errors import SourceError
from ..model import BOM, BadRow
from .batches import RAW_BYTES
from .ids import WHITE_BYTES
from .kinds import is_undecided, kind_of

BLOCK_BYTES: Final = 65_536
"""About 5,000 rows.  Four times as much is no faster, and what is read ahead costs memory."""
LINE_END: Final = re.compile(rb"\n|\r+(?=[^\r])")
"""The first line's end: LF, or carriage returns and what follows them."""


class Stream(Protocol):
    """A stream of bytes that may come late."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes as soon as there are any, b"" at the end; raises `SourceError`."""

    def share(self) -> float | None:
        """The share of the stream that has been read; None where its size is unknown."""

    def check(self, *, is_torn: bool) -> None:
        """Raise `SourceError` if the bytes that were read are no longer in the stream, or with `is_torn` may not be
        whole yet.
        """

    def close(self) -> None: ...


T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Buffer(Protocol[T_co]):
    """Gathers the rows of a block: pairs (`batches.RowBuffer`), or whole rows (`tables.rows.RowList`)."""

    def __len__(self) -> int: ...

    def add_bad(self, row: BadRow, line: int) -> None: ...

    def batch(self) -> T_co: ...


class RowParser(Protocol[T_co]):
    """The parser of one format: text to rows.  See csvrows.py for the meaning."""

    def buffer(self) -> Buffer[T_co]:
        """A new buffer of the kind that `parse` fills."""

    def parse(self, block: bytes, rows: Any, *, line: int, is_last: bool, is_cut: bool = False) -> int: ...

    def too_long(self, head: bytes, line: int) -> BadRow: ...

    def finish(self) -> None: ...


class RowReader(Generic[T]):
    """Rows of one stream; blocking, for one thread.  `parser_for` is given the first byte that is not white space."""

    def __init__(
        self,
        stream: Stream,
        parser_for: Callable[[bytes], RowParser[T]],
        *,
        name: str,
        line_bytes: int,
        is_unpacked: bool = False,
    ) -> None:
        self._stream = stream
        self._parser_for = parser_for
        self._parser: RowParser[T] | None = None
        self._name = name
        self._line_bytes = line_bytes
        self._is_unpacked = is_unpacked
        self._has_cr_ends = False
        self._buffer = b""
        self._line = 1  # of the buffer's first byte
        self._bytes_in = 0
        self._is_ended = False
        self._is_fresh = False  # something was read that the parser has not seen
        self._reached = 0.0  # what a compressed stream has read ahead makes fraction() jump
        self._error: SourceError | None = None

    def read(self) -> T | None:
        """The rows of the next block that has any; None at the end.

        Raises `SourceError` when the rows before the trouble have been returned, and again whenever it is called again.
        """
        parser = self._parser or self._begin()
        while True:
            rows = parser.buffer()
            if self._is_fresh:
                self._parse(parser, rows)
            if len(rows):
                return rows.batch()
            if self._error is not None:
                raise self._error
            if self._is_ended:
                parser.finish()
                return None
            self._fill()

    def fraction(self) -> float | None:
        """The share of the stream whose rows have been returned; of its compressed bytes where it is compressed."""
        share = self._stream.share()
        if share is None:
            return None
        waiting = len(self._buffer) / self._bytes_in if self._bytes_in else 0.0
        self._reached = max(self._reached, share * (1.0 - min(1.0, waiting)))
        return self._reached

    def check(self) -> None:
        """Raise `SourceError` if the rows returned last are no longer in the stream."""
        self._stream.check(is_torn=False)

    def close(self) -> None:
        self._stream.close()

    def _begin(self) -> RowParser[T]:
        """Look at the first bytes; the parser for what they are."""
        while (is_undecided(self._buffer) or BOM.startswith(self._buffer)) and self._fill():
            pass
        self._buffer = self._buffer.removeprefix(BOM)
        while not self._buffer.lstrip(WHITE_BYTES) and len(self._buffer) <= self._line_bytes and self._fill():
            pass
        while is_undecided(self._buffer) and len(self._buffer) <= self._line_bytes and self._fill():
            pass
        if kind := kind_of(self._buffer, is_unpacked=self._is_unpacked):
            raise SourceError(f"{self._name} is {kind.what}", hint=kind.hint, line=1)
        self._find_line_end()
        if self._error is not None and not self._buffer:
            raise self._error
        self._parser = self._parser_for(self._buffer.lstrip(WHITE_BYTES)[:1])
        return self._parser

    def _find_line_end(self) -> None:
        """Find out whether lines end with a carriage return alone, as old spreadsheets for the Mac write them."""
        most = self._line_bytes + 2
        while (found := LINE_END.search(self._buffer[:most])) is None and len(self._buffer) < most and self._fill():
            pass
        if found is not None and found[0] != b"\n" and self._buffer[found.end() : found.end() + 1] != b"\n":
            self._has_cr_ends = True
            self._buffer = self._buffer.replace(b"\r", b"\n")

    def _fill(self) -> bool:
        """Read on; False at the end, or where reading failed."""
        if self._is_ended or self._error is not None:
            return False
        try:
            block = self._stream.read(BLOCK_BYTES)
            if not block and self._is_torn and not self._buffer.rstrip().endswith(b"}"):  # a closed object is whole
                self._stream.check(is_torn=True)
        except SourceError as error:
            self._error = error  # raised when the rows before it are delivered
            return False
        self._bytes_in += len(block)
        self._buffer += block.replace(b"\r", b"\n") if self._has_cr_ends else block
        self._is_fresh = True
        if not block:
            self._is_ended = True
            if self._is_torn:
                self._buffer += b"\n"  # the last line's end may be missing
        return bool(block)

    @property
    def _is_torn(self) -> bool:
        """Whether the buffer ends within a line."""
        return bool(self._buffer) and not self._buffer.endswith(b"\n")

    def _parse(self, parser: RowParser[T], rows: Buffer[T]) -> None:
        """Turn the buffer's whole lines into rows, and an over-long line into a bad one."""
        self._is_fresh = False
        end = self._buffer.rfind(b"\n") + 1
        is_too_long = len(self._buffer) - end > self._line_bytes
        if end:
            block = self._buffer[:end]
            used = parser.parse(block, rows, line=self._line, is_last=self._is_ended or is_too_long, is_cut=is_too_long)
            self._line += block.count(b"\n", 0, used)
            self._buffer = self._buffer[used:]
        if is_too_long:
            row = parser.too_long(self._buffer[:RAW_BYTES], self._line)
            rows.add_bad(row, self._line)
            self._skip_line()
            self._is_fresh = True  # lines may have come behind it

    def _skip_line(self) -> None:
        """Throw away the rest of a line."""
        while (end := self._buffer.find(b"\n") + 1) == 0:
            self._buffer = b""
            if not self._fill():
                break
        self._buffer = self._buffer[end:]
        self._line += 1
