"""The journal's thread: group commit, order, cancelling, failing, and a disk that hangs.

One contract runs over the thread and its inline form, so that simulation may be believed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.rows import STATE_ALONE, AppendRow, SettleRow
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_writer import JournalWriter
from bulkwriter.store.lock import holder

from ..support.journal_child import COLUMNS, URL, open_journal


def intents(count: int, *, first: int = 0) -> list[AppendRow]:
    return [(seq, 10, 1_000 + seq, seq + 2, State.INTENT, None) for seq in range(first, first + count)]


def created(*seqs: int) -> list[SettleRow]:
    return [(seq, State.CREATED, 1, 5_000 + seq, 200, None) for seq in seqs]


async def opened(writer: JournalWriter, path: Path | None = None) -> None:
    await writer.open(path, base_url=URL, account=None, columns=COLUMNS)


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[JournalWriter]:
    writer = JournalWriter()
    await opened(writer, tmp_path / "j")
    yield writer
    await writer.close()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "journal"]


@pytest.mark.parametrize("make", [JournalWriter, lambda: JournalWriter(inline=True)], ids=["thread", "inline"])
async def test_contract(make: Callable[[], JournalWriter]) -> None:
    store = make()
    with pytest.raises(JournalError, match="not open"):
        await store.append(intents(1))
    await opened(store)
    assert (store.rows, store.next_single_seq, store.counts) == (0, SINGLE_SEQ, {})
    await store.append(intents(5))
    await store.append([])
    await store.append([(SINGLE_SEQ, 1, 2, None, State.INTENT, None)])
    await store.settle([*created(0, 4), (0, State.IN_DOUBT, 1, None, None, None)])
    await store.settle([(seq, State.PENDING, STATE_ALONE, None, None, None) for seq in (3, SINGLE_SEQ)])
    assert (store.rows, store.next_single_seq) == (5, SINGLE_SEQ + 1)
    assert store.counts == {State.PENDING: 2, State.INTENT: 2, State.IN_DOUBT: 1, State.CREATED: 1}
    await store.close()
    await store.close(checkpoint=False)
    with pytest.raises(JournalError, match="not open"):
        await store.settle(created(0))


@pytest.mark.parametrize("make", [JournalWriter, lambda: JournalWriter(inline=True)], ids=["thread", "inline"])
async def test_contract_of_rows_that_are_not_there(make: Callable[[], JournalWriter]) -> None:
    store = make()
    await opened(store)
    await store.append(intents(2))
    with pytest.raises(ValueError, match=r"contiguous|cannot follow"):
        await store.append(intents(1, first=3))
    await store.close()
    store = make()
    await opened(store)
    with pytest.raises(IndexError):
        await store.settle(created(0))
    await store.close()


async def test_what_is_handed_in_together_is_committed_together(writer: JournalWriter) -> None:
    statements: list[str] = []
    await writer.run(lambda journal: journal._db.set_trace_callback(statements.append))
    release = threading.Event()
    busy = asyncio.create_task(writer.run(lambda journal: release.wait(5)))
    await asyncio.sleep(0)
    waiters = [asyncio.create_task(writer.append(intents(10, first=first))) for first in range(0, 100, 10)]
    waiters += [asyncio.create_task(writer.settle(created(seq))) for seq in range(100)]
    await asyncio.sleep(0)
    assert writer.rows == 0, "nothing is acknowledged yet, and the loop goes on"
    release.set()
    await asyncio.gather(busy, *waiters)
    assert statements.count("COMMIT") == 1
    assert writer.counts == {State.CREATED: 100}


async def test_operations_keep_their_order_around_a_run(writer: JournalWriter) -> None:
    seen: list[Any] = []
    await asyncio.gather(
        writer.append(intents(2)),
        writer.run(lambda journal: seen.append(journal.counts())),
        writer.settle(created(1)),
        writer.settle([(1, State.IN_DOUBT, 1, None, None, None)]),
        writer.run(lambda journal: seen.append(journal.counts())),
    )
    assert seen == [{State.INTENT: 2}, {State.INTENT: 1, State.IN_DOUBT: 1}]


async def test_a_cancelled_waiter_takes_nothing_back(writer: JournalWriter) -> None:
    release = threading.Event()
    busy = asyncio.create_task(writer.run(lambda journal: release.wait(5)))
    waiter = asyncio.create_task(writer.append(intents(3)))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    release.set()
    await busy
    await writer.append(intents(1, first=3))
    assert writer.rows == 4


async def test_a_cancelled_open_is_closed_by_close(tmp_path: Path) -> None:
    writer = JournalWriter()
    opening = asyncio.create_task(opened(writer, tmp_path / "j"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await writer.close()
    assert holder(tmp_path / "j") is None


async def test_a_journal_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    writer = JournalWriter()
    with pytest.raises(JournalError, match="is held by pid"):
        await opened(writer, tmp_path / "j")
    with pytest.raises(JournalError, match="not open"):
        await writer.append(intents(1))
    await writer.close()
    journal.close()
    while threads():
        await asyncio.sleep(0.001)


async def test_a_failure_fails_its_group_and_everything_after_it(tmp_path: Path) -> None:
    writer = JournalWriter()
    await opened(writer, tmp_path / "j")
    await writer.append(intents(3))
    release = threading.Event()
    busy = asyncio.create_task(writer.run(lambda journal: release.wait(5)))
    group = [asyncio.create_task(writer.settle(created(seq))) for seq in (0, 99, 1)]
    await asyncio.sleep(0)
    release.set()
    assert await busy
    results = await asyncio.gather(*group, return_exceptions=True)
    assert [type(result) for result in results] == [IndexError] * 3
    for _ in range(2):
        with pytest.raises(JournalError, match="broken off"):
            await writer.settle(created(0))
    with pytest.raises(JournalError, match="broken off"):
        await writer.run(lambda journal: journal.read(0, 1))
    assert writer.counts == {State.INTENT: 3}
    await writer.close()
    journal = open_journal(tmp_path / "j")
    assert journal.counts() == {State.INTENT: 3}
    journal.close()


async def test_what_a_run_raises_hurts_nobody_else(writer: JournalWriter) -> None:
    results = await asyncio.gather(
        writer.append(intents(1)),
        writer.run(lambda journal: 1 // 0),
        writer.append(intents(1, first=1)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), ZeroDivisionError, type(None)]
    assert writer.rows == 2


async def test_a_run_may_write_and_returns_what_it_found(writer: JournalWriter) -> None:
    def claim(journal: Journal) -> list[int]:
        with journal.transaction():
            journal.append(intents(2))
            journal.meta_set("watermark", "5")
            rows = [(seq, State.INTENT, 0, None, None, None) for seq in range(2)]
            return journal.claim(rows, [State.INTENT, State.PENDING])

    assert await writer.run(claim) == [0]
    assert (writer.rows, writer.counts) == (2, {State.INTENT: 2})
    assert await writer.run(lambda journal: journal.meta_get("watermark")) == "5"


async def test_a_disk_that_hangs_does_not_hang_close(tmp_path: Path) -> None:
    writer = JournalWriter(close_s=0.05)
    await opened(writer, tmp_path / "j")
    release = threading.Event()
    stuck = asyncio.create_task(writer.run(lambda journal: release.wait(5)))
    await asyncio.sleep(0)
    with pytest.raises(JournalError, match=r"not answered for 0\.05 s"):
        await writer.close()
    with pytest.raises(JournalError, match="not open"):
        await writer.append(intents(1))
    await writer.close()
    release.set()
    assert await stuck
    while threads():
        await asyncio.sleep(0.001)
    assert holder(tmp_path / "j") is None


@pytest.mark.slow
def test_a_disk_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    child = [sys.executable, "-m", "tests.support.journal_child", "hang", str(tmp_path / "j")]
    done = subprocess.run(child, capture_output=True, text=True, check=False, timeout=180)
    assert (done.returncode, done.stderr) == (0, "")
    assert "has not answered" in done.stdout


async def test_inline_a_crash_is_made_up_by_adopting_the_journal_again() -> None:
    writer = JournalWriter(inline=True)
    journal = Journal.open(None, base_url=URL, account=None, columns=COLUMNS)
    writer.adopt(journal)
    await writer.append(intents(3))
    await writer.settle(created(1))
    again = JournalWriter(inline=True)
    again.adopt(journal.reopened())
    assert (again.rows, again.counts) == (3, {State.INTENT: 2, State.CREATED: 1})
    doubts = await again.run(lambda journal: [row.seq for row in journal.doubts()])
    assert doubts == [0, 2]
    with pytest.raises(JournalError, match="opened again"):
        await writer.append(intents(1, first=3))
    await again.close()


def test_a_loop_that_is_gone_is_no_trouble_for_the_thread(tmp_path: Path) -> None:
    release = threading.Event()

    async def leave() -> None:
        writer = JournalWriter()
        await opened(writer, tmp_path / "j")
        await writer.append(intents(1))
        for call in (lambda journal: release.wait(5), lambda journal: journal.close()):
            asyncio.create_task(writer.run(call))  # noqa: RUF006 left behind on purpose
        await asyncio.sleep(0)

    asyncio.run(leave())
    release.set()
    for _ in range(1_000):
        if holder(tmp_path / "j") is None:
            break
        threading.Event().wait(0.002)
    journal = open_journal(tmp_path / "j")
    assert journal.rows == 1
    journal.close()
