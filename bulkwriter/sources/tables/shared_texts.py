"""The shared texts of a workbook, by number: in memory while they are few, else in a temporary file.

A workbook keeps each text once and its cells hold numbers.  The texts come before the first row is read, and cells ask
for them in any order, so all of them must be at hand.  As UTF-8 in one block they take their bytes and 8 more each.
From `MEMORY_BYTES` on they go to a temporary file, which nobody else can open and which is gone with the process; a
look then costs 2 µs.  More than `MOST_BYTES` is refused: no workbook of people has that, an archive bomb does.

Invariant: text i is what the i-th call of `add` was given, wherever it lies.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from typing import IO, Final

from .xml_events import SpoiledXml

MEMORY_BYTES: Final = 8 << 20
MOST_BYTES: Final = 1 << 30
KEPT: Final = 4_096
"""Texts kept as objects: titles come again and again."""
PLACE_BYTES: Final = 8


class SharedTexts:
    """Texts by number; `close` frees the file."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES, most_bytes: int = MOST_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._most_bytes = most_bytes
        self._texts = bytearray()  # those that no file holds yet
        self._ends = array("Q")
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        self._count = 0
        self._bytes = 0
        self._kept: dict[int, str] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._texts += data
        self._bytes += len(data)
        self._ends.append(self._bytes)
        self._count += 1
        if self._bytes + PLACE_BYTES * self._count > self._most_bytes:
            raise SpoiledXml(f"its texts are larger than {self._most_bytes >> 20:,} MB")
        if len(self._texts) + PLACE_BYTES * len(self._ends) > self._memory_bytes:
            self._spill()

    def end(self) -> None:
        """All texts are there."""
        if self._files:
            self._spill()

    def __getitem__(self, number: int) -> str:
        if (kept := self._kept.get(number)) is not None:
            return kept
        if not 0 <= number < self._count:
            raise SpoiledXml(f"a cell has text {number:,} of {self._count:,}")
        if len(self._kept) >= KEPT:
            self._kept.clear()
        text = self._kept[number] = self._data(number).decode("utf-8", "surrogatepass")
        return text

    def close(self) -> None:
        for file in self._files or ():
            file.close()

    def _data(self, number: int) -> bytes:
        if self._files is None:
            return bytes(self._texts[self._ends[number - 1] if number else 0 : self._ends[number]])
        texts, ends = self._files
        first = max(number - 1, 0)
        places = array("Q", os.pread(ends.fileno(), PLACE_BYTES * (number - first + 1), PLACE_BYTES * first))
        start = places[0] if number else 0
        return os.pread(texts.fileno(), places[-1] - start, start)

    def _spill(self) -> None:
        """Move what is in memory to the files."""
        if self._files is None:
            self._files = tempfile.TemporaryFile(buffering=0), tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 closed by close
        for file, data in zip(self._files, (bytes(self._texts), self._ends.tobytes()), strict=True):
            with memoryview(data) as rest:
                written = 0
                while written < len(rest):
                    written += file.write(rest[written:])
        self._texts.clear()
        self._ends = array("Q")
