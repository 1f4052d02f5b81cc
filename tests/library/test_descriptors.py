"""A service makes one writer after another: whichever way they end, no descriptor or thread of theirs is left."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import BulkWriter, JournalError, UsageError
from tests.support.cli_process import stub
from tests.support.library import on_loop, settings_for, soon, wholly

DESCRIPTORS = Path("/proc/self/fd")
QUOTA = ("write:1000/s", "write:1000/day")

pytestmark = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="needs Linux's list of descriptors")


def open_files(folder: Path) -> list[str]:
    gc.collect()  # memory that is mapped goes with whoever holds it
    found = []
    for link in DESCRIPTORS.iterdir():
        with suppress(OSError):
            found.append(str(link.readlink()))
    return [name for name in found if name.startswith(str(folder))]


@pytest.mark.parametrize(
    ("chosen", "error"),
    [({}, None), ({"token": "no token"}, UsageError), ({"ledger": "no-ledger"}, JournalError)],
    ids=["a good end", "a token that is none", "a ledger that is none"],
)
def test_nothing_is_left_of_a_writer(tmp_path: Path, chosen: dict[str, Any], error: type[Exception] | None) -> None:
    (tmp_path / "no-ledger").write_text("not a database\n" * 100)
    ledger = tmp_path / chosen.get("ledger", "ledger")
    with stub() as server:
        settings = settings_for(server, tmp_path / "j", quota=QUOTA, **{**chosen, "ledger": ledger})
        with pytest.raises(error) if error else nullcontext():
            on_loop(lambda: wholly([(1, 1)], settings), server=server)
    soon(lambda: not [thread for thread in threading.enumerate() if thread.name == "ledger"])
    assert not open_files(tmp_path)


def test_nothing_holds_a_writer_that_waited_for_the_hour(tmp_path: Path) -> None:
    """A timer that was set for the next request would keep all of it, bitmaps too, for as long as it had to wait."""

    async def main() -> None:
        async with BulkWriter(settings_for(server, tmp_path / "j", rate=0.001, existing="skip")) as writer:
            writing = asyncio.create_task(writer.write_all([(1, 1), (1, 2), (1, 3)]))
            while writer.snapshot().attempts < 1 or writer.snapshot().in_flight:
                await asyncio.sleep(0.01)
            writer.drain("seen")
            await writing
        held = weakref.ref(writer._engine.sender)
        del writer, writing
        gc.collect()
        assert held() is None

    with stub() as server:
        on_loop(main, server=server)
