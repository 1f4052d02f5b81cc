"""Broken twins of what has no place in simulation: without the reset of aborted connections, and without the lock.

Each is shown twice: as it is, nothing happens; with the twin in its place, what it is there to prevent does.
"""

from __future__ import annotations

import asyncio
import struct
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import monotonic
from unittest.mock import patch

import pytest

from bulkwriter import BulkWriter, JournalError, State
from bulkwriter.model import Fault
from bulkwriter.net import pool as pools
from bulkwriter.store import lock
from bulkwriter.store.journal import Journal
from tests.support.cli_process import stub
from tests.support.library import on_loop, settings_for, some_pairs, truth
from tests.wire.cases import BODY_BYTES
from tests.wire.drive import LIMITS, LOOPS, Ear, post, run_on, sweep
from tests.wire.faultserver import FaultServer, Peer

pytestmark = pytest.mark.slow
REQUEST_BYTES = 400_000
"""More than a server takes in that does not read, less than the kernel holds for both sides."""


def no_linger() -> AbstractContextManager[object]:
    """An aborted connection is closed in good order: the kernel goes on sending what it holds."""
    return patch.object(pools, "LINGER_RESET", struct.pack("ii", 0, 0))


def no_lock() -> AbstractContextManager[object]:
    """Whoever asks for the lock of a journal gets it."""
    return patch.object(lock, "_flock", lambda *args, **options: True)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("twin", "applied"), [(nullcontext, 0), (no_linger, 1)])
def test_a_request_that_was_given_up_does_not_arrive(loop: str, twin: type, applied: int) -> None:
    def read_late(peer: Peer) -> None:
        time.sleep(0.4)
        if peer.read_request():
            peer.apply()

    async def main(port: int) -> Fault | None:
        pool = pools.Pool(f"http://127.0.0.1:{port}", limits=LIMITS)
        sweeper = asyncio.create_task(sweep(pool))
        ear = Ear()
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        assert lane.send(post(port, REQUEST_BYTES), ear, monotonic(), monotonic() + 0.1)
        reply = await ear.reply
        sweeper.cancel()
        await pool.aclose()
        return reply.fault

    server = FaultServer(read_late).start()
    with twin():
        assert run_on(loop, main(server.port)) is Fault.SILENT
    server.stop()
    assert server.applied == applied


def leave_doubts(journal: Path, base_url: str, pairs: list[tuple[int, int]]) -> None:
    """What a run leaves that was killed before it sent.  (Of new rows the journal itself takes each only once.)"""
    made = Journal.open(journal, base_url=base_url, account=None, columns=("CourseLessonId", "CourseMemberId"))
    made.append([(seq, *pair, None, State.INTENT, None) for seq, pair in enumerate(pairs)])
    made.close()


@pytest.mark.parametrize(("twin", "is_safe"), [(nullcontext, True), (no_lock, False)])
def test_a_journal_has_one_writer(tmp_path: Path, twin: type, is_safe: bool) -> None:
    pairs = some_pairs(300)

    async def one() -> bool:
        try:
            async with BulkWriter(settings_for(server, tmp_path / "j")) as writer:
                await writer.write_all(pairs)
        except JournalError:
            return False
        return True

    async def main() -> list[bool]:
        return list(await asyncio.gather(one(), one()))

    with stub(latency_s=0.003) as server, twin():
        leave_doubts(tmp_path / "j", server.base_url, pairs)
        ended = on_loop(main)
        records, doubles = truth(server)
    assert (doubles == 0) is is_safe
    if is_safe:
        assert sorted(ended) == [False, True]
        assert records == 300
