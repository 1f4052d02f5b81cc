"""The rows on disk: as they were given, and a full disk is told as such."""

from __future__ import annotations

import errno
import io
import tempfile
from pathlib import Path

import pytest

from bulkwriter.errors import UsageError
from bulkwriter.resolve.spool import BUFFER_BYTES, Spool


class FullDisk(io.RawIOBase):
    """A file that can be made, and takes no byte."""

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_rows_come_back_as_often_as_asked_for(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(2, ["a", "\ud800"])
    spool.add(3, [], "too long")
    for _ in range(2):
        assert [tuple(row) for row in spool] == [(2, ["a", "\ud800"], "", ""), (3, [], "too long", "")]
    spool.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [1, 2 * BUFFER_BYTES])
def test_a_full_disk_is_told_when_rows_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    # A few rows stay in memory until they are read, many do not.
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **given: io.BufferedRandom(FullDisk(), given["buffering"]))
    spool = Spool(tmp_path)

    def put_and_get() -> None:
        spool.add(2, ["x" * size])
        list(spool)

    with pytest.raises(UsageError, match="cannot be kept: No space left"):
        put_and_get()
    spool.close()
