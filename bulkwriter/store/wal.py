"""Which rows a -wal may have changed: all that lie between the first and the last row of any leaf page in it.

    -wal      32 bytes, with the size of a page at 8 and two salts at 16; then frames
    frame     24 bytes, with the salts at 8; then a page
    page      a leaf of a table begins with 13; at 3 the number of its cells, from 8 on where each of them begins
    cell      how long the row is, and its seq, as varints; then the row

A frame with other salts is of an earlier use of the file, and there SQLite stops as well.  Check sums are left to
SQLite.  Where it uses fewer frames, too many rows are named here, never too few.  Tables of other rows have leaves as
well, so some rows are named for nothing.  Also when a journal was last written.

Not here: what is checked of these rows (`bounds`).  Source: sqlite.org/fileformat2.html, 1.6 and 4.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

HEADER_BYTES: Final = 32
FRAME_BYTES: Final = 24
LEAF: Final = 13
PAGE_BYTES: Final = frozenset(1 << bits for bits in range(9, 17))
SEQ_MAX: Final = (1 << 63) - 1
MOST_BYTES: Final = 64 << 20
"""A reader has kept SQLite from its checkpoints for long.  To check all rows is simpler then."""

SeqRanges = list[tuple[int, int]]


def frames_in(wal: Path) -> bytes:
    """The file up to its last frame of the present use; empty if there is none.  Raises `ValueError` where the file
    does not tell.
    """
    if not wal.exists():
        return b""
    with wal.open("rb", buffering=0) as opened:
        fd = opened.fileno()
        head, size, end = os.pread(fd, HEADER_BYTES, 0), os.fstat(fd).st_size, HEADER_BYTES
        if size <= HEADER_BYTES:
            return b""
        step, salts = FRAME_BYTES + _page_bytes(head), head[16:24]
        while end + step <= size and os.pread(fd, 8, end + 8) == salts:
            end += step
        if end > MOST_BYTES:
            raise ValueError("the -wal is too large")
        return os.pread(fd, end, 0)


def rows_in(frames: bytes) -> SeqRanges:
    """Ranges of seqs, both ends included, ascending and apart.  Raises `ValueError` where a page does not tell."""
    if not frames:
        return []
    found: SeqRanges = []
    step = FRAME_BYTES + _page_bytes(frames)
    for at in range(HEADER_BYTES, len(frames), step):
        found += _rows_of(frames[at + FRAME_BYTES : at + step])
    return _together(found)


def _page_bytes(head: bytes) -> int:
    page_bytes = int.from_bytes(head[8:12])
    if page_bytes not in PAGE_BYTES:
        raise ValueError("the -wal has no pages")
    return page_bytes


def _rows_of(page: bytes) -> SeqRanges:
    cells = int.from_bytes(page[3:5])
    if page[0] != LEAF or not cells:
        return []
    return [(_seq_of(page, 0), _seq_of(page, cells - 1))]


def _seq_of(page: bytes, cell: int) -> int:
    at = int.from_bytes(page[8 + 2 * cell : 10 + 2 * cell])
    try:
        if at > 8 and (seq := _varint(page, _varint(page, at)[1])[0]) <= SEQ_MAX:
            return seq
    except IndexError:
        pass
    raise ValueError("a page of the -wal is none")


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for i in range(at, at + 8):
        value = value << 7 | page[i] & 127
        if page[i] < 128:
            return value, i + 1
    return value << 8 | page[at + 8], at + 9


def _together(ranges: SeqRanges) -> SeqRanges:
    merged: SeqRanges = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def last_written_at(journal: Path) -> float:
    """When a journal was last written, its file or its -wal; epoch seconds, 0 where it is gone."""
    written = 0.0
    for path in (journal, journal.with_name(journal.name + "-wal")):
        with suppress(OSError):
            written = max(written, path.stat().st_mtime)
    return written
